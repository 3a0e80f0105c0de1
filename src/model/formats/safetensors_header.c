/* SPDX-License-Identifier: Apache-2.0 */
#include "model/formats/safetensors_header.h"

#include <string.h>

#include "base/dtype.h"
#include "base/memory.h"
#include "base/string.h"

typedef struct reader {
    const unsigned char *text;
    size_t count;
    size_t at;
    size_t first_byte;
    const char *where;
    const char *tensor; /* whose entry is being read, for errors; NULL outside one */
} reader;

static clm_status wrong_at(const reader *r, size_t at, clm_status status, const char *what) {
    size_t byte = r->first_byte + at;
    if (r->tensor != NULL) {
        return clm_fail(status, "%s: byte %zu: tensor \"%.200s\": %s", r->where, byte, r->tensor,
                        what);
    }
    return clm_fail(status, "%s: byte %zu: %s", r->where, byte, what);
}

static clm_status wrong(const reader *r, const char *what) {
    return wrong_at(r, r->at, CLM_ERROR_FORMAT, what);
}

static void skip_space(reader *r) {
    while (r->at < r->count && (r->text[r->at] == ' ' || r->text[r->at] == '\t' ||
                                r->text[r->at] == '\n' || r->text[r->at] == '\r')) {
        r->at++;
    }
}

/* The next character that is not white space, or NUL at the end. */
static unsigned char peek(reader *r) {
    skip_space(r);
    return r->at < r->count ? r->text[r->at] : '\0';
}

static clm_status expect(reader *r, unsigned char wanted, const char *what) {
    if (peek(r) != wanted) {
        return wrong(r, what);
    }
    r->at++;
    return CLM_OK;
}

/* After an element of a list: sets *more, past the comma, or leaves the list. */
static clm_status next_or_end(reader *r, unsigned char end, bool *more, const char *what) {
    unsigned char c = peek(r);
    if (c != ',' && c != end) {
        return wrong(r, what);
    }
    *more = c == ',';
    r->at++;
    return CLM_OK;
}

static clm_status read_hex(reader *r, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = r->at < r->count ? r->text[r->at] : '\0';
        uint32_t digit = c >= '0' && c <= '9'   ? c - (uint32_t)'0'
                         : c >= 'a' && c <= 'f' ? c - (uint32_t)'a' + 10
                         : c >= 'A' && c <= 'F' ? c - (uint32_t)'A' + 10
                                                : 16;
        if (digit == 16) {
            return wrong(r, "\\u is not followed by four hexadecimal digits");
        }
        *value = *value << 4 | digit;
        r->at++;
    }
    return CLM_OK;
}

/* The reader stands after "\u". */
static clm_status read_unicode_escape(reader *r, clm_string *out) {
    clm_status status = CLM_OK;
    uint32_t code_point = 0;
    CLM_TRY(read_hex(r, &code_point));
    if (code_point >= 0xD800 && code_point <= 0xDBFF && r->count - r->at >= 2 &&
        r->text[r->at] == '\\' && r->text[r->at + 1] == 'u') {
        r->at += 2;
        uint32_t low = 0;
        CLM_TRY(read_hex(r, &low));
        if (low < 0xDC00 || low > 0xDFFF) {
            return wrong(r, "half a surrogate pair in a string");
        }
        code_point = 0x10000 + ((code_point - 0xD800) << 10) + (low - 0xDC00);
    }
    if (code_point >= 0xD800 && code_point <= 0xDFFF) {
        return wrong(r, "half a surrogate pair in a string");
    }
    if (code_point == 0) {
        return wrong(r, "a NUL character in a string");
    }
    unsigned char bytes[4];
    clm_string_add_bytes(out, bytes, clm_utf8_encode(code_point, bytes));
cleanup:
    return status;
}

static clm_status read_escape(reader *r, clm_string *out) {
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    unsigned char c = r->at < r->count ? r->text[r->at] : '\0';
    if (c == 'u') {
        r->at++;
        return read_unicode_escape(r, out);
    }
    const char *found = c != '\0' ? strchr(names, c) : NULL;
    if (found == NULL) {
        return wrong(r, "an escape that JSON does not have");
    }
    clm_string_add_bytes(out, &values[found - names], 1);
    r->at++;
    return CLM_OK;
}

/* A string through *value, owned by the caller. The text is known to be valid UTF-8. */
static clm_status read_string(reader *r, char **value, const char *what) {
    *value = NULL;
    clm_status status = CLM_OK;
    clm_string out = {0};
    CLM_TRY(expect(r, '"', what));
    clm_string_add(&out, "");
    for (;;) {
        size_t start = r->at;
        while (r->at < r->count && r->text[r->at] >= 0x20 && r->text[r->at] != '"' &&
               r->text[r->at] != '\\') {
            r->at++;
        }
        clm_string_add_bytes(&out, r->text + start, r->at - start);
        if (r->at == r->count) {
            (void)wrong(r, "the header ends inside a string");
            status = CLM_ERROR_FORMAT;
            goto cleanup;
        }
        unsigned char c = r->text[r->at];
        if (c < 0x20) {
            (void)wrong(r, "a control character in a string");
            status = CLM_ERROR_FORMAT;
            goto cleanup;
        }
        r->at++;
        if (c == '"') {
            break;
        }
        CLM_TRY(read_escape(r, &out));
    }
    CLM_TRY(clm_string_status(&out));
    *value = out.text;
    out = (clm_string){0};
cleanup:
    clm_string_free(&out);
    return status;
}

/* A non-negative whole number without sign, fraction, exponent or leading zero, exact to 2^64. */
static clm_status read_number(reader *r, uint64_t *value, const char *what) {
    unsigned char c = peek(r);
    size_t start = r->at;
    if (c < '0' || c > '9') {
        return wrong(r, what);
    }
    *value = 0;
    while (r->at < r->count && r->text[r->at] >= '0' && r->text[r->at] <= '9') {
        uint64_t digit = r->text[r->at] - (uint64_t)'0';
        if (*value > (UINT64_MAX - digit) / 10) {
            return wrong_at(r, start, CLM_ERROR_FORMAT, "a number over 2^64");
        }
        *value = *value * 10 + digit;
        r->at++;
    }
    if (c == '0' && r->at - start > 1) {
        return wrong_at(r, start, CLM_ERROR_FORMAT, "a number with a leading zero");
    }
    if (r->at < r->count && strchr(".eE", r->text[r->at]) != NULL && r->text[r->at] != '\0') {
        return wrong_at(r, start, CLM_ERROR_FORMAT, what);
    }
    return CLM_OK;
}

static clm_status read_shape(reader *r, clm_header_tensor *tensor) {
    clm_status status = CLM_OK;
    CLM_TRY(expect(r, '[', "\"shape\" must be a list of whole numbers"));
    bool more = peek(r) != ']';
    if (!more) {
        r->at++;
    }
    while (more) {
        if (tensor->rank == CLM_SAFETENSORS_MAX_RANK) {
            return wrong_at(r, r->at, CLM_ERROR_UNSUPPORTED, "clm reads at most 8 dimensions");
        }
        CLM_TRY(read_number(r, &tensor->shape[tensor->rank++],
                            "\"shape\" must be a list of whole numbers"));
        CLM_TRY(next_or_end(r, ']', &more, "\"shape\" lacks its ']'"));
    }
cleanup:
    return status;
}

static clm_status read_offsets(reader *r, clm_header_tensor *tensor) {
    static const char what[] = "\"data_offsets\" must be two whole numbers";
    clm_status status = CLM_OK;
    CLM_TRY(expect(r, '[', what));
    CLM_TRY(read_number(r, &tensor->begin, what));
    CLM_TRY(expect(r, ',', what));
    CLM_TRY(read_number(r, &tensor->end, what));
    CLM_TRY(expect(r, ']', what));
cleanup:
    return status;
}

static clm_status read_dtype(reader *r, clm_header_tensor *tensor) {
    static const char *const others[] = {"C64",     "F4",      "F6_E2M3", "F6_E3M2",
                                         "F8_E4M3", "F8_E5M2", "F8_E8M0"};
    char *name = NULL;
    (void)peek(r);
    size_t start = r->at;
    clm_status status = read_string(r, &name, "\"dtype\" must be a string");
    if (status == CLM_OK && !clm_dtype_parse(&tensor->dtype, name)) {
        status = wrong_at(r, start, CLM_ERROR_FORMAT, "the element type is none of safetensors'");
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            if (strcmp(name, others[i]) == 0) {
                status = wrong_at(r, start, CLM_ERROR_UNSUPPORTED,
                                  "clm does not read this element type; convert it to F32, F16 or "
                                  "BF16");
            }
        }
    }
    clm_free(name);
    return status;
}

/* One of the three members of a tensor's entry, `seen` keeping which were there. */
static clm_status read_member(reader *r, clm_header_tensor *tensor, unsigned *seen) {
    static const char *const names[3] = {"dtype", "shape", "data_offsets"};
    static clm_status (*const readers[3])(reader *, clm_header_tensor *) = {read_dtype, read_shape,
                                                                            read_offsets};
    clm_status status = CLM_OK;
    char *name = NULL;
    (void)peek(r);
    size_t start = r->at;
    CLM_TRY(read_string(r, &name, "the name of a member is expected"));
    CLM_TRY(expect(r, ':', "':' is expected"));
    unsigned which = 0;
    while (which < 3 && strcmp(name, names[which]) != 0) {
        which++;
    }
    if (which == 3) {
        status = wrong_at(r, start, CLM_ERROR_FORMAT,
                          "a tensor has \"dtype\", \"shape\" and \"data_offsets\", nothing else");
    } else if ((*seen & 1U << which) != 0) {
        status = wrong_at(r, start, CLM_ERROR_FORMAT, "this member appears twice");
    } else {
        *seen |= 1U << which;
        status = readers[which](r, tensor);
    }
cleanup:
    clm_free(name);
    return status;
}

static clm_status read_tensor(reader *r, clm_header *header, char *name, size_t byte) {
    clm_status status = CLM_OK;
    unsigned seen = 0;
    bool more = true;
    clm_header_tensor tensor = {.name = name, .byte = byte};
    r->tensor = name;
    CLM_TRY(expect(r, '{', "an object with \"dtype\", \"shape\" and \"data_offsets\" is expected"));
    while (more) {
        CLM_TRY(read_member(r, &tensor, &seen));
        CLM_TRY(next_or_end(r, '}', &more, "',' or '}' is expected"));
    }
    if (seen != 7) {
        status = wrong(r, (seen & 1) == 0   ? "\"dtype\" is missing"
                          : (seen & 2) == 0 ? "\"shape\" is missing"
                                            : "\"data_offsets\" is missing");
        goto cleanup;
    }
    CLM_TRY(clm_reserve(&header->tensors, &header->tensor_capacity, header->tensor_count + 1,
                        sizeof *header->tensors, "a table of tensors"));
    header->tensors[header->tensor_count++] = tensor;
    name = NULL;
cleanup:
    r->tensor = NULL;
    clm_free(name);
    return status;
}

static clm_status read_metadata(reader *r, clm_header *header) {
    clm_status status = CLM_OK;
    clm_header_pair pair = {0};
    CLM_TRY(expect(r, '{', "\"__metadata__\" must map strings to strings"));
    bool more = peek(r) != '}';
    if (!more) {
        r->at++;
    }
    while (more) {
        (void)peek(r);
        pair = (clm_header_pair){.byte = r->first_byte + r->at};
        CLM_TRY(read_string(r, &pair.key, "\"__metadata__\" must map strings to strings"));
        CLM_TRY(expect(r, ':', "':' is expected"));
        CLM_TRY(read_string(r, &pair.value, "\"__metadata__\" must map strings to strings"));
        CLM_TRY(clm_reserve(&header->metadata, &header->metadata_capacity,
                            header->metadata_count + 1, sizeof *header->metadata, "metadata"));
        header->metadata[header->metadata_count++] = pair;
        pair = (clm_header_pair){0};
        CLM_TRY(next_or_end(r, '}', &more, "',' or '}' is expected"));
    }
cleanup:
    clm_free(pair.key);
    clm_free(pair.value);
    return status;
}

static clm_status read_entry(reader *r, clm_header *header, bool *metadata_seen) {
    clm_status status = CLM_OK;
    char *name = NULL;
    (void)peek(r);
    size_t start = r->at;
    CLM_TRY(read_string(r, &name, "the name of a tensor is expected"));
    CLM_TRY(expect(r, ':', "':' is expected"));
    if (strcmp(name, "__metadata__") == 0) {
        if (*metadata_seen) {
            status = wrong_at(r, start, CLM_ERROR_FORMAT, "\"__metadata__\" appears twice");
            goto cleanup;
        }
        *metadata_seen = true;
        CLM_TRY(read_metadata(r, header));
        goto cleanup;
    }
    status = read_tensor(r, header, name, r->first_byte + start);
    name = NULL;
cleanup:
    clm_free(name);
    return status;
}

clm_status clm_header_parse(clm_header *header, const unsigned char *text, size_t count,
                            size_t first_byte, const char *where) {
    clm_status status = CLM_OK;
    reader r = {.text = text, .count = count, .first_byte = first_byte, .where = where};
    size_t valid = clm_utf8_check(text, count);
    if (valid < count) {
        return wrong_at(&r, valid, CLM_ERROR_FORMAT, "the header is not valid UTF-8");
    }
    if (count == 0 || text[0] != '{') {
        return wrong(&r, "the header does not begin with '{'");
    }
    r.at = 1;
    bool metadata_seen = false;
    bool more = peek(&r) != '}';
    if (!more) {
        r.at++;
    }
    while (more) {
        CLM_TRY(read_entry(&r, header, &metadata_seen));
        CLM_TRY(next_or_end(&r, '}', &more, "',' or '}' is expected"));
    }
    while (r.at < count && text[r.at] == ' ') {
        r.at++;
    }
    if (r.at < count) {
        status = wrong(&r, "only spaces may follow the header's JSON");
    }
cleanup:
    return status;
}

void clm_header_free(clm_header *header) {
    for (size_t i = 0; i < header->tensor_count; i++) {
        clm_free(header->tensors[i].name);
    }
    for (size_t i = 0; i < header->metadata_count; i++) {
        clm_free(header->metadata[i].key);
        clm_free(header->metadata[i].value);
    }
    clm_free(header->tensors);
    clm_free(header->metadata);
    *header = (clm_header){0};
}
