/* Any bytes as the beginning of a file: taken for what was asked for, or refused with a message
 * that says what they are. What shows a failed download does so for weights too.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/sniff.h"
#include "fuzz.h"

static const char *const words[] = {"GGUF",       "ggjt",    "\x80\x02",
                                    "PK\x03\x04", "\x89HDF", "\x1F\x8B",
                                    "<!doctype",  "<HTML",   "version https://git-lfs",
                                    "\r\n\t ",    NULL};
const fuzz_target fuzz_this = {FUZZ_BYTES, words, 1 << 16, 64};

void fuzz_one(const uint8_t *data, size_t size) {
    const size_t count = size < CLM_SNIFF_BYTES ? size : CLM_SNIFF_BYTES;
    const clm_status download = clm_sniff_download("fuzz", data, count);
    if (download != CLM_OK) {
        fuzz_check_refused(download);
        FUZZ_CHECK(strncmp(clm_error_message(), "fuzz: is ", 9) == 0);
    }
    clm_error_clear();
    const clm_status weights = clm_sniff_weights("fuzz", data, count);
    if (weights != CLM_OK) {
        fuzz_check_refused(weights);
        FUZZ_CHECK(strncmp(clm_error_message(), "fuzz: is ", 9) == 0);
    }
    FUZZ_CHECK(download == CLM_OK || weights == download);
}
