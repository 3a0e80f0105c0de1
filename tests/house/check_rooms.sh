#!/bin/sh
# check_rooms.sh ROOT: fails when a room of src/ (or a public header) includes what its row of the
# table does not allow. A row names what a room stands on; what those stand on it may use as well.
# SPDX-License-Identifier: Apache-2.0
set -eu
LC_ALL=C
export LC_ALL
cd "$1"

files=$(find src include -name '*.[ch]' 2>/dev/null | sort)
# shellcheck disable=SC2086 # our file names have no spaces: check_style.sh sees to that
awk '
BEGIN {
    row("base", "")
    row("device", "base")
    row("ops", "device")
    row("reference", "base")
    row("tune", "ops reference")
    row("text", "base")
    row("data", "base text")
    row("fetch", "base")
    row("graph", "ops reference")
    row("model", "graph")
    row("train", "model data")
    row("selftest", "train reference")
    row("infer", "model text")
    row("report", "base")
    row("bench", "train infer report")
    row("serve", "infer report")
    row("cli", "*")
    # Public headers that no room has the name of.
    home["status"] = home["log"] = home["random"] = home["dtype"] = home["progress"] = "base"
    home["run"] = "train"
    home["config"] = home["weights"] = home["formats"] = "model"
    home["classify"] = home["generate"] = home["evaluate"] = "infer"
    home["gemm"] = "ops"
}
function row(room, below) { uses[room] = below }

# Whether `room` may include from `other`, in one step or by way of what it stands on.
function allowed(room, other,    below, n, i) {
    if (room == other || uses[room] == "*") return 1
    n = split(uses[room], below, " ")
    for (i = 1; i <= n; i++) if (allowed(below[i], other)) return 1
    return 0
}
function room_of_header(path,    name) {
    name = path
    sub(/^.*\//, "", name)
    sub(/\.h$/, "", name)
    if (name == "clm") return "clm"
    return name in home ? home[name] : name
}
function complain(why) {
    printf "%s:%d: %s\n", FILENAME, FNR, why
    wrong = 1
}
FNR == 1 {
    split(FILENAME, parts, "/")
    public = parts[1] == "include"
    room = public ? room_of_header(FILENAME) : parts[2]
    if (!public && parts[3] != "" && !(room in uses)) {
        complain("src/" room "/ is no room of DESIGN: give it a row in check_rooms.sh")
    }
}
/^[ \t]*#[ \t]*include[ \t]*"/ {
    target = $0
    sub(/^[^"]*"/, "", target)
    sub(/".*$/, "", target)
    if (target ~ /\.\./) {
        complain("\"" target "\": include by room, not by way of ..")
        next
    }
    if (target !~ /\//) {
        if (public) complain("\"" target "\": a public header is included as \"clm/" target "\"")
        next # made by the build
    }
    split(target, to, "/")
    if (to[1] == "clm") {
        other = room_of_header(target)
        if (other == "clm") {
            if (room != "cli") complain("clm/clm.h is for users: include the header of the room")
            next
        }
    } else {
        other = to[1]
        if (public) complain("a public header includes the private \"" target "\"")
    }
    if (!(other in uses)) {
        complain("\"" target "\" is of no room that this check knows")
    } else if (room != "clm" && room in uses && !allowed(room, other)) {
        complain(room " may not use " other " (\"" target "\")")
    }
}
public && /^[ \t]*#[ \t]*include[ \t]*</ && $0 !~ /<std(bool|def|int)\.h>/ {
    complain("a public header needs nothing but stdbool.h, stddef.h and stdint.h")
}
END { exit wrong }
' $files /dev/null
echo "rooms: $(echo "$files" | wc -l) files include only what their rooms allow"
