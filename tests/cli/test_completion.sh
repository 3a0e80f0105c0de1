#!/bin/sh
# test_completion.sh CLM TESTS: what bash completes, asked of the script as bash asks it.
# SPDX-License-Identifier: Apache-2.0
set -eu
clm=$1
. "$2/cli/check.sh"
command -v bash >/dev/null || exit 77
mkdir run files
: >files/messages.txt
: >"files/two words.txt"
"$clm" help --bash-completion >completion
cat >ask.bash <<'END'
# ask.bash CLM WORD...: what the last word may become, one a line.
. ./completion
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
compopt() { :; } # only readline has it
_clm
printf '%s\n' "${COMPREPLY[@]}"
END
ask() { bash ask.bash "$clm" "$@" | sed 's/ *$//' | sort | tr '\n' ' ' | sed 's/ $//'; }
completes() { # EXPECTED WORD...
    expected=$1
    shift
    same "completion of clm $*" "$expected" "$(ask "$@")"
}
bash -c '. ./completion; complete -p clm' >out || failed "clm has no completion: $(cat out)"
grep -q '_clm clm' out

completes 'finetune' fine
completes 'data devices' d
completes '--accumulate' finetune classify --acc
completes '--eval-batches --eval-every' finetune classify --model m --eval
completes 'head' finetune classify --train h
completes 'last-block last-two-blocks' finetune classify --train = last
completes 'auto bf16 f16 f32' classify --precision ''
completes 'auto bf16 f16 f32' classify --precision =
completes 'gpt2 gpt2-large gpt2-medium gpt2-xl' fetch gpt
completes 'classes' data cl
completes 'classify' finetune ''
completes 'files/messages.txt' classify --file files/m
completes 'files/two words.txt' classify --file files/t
completes 'files run' classify --model ''
completes 'run' eval --model r
completes '' finetune classify --epochs ''
completes 'gpu' tune --device gp
completes '--bash-completion' help --b
"$clm" devices --brief >devices 2>/dev/null || exit 0 # without devices the types are left
[ -s devices ] || exit 0
for index in $(cut -f1 devices); do
    ask bench --device '' | grep -qw "$index" || failed "device $index is not completed"
done
