#!/bin/sh
# Runs in a fresh Debian that has all dependencies: the package comes, is upgraded, goes, and nothing
# of it is left.  In /root: this file, package.deb, newer.deb (the same, with a higher version).
set -eu
exec 2>&1

say() { echo "lifecycle: $*"; }

fail() {
    cat /root/supervisor.log 2>/dev/null || :
    say "FAILED: $*"
    exit 1
}

wait_for() {
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "$*"
}

everything() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /root -o -path /tmp \
        -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path '/var/lib/dpkg/*' \) \
        -prune -o -print | sort
}

everything >/root/before

dpkg -i /root/package.deb >/dev/null
version=$(dpkg-query --show --showformat='${Version}' xen-fileproxy)
[ "$(xen-fileproxy --version)" = "xen-fileproxy $version" ] || fail "another version is installed"
xen-fileproxy check-config
xen-fileproxy-front --help >/dev/null
sources=$(find /usr/lib/xen-fileproxy -name '*.py' | wc -l)
compiled=$(find /usr/lib/xen-fileproxy -name '*.pyc' | wc -l)
[ "$sources" = "$compiled" ] || fail "$compiled of $sources files are compiled"
[ -L /etc/systemd/system/multi-user.target.wants/xen-fileproxy.service ] || fail "not enabled"
say "installed: $version, $sources files compiled"

sed -i 's/^#log-level = .*/log-level = "debug"/' /etc/xen/xen-fileproxy.toml
xen-fileproxy embedded run --dir /tmp/hv >/dev/null &
hypervisor=$!
wait_for xen-fileproxy embedded create 5 --dir /tmp/hv
xen-fileproxy run --platform embedded:/tmp/hv >/root/supervisor.log 2>&1 &
wait_for xen-fileproxy status
mkdir /root/export
xen-fileproxy attach 5 --platform embedded:/tmp/hv --path /root/export --tag files
echo hello >/root/hello
xen-fileproxy-front --platform embedded:/tmp/hv --domid 5 put /root/hello
[ "$(cat /root/export/hello)" = hello ] || fail "no file came through the share"

DEBIAN_FRONTEND=noninteractive dpkg -i --force-confold /root/newer.deb >/dev/null
grep -q '^log-level = "debug"' /etc/xen/xen-fileproxy.toml || fail "the configuration was replaced"
xen-fileproxy status >/dev/null || fail "the upgrade ended the supervisor"
xen-fileproxy-front --platform embedded:/tmp/hv --domid 5 put /root/hello again
say "upgraded, and served all the time"

dpkg --remove xen-fileproxy >/dev/null
sleep 1
if grep -l '[x]en-fileproxy' /proc/[0-9]*/cmdline 2>/dev/null | grep -v "^/proc/$hypervisor/"; then
    fail "processes are left"
fi
[ -f /etc/xen/xen-fileproxy.toml ] || fail "the configuration went with the program"
say "removed: nothing runs, and the configuration stays"

dpkg --purge xen-fileproxy >/dev/null
kill "$hypervisor"
everything >/root/after
diff /root/before /root/after || fail "the package leaves files behind, or takes others'"
[ -f /root/export/hello ] || fail "the guest's files went with the package"
say "purged: not a file is left"
