/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sniff.h"

#include <stdbool.h>
#include <string.h>

#include "base/string.h"

#define CONVERT \
    "save the model again with transformers' save_pretrained(), which writes safetensors"

static const struct {
    const char *begin;
    const char *what;
} kinds[] = {
    {"GGUF", "is a GGUF file; clm reads safetensors: " CONVERT},
    {"ggjt", "is a GGML file; clm reads safetensors: " CONVERT},
    {"\x80\x02", "is a pickle of PyTorch, which may run any code; clm reads safetensors: " CONVERT},
    {"PK\x03\x04",
     "is a zip archive, perhaps a pickle of PyTorch; clm reads safetensors: " CONVERT},
    {"\x89HDF", "is an HDF5 file, as TensorFlow's models; clm reads safetensors: " CONVERT},
    {"\x1F\x8B", "is compressed by gzip: unpack it"},
};

static bool begins_with(const unsigned char *bytes, size_t count, const char *text) {
    const size_t length = strlen(text);
    return count >= length && clm_begin_alike_ignoring_case((const char *)bytes, text, length);
}

/* Printable ASCII to its end, or for as many bytes as are shown. */
static bool is_text(const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const bool space = bytes[i] == '\n' || bytes[i] == '\r' || bytes[i] == '\t';
        if (!space && (bytes[i] < 0x20 || bytes[i] > 0x7E)) {
            return false;
        }
    }
    return true;
}

static size_t skip_space(const unsigned char *bytes, size_t count) {
    size_t at = 0;
    while (at < count &&
           (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r' || bytes[at] == '\n')) {
        at++;
    }
    return at;
}

clm_status clm_sniff_download(const char *path, const void *bytes, size_t count) {
    if (count == 0) {
        return clm_fail(CLM_ERROR_FORMAT, "%s: is empty: perhaps a download that failed", path);
    }
    const size_t at = skip_space(bytes, count);
    const unsigned char *text = (const unsigned char *)bytes + at;
    if (begins_with(text, count - at, "version https://git-lfs")) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: is a Git LFS pointer, not the file that it stands for: run 'git lfs "
                        "pull' in its folder, or download the file itself",
                        path);
    }
    if (begins_with(text, count - at, "<!doctype") || begins_with(text, count - at, "<html")) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: is a web page: a download that was answered with a page, perhaps one "
                        "that asks to log in",
                        path);
    }
    return CLM_OK;
}

clm_status clm_sniff_weights(const char *path, const void *bytes, size_t count) {
    const clm_status status = clm_sniff_download(path, bytes, count);
    const unsigned char *first = bytes;
    if (status != CLM_OK) {
        return status;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t length = strlen(kinds[i].begin);
        if (count >= length && memcmp(bytes, kinds[i].begin, length) == 0) {
            return clm_fail(CLM_ERROR_UNSUPPORTED, "%s: %s", path, kinds[i].what);
        }
    }
    if (is_text(bytes, count)) {
        const size_t at = skip_space(bytes, count);
        int shown = 0;
        while (at + (size_t)shown < count && shown < 40 && first[at + (size_t)shown] >= 0x20) {
            shown++;
        }
        return clm_fail(CLM_ERROR_FORMAT,
                        "%s: is text that begins with \"%.*s\", not a safetensors file", path,
                        shown, (const char *)first + at);
    }
    return CLM_OK;
}
