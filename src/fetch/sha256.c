/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch/sha256.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/memory.h"

static clm_status digest_failed(const char *path) {
    return clm_fail(CLM_ERROR_INTERNAL, "%s: OpenSSL cannot compute its SHA-256", path);
}

clm_status clm_sha256_file(char text[CLM_SHA256_TEXT], const char *path) {
    enum { block_bytes = 1 << 20, digest_bytes = 32 };
    clm_status status = CLM_OK;
    unsigned char *block = NULL;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_MD_CTX *context = NULL;
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return clm_fail_errno(errno, "%s: cannot be opened", path);
    }
    CLM_TRY(clm_allocate(&block, block_bytes, 1, "a block of a file"));
    context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) {
        status = digest_failed(path);
        goto cleanup;
    }
    for (size_t got = 1; got > 0;) {
        got = fread(block, 1, block_bytes, file);
        if (EVP_DigestUpdate(context, block, got) != 1) {
            status = digest_failed(path);
            goto cleanup;
        }
    }
    if (ferror(file)) {
        status = clm_fail_errno(errno, "%s: cannot be read", path);
        goto cleanup;
    }
    if (EVP_DigestFinal_ex(context, digest, &length) != 1 || length != digest_bytes) {
        status = digest_failed(path);
        goto cleanup;
    }
    for (size_t i = 0; i < digest_bytes; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
cleanup:
    EVP_MD_CTX_free(context);
    clm_free(block);
    (void)fclose(file);
    return status;
}
