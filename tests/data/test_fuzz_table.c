/* Runs the fuzz target of the table readers on tables that are changed at random, so that it also
 * runs where there is no libFuzzer.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { longest = 400 };

static const char *const seeds[] = {
    "0ham\tHi, you\nspam\t\"Win\n\"\"now\"\"\"\n",
    "0Label,Text\n0,\"a \"\"b\"\"\"\r\n1,c\n",
    "1label,text\nham,a\nspam,b\n0,c\r1,d\r\n\n \t\nham,\"e\"f\n",
    "2{\"text\":\"a\\u00e9\",\"label\":\"ham\"}\n{\"text\":\"b\",\"label\":1}\n",
    "8x\ty\nz\t\xC3\xA9\xE2\x82\xAC\n",
    "4id,message,class\n1,a,x\n2,b,y\n",
};

static size_t change(uint8_t *data, size_t size) {
    static const uint8_t letters[] = "\"\",\t\n\r\\{}[]:0u\xEF\xC3\x80 a";
    size_t at = clm_test_random() % size;
    uint8_t letter = letters[clm_test_random() % sizeof letters];
    switch (clm_test_random() % 4) {
        case 0:
            data[at] = letter;
            return size;
        case 1: /* take one away */
            if (size > 1) {
                memmove(data + at, data + at + 1, size - at - 1);
                size--;
            }
            return size;
        case 2: /* put one in */
            if (size < longest) {
                memmove(data + at + 1, data + at, size - at);
                data[at] = letter;
                size++;
            }
            return size;
        default:
            data[at] = (uint8_t)(data[at] ^ 1U << clm_test_random() % 8);
            return size;
    }
}

static void no_bytes_break_the_readers(void **state) {
    (void)state;
    for (int turn = 0; turn < 20000; turn++) {
        uint8_t data[longest];
        const char *seed = seeds[clm_test_random() % (sizeof seeds / sizeof *seeds)];
        size_t size = strlen(seed);
        memcpy(data, seed, size);
        for (uint32_t left = clm_test_random() % 6; left > 0; left--) {
            size = change(data, size);
        }
        assert_int_equal(LLVMFuzzerTestOneInput(data, size), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bytes_break_the_readers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
