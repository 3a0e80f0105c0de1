# Read by the scripts here: `same WHAT EXPECTED ACTUAL`, `status EXPECTED COMMAND...`, which leaves
# standard output and error in the files out and err, and `says TEXT`, about err.
# SPDX-License-Identifier: Apache-2.0
failed() {
    echo "FAILED: $*" >&2
    exit 1
}
same() {
    [ "$2" = "$3" ] || failed "$1: got \"$3\", not \"$2\""
}
status() {
    expected=$1
    shift
    got=0
    "$@" >out 2>err || got=$?
    [ "$got" = "$expected" ] || failed "$*: exit status $got, not $expected: $(cat err)"
}
# One line, with the name of the command and the text.
says() {
    same "lines of the message" 1 "$(wc -l <err | tr -d ' ')"
    grep -qF -- "$1" err || failed "the message does not say \"$1\": $(cat err)"
    grep -q '^clm: ' err || failed "the message is not clm's: $(cat err)"
}
