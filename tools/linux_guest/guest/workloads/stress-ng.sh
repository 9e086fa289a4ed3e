# One class of stress-ng by so many processes, for three seconds, with its own checks switched on.
set -eu
class=$1
processes=$2
shift 2
status=0
stress-ng "--$class" "$processes" --timeout 3s --verify --metrics-brief --temp-path . --no-rand-seed "$@" \
    >/run/stress.log 2>&1 || status=$?
# What failed, or else how many operations it did; none at all is no success.
if ! grep -m 20 -E 'fail:|error:' /run/stress.log; then
    count=$(awk -v class="$class" '$4 == class && $5 ~ /^[0-9]+$/ { print $5 }' /run/stress.log)
    if [ "${count:-0}" = 0 ]; then
        cat /run/stress.log
        [ $status != 0 ] || status=4
    fi
    echo "${count:-0} operations"
fi
# Left behind by some classes when their time is up; that a directory can be emptied is part of it.
rm -rf tmp-stress-ng-*
exit $status
