#!/bin/sh
# Builds xen-fileproxy_VERSION_all.deb of this tree as it is, committed or not; as any user.
# Usage: build.sh [DIRECTORY]    where it is put; build/ by default
set -eu
cd "$(dirname "$0")/../.."
target=${1:-build}

fail() {
    echo "make deb: $1" >&2
    exit 1
}

missing=
for package in build-essential debhelper dh-python dpkg-dev; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null |
        grep -qx installed || missing="$missing $package"
done
[ -z "$missing" ] || fail "missing:$missing; install with: sudo apt install$missing"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
packaged=$(dpkg-parsechangelog -l tools/debian/changelog -S Version)
[ "$version" = "$packaged" ] ||
    fail "pyproject.toml has version $version, tools/debian/changelog has $packaged; make them one"

mkdir -p "$target"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/source"
tar --exclude=__pycache__ --create --file=- \
    protocol backend frontend_stub tools docs CHANGELOG.md LICENSE README.md pyproject.toml |
    tar --extract --file=- --directory="$scratch/source"
cp -R tools/debian "$scratch/source/debian"

echo "building xen-fileproxy_${version}_all.deb"
(cd "$scratch/source" && dpkg-buildpackage --build=binary --no-sign) \
    >"$scratch/log" 2>&1 || {
    cat "$scratch/log" >&2
    fail "dpkg-buildpackage failed; its output is above"
}
mv "$scratch/xen-fileproxy_${version}_all.deb" "$target"
echo "$target/xen-fileproxy_${version}_all.deb"
