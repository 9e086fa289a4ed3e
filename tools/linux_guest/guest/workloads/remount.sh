# Content and metadata are as they were after unmounting and mounting again (a new Tversion).
set -eu
mkdir -p deep/er
seq 100000 >deep/er/numbers
chmod 640 deep/er/numbers
touch -d '2001-02-03 04:05:06' deep/er/numbers
before=$(stat -c '%a %s %Y' deep/er/numbers; sha256sum deep/er/numbers)
here=$PWD
for _ in 1 2 3; do
    cd /
    umount "$MOUNTPOINT"
    eval "$MOUNT"
    cd "$here"
    test "$before" = "$(stat -c '%a %s %Y' deep/er/numbers; sha256sum deep/er/numbers)"
done
echo "mounted again three times"
