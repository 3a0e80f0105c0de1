/* SPDX-License-Identifier: Apache-2.0 */
#include "text/added.h"

#include <string.h>

#include "base/memory.h"
#include "base/string.h"
#include "text/matcher.h"
#include "text/split.h"

struct clm_added {
    clm_added_token *tokens;
    size_t count;
    unsigned char *bytes;    /* all contents */
    clm_matcher *passes[2];  /* NULL where a pass has no tokens */
    bool has_normal;         /* whether one is not special */
    clm_word_class *classes; /* NULL where no token is a single word */
};

/* The longest token that starts at `start`. */
typedef struct clm_added_match {
    size_t start;
    int32_t token;
} clm_added_match;

static clm_status copy_tokens(clm_added *added, const clm_added_token *tokens, size_t count) {
    clm_status status = CLM_OK;
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += tokens[i].length;
    }
    CLM_TRY(clm_allocate(&added->tokens, count, sizeof *added->tokens, "added tokens"));
    CLM_TRY(clm_allocate(&added->bytes, total, 1, "added tokens"));
    added->count = count;
    unsigned char *end = added->bytes;
    for (size_t i = 0; i < count; i++) {
        memcpy(end, tokens[i].content, tokens[i].length);
        added->tokens[i] = tokens[i];
        added->tokens[i].content = end;
        end += tokens[i].length;
    }
cleanup:
    return status;
}

static clm_status make_pass(clm_added *added, int pass) {
    clm_status status = CLM_OK;
    clm_matcher_text *texts = NULL;
    size_t count = 0;
    CLM_TRY(clm_allocate(&texts, added->count, sizeof *texts, "added tokens"));
    for (size_t i = 0; i < added->count; i++) {
        const clm_added_token *token = &added->tokens[i];
        if (token->normalized == (pass == 1)) {
            texts[count++] = (clm_matcher_text){token->content, token->length, (int32_t)i};
        }
    }
    if (count > 0) {
        CLM_TRY(clm_matcher_make(&added->passes[pass], texts, count));
    }
cleanup:
    clm_free(texts);
    return status;
}

clm_status clm_added_make(clm_added **added, const clm_added_token *tokens, size_t count) {
    clm_status status = CLM_OK;
    clm_added *made = NULL;
    *added = NULL;
    CLM_TRY(clm_allocate(&made, 1, sizeof *made, "added tokens"));
    CLM_TRY(copy_tokens(made, tokens, count));
    for (size_t i = 0; i < count; i++) {
        made->has_normal = made->has_normal || !tokens[i].special;
        if (tokens[i].single_word && made->classes == NULL) {
            CLM_TRY(clm_word_class_open(&made->classes));
        }
    }
    CLM_TRY(make_pass(made, 0));
    CLM_TRY(make_pass(made, 1));
    *added = made;
    made = NULL;
cleanup:
    clm_added_free(made);
    return status;
}

void clm_added_free(clm_added *added) {
    if (added != NULL) {
        clm_matcher_free(added->passes[0]);
        clm_matcher_free(added->passes[1]);
        clm_word_class_close(added->classes);
        clm_free(added->tokens);
        clm_free(added->bytes);
        clm_free(added);
    }
}

const clm_added_token *clm_added_tokens(const clm_added *added, size_t *count) {
    *count = added != NULL ? added->count : 0;
    return added != NULL ? added->tokens : NULL;
}

bool clm_added_can_match(const clm_added *added, bool special_tokens) {
    return added != NULL && added->count > 0 && (special_tokens || added->has_normal);
}

/* The start of the character that ends at `end`, which is not `text`; `end` where it is not valid
 * UTF-8. */
static const unsigned char *character_before(const unsigned char *text, const unsigned char *end) {
    uint32_t ignored = 0;
    for (const unsigned char *at = end - 1; at >= text && end - at <= 4; at--) {
        if (clm_utf8_decode(at, (size_t)(end - at), &ignored) == (size_t)(end - at)) {
            return at;
        }
    }
    return end;
}

/* Whether [start, end) of the text touches a word character before or behind it. */
static clm_status touches_word(const clm_added *added, const clm_added_part *text, size_t start,
                               size_t end, bool *touches) {
    clm_status status = CLM_OK;
    uint32_t ignored = 0;
    *touches = false;
    if (start > 0) {
        const unsigned char *at = character_before(text->text, text->text + start);
        CLM_TRY(clm_word_class_has(added->classes, at, (size_t)(text->text + start - at), touches));
    }
    if (!*touches && end < text->length) {
        const size_t length = clm_utf8_decode(text->text + end, text->length - end, &ignored);
        CLM_TRY(clm_word_class_has(added->classes, text->text + end, length, touches));
    }
cleanup:
    return status;
}

/* Where the white space before `end` starts, but not before `least`. */
static size_t space_start(const clm_added_part *text, size_t least, size_t end) {
    while (end > least) {
        uint32_t code_point = 0;
        const unsigned char *at = character_before(text->text, text->text + end);
        const size_t start = (size_t)(at - text->text);
        if (clm_utf8_decode(at, end - start, &code_point) == 0 || !clm_is_space(code_point)) {
            break;
        }
        end = start;
    }
    return end;
}

static size_t space_end(const clm_added_part *text, size_t start) {
    for (;;) {
        uint32_t code_point = 0;
        const size_t length =
            clm_utf8_decode(text->text + start, text->length - start, &code_point);
        if (length == 0 || !clm_is_space(code_point)) {
            return start;
        }
        start += length;
    }
}

static clm_status add_part(clm_added_part **parts, size_t *count, size_t *capacity, int32_t id,
                           const unsigned char *text, size_t length) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_reserve(parts, capacity, *count + 1, sizeof **parts, "parts of a text"));
    (*parts)[(*count)++] = (clm_added_part){id, text, length};
cleanup:
    return status;
}

/* Every place where a token of this pass starts, the last first. */
static clm_status find_matches(const clm_matcher *matcher, const clm_added_part *text,
                               clm_added_parts *room, size_t *count) {
    clm_status status = CLM_OK;
    clm_matcher_state state = 0;
    *count = 0;
    for (size_t at = text->length; at-- > 0;) {
        const int32_t token = clm_matcher_step(matcher, &state, text->text[at]);
        if (token >= 0) {
            CLM_TRY(clm_reserve(&room->matches, &room->match_capacity, *count + 1,
                                sizeof *room->matches, "parts of a text"));
            room->matches[(*count)++] = (clm_added_match){at, token};
        }
    }
cleanup:
    return status;
}

/* Cuts one text by the tokens of one pass, and adds the parts to a list. */
static clm_status cut(const clm_added *added, int pass, const clm_added_part *text,
                      bool special_tokens, clm_added_parts *room, clm_added_part **parts,
                      size_t *part_count, size_t *capacity) {
    clm_status status = CLM_OK;
    size_t count = 0;
    size_t searched = 0; /* a match may not start before the end of the last, taken or not */
    size_t from = 0;     /* everything before is in a part */
    size_t space = 0;    /* the end of the white space that was stripped last */
    if (added->passes[pass] != NULL) {
        CLM_TRY(find_matches(added->passes[pass], text, room, &count));
    }
    while (count > 0) {
        const clm_added_match match = room->matches[--count];
        const clm_added_token *token = &added->tokens[match.token];
        size_t start = match.start;
        size_t end = start + token->length;
        bool touches = false;
        if (start < searched) {
            continue;
        }
        searched = end;
        if (token->special && !special_tokens) {
            continue;
        }
        if (token->single_word) {
            CLM_TRY(touches_word(added, text, start, end, &touches));
        }
        if (touches) {
            continue;
        }
        if (token->lstrip) {
            start = start > from ? space_start(text, from, start) : from;
        }
        if (token->rstrip) {
            /* Within white space that was looked at before, the end is known. */
            space = end < space ? space : space_end(text, end);
            end = space;
        }
        if (end <= start) {
            continue; /* all white space, and what stood before it has it */
        }
        if (from < start) {
            CLM_TRY(add_part(parts, part_count, capacity, -1, text->text + from, start - from));
        }
        CLM_TRY(add_part(parts, part_count, capacity, token->id, text->text + start, end - start));
        from = end;
    }
    if (from < text->length) {
        CLM_TRY(add_part(parts, part_count, capacity, -1, text->text + from, text->length - from));
    }
cleanup:
    return status;
}

clm_status clm_added_cut(const clm_added *added, const unsigned char *text, size_t length,
                         bool special_tokens, clm_added_parts *parts) {
    clm_status status = CLM_OK;
    const clm_added_part whole = {-1, text, length};
    parts->count = 0;
    parts->first_count = 0;
    CLM_TRY(cut(added, 0, &whole, special_tokens, parts, &parts->first, &parts->first_count,
                &parts->first_capacity));
    for (size_t i = 0; i < parts->first_count; i++) {
        const clm_added_part part = parts->first[i];
        if (part.id >= 0) {
            CLM_TRY(add_part(&parts->parts, &parts->count, &parts->capacity, part.id, part.text,
                             part.length));
            continue;
        }
        CLM_TRY(cut(added, 1, &part, special_tokens, parts, &parts->parts, &parts->count,
                    &parts->capacity));
    }
cleanup:
    return status;
}

void clm_added_parts_free(clm_added_parts *parts) {
    clm_free(parts->parts);
    clm_free(parts->first);
    clm_free(parts->matches);
    *parts = (clm_added_parts){0};
}
