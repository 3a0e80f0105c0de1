#!/bin/sh
# Each check passes on a small clean tree and fails, for the right reason, on the same tree with one
# thing wrong in it.
# SPDX-License-Identifier: Apache-2.0
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

put() { # PATH TEXT: a file of the tree, with a licence line when it is C
    mkdir -p "$tree/$(dirname "$1")"
    case $1 in
        *.c | *.h | *.cl) printf '/* SPDX-License-Identifier: Apache-2.0 */\n%b' "$2" ;;
        *) printf '%b' "$2" ;;
    esac >"$tree/$1"
}

plant_clean() {
    tree=$work/tree
    rm -rf "$tree"
    put include/clm/status.h '#define CLM_API\nCLM_API const char *clm_version(void);\n'
    put include/clm/clm.h '#include "clm/status.h"\n'
    put src/base/memory.c '#include "clm/status.h"\nvoid clm_free(void *p) {\n    free(p);\n}\n'
    put src/base/error.c 'const char *clm_version(void) {\n    return "printf(";\n}\n'
    put src/ops/scale.c '#include "base/error.h"\n#include "device/device.h"\n'
    put src/ops/scale_wide.c '/* free(p) and exit(1) in a comment */\n'
    put src/reference/scale.c '#include "base/error.h"\n'
    put cl/scale.cl '__kernel void scale(__global float *x) {\n    x[0] *= 2.0f;\n}\n'
    put src/base/log.c 'const char *f(void) {\n    return getenv("CLM_LOG");\n}\n'
    put src/cli/CMakeLists.txt 'set(commands eval help)\n'
    put src/model/config_members.c 'static int a[] = {\n    HONOURED("n_embd", "a size"),\n};\n'
    put tests/model/test_config.c 'int main(void) {\n    return 0;\n}\n'
    put docs/environment.md '| `CLM_LOG` | how much is said |\n'
    put docs/commands.md '`clm eval`, `clm help`, and [more](models.md)\n'
    put docs/models.md '`n_embd`\n'
    put tests/base/test_base.c 'int main(void) {\n    return clm_version() == 0;\n}\n'
    put tests/ops/test_scale.c 'int main(void) {\n    return 0;\n}\n'
    cp "$here/../../.clang-format" "$tree/" 2>/dev/null || true
    (cd "$tree" && find "$(pwd -P)" -name '*.c') >"$work/list"
}

run() { # CHECK: its status in $status, its words in $work/output
    status=0
    case $1 in
        sources) "$here/check_sources.sh" "$tree" "$work/list" ;;
        circles) "$here/check_circles.sh" "$tree" "$work/objects" "$work/known" ;;
        *) "$here/check_$1.sh" "$tree" ;;
    esac >"$work/output" 2>&1 || status=$?
}

good() { # CHECK
    run "$1"
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
    elif [ "$status" = 77 ]; then
        echo "skipped: $1: $(cat "$work/output")"
    else
        echo "check_$1.sh complains about a clean tree:"
        cat "$work/output"
        failed=$((failed + 1))
    fi
}

bad() { # CHECK WORDS: must fail and say WORDS
    run "$1"
    if [ "$status" = 77 ]; then
        echo "skipped: $1: $(cat "$work/output")"
    elif [ "$status" != 0 ] && grep -qF -- "$2" "$work/output"; then
        passed=$((passed + 1))
    else
        echo "check_$1.sh did not say \"$2\" (status $status):"
        cat "$work/output"
        failed=$((failed + 1))
    fi
    plant_clean
}

plant_clean
for check in rooms mirrors style locale sources kernels format headers docs; do
    good $check
done

# Rooms.
put src/base/error.c '#include "device/device.h"\n'
bad rooms 'src/base/error.c:2: base may not use device'
put src/text/bpe.c '#include "clm/model.h"\n'
bad rooms 'text may not use model'
put src/report/plot.c '#include "train/train.h"\n'
bad rooms 'report may not use train'
put src/model/formats/safetensors.c '#include "../../train/train.h"\n'
bad rooms 'not by way of ..'
put src/attic/old.c '#include "base/error.h"\n'
bad rooms 'src/attic/ is no room'
put include/clm/text.h '#include "text/bpe.h"\n'
bad rooms 'a public header includes the private'
put include/clm/device.h '#include <CL/cl.h>\n'
bad rooms 'a public header needs nothing but'
put include/clm/text.h '#include "clm/model.h"\n'
bad rooms 'text may not use model'
put src/ops/scale.c '#include "clm/clm.h"\n'
bad rooms 'clm/clm.h is for users'
put src/train/loop.c '#include "base/error.h"\n#include "ops/ops.h"\n#include "text/bpe.h"\n'
good rooms # what train stands on stands on those

# Circles.
compile() { # SOURCE...: to where CMake puts objects
    for source in "$@"; do
        object=$work/objects/CMakeFiles/clm_objects.dir/${source#src/}.o
        mkdir -p "$(dirname "$object")"
        cc -w -c -o "$object" "$tree/$source"
    done
}
plant_two_files() {
    put src/base/one.c 'int two(void);\nint one(void) {\n    return two();\n}\n'
    put src/base/two.c 'int two(void) {\n    return 2;\n}\n'
    compile src/base/one.c src/base/two.c
    : >"$work/known"
}
plant_two_files
good circles # one needs two
put src/base/one.h ''
put src/base/two.h '#include "base/one.h"\n'
bad circles 'src/base: base/two -> base/one (#include) -> base/two (two)'
plant_two_files
put src/base/two.c 'int one(void);\nint two(void) {\n    return one();\n}\n'
compile src/base/two.c
bad circles 'src/base: base/one -> base/two (two) -> base/one (one)'
plant_two_files
put src/base/two.c 'int one(void);\nint two(void) {\n    return one();\n}\n'
compile src/base/two.c
echo 'base/two base/one for a reason' >"$work/known"
good circles
plant_two_files
echo 'base/one base/two for no reason' >"$work/known"
bad circles 'base/one -> base/two closes no circle any more'
plant_two_files
put src/device/one.h '#include "base/two.h"\n'
good circles # of other rooms it is no matter
rm -r "$work/objects"
mkdir "$work/objects"
bad circles 'build first'

# Mirrors.
for file in src/ops/scale.c src/reference/scale.c tests/ops/test_scale.c; do
    rm "$tree/$file"
    bad mirrors "cl/scale.cl has no $file"
done
put cl/text.cl ''
bad mirrors 'cl/text.cl has no src/ops/text.c'
put cl/base.cl ''
good mirrors # a room's own
plant_clean
put src/reference/gelu.c ''
bad mirrors 'src/reference/gelu.c has no src/ops/gelu.c'
put src/text/bpe.c ''
bad mirrors 'src/text has no tests/text/'
put include/clm/log.h ''
bad mirrors 'clm.h does not include include/clm/log.h'
put include/clm/status.h '#define CLM_API\nCLM_API int\nclm_untold(void);\n'
put src/base/error.c 'int clm_untold(void) {\n    return 0;\n}\n'
bad mirrors 'clm_untold is public, and no test'
put include/clm/status.h '#define CLM_API\nCLM_API int clm_promise(int count);\n'
bad mirrors 'clm_promise is not defined'

# Style.
forbid() { # PATH TEXT WORDS
    put "$1" "$2"
    bad style "$3"
}
forbid src/base/error.c 'int f(void) {\n    return printf("x");\n}\n' 'error.c:3: printf'
forbid src/base/error.c 'int f(void) {\n    exit(1);\n}\n' 'error.c:3: exit'
forbid src/base/error.c 'int f(void) {\n    abort();\n}\n' 'error.c:3: abort'
forbid src/ops/scale.c 'int f(void) {\n    return !malloc(3);\n}\n' 'scale.c:3: malloc'
forbid src/ops/scale.c 'int f(void) {\n    free(0);\n}\n' 'scale.c:3: free'
forbid src/ops/scale.c 'int f(void) {\n    fputs("x", stderr);\n}\n' 'the library never prints'
forbid src/cli/main.c 'int f(char *a) {\n    return sprintf(a, "x");\n}\n' 'sprintf: unsafe'
forbid tests/base/test_base.c 'int f(char *a) {\n    strcpy(a, "x");\n}\n' 'strcpy: unsafe'
forbid src/cli/main.c 'int f(char *a) {\n    return atoi(a);\n}\n' 'atoi: cannot report'
forbid src/cli/main.c 'int f(void) {\n    return rand();\n}\n' 'named, seeded streams'
forbid src/base/log.c "$(printf '/* TO%s: later */' DO)\n" 'work left undone'
forbid notes.md "$(printf '/ho%s/someone/clm' me)\n" 'a path of one machine'
forbid src/base/log.c 'int x;    \n' 'blanks at the end'
forbid src/base/log.c '\tint x;\n' 'a tab'
forbid src/base/log.c 'int x;\r\n' 'a carriage return'
forbid 'src/base/two words.c' 'int x;\n' 'a file name with a character'
forbid src/base/log.c "/* $(printf '%0100d' 0) */\n" '106 columns, over 100'
forbid src/base/log.c "$(awk 'BEGIN { for (i = 0; i < 1001; i++) print "int x;" }')" 'over 1000'
forbid src/base/log.c "int f(int a,\n      int b) {\n$(awk 'BEGIN {
    for (i = 0; i < 98; i++) print "    a++;" }')\n}\n" 'a function of 101 lines'
printf 'int x;\n' >"$tree/src/base/log.c"
bad style 'log.c: no SPDX-License-Identifier'
mkdir -p "$tree/examples"
head -c 1048577 /dev/zero >"$tree/examples/blob.bin"
bad style 'examples/blob.bin: over 1048576 bytes'
put src/ops/scale.c 'int f(void) {\n    return fflush(stdout);\n}\n'
good style # a library that clm calls may have printed
plant_clean
put src/cli/main.c 'int f(void) {\n    char *p = malloc(3);\n    return printf("%%s", p);\n}\n'
good style # the command prints and allocates as it likes
plant_clean

# Locale.
depend() { # TEXT WORDS: two lines of a function body
    put src/train/loop.c "int f(char *a, double b) {\n    $1;\n}\n"
    bad locale "src/train/loop.c:3: $2"
}
depend 'return strtod(a, 0) > b' 'strtod: reads numbers'
depend 'return sscanf(a, "%d %lf", &c, &b)' 'sscanf: a floating-point number'
depend 'return snprintf(a, 9, "%d,\\n"\n  "%-8.3f", 1, b)' 'snprintf: a floating-point number'
depend 'return printf("%*.*g", 1, 2, b)' 'printf: a floating-point number'
depend 'return vsnprintf(a, 9, b, c)' 'vsnprintf: formats by the locale'
depend 'return cJSON_Parse(a) == 0' 'cJSON_Parse: reads and writes'
depend 'return toupper(*a)' 'toupper: asks the locale'
depend 'return strcasecmp(a, "i")' 'strcasecmp: asks the locale'
depend 'return localeconv() == 0' 'localeconv: the locale is'
put src/train/checkpoint.h '#define FORMAT "%d %lf"\n'
bad locale '%lf scans by the locale'
put src/train/loop.c '/* strtod(a) */\nint f(void) {\n    return g("%f strtod(", 1) +\n'\
'           printf("5 %% f%d", 1);\n}\n'
good locale
plant_clean

# Docs.
put src/base/log.c 'const char *f(void) {\n    return getenv("CLM_LOUD");\n}\n'
bad docs 'docs/environment.md lacks CLM_LOUD'
put src/base/log.c 'const char *f(void) {\n    return 0;\n}\n'
bad docs 'docs/environment.md has CLM_LOG, which nothing'
plant_clean
put src/cli/CMakeLists.txt 'set(commands eval help serve)\n'
bad docs 'docs/commands.md lacks clm serve'
plant_clean
put docs/models.md '`n_layer`\n'
bad docs 'docs/models.md lacks n_embd'
plant_clean
put README.md '[a page](docs/none.md) and [another](docs/models.md)\n'
bad docs 'README.md: there is no docs/none.md'
plant_clean

# Sources.
put tests/ops/test_gelu.c ''
bad sources 'tests/ops/test_gelu.c: no CMakeLists.txt builds it'
put src/base/dead.c ''
bad sources 'src/base/dead.c'

# Kernels.
put cl/scale.cl '__kernel void scale(__global float *x) {\n    x[get_globl_id(0)] = 0;\n}\n'
bad kernels 'get_globl_id'
put cl/scale.cl '__kernel void scale(__global double *x) {\n    x[0] *= 2.0;\n}\n'
bad kernels 'cl_khr_fp64'

# Format.
put src/base/error.c 'int  f( void ){return 0;}\n'
bad format 'error.c:2'

# Headers.
put include/clm/status.h '#define CLM_API\nCLM_API size_t clm_count(void);\n'
bad headers 'include/clm/status.h as c99'
put include/clm/status.h '#define CLM_API\nCLM_API void clm_open(int *restrict class);\n'
bad headers 'include/clm/status.h as c++11'
put include/clm/status.h \
    'typedef struct clm_a {\n    int x, y;\n} clm_a;\n#define CLM_A_DEFAULT \\\n    { 0 }\n'
bad headers 'missing initializer'

# Counting: each case counts, and nothing that went wrong is lost.
counts() { # EXPECTED JUNIT
    said=$(printf '%b' "$2" | awk -f "$here/../../ci/count_tests.awk" | tail -1)
    if [ "$said" = "$1" ]; then
        passed=$((passed + 1))
    else
        echo "counted \"$said\" for \"$1\""
        failed=$((failed + 1))
    fi
}
head='<testcase name="a/b" time="0" status='
begin='<system-out>[==========] Running 2 test(s).\n[ RUN      ] x\n'
counts '1 passed, 0 failed, 0 skipped' "$head\"run\">\n</testcase>\n"
counts '0 passed, 1 failed, 0 skipped' "$head\"fail\">\n</testcase>\n"
counts '0 passed, 0 failed, 1 skipped' \
    "$head\"notrun\">\n<skipped message=\"SKIP_RETURN_CODE=77\"/>\n</testcase>\n"
counts '0 passed, 1 failed, 0 skipped' \
    "$head\"notrun\">\n<skipped message=\"Unable to find executable\"/>\n</testcase>\n"
two="[       OK ] x\n[ RUN      ] y\n[  SKIPPED ] y\n[==========] 2 test(s) run.\n"
again='[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] y\n'
counts '1 passed, 0 failed, 1 skipped' "$head\"run\">\n$begin$two$again</testcase>\n"
counts '1 passed, 1 failed, 0 skipped' \
    "$head\"fail\">\n${begin}[       OK ] x\n[ RUN      ] y\n</testcase>\n" # y crashed
counts '1 passed, 1 failed, 1 skipped' "$head\"fail\">\n$begin$two</testcase>\n" # teardown
counts '0 passed, 0 failed, 0 skipped' ''

echo "checks: $passed passed, $failed failed"
[ "$failed" = 0 ]
