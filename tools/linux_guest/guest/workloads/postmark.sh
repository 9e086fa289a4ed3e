# A mail server's small files: created, read, appended to, removed.
set -eu
cat >/run/postmark.conf <<END
set location $PWD
set number 200
set transactions 500
set size 500 20000
set seed 42
run
quit
END
postmark /run/postmark.conf >/run/postmark.log
sed -n 's/^\t\{1,\}//; /created\|read\|deleted/p' /run/postmark.log | head -n 8
test -z "$(ls -A)"
