/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/options.h"

enum { word_most = 40 };

static int least(int a, int b) {
    return a < b ? a : b;
}

/* Letters inserted, left out, changed, or swapped with their neighbour, to make the one of the
 * other: the restricted Damerau-Levenshtein distance. Words that are too long are far apart. */
static int distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    int rows[3][word_most + 1]; /* [i % 3][j]: of a[0..i) and b[0..j) */
    if (a_length > word_most || b_length > word_most) {
        return word_most;
    }
    for (size_t i = 0; i <= a_length; i++) {
        int *row = rows[i % 3];
        const int *before = rows[(i + 2) % 3];
        const int *before_that = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= b_length; j++) {
            if (i == 0) {
                row[j] = (int)j;
                continue;
            }
            const int changed = before[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(changed, least(before[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = least(row[j], before_that[j - 2] + 1);
            }
        }
    }
    return rows[a_length % 3][b_length];
}

bool clm_cli_has_word(const char *words, const char *word, size_t length) {
    for (const char *at = words; at != NULL && *at != '\0';) {
        const size_t next = strcspn(at, " ");
        if (next == length && memcmp(at, word, length) == 0) {
            return true;
        }
        at += next + (at[next] == ' ');
    }
    return false;
}

/* How far the typed word is from another; word_most when it cannot be meant. */
static int distance_to(const char *typed, size_t typed_length, const char *word, size_t length) {
    size_t dashes = 0;
    while (dashes < 2 && dashes < length && word[dashes] == '-') {
        dashes++;
    }
    if (typed_length == length && memcmp(typed, word, length) == 0) {
        return 0;
    }
    /* The beginning of a word means it, and so does a word with something behind it. */
    const size_t shorter = typed_length < length ? typed_length : length;
    if (shorter >= dashes + 3 && memcmp(typed, word, shorter) == 0) {
        return 1;
    }
    const int changes = distance(typed, typed_length, word, length);
    const size_t letters = length - dashes;
    const int most = letters < 4 ? 1 : letters < 8 ? 2 : 3;
    return changes <= most ? changes + 1 : word_most;
}

void clm_cli_suggest(clm_cli_suggestion *suggestion, const char *typed, size_t typed_length,
                     const char *word, const char *synonyms) {
    int nearest = distance_to(typed, typed_length, word, strlen(word));
    for (const char *at = synonyms; at != NULL && *at != '\0';) {
        const size_t next = strcspn(at, " ");
        nearest = least(nearest, distance_to(typed, typed_length, at, next));
        at += next + (at[next] == ' ');
    }
    if (nearest < word_most && (suggestion->best == NULL || nearest < suggestion->distance)) {
        suggestion->best = word;
        suggestion->distance = nearest;
    }
}
