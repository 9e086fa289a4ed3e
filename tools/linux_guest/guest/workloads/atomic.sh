# commit=atomic: $1 is the mount that writes, $2 another connection, which sees what Dom0 sees.
set -e
mine=$1 theirs=$2

new_file() {
    exec 3>"$mine/new"
    printf first >&3
    [ ! -e "$theirs/new" ]
    [ "$(cat "$mine/new")" = first ]
    [ "$(stat -c '%s %h' "$mine/new")" = "5 1" ]
    [ "$(ls "$mine")" = new ]
    exec 3>&-
    [ "$(cat "$theirs/new")" = first ]
}

replaced() {
    printf 'a long old content' >"$mine/old"
    [ "$(cat "$theirs/old")" = 'a long old content' ]
    exec 3>"$mine/old"
    printf short >&3
    [ "$(cat "$theirs/old")" = 'a long old content' ]
    [ "$(cat "$mine/old")" = short ]
    [ "$(stat -c %s "$mine/old")" = 5 ]
    exec 3>&-
    [ "$(cat "$theirs/old")" = short ]
    [ "$(cat "$mine/old")" = short ]
    [ "$(stat -c %s "$mine/old")" = 5 ]
    printf ' and more' >>"$mine/old"
    [ "$(cat "$theirs/old")" = 'short and more' ]
}

removed_and_renamed() {
    exec 3>"$mine/removed" 4>"$mine/renamed"
    printf gone >&3
    printf kept >&4
    rm "$mine/removed"
    mv "$mine/renamed" "$mine/kept"
    [ ! -e "$mine/removed" ]
    exec 3>&- 4>&-
    [ ! -e "$theirs/removed" ]
    [ ! -e "$theirs/renamed" ]
    [ "$(cat "$theirs/kept")" = kept ]
}

copied() {
    mkdir "$mine/tree"
    cp /bin/busybox "$mine/tree/busybox"
    cp -a "$mine/tree" "$mine/copy"
    cmp /bin/busybox "$theirs/copy/busybox"
    rm -r "$mine/tree" "$mine/copy"
}

new_file
replaced
removed_and_renamed
copied
[ "$(cd "$theirs" && echo * .[!.]*)" = 'kept new old .[!.]*' ]
