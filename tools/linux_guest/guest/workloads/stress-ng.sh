# One class of stress-ng, two processes for three seconds, with its own checks switched on.
set -eu
class=$1
shift
status=0
stress-ng "--$class" 2 --timeout 3s --verify --metrics-brief --temp-path . --no-rand-seed "$@" \
    >/run/stress.log 2>&1 || status=$?
# What failed, or else how many operations it did.
if ! grep -m 20 -E 'fail:|error:|skip|out of range|not implemented' /run/stress.log; then
    awk -v class="$class" '$4 == class && $5 ~ /^[0-9]+$/ { print $5, "operations" }' /run/stress.log
fi
# Left behind by some classes when their time is up; that a directory can be emptied is part of it.
rm -rf tmp-stress-ng-*
exit $status
