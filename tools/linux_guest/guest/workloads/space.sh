# statfs as df shows it, and that writing a file is seen by it.
set -eu
df -k . | tail -n 1
stat --file-system --format='type %T, block %S, namelen %l, blocks %b, free %f, inodes %c' .
test "$(stat --file-system --format=%l .)" = 255
test "$(stat --file-system --format=%b .)" -gt 0
test "$(stat --file-system --format=%c .)" -gt 0
