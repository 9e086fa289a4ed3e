#!/bin/sh
# Installs all that is not Python: commands, unit, hotplug script, udev rule, pages, completion, and
# the configuration where there is none yet.
# Usage: install.sh [ROOT]    the directory that becomes or is the root; / by default
set -eu
root=${1:-}
cd "$(dirname "$0")/../.."

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
export PYTHONDONTWRITEBYTECODE=1
python3 -m tools.manual "$made"
python3 -m backend.cli check-config --template >"$made/xen-fileproxy.toml"

# place MODE FILE DIRECTORY
place() {
    install -D -m "$1" "$2" "$root$3/${2##*/}"
}

for command in xen-fileproxy xen-fileproxy-front; do
    place 755 "tools/dom0/bin/$command" /usr/bin
    place 644 "$made/$command" /usr/share/bash-completion/completions
done
place 755 tools/dom0/xen-9pfsd /usr/lib/xen-fileproxy
place 755 tools/dom0/vchan-socket-proxy /usr/lib/xen-fileproxy
place 755 tools/dom0/fileproxy /etc/xen/scripts
place 644 tools/dom0/60-xen-fileproxy.rules /usr/lib/udev/rules.d
place 644 tools/dom0/xen-fileproxy.service /usr/lib/systemd/system
place 644 "$made/xen-fileproxy-front.1" /usr/share/man/man1
place 644 "$made/xen-fileproxy.toml.5" /usr/share/man/man5
place 644 "$made/xen-fileproxy.8" /usr/share/man/man8
[ -e "$root/etc/xen/xen-fileproxy.toml" ] || place 644 "$made/xen-fileproxy.toml" /etc/xen
