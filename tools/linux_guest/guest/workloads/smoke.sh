# A dozen operations, with nothing but busybox: what the quick test runs in both dialects.
set -eu
mkdir directory
seq 20000 >directory/numbers
test "$(wc -l <directory/numbers)" = 20000
echo more >>directory/numbers
test "$(tail -n 1 directory/numbers)" = more
mv directory/numbers directory/renamed
chmod 640 directory/renamed
test "$(stat -c %a directory/renamed)" = 640
touch -d '2001-02-03 04:05:06' directory/renamed
test "$(stat -c %Y directory/renamed)" = 981173106
ln -s renamed directory/link
test "$(readlink directory/link)" = renamed
ln directory/renamed directory/hard
test "$(stat -c %i directory/hard)" = "$(stat -c %i directory/renamed)"
mkfifo directory/fifo
test -p directory/fifo
dd if=/dev/zero of=directory/zeros bs=64k count=16 2>/dev/null
truncate -s 1000 directory/zeros
test "$(stat -c %s directory/zeros)" = 1000
test "$(cd directory && echo *)" = "fifo hard link renamed zeros"
df -k . >/dev/null
seq 10 >directory/open
exec 4<directory/open
rm directory/open
test "$(wc -l <&4)" = 10
exec 4<&-
rmdir directory 2>/dev/null && exit 1
rm -r directory
test -z "$(ls)"
seq 1000 >left-behind
