#!/bin/sh
# Runs in a fresh Debian that has all dependencies: the package comes, is upgraded while a guest reads
# a file, goes, and nothing of it is left.  By systemd, or in a chroot without it.
# In /root: this file, package.deb, newer.deb (the same, with a higher version).
set -eu
exec 2>&1
export XEN_FILEPROXY_PLATFORM=embedded:/tmp/hv XEN_FILEPROXY_DOMID=5

say() { echo "lifecycle: $*"; }

fail() {
    xen-fileproxy status || :
    cat /root/supervisor.log 2>/dev/null || journalctl --no-pager --unit xen-fileproxy || :
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

by_systemd() { [ -d /run/systemd/system ]; }

everything() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /root -o -path /tmp \
        -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path '/var/lib/dpkg/*' \
        -o -path /var/lib/systemd/timers -o -path /var/lib/systemd/random-seed \) \
        -prune -o -print | sort
}

start_supervisor() {
    if by_systemd; then
        [ "$(systemctl is-active xen-fileproxy)" = inactive ] || fail "it was started without Xen"
        mkdir -p /run/systemd/system/xen-fileproxy.service.d
        printf '[Unit]\nConditionPathExists=\n' >/run/systemd/system/xen-fileproxy.service.d/any.conf
        systemctl daemon-reload
        systemctl start xen-fileproxy || fail "the unit does not start"
        xen-fileproxy status >/dev/null || fail "the unit counts as started before it serves"
    else
        xen-fileproxy run >/root/supervisor.log 2>&1 &
        wait_for xen-fileproxy status
    fi
}

connected() { xen-fileproxy status | grep -q connected; }

# The file as the guest reads it, the rest of it once /root/go is there.
read_slowly() {
    xen-fileproxy-front cat /big | {
        head -c 1000000
        until [ -e /root/go ]; do sleep 0.1; done
        cat
    } | cmp - /root/big && touch /root/same
}

everything >/root/before

dpkg -i /root/package.deb >/dev/null
version=$(dpkg-query --show --showformat='${Version}' xen-fileproxy)
[ "$(xen-fileproxy --version)" = "xen-fileproxy $version" ] || fail "another version is installed"
xen-fileproxy check-config
sources=$(find /usr/lib/xen-fileproxy -name '*.py' | wc -l)
compiled=$(find /usr/lib/xen-fileproxy -name '*.pyc' | wc -l)
[ "$sources" = "$compiled" ] || fail "$compiled of $sources files are compiled"
[ -L /etc/systemd/system/multi-user.target.wants/xen-fileproxy.service ] || fail "not enabled"
say "installed: $version, $sources files compiled"

sed -i 's|^#platform = .*|platform = "embedded:/tmp/hv"|' /etc/xen/xen-fileproxy.toml
xen-fileproxy embedded run --dir /tmp/hv >/dev/null &
hypervisor=$!
wait_for xen-fileproxy embedded create 5 --dir /tmp/hv
start_supervisor
mkdir /root/export
head -c 100000000 /dev/urandom >/root/big
cp /root/big /root/export
xen-fileproxy attach 5 --path /root/export --tag files --wait 1
read_slowly &
reader=$!
wait_for connected
if by_systemd; then
    xen-fileproxy status | grep -q ' whole ' || fail "the unit forbids a wall of the sandbox"
fi

DEBIAN_FRONTEND=noninteractive dpkg -i --force-confold /root/newer.deb >/dev/null
grep -q '^platform = "embedded' /etc/xen/xen-fileproxy.toml || fail "the configuration was replaced"
connected || fail "the upgrade ended the share"
if by_systemd; then
    xen-fileproxy status | grep -q 'started by an earlier supervisor' || fail "nothing was restarted"
fi
touch /root/go
wait "$reader"
[ -e /root/same ] || fail "the guest read something else"
say "upgraded, and the guest read on"

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
[ -f /root/export/big ] || fail "the guest's files went with the package"
[ ! -e /run/xen-fileproxy ] || fail "/run/xen-fileproxy is left"
say "purged: not a file is left"
