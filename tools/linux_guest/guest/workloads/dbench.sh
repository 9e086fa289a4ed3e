# The file operations of an office's file server, by two clients for five seconds.
set -eu
dbench --directory=. --timelimit=5 --loadfile=/usr/share/dbench/client.txt 2 >/run/dbench.log 2>&1 || {
    tail -n 20 /run/dbench.log
    exit 1
}
grep Throughput /run/dbench.log
# What a client could not do begins with the line of its load file.
if grep -E '^ *\[[0-9]+\]' /run/dbench.log; then exit 1; fi
