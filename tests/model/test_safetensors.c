/* SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/dtype.h"
#include "base/file.h"
#include "base/memory.h"
#include "model/formats/safetensors.h"

/* A file in memory: the header's length, the header, and data bytes 0, 1, 2, ... */
static size_t make_file(unsigned char *out, const char *header, size_t header_bytes,
                        size_t data_bytes) {
    for (size_t i = 0; i < 8; i++) {
        out[i] = (unsigned char)(header_bytes >> 8 * i);
    }
    memcpy(out + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++) {
        out[8 + header_bytes + i] = (unsigned char)i;
    }
    return 8 + header_bytes + data_bytes;
}

static clm_status open_header(clm_safetensors **file, const char *header, size_t data_bytes) {
    /* Kept until the next call, because the file lends from it. An exact allocation lets
     * AddressSanitizer see a read past its end. */
    static unsigned char *kept;
    free(kept);
    kept = malloc(8 + strlen(header) + data_bytes);
    assert_non_null(kept);
    size_t size_bytes = make_file(kept, header, strlen(header), data_bytes);
    return clm_safetensors_open_bytes(file, kept, size_bytes, "x.safetensors");
}

#define TENSOR(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static int byte_of(const clm_safetensors *file, const clm_safetensors_tensor *tensor, size_t at) {
    unsigned char byte = 0;
    assert_ok(clm_safetensors_read(file, tensor, at, &byte, 1));
    return byte;
}

static void a_good_file_is_read(void **state) {
    (void)state;
    clm_safetensors *file = NULL;
    assert_ok(open_header(
        &file,
        "{ \"__metadata__\" : {\"format\":\"pt\", \"\\u00e9\\n\":\"\"},\n\t" TENSOR(
            "b", "F32", "[2, 1]",
            "[4,12]") ","
                      "\"a\":{\"data_offsets\":[0,4],\"shape\":[2],\"dtype\":\"BF16\"}," TENSOR(
                          "empty", "I64", "[0, 18446744073709551615]",
                          "[4,4]") "," TENSOR("\\ud83d\\ude00 \\\"x\\/", "U8", "[]",
                                              "[12,13]") "}   ",
        13));
    assert_int_equal(clm_safetensors_count(file), 4);
    const clm_safetensors_tensor *a = clm_safetensors_at(file, 0);
    assert_string_equal(a->name, "a");
    assert_int_equal(a->dtype, CLM_BF16);
    assert_int_equal(a->size_bytes, 4);
    assert_int_equal(byte_of(file, a, 3), 3);
    assert_string_equal(clm_safetensors_at(file, 1)->name, "empty");
    assert_int_equal(clm_safetensors_at(file, 1)->count, 0);
    const clm_safetensors_tensor *b = clm_safetensors_find(file, "b");
    assert_ptr_equal(b, clm_safetensors_at(file, 2));
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(byte_of(file, b, 0), 4);
    const clm_safetensors_tensor *scalar = clm_safetensors_find(file, "\xF0\x9F\x98\x80 \"x/");
    assert_non_null(scalar);
    assert_int_equal(scalar->rank, 0);
    assert_int_equal(scalar->count, 1);
    assert_null(clm_safetensors_find(file, "c"));
    assert_null(clm_safetensors_at(file, 4));
    assert_string_equal(clm_safetensors_metadata(file, "format"), "pt");
    assert_string_equal(clm_safetensors_metadata(file, "\xC3\xA9\n"), "");
    assert_null(clm_safetensors_metadata(file, "none"));
    clm_safetensors_close(file);
    assert_ok(open_header(&file, "{}", 0));
    assert_int_equal(clm_safetensors_count(file), 0);
    assert_null(clm_safetensors_find(file, "a"));
    clm_safetensors_close(file);
}

typedef struct bad_header {
    const char *header;
    size_t data_bytes;
    clm_status status;
    const char *message; /* a part that names the place */
} bad_header;

static const bad_header bad_headers[] = {
    /* The JSON. */
    {"", 0, CLM_ERROR_FORMAT, "x.safetensors: byte 8: the header does not begin with '{'"},
    {" {}", 0, CLM_ERROR_FORMAT, "byte 8: the header does not begin with '{'"},
    {"[]", 0, CLM_ERROR_FORMAT, "does not begin with '{'"},
    {"{", 0, CLM_ERROR_FORMAT, "byte 9: the name of a tensor is expected"},
    {"{}\n", 0, CLM_ERROR_FORMAT, "byte 10: only spaces may follow"},
    {"{} {}", 0, CLM_ERROR_FORMAT, "byte 11: only spaces may follow"},
    {"{a:1}", 0, CLM_ERROR_FORMAT, "byte 9: the name of a tensor"},
    {"{\"a", 0, CLM_ERROR_FORMAT, "ends inside a string"},
    {"{\"a\x01\":", 0, CLM_ERROR_FORMAT, "byte 11: a control character"},
    {"{\"\xFF\":", 0, CLM_ERROR_FORMAT, "byte 10: the header is not valid UTF-8"},
    {"{\"\\u0000\":", 0, CLM_ERROR_FORMAT, "a NUL character"},
    {"{\"\\ud800\":", 0, CLM_ERROR_FORMAT, "half a surrogate pair"},
    {"{\"\\ud800\\u0041\":", 0, CLM_ERROR_FORMAT, "half a surrogate pair"},
    {"{\"\\udc00\":", 0, CLM_ERROR_FORMAT, "half a surrogate pair"},
    {"{\"\\u12g4\":", 0, CLM_ERROR_FORMAT, "four hexadecimal digits"},
    {"{\"\\x\":", 0, CLM_ERROR_FORMAT, "an escape that JSON does not have"},
    {"{\"a\" 1}", 0, CLM_ERROR_FORMAT, "':' is expected"},
    {"{\"a\":1}", 0, CLM_ERROR_FORMAT, "byte 13: tensor \"a\": an object"},
    {"{\"a\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", 0, CLM_ERROR_FORMAT, "tensor \"a\": an object"},
    {"{\"a\":{}}", 0, CLM_ERROR_FORMAT, "the name of a member"},
    {"{" TENSOR("a", "U8", "[1]", "[0,1]") ",}", 1, CLM_ERROR_FORMAT, "the name of a tensor"},
    {"{" TENSOR("a", "U8", "[1]", "[0,1]") " \"b\"}", 1, CLM_ERROR_FORMAT, "',' or '}'"},
    /* The members. */
    {"{\"a\":{\"shape\":[],\"data_offsets\":[0,1]}}", 1, CLM_ERROR_FORMAT, "\"dtype\" is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, CLM_ERROR_FORMAT,
     "\"shape\" is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 1, CLM_ERROR_FORMAT, "\"data_offsets\" is missing"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 1, CLM_ERROR_FORMAT,
     "byte 27: tensor \"a\": this "
     "member appears twice"},
    {"{\"a\":{\"dtype\":\"U8\",\"x\":1}}", 1, CLM_ERROR_FORMAT,
     "byte 27: tensor \"a\": a tensor has"},
    {"{" TENSOR("a", "u8", "[1]", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "the element type is none"},
    {"{" TENSOR("a", "F8_E4M3", "[1]", "[0,1]") "}", 1, CLM_ERROR_UNSUPPORTED, "convert it"},
    {"{\"a\":{\"dtype\":8}}", 1, CLM_ERROR_FORMAT, "\"dtype\" must be a string"},
    {"{" TENSOR("a", "U8", "1", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "\"shape\" must be a list"},
    {"{" TENSOR("a", "U8", "[-1]", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "\"shape\" must be a list"},
    {"{" TENSOR("a", "U8", "[1.0]", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "\"shape\" must be a list"},
    {"{" TENSOR("a", "U8", "[1e0]", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "\"shape\" must be a list"},
    {"{" TENSOR("a", "U8", "[01]", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "a leading zero"},
    {"{" TENSOR("a", "U8", "[1,]", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "\"shape\" must be a list"},
    {"{" TENSOR("a", "U8", "[1 1]", "[0,1]") "}", 1, CLM_ERROR_FORMAT, "lacks its ']'"},
    {"{" TENSOR("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, CLM_ERROR_UNSUPPORTED,
     "at most 8 dimensions"},
    {"{" TENSOR("a", "U8", "[18446744073709551616]", "[0,1]") "}", 1, CLM_ERROR_FORMAT,
     "a number over 2^64"},
    {"{" TENSOR("a", "U8", "[1]", "[0]") "}", 1, CLM_ERROR_FORMAT, "two whole numbers"},
    {"{" TENSOR("a", "U8", "[1]", "[0,1,2]") "}", 1, CLM_ERROR_FORMAT, "two whole numbers"},
    /* Duplicates. */
    {"{" TENSOR("a", "U8", "[1]", "[0,1]") "," TENSOR("a", "U8", "[1]", "[1,2]") "}", 2,
     CLM_ERROR_FORMAT, "tensor \"a\": appears twice"},
    {"{" TENSOR("a", "U8", "[1]", "[0,1]") "," TENSOR("\\u0061", "U8", "[1]", "[1,2]") "}", 2,
     CLM_ERROR_FORMAT, "tensor \"a\": appears twice"},
    {"{" TENSOR("\\n", "U8", "[1]", "[0,1]") "," TENSOR("\\n", "U8", "[1]", "[1,2]") "}", 2,
     CLM_ERROR_FORMAT, "tensor \"\\n\": appears twice"},
    {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, CLM_ERROR_FORMAT,
     "\"k\" appears twice in \"__metadata__\""},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, CLM_ERROR_FORMAT,
     "byte 27: \"__metadata__\" appears twice"},
    {"{\"__metadata__\":{\"k\":1}}", 0, CLM_ERROR_FORMAT, "must map strings to strings"},
    {"{\"__metadata__\":[]}", 0, CLM_ERROR_FORMAT, "must map strings to strings"},
    /* Offsets and sizes. */
    {"{" TENSOR("a", "U8", "[1]", "[1,0]") "}", 1, CLM_ERROR_FORMAT, "end before they begin"},
    {"{" TENSOR("a", "U8", "[2]", "[0,2]") "}", 1, CLM_ERROR_FORMAT,
     "byte 9: tensor \"a\": its data would end at byte 2 of the data, which has 1"},
    {"{" TENSOR("a", "U8", "[1]", "[0,1]") "}", 2, CLM_ERROR_FORMAT, "1 bytes follow the data"},
    {"{}", 1, CLM_ERROR_FORMAT, "1 bytes follow the data"},
    {"{" TENSOR("a", "U8", "[1]", "[1,2]") "}", 2, CLM_ERROR_FORMAT, "a hole before its data"},
    {"{" TENSOR("a", "U8", "[1]", "[0,1]") "," TENSOR("b", "U8", "[1]", "[2,3]") "}", 3,
     CLM_ERROR_FORMAT, "tensor \"b\": there is a hole"},
    {"{" TENSOR("a", "U8", "[2]", "[0,2]") "," TENSOR("b", "U8", "[2]", "[1,3]") "}", 3,
     CLM_ERROR_FORMAT, "tensor \"b\": its data overlap"},
    {"{" TENSOR("a", "F32", "[2]", "[0,4]") "}", 4, CLM_ERROR_FORMAT,
     "its shape needs 8 bytes of F32, and \"data_offsets\" hold 4"},
    {"{" TENSOR("a", "F32", "[]", "[0,0]") "}", 0, CLM_ERROR_FORMAT, "its shape needs 4 bytes"},
    {"{" TENSOR("a", "F32", "[4611686018427387904]", "[0,0]") "}", 0, CLM_ERROR_FORMAT,
     "the product of its shape overflows"},
    {"{" TENSOR("a", "U8", "[4294967296,4294967296]", "[0,0]") "}", 0, CLM_ERROR_FORMAT,
     "the product of its shape overflows"},
    /* 2^53 + 1, which a double rounds to 2^53: the difference must not look like a size of 1. */
    {"{" TENSOR("a", "U8", "[0]", "[9007199254740993,9007199254740992]") "}", 0, CLM_ERROR_FORMAT,
     "end before they begin"},
};

static void every_broken_rule_is_named(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_headers / sizeof *bad_headers; i++) {
        const bad_header *bad = &bad_headers[i];
        clm_safetensors *file = (clm_safetensors *)1;
        clm_error_clear();
        print_message("header %s\n", bad->header);
        assert_status(bad->status, open_header(&file, bad->header, bad->data_bytes));
        assert_null(file);
        assert_message_has("x.safetensors: ");
        assert_message_has(bad->message);
    }
}

static void lengths_are_checked(void **state) {
    (void)state;
    clm_safetensors *file = NULL;
    assert_status(CLM_ERROR_FORMAT, clm_safetensors_open_bytes(&file, "\0\0\0", 3, "x"));
    assert_message_has("x: byte 3: the file ends within its first 8 bytes");
    unsigned char bytes[16];
    (void)make_file(bytes, "{}      ", 8, 0);
    bytes[0] = 9;
    assert_status(CLM_ERROR_FORMAT, clm_safetensors_open_bytes(&file, bytes, sizeof bytes, "x"));
    assert_message_has("x: byte 16: the file ends within its header of 9 bytes");
    memset(bytes, 0xFF, 8);
    assert_status(CLM_ERROR_FORMAT, clm_safetensors_open_bytes(&file, bytes, sizeof bytes, "x"));
    assert_message_has("allows 100000000");
    assert_status(CLM_ERROR_NOT_FOUND, clm_safetensors_open(&file, clm_test_path("none")));
    assert_status(CLM_ERROR_IO, clm_safetensors_open(&file, clm_test_folder()));
}

/* However a good file is cut, it is refused, and never read beyond its end. */
static void every_truncation_is_refused(void **state) {
    (void)state;
    static const char header[] = "{\"__metadata__\":{\"k\":\"v\"}," TENSOR(
        "a", "F16", "[2,3]", "[0,12]") "," TENSOR("b", "U8", "[1]", "[12,13]") "}";
    unsigned char whole[512];
    size_t size_bytes = make_file(whole, header, sizeof header - 1, 13);
    for (size_t cut = 0; cut <= size_bytes; cut++) {
        unsigned char *part = malloc(cut + 1);
        assert_non_null(part);
        memcpy(part, whole, cut);
        clm_safetensors *file = NULL;
        clm_status status = clm_safetensors_open_bytes(&file, part, cut, "cut");
        assert_int_equal(status, cut < size_bytes ? CLM_ERROR_FORMAT : CLM_OK);
        clm_safetensors_close(file);
        free(part);
    }
}

static void halves_become_the_same_numbers(void **state) {
    (void)state;
    for (uint32_t bits = 0; bits <= 0xFFFF; bits++) {
        uint16_t half = (uint16_t)bits;
        float value = NAN;
        assert_ok(clm_dtype_to_float(&value, &half, CLM_F16, 1));
        int exponent = (int)(bits >> 10 & 0x1F);
        double fraction = (double)(bits & 0x3FF);
        double expected = exponent == 0    ? ldexp(fraction, -24)
                          : exponent == 31 ? (fraction == 0.0 ? INFINITY : NAN)
                                           : ldexp(1024.0 + fraction, exponent - 25);
        if (isnan(expected)) {
            assert_true(isnan(value));
        } else {
            assert_true((double)fabsf(value) == expected);
        }
        assert_int_equal(signbit(value) != 0, bits >> 15);
        uint32_t wide = 0;
        assert_ok(clm_dtype_to_float(&value, &half, CLM_BF16, 1));
        memcpy(&wide, &value, sizeof wide);
        assert_int_equal(wide, bits << 16);
    }
    const double doubles[3] = {1.0 + 0x1p-24, -0x1p-149, 1e300};
    float floats[3];
    assert_ok(clm_dtype_to_float(floats, doubles, CLM_F64, 3));
    assert_true(floats[0] == 1.0F && floats[1] == -0x1p-149F && isinf(floats[2]));
    unsigned char unaligned[9] = {0};
    const float pi = 3.14159274F;
    memcpy(unaligned + 1, &pi, sizeof pi);
    assert_ok(clm_dtype_to_float(floats, unaligned + 1, CLM_F32, 1));
    assert_true(floats[0] == pi);
    assert_status(CLM_ERROR_UNSUPPORTED, clm_dtype_to_float(floats, unaligned, CLM_I32, 1));
}

static void types_have_names_and_sizes(void **state) {
    (void)state;
    static const size_t sizes[] = {4, 2, 2, 8, 1, 2, 4, 8, 1, 2, 4, 8, 1};
    for (int i = 0; i <= CLM_BOOL; i++) {
        clm_dtype back = CLM_F32;
        assert_int_equal(clm_dtype_size((clm_dtype)i), sizes[i]);
        assert_true(clm_dtype_parse(&back, clm_dtype_name((clm_dtype)i)));
        assert_int_equal(back, i);
    }
    assert_int_equal(clm_dtype_size((clm_dtype)99), 0);
    assert_string_equal(clm_dtype_name((clm_dtype)99), "?");
}

static void what_is_written_is_read(void **state) {
    (void)state;
    const char *path = clm_test_path("written.safetensors");
    const float values[6] = {1.0F, -2.5F, 0.0F, 3.0F, INFINITY, 0x1p-149F};
    const uint8_t bytes[3] = {7, 8, 9};
    clm_safetensors_writer *writer = NULL;
    assert_ok(clm_safetensors_writer_open(&writer, path));
    assert_ok(clm_safetensors_writer_metadata(writer, "format", "pt"));
    assert_ok(clm_safetensors_writer_declare(writer, "a \"quoted\" \xC3\xA9", CLM_F32, 2,
                                             (size_t[]){2, 3}));
    assert_ok(clm_safetensors_writer_declare(writer, "none", CLM_F64, 2, (size_t[]){0, 3}));
    assert_ok(clm_safetensors_writer_declare(writer, "b", CLM_U8, 1, (size_t[]){3}));
    assert_ok(clm_safetensors_writer_declare(writer, "s", CLM_F32, 0, NULL));
    assert_ok(clm_safetensors_writer_add(writer, values, 5));
    assert_ok(clm_safetensors_writer_add(writer, (const char *)values + 5, sizeof values - 5));
    assert_ok(clm_safetensors_writer_add(writer, bytes, sizeof bytes));
    assert_status(CLM_ERROR_ARGUMENT, clm_safetensors_writer_commit(writer));
    assert_message_has("\"s\"");
    assert_false(clm_file_exists(path));
    assert_ok(clm_safetensors_writer_add(writer, values, 4));
    assert_status(CLM_ERROR_ARGUMENT, clm_safetensors_writer_add(writer, values, 1));
    assert_status(CLM_ERROR_ARGUMENT,
                  clm_safetensors_writer_declare(writer, "late", CLM_U8, 0, NULL));
    assert_ok(clm_safetensors_writer_commit(writer));
    clm_safetensors_writer_discard(writer);

    clm_safetensors *file = NULL;
    assert_ok(clm_safetensors_open(&file, path));
    assert_int_equal(clm_safetensors_count(file), 4);
    const clm_safetensors_tensor *a = clm_safetensors_find(file, "a \"quoted\" \xC3\xA9");
    assert_non_null(a);
    assert_int_equal(a->at % 8, 0);
    float got[6];
    const unsigned char *data = NULL;
    assert_ok(clm_safetensors_read(file, a, 0, got, sizeof got));
    assert_memory_equal(got, values, sizeof values);
    assert_ok(clm_safetensors_map(file, a, &data));
    assert_memory_equal(data, values, sizeof values);
    assert_ok(clm_safetensors_map(file, clm_safetensors_find(file, "b"), &data));
    assert_memory_equal(data, bytes, sizeof bytes);
    assert_ok(clm_safetensors_check(file));
    assert_status(CLM_ERROR_ARGUMENT, clm_safetensors_read(file, a, 4, got, sizeof got));
    assert_string_equal(clm_safetensors_metadata(file, "format"), "pt");
    clm_safetensors_close(file);
}

static void a_writer_refuses_nonsense(void **state) {
    (void)state;
    clm_safetensors_writer *writer = NULL;
    assert_ok(clm_safetensors_writer_open(&writer, clm_test_path("nonsense")));
    assert_status(CLM_ERROR_ENCODING,
                  clm_safetensors_writer_declare(writer, "\xFF", CLM_U8, 0, NULL));
    assert_status(CLM_ERROR_ARGUMENT,
                  clm_safetensors_writer_declare(writer, "__metadata__", CLM_U8, 0, NULL));
    assert_status(CLM_ERROR_SHAPE, clm_safetensors_writer_declare(writer, "a", CLM_F32, 2,
                                                                  (size_t[]){SIZE_MAX / 2, 2}));
    assert_ok(clm_safetensors_writer_declare(writer, "a", CLM_U8, 0, NULL));
    assert_ok(clm_safetensors_writer_declare(writer, "a", CLM_U8, 0, NULL));
    assert_status(CLM_ERROR_ARGUMENT, clm_safetensors_writer_add(writer, "x", 1));
    assert_message_has("\"a\" is declared twice");
    clm_safetensors_writer_discard(writer);
    assert_false(clm_file_exists(clm_test_path("nonsense")));
}

static void a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    const char *path = clm_test_path("full.safetensors");
    assert_ok(clm_file_write(path, "old", 3));
    clm_test_limit_files(1000);
    float *values = NULL;
    const size_t count = 1 << 18;
    assert_ok(clm_allocate(&values, count, sizeof *values, "a test"));
    clm_safetensors_writer *writer = NULL;
    assert_ok(clm_safetensors_writer_open(&writer, path));
    assert_ok(clm_safetensors_writer_declare(writer, "a", CLM_F32, 1, &count));
    assert_status(CLM_ERROR_NO_SPACE,
                  clm_safetensors_writer_add(writer, values, count * sizeof *values));
    clm_test_limit_files(UINT64_MAX);
    assert_message_has("full.safetensors");
    clm_safetensors_writer_discard(writer);
    clm_free(values);
    char *text = NULL;
    size_t size_bytes = 0;
    assert_ok(clm_file_read(path, CLM_FILE_TEXT, &text, &size_bytes));
    assert_string_equal(text, "old");
    clm_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_is_read),
        cmocka_unit_test(every_broken_rule_is_named),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(halves_become_the_same_numbers),
        cmocka_unit_test(types_have_names_and_sizes),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_writer_refuses_nonsense),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
