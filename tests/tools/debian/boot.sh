#!/bin/sh
# Boots systemd in the root $1, which has lifecycle.sh, and shows what that said.  To be run in mount,
# process, IPC, UTS and cgroup namespaces of its own.
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
cd "$root"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs tmpfs sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs tmpfs tmp
# mmdebstrap forbids services in the root that it makes.
printf '#!/bin/sh\n' >run/policy-rc.d
chmod 755 run/policy-rc.d
mount --bind run/policy-rc.d usr/sbin/policy-rc.d
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
    : >"dev/$node"
    mount --bind "/dev/$node" "dev/$node"
done
ln -s /proc/self/fd dev/fd
mkdir -p dev/shm mnt/outside
pivot_root . mnt/outside
umount -l /mnt/outside
rmdir /mnt/outside
# As systemd has it where it is not in a container: what is mounted later is seen by all.
mount --make-rshared /
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
