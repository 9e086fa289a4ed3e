# One class of stress-ng, two processes for three seconds, with its own checks switched on.
set -eu
class=$1
shift
status=0
stress-ng "--$class" 2 --timeout 3s --verify --metrics-brief --temp-path . --no-rand-seed "$@" \
    >/run/stress.log 2>&1 || status=$?
grep -vE 'dispatching|setting to|passed|skipped: 0|failed: 0|metrics untrustworthy|successful run' \
    /run/stress.log | sed -E 's/^stress-ng: ([a-z]+): +\[[0-9]+\] /\1: /'
# Left behind by some classes when their time is up; that a directory can be emptied is part of it.
rm -rf tmp-stress-ng-*
exit $status
