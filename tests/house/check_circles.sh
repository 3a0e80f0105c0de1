#!/bin/sh
# check_circles.sh ROOT OBJECTS KNOWN: fails when files of one room of src/ need each other in a
# circle. A file needs another when it includes its header, or uses a symbol that the other defines,
# by the object files below the folder OBJECTS. X.c and X.h are one file. KNOWN lists what is let
# pass, "room/file room/file reason" for a file that needs another; what is not needed there any
# more is an error, too.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
objects=$(cd "$2" && pwd)
known=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
cd "$1"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "include src/room/a.c room/b": each header that a file includes.
find src -name '*.[ch]' -exec awk '
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, part, "\"")
        sub(/\.h$/, "", part[2])
        print "include", FILENAME, part[2]
    }' {} + >"$work/edges"

# "defines src/room/a.c symbol" and "uses src/room/a.c symbol". CMake puts the object of
# src/room/a.c to room/a.c.o below the folder of its target, where it stays when its source goes.
{ find src -name '*.c'; (cd "$objects" && find . -name '*.c.o' -exec nm -A -P {} +); } | awk '
    NF == 1 { is_source[$1] = 1; next }
    {
        file = $1
        sub(/^\.\//, "", file)
        sub(/\.o:$/, "", file)
        sub(/CMakeFiles\/[^\/]*\.dir\//, "", file)
        file = "src/" file
    }
    !(file in is_source) { next }
    $3 == "U" { print "uses", file, $2 }
    $3 ~ /^[A-TV-Z]$/ { print "defines", file, $2 }' >>"$work/edges"
if ! grep -q '^defines' "$work/edges"; then
    echo "no object files below $objects: build first"
    exit 1
fi
sort -o "$work/edges" "$work/edges" # so that a circle is told the same way each time

awk -v edges="$work/edges" '
function name_of(file) { # src/room/a.c: room/a
    sub(/^src\//, "", file)
    sub(/\.[ch]$/, "", file)
    return file
}
function room_of(name) { return substr(name, 1, index(name, "/") - 1) }
function add(from, to, why) {
    if (from == to || room_of(from) != room_of(to)) return
    if (!((from, to) in reason)) {
        reason[from, to] = why
        next_of[from, ++out_count[from]] = to
    }
    if (!(from in is_file)) { is_file[from] = 1; files[++file_count] = from }
}
# The shortest way from `from` to `to`, as text; "" if there is none. Not by exceptions, unless
# `all`.
function way(from, to, all,    queue, head, tail, came, at, i, next_file, text) {
    queue[tail = 1] = from
    came[from] = ""
    for (head = 1; head <= tail; head++) {
        at = queue[head]
        for (i = 1; i <= out_count[at]; i++) {
            next_file = next_of[at, i]
            if (!all && ((at, next_file) in exception)) continue
            if (next_file == to) {
                text = ""
                for (; at != ""; at = came[at]) {
                    text = " -> " next_file " (" reason[at, next_file] ")" text
                    next_file = at
                }
                return from text
            }
            if (!(next_file in came)) { came[next_file] = at; queue[++tail] = next_file }
        }
    }
    return ""
}
$1 !~ /^#/ && NF > 0 {
    exception[$1, $2] = 1
    known_from[++known_count] = $1
    known_to[known_count] = $2
}
END {
    while ((getline line < edges) > 0) {
        split(line, part, " ")
        file = name_of(part[2])
        if (part[1] == "include") add(file, part[3], "#include")
        else if (part[1] == "defines") home[part[3]] = file
        else { user[++use_count] = file; used[use_count] = part[3] }
    }
    for (i = 1; i <= use_count; i++) {
        if (used[i] in home) add(user[i], home[used[i]], used[i])
    }
    for (i = 1; i <= known_count; i++) {
        from = known_from[i]
        to = known_to[i]
        if (!((from, to) in reason) || way(to, from, 1) == "") {
            print from " -> " to " closes no circle any more: take it off the list"
            wrong = 1
        }
    }
    # The shortest circle of each room.
    for (i = 1; i <= file_count; i++) {
        room = room_of(files[i])
        circle = way(files[i], files[i], 0)
        steps = gsub(/ -> /, " -> ", circle)
        if (circle != "" && (!(room in steps_of) || steps < steps_of[room])) {
            steps_of[room] = steps
            circle_of[room] = circle
        }
    }
    for (room in circle_of) { print "src/" room ": " circle_of[room]; wrong = 1 }
    exit wrong
}' "$known" >"$work/circles" || status=$?
sort "$work/circles"
exit "${status:-0}"
