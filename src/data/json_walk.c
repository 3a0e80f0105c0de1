/* SPDX-License-Identifier: Apache-2.0 */
#include "data/json_walk.h"

#include <string.h>

static const char *skip_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) {
        at++;
    }
    return at;
}

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end && *at != '"'; at++) {
        at += *at == '\\' && at + 1 < end;
    }
    return at < end ? at + 1 : end;
}

static const char *skip_value(const char *at, const char *end) {
    size_t depth = 0;
    if (*at == '"') {
        return skip_string(at, end);
    }
    if (*at != '{' && *at != '[') {
        while (at < end && strchr(",:]} \t\n\r", *at) == NULL) {
            at++;
        }
        return at;
    }
    while (at < end) {
        if (*at == '"') {
            at = skip_string(at, end);
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
        if (depth == 0) {
            break;
        }
    }
    return at;
}

clm_json_value clm_json_first(const char *text, const char *end) {
    const char *start = skip_space(text, end);
    if (start == end) {
        return (clm_json_value){0};
    }
    return (clm_json_value){start, (size_t)(skip_value(start, end) - start)};
}

char clm_json_kind(clm_json_value value) {
    return value.length_bytes > 0 ? value.text[0] : '\0';
}

clm_json_walk clm_json_walk_begin(clm_json_value container) {
    const char kind = clm_json_kind(container);
    if (kind != '{' && kind != '[') {
        return (clm_json_walk){0};
    }
    return (clm_json_walk){.at = container.text + 1,
                           .end = container.text + container.length_bytes - 1,
                           .object = kind == '{'};
}

/* Behind `letter`, if that comes next. */
static void skip_letter(clm_json_walk *walk, char letter) {
    walk->at = skip_space(walk->at, walk->end);
    walk->at += walk->at < walk->end && *walk->at == letter;
}

static bool take_value(clm_json_walk *walk, clm_json_value *value) {
    *value = clm_json_first(walk->at, walk->end);
    if (value->length_bytes == 0) {
        walk->at = walk->end;
        return false;
    }
    walk->at = value->text + value->length_bytes;
    return true;
}

bool clm_json_walk_next(clm_json_walk *walk, clm_json_value *key, clm_json_value *value) {
    *key = (clm_json_value){0};
    *value = (clm_json_value){0};
    if (walk->at == NULL || (walk->object && !take_value(walk, key))) {
        return false;
    }
    if (walk->object) {
        skip_letter(walk, ':');
    }
    if (!take_value(walk, value)) {
        return false;
    }
    skip_letter(walk, ',');
    return true;
}
