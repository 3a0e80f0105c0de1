/* Made by make_dataset.py with tokenizers 0.23.3; do not edit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/* Texts, tokens a text, texts that were cut, hash of the ids, hash of the labels. */
static const struct {
    size_t count;
    int length;
    size_t cut_count;
    uint64_t tokens;
    uint64_t labels;
} golden_datasets[3] = {
    {1045, 120, 0, 0x43C595E60D1ECBCAU,
     0x471AF36BE72DB0D4U},
    {149, 120, 0, 0x6F561B19F820B571U,
     0x1190EE17F8740684U},
    {300, 120, 0, 0x77EAFE993B461ADBU,
     0xF1EB49A5FE779B14U},
};
