/* Changes that leave most of an input's structure whole, so that it gets past the first check of a
 * parser: of a JSON value, of a line, of one file among several.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "fuzz.h"

/* An input that is being changed. */
typedef struct text {
    uint8_t *data;
    size_t size;
    size_t most;
    fuzz_random random;
} text;

typedef struct span {
    size_t from;
    size_t to;
    int is_key; /* a string before a colon */
} span;

/* Puts `count` bytes in place of what lies between; nothing when it would be too much. `bytes` must
 * not lie in the text. */
static void replace(text *t, size_t from, size_t to, const void *bytes, size_t count) {
    if (t->size - (to - from) + count > t->most) {
        return;
    }
    memmove(t->data + from + count, t->data + to, t->size - to);
    if (count > 0) {
        memcpy(t->data + from, bytes, count);
    }
    t->size = t->size - (to - from) + count;
}

/* A copy of a part, at most so long, for replace(). */
enum { MOST_COPY = 8192 };
static size_t copy_part(uint8_t copy[MOST_COPY], const text *t, size_t from, size_t to) {
    const size_t count = to - from < MOST_COPY ? to - from : MOST_COPY;
    memcpy(copy, t->data + from, count);
    return count;
}

static const char *draw_word(text *t) {
    size_t count = 0;
    while (fuzz_this.words[count] != NULL) {
        count++;
    }
    return count > 0 ? fuzz_this.words[fuzz_draw(&t->random, count)] : "";
}

/* ---- bytes ---- */

static void change_bytes(text *t) {
    static const uint8_t likely[] = "\0\xFF\x80\xC3\xEF\xBB\xBF\"{}[]:,;\\ \t\r\n0123456789-<|>'.e";
    const size_t at = t->size > 0 ? fuzz_draw(&t->random, t->size) : 0;
    const size_t most = t->size - at < 32 ? t->size - at : 32;
    const size_t length = most > 0 ? 1 + fuzz_draw(&t->random, most) : 0;
    uint8_t copy[MOST_COPY];
    uint8_t byte = (uint8_t)fuzz_draw(&t->random, 256);
    const char *word = draw_word(t);
    switch (t->size > 0 ? fuzz_draw(&t->random, 7) : 6) {
        case 0:
            t->data[at] = byte;
            break;
        case 1:
            t->data[at] ^= (uint8_t)(1U << byte % 8);
            break;
        case 2:
            t->data[at] = likely[byte % (sizeof likely - 1)];
            break;
        case 3:
            byte = likely[byte % (sizeof likely - 1)];
            replace(t, at, at, &byte, 1);
            break;
        case 4:
            replace(t, at, at + length, NULL, 0);
            break;
        case 5:
            (void)copy_part(copy, t, at, at + length);
            replace(t, at, at, copy, length);
            break;
        default:
            replace(t, at, at + (byte % 2 != 0 ? length : 0), word, strlen(word));
            break;
    }
}

/* ---- JSON ---- */

enum { MOST_SPANS = 1024, MOST_DEPTH = 64 };

static size_t end_of_string(const text *t, size_t at, size_t end) {
    for (at++; at < end && t->data[at] != '"'; at++) {
        at += t->data[at] == '\\';
    }
    return at < end ? at + 1 : end;
}

static int is_bare(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '+' || byte == '.';
}

static int is_followed_by_colon(const text *t, size_t at, size_t end) {
    while (at < end && (t->data[at] == ' ' || t->data[at] == '\n')) {
        at++;
    }
    return at < end && t->data[at] == ':';
}

/* The values of what looks like JSON between two places, broken or not. */
static size_t find_spans(span spans[MOST_SPANS], const text *t, size_t at, size_t end) {
    size_t open[MOST_DEPTH]; /* the index of the span */
    size_t depth = 0;
    size_t count = 0;
    while (at < end && count < MOST_SPANS) {
        const uint8_t byte = t->data[at];
        const size_t start = at;
        if (byte == '{' || byte == '[') {
            if (depth < MOST_DEPTH) {
                open[depth++] = count;
            }
            spans[count++] = (span){.from = at, .to = end};
            at++;
        } else if (byte == '}' || byte == ']') {
            at++;
            if (depth > 0) {
                spans[open[--depth]].to = at;
            }
        } else if (byte == '"') {
            at = end_of_string(t, at, end);
            spans[count++] = (span){start, at, is_followed_by_colon(t, at, end)};
        } else if (is_bare(byte)) {
            while (at < end && is_bare(t->data[at])) {
                at++;
            }
            spans[count++] = (span){.from = start, .to = at};
        } else {
            at++;
        }
    }
    return count;
}

static const char *const json_values[] = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-1",
                                          "1",
                                          "2",
                                          "0.5",
                                          "1e999",
                                          "-1e308",
                                          "1e-320",
                                          "2147483647",
                                          "2147483648",
                                          "9007199254740993",
                                          "18446744073709551615",
                                          "18446744073709551616",
                                          "0.00000000000000000000000000000000000001",
                                          "\"\"",
                                          "\"0\"",
                                          "\"\\u0000\"",
                                          "\"a\\u0000b\"",
                                          "\"\\ud800\"",
                                          "\"\\ud83d\\ude00\"",
                                          "\"\\n\\u001b[31m\"",
                                          "\"\xE2\x80\xAE\"",
                                          "[]",
                                          "{}",
                                          "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
                                          "{\"a\":{\"a\":{\"a\":1}}}",
                                          "[1,2]",
                                          "{\"a\":1,\"a\":2}"};

/* Goes from a value or key to the whole member, or the comma before. */
static span widen(const text *t, span s, size_t begin) {
    while (s.from > begin && strchr(" \n:", t->data[s.from - 1]) != NULL &&
           t->data[s.from - 1] != '\0') {
        s.from--;
    }
    if (s.from > begin && t->data[s.from - 1] == '"') {
        for (s.from--; s.from > begin && t->data[s.from - 1] != '"'; s.from--) {
        }
        s.from -= s.from > begin;
    }
    return s;
}

static void repeat(text *t, span s) {
    uint8_t copy[MOST_COPY];
    const size_t times = (size_t)1 << fuzz_draw(&t->random, 8);
    const size_t count = copy_part(copy, t, s.from, s.to);
    for (size_t i = 0; i < times && count < MOST_COPY && t->size < t->most / 2; i++) {
        replace(t, s.to, s.to, copy, count);
        replace(t, s.to, s.to, ",", 1);
    }
}

static void change_value(text *t, span s, const span *other) {
    uint8_t copy[MOST_COPY];
    char quoted[256];
    size_t count = 0;
    const char *value = NULL;
    switch (fuzz_draw(&t->random, 6)) {
        case 0: /* by another of this input */
            count = copy_part(copy, t, other->from, other->to);
            replace(t, s.from, s.to, copy, count < MOST_COPY ? count : 0);
            break;
        case 1:
            (void)snprintf(quoted, sizeof quoted, "\"%s\"", draw_word(t));
            replace(t, s.from, s.to, quoted, strlen(quoted));
            break;
        case 2: /* a number a little more or less */
            if (t->data[s.to - 1] >= '0' && t->data[s.to - 1] <= '9') {
                t->data[s.to - 1] = (uint8_t)('0' + fuzz_draw(&t->random, 10));
                break;
            }
            replace(t, s.from, s.to, "3", 1);
            break;
        case 3:
            replace(t, s.to, s.to, "]", 1);
            replace(t, s.from, s.from, "[", 1);
            break;
        default:
            value = json_values[fuzz_draw(&t->random, sizeof json_values / sizeof *json_values)];
            replace(t, s.from, s.to, value, strlen(value));
            break;
    }
}

/* Changes one value or member between two places; returns where the second is now. */
static size_t change_json(text *t, size_t begin, size_t end) {
    span spans[MOST_SPANS];
    const size_t before = t->size;
    const size_t count = find_spans(spans, t, begin, end);
    if (count == 0) {
        change_bytes(t);
        return end <= t->size ? end : t->size;
    }
    span s = spans[fuzz_draw(&t->random, count)];
    const span *other = &spans[fuzz_draw(&t->random, count)];
    const span whole = widen(t, s, begin);
    switch (fuzz_draw(&t->random, 8)) {
        case 0: /* without it, and the comma before or after */
            s = whole;
            if (s.to < end && t->data[s.to] == ',') {
                s.to++;
            } else if (s.from > begin && t->data[s.from - 1] == ',') {
                s.from--;
            }
            replace(t, s.from, s.to, NULL, 0);
            break;
        case 1:
            repeat(t, fuzz_draw(&t->random, 2) != 0 ? whole : s);
            break;
        case 2: /* a key or string by a word */
            if (t->data[s.from] == '"' && s.to - s.from >= 2) {
                const char *word = draw_word(t);
                replace(t, s.from + 1, s.to - 1, word, strlen(word));
                break;
            }
            change_value(t, s, other);
            break;
        default:
            change_value(t, s, other);
            break;
    }
    return end + t->size - before;
}

/* ---- lines ---- */

static span draw_line(text *t, size_t begin, size_t end) {
    const size_t at = begin + fuzz_draw(&t->random, end - begin);
    size_t from = at;
    size_t to = at;
    while (from > begin && t->data[from - 1] != '\n') {
        from--;
    }
    while (to < end && t->data[to] != '\n') {
        to++;
    }
    return (span){.from = from, .to = to < end ? to + 1 : to};
}

static span draw_field(text *t, span line) {
    span field = {.from = line.from, .to = line.from};
    for (size_t skipped = fuzz_draw(&t->random, 4);; skipped--) {
        while (field.to < line.to && strchr(",;\t: |\n", t->data[field.to]) == NULL) {
            field.to++;
        }
        if (skipped == 0 || field.to + 1 >= line.to) {
            return field;
        }
        field.from = ++field.to;
    }
}

static void change_lines(text *t, size_t begin, size_t end) {
    uint8_t copy[MOST_COPY];
    if (begin == end) {
        change_bytes(t);
        return;
    }
    const span line = draw_line(t, begin, end);
    const span other = draw_line(t, begin, end);
    const span field = draw_field(t, line);
    const char *word = draw_word(t);
    size_t count = 0;
    switch (fuzz_draw(&t->random, 7)) {
        case 0:
            replace(t, line.from, line.to, NULL, 0);
            break;
        case 1: /* once more, or many times */
            count = copy_part(copy, t, line.from, line.to);
            for (size_t left = (size_t)1 << fuzz_draw(&t->random, 7); left > 0; left--) {
                replace(t, line.from, line.from, copy, count);
            }
            break;
        case 2:
            count = copy_part(copy, t, other.from, other.to);
            replace(t, line.from, line.from, copy, count);
            break;
        case 3:
            replace(t, field.from, field.to, word, strlen(word));
            break;
        case 4:
            count = copy_part(copy, t, field.from, field.to);
            replace(t, other.from, other.from, copy, count);
            break;
        case 5:
            replace(t, field.from, field.to, NULL, 0);
            break;
        default:
            change_bytes(t);
            break;
    }
}

/* ---- files ---- */

static void change_safetensors(text *t, size_t begin, size_t end) {
    uint64_t length = 0;
    for (size_t i = 8; end - begin >= 8 && i-- > 0;) {
        length = length << 8 | t->data[begin + i];
    }
    if (end - begin < 8 || length > end - begin - 8 || fuzz_draw(&t->random, 8) == 0) {
        change_bytes(t);
        return;
    }
    const size_t header_end = change_json(t, begin + 8, begin + 8 + (size_t)length);
    length = header_end - begin - 8;
    for (size_t i = 0; i < 8; i++) {
        t->data[begin + i] = (uint8_t)(length >> 8 * i);
    }
}

static int ends_with(const char *name, const char *end) {
    const size_t length = strlen(name);
    return length >= strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* One of the files, by what its name says it is. */
static void change_files(text *t) {
    fuzz_file file;
    size_t count = 0;
    for (size_t at = 0; fuzz_next_file(&file, t->data, t->size, &at) != 0;) {
        count++;
    }
    if (count == 0 || fuzz_draw(&t->random, 16) == 0) {
        change_bytes(t);
        return;
    }
    size_t at = 0;
    for (size_t left = 1 + fuzz_draw(&t->random, count); left > 0; left--) {
        (void)fuzz_next_file(&file, t->data, t->size, &at);
    }
    const size_t begin = (size_t)(file.bytes - t->data);
    const size_t end = begin + file.size;
    if (ends_with(file.name, ".safetensors")) {
        change_safetensors(t, begin, end);
    } else if (ends_with(file.name, ".json") || ends_with(file.name, ".jsonl")) {
        (void)change_json(t, begin, end);
    } else {
        change_lines(t, begin, end);
    }
}

size_t fuzz_change(uint8_t *data, size_t size, size_t most, uint64_t seed) {
    text t = {.data = data, .size = size, .most = most, .random = {.state = seed}};
    if (size == 0 || fuzz_draw(&t.random, 4) == 0) {
        change_bytes(&t);
        return t.size;
    }
    switch (fuzz_this.format) {
        case FUZZ_LINES:
            change_lines(&t, 0, t.size);
            break;
        case FUZZ_JSON:
            (void)change_json(&t, 0, t.size);
            break;
        case FUZZ_SAFETENSORS:
            change_safetensors(&t, 0, t.size);
            break;
        case FUZZ_FILES:
            change_files(&t);
            break;
        default:
            change_bytes(&t);
            break;
    }
    return t.size;
}
