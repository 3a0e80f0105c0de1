/* Made by make_split.py with pandas 3.1.1; do not edit.
 *
 * SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
static const struct {
    const char *name;
    size_t rows;
    size_t label_rows[2];
    size_t split_rows[3]; /* train, validation, test */
    const char *sha256[3];
} golden_splits[] = {
    {"messages.tsv", 49, {34, 15},
     {21, 3, 6},
     {"cfb06b35856515e2382a92f80dab4984683ca0951810075c463f90e3903aafc7",
      "e63942a26f818bfcc98dc18825cf37b0b65e3dbbffe042dd174cba16d6b19bdf",
      "b5bd5cf8c8b9b5ad01fcf1db788dd8985240a55257f7eb1759d83d433ef0edbd"}},
    {"SMSSpamCollection", 5572, {4825, 747},
     {1045, 149, 300},
     {"c89a1156b8476e6f4c0bfa4bc944f3d934e3db2942c5dc2a1456a65a795afcde",
      "0ac7a07215729476975e070029ced8452a3d4e49fcdd8b17c167a317150b5439",
      "a5764d4eed041dada859601e1715bc68885aa5e74713e127968ead8ddf6a9e04"}},
};
