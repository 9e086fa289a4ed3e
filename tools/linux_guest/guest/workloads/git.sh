# A repository with history made in memory, cloned onto the share, changed there, checked.
set -eu
if [ ! -d /tmp/origin ]; then
    git init --quiet --initial-branch=main /tmp/origin
    cd /tmp/origin
    git config user.name guest
    git config user.email guest@localhost
    for round in 1 2 3 4 5; do
        for number in $(seq 40); do
            mkdir -p "d$((number % 8))"
            seq $((round * number)) $((round * number + 200)) >"d$((number % 8))/file$round-$number"
        done
        git add .
        git commit --quiet --message="round $round"
    done
    cd "$OLDPWD"
fi
git clone --quiet --no-local /tmp/origin clone
cd clone
git config user.name guest
git config user.email guest@localhost
git fsck --full --strict
test -z "$(git status --porcelain)"
test "$(git rev-parse HEAD)" = "$(git -C /tmp/origin rev-parse HEAD)"
git checkout --quiet -b topic
git mv d1 moved
rm -r d2
echo changed >d3/file1-3
git add --all
git commit --quiet --message=topic
git gc --quiet
git checkout --quiet main
git merge --quiet --ff-only topic
git fsck --full --strict
test -z "$(git status --porcelain)"
echo "$(git ls-files | wc -l) files, $(git rev-list --count HEAD) commits"
