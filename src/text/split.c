/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/split.h"

#include <pcre2.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/string.h"

/* PCRE2 10.42, which Debian 12 has, knows Unicode 14, and the tokenizers that clm must agree with
 * know Unicode 16: these are the letters and numbers of versions 15, 15.1 and 16. Where PCRE2 is
 * newer they say what it knows already. */
#define LETTERS                                                                           \
    "\\p{L}\\x{1C89}\\x{1C8A}\\x{A7CB}-\\x{A7CD}\\x{A7DA}-\\x{A7DC}\\x{105C0}-\\x{105F3}" \
    "\\x{10D4A}-\\x{10D65}\\x{10D6F}-\\x{10D85}\\x{10EC2}-\\x{10EC4}\\x{1123F}\\x{11240}" \
    "\\x{11380}-\\x{11389}\\x{1138B}\\x{1138E}\\x{11390}-\\x{113B5}\\x{113B7}\\x{113D1}"  \
    "\\x{113D3}\\x{11BC0}-\\x{11BE0}\\x{11F02}\\x{11F04}-\\x{11F10}\\x{11F12}-\\x{11F33}" \
    "\\x{1342F}\\x{13441}-\\x{13446}\\x{13460}-\\x{143FA}\\x{16100}-\\x{1611D}"           \
    "\\x{16D40}-\\x{16D6C}\\x{18CFF}\\x{1B132}\\x{1B155}\\x{1DF25}-\\x{1DF2A}"            \
    "\\x{1E030}-\\x{1E06D}\\x{1E4D0}-\\x{1E4EB}\\x{1E5D0}-\\x{1E5ED}\\x{1E5F0}\\x{2B739}" \
    "\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}"
#define NUMBERS                                                                            \
    "\\p{N}\\x{10D40}-\\x{10D49}\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}"                \
    "\\x{11F50}-\\x{11F59}\\x{16130}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}" \
    "\\x{1D2C0}-\\x{1D2D3}\\x{1E4F0}-\\x{1E4F9}\\x{1E5F1}-\\x{1E5FA}"
/* Unicode's White_Space; PCRE2's own \s has U+180E too, which left that property in Unicode 6.3. */
#define SPACES                                                                          \
    "\\t-\\r\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}" \
    "\\x{205F}\\x{3000}"

/* Possessive where giving back could not lead to a match: a long piece needs no stack. */
static const char pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?[" LETTERS "]++| ?[" NUMBERS "]++| ?[^" SPACES LETTERS NUMBERS
    "]++|[" SPACES "]+(?![^" SPACES "])|[" SPACES "]++";

/* What else than LETTERS is part of a word; the circled and squared letters are alphabetic too. */
#define WORD_MORE                                                                           \
    "\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{200C}\\x{200D}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}" \
    "\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
/* Its marks and numbers of Unicode 15 to 16. */
#define WORD_NEW                                                                           \
    "\\x{897}\\x{CF3}\\x{ECE}\\x{10D40}-\\x{10D49}\\x{10D69}-\\x{10D6D}"                   \
    "\\x{10EFC}-\\x{10EFF}\\x{11241}\\x{113B8}-\\x{113C0}\\x{113C2}\\x{113C5}"             \
    "\\x{113C7}-\\x{113CA}\\x{113CC}-\\x{113D0}\\x{113D2}\\x{113E1}-\\x{113E2}"            \
    "\\x{116D0}-\\x{116E3}\\x{11BF0}-\\x{11BF9}\\x{11F00}-\\x{11F01}\\x{11F03}"            \
    "\\x{11F34}-\\x{11F3A}\\x{11F3E}-\\x{11F42}\\x{11F50}-\\x{11F5A}\\x{13440}"            \
    "\\x{13447}-\\x{13455}\\x{1611E}-\\x{16139}\\x{16D70}-\\x{16D79}\\x{1CCF0}-\\x{1CCF9}" \
    "\\x{1E08F}\\x{1E4EC}-\\x{1E4F9}\\x{1E5EE}-\\x{1E5EF}\\x{1E5F1}-\\x{1E5FA}"

static const char word_pattern[] = "[" LETTERS WORD_MORE WORD_NEW "]";

struct clm_splitter {
    pcre2_code *code;
    bool jit;
};

struct clm_word_class {
    pcre2_code *code;
};

static clm_status compile(pcre2_code **code, const char *text, size_t length) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    *code = pcre2_compile((PCRE2_SPTR)text, length, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error,
                          &offset, NULL);
    if (*code == NULL) {
        unsigned char why[128] = "";
        (void)pcre2_get_error_message(error, why, sizeof why);
        return clm_fail(CLM_ERROR_UNSUPPORTED,
                        "the tokenizer's pattern: PCRE2 refuses it at character %zu: %s; clm "
                        "needs a PCRE2 built with Unicode",
                        (size_t)offset, (const char *)why);
    }
    return CLM_OK;
}

clm_status clm_splitter_open(clm_splitter **splitter, bool jit) {
    clm_status status = CLM_OK;
    clm_splitter *made = NULL;
    *splitter = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "the tokenizer's pattern"));
    CLM_TRY(compile(&made->code, pattern, sizeof pattern - 1));
    made->jit = jit && pcre2_jit_compile(made->code, PCRE2_JIT_COMPLETE) == 0;
    *splitter = made;
    made = NULL;
cleanup:
    clm_splitter_close(made);
    return status;
}

void clm_splitter_close(clm_splitter *splitter) {
    if (splitter != NULL) {
        pcre2_code_free(splitter->code);
        clm_free(splitter);
    }
}

bool clm_is_space(uint32_t code_point) {
    return (code_point >= 0x09 && code_point <= 0x0D) || code_point == 0x20 || code_point == 0x85 ||
           code_point == 0xA0 || code_point == 0x1680 ||
           (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 ||
           code_point == 0x2029 || code_point == 0x202F || code_point == 0x205F ||
           code_point == 0x3000;
}

clm_status clm_word_class_open(clm_word_class **word_class) {
    clm_status status = CLM_OK;
    clm_word_class *made = NULL;
    *word_class = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "the pattern of words"));
    CLM_TRY(compile(&made->code, word_pattern, sizeof word_pattern - 1));
    *word_class = made;
    made = NULL;
cleanup:
    clm_word_class_close(made);
    return status;
}

void clm_word_class_close(clm_word_class *word_class) {
    if (word_class != NULL) {
        pcre2_code_free(word_class->code);
        clm_free(word_class);
    }
}

clm_status clm_word_class_has(const clm_word_class *word_class, const unsigned char *character,
                              size_t length, bool *has) {
    uint32_t code_point = 0;
    *has = false;
    if (length == 0 || clm_utf8_decode(character, length, &code_point) != length) {
        return CLM_OK;
    }
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (match == NULL) {
        return clm_fail(CLM_ERROR_MEMORY, "out of memory: no room to match a pattern");
    }
    *has = pcre2_match(word_class->code, character, length, 0, PCRE2_NO_UTF_CHECK, match, NULL) > 0;
    pcre2_match_data_free(match);
    return CLM_OK;
}

int clm_splitter_unicode_version(void) {
    char version[64] = "0";
    (void)pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version);
    return (int)strtol(version, NULL, 10);
}

clm_status clm_split_begin(clm_split *split, const clm_splitter *splitter) {
    *split = (clm_split){.splitter = splitter};
    split->match = pcre2_match_data_create(1, NULL);
    return split->match != NULL
               ? CLM_OK
               : clm_fail(CLM_ERROR_MEMORY, "out of memory: no room to match a pattern");
}

void clm_split_text(clm_split *split, const void *text, size_t length) {
    split->text = text;
    split->length = length;
    split->at = 0;
    split->run_start = 0;
    split->run_end = 0;
}

void clm_split_end(clm_split *split) {
    pcre2_match_data_free(split->match);
    split->match = NULL;
}

/* How many bytes at `at` start no valid character. */
static size_t invalid_run(const clm_split *split) {
    size_t end = split->at;
    uint32_t ignored = 0;
    while (end < split->length &&
           clm_utf8_decode(split->text + end, split->length - end, &ignored) == 0) {
        end++;
    }
    return end - split->at;
}

clm_status clm_split_next(clm_split *split, const unsigned char **piece, size_t *length) {
    *piece = split->text + split->at;
    *length = 0;
    if (split->at == split->length) {
        return CLM_OK;
    }
    if (split->at == split->run_end) {
        size_t valid = clm_utf8_check(split->text + split->at, split->length - split->at);
        if (valid == 0) {
            *length = invalid_run(split);
            split->at += *length;
            split->run_end = split->at;
            return CLM_OK;
        }
        split->run_start = split->at;
        split->run_end = split->at + valid;
    }
    PCRE2_SPTR run = split->text + split->run_start;
    size_t run_length = split->run_end - split->run_start;
    size_t from = split->at - split->run_start;
    const pcre2_code *code = split->splitter->code;
    int result = PCRE2_ERROR_JIT_STACKLIMIT;
    if (split->splitter->jit) {
        result = pcre2_jit_match(code, run, run_length, from, 0, split->match, NULL);
    }
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
        result = pcre2_match(code, run, run_length, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                             split->match, NULL);
    }
    if (result <= 0) {
        return clm_fail(result == PCRE2_ERROR_NOMEMORY || result == PCRE2_ERROR_HEAPLIMIT
                            ? CLM_ERROR_MEMORY
                            : CLM_ERROR_INTERNAL,
                        "the tokenizer's pattern: PCRE2 error %d at byte %zu", result, split->at);
    }
    *length = pcre2_get_ovector_pointer(split->match)[1] - from;
    split->at += *length;
    return CLM_OK;
}
