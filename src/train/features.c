/* SPDX-License-Identifier: Apache-2.0 */
#include "train/features.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "ops/ops.h"

/* All sets that are padded to one length. */
typedef struct family {
    int T;
    int width;         /* texts of a pass through the frozen layers, at least the batch */
    size_t slot_count; /* different texts */
    size_t next_empty; /* none of its slots before this one is both kept and empty */
    size_t count;      /* floats of a text */
    size_t slot_bytes;
} family;

/* A text of its own: the first row with these tokens. */
typedef struct slot {
    const clm_dataset *set;
    int32_t row;
    uint8_t family; /* its number */
    bool filled;
    uint32_t piece;        /* where it is kept */
    uint64_t offset_bytes; /* in the piece */
} slot;

struct clm_features {
    clm_model *model;
    int batch; /* rows asked for at once, at most */
    family families[CLM_FEATURES_SETS_MOST];
    size_t family_count;
    const clm_dataset *sets[CLM_FEATURES_SETS_MOST];
    uint8_t family_of[CLM_FEATURES_SETS_MOST]; /* of each set */
    uint32_t *slot_of[CLM_FEATURES_SETS_MOST]; /* of each row */
    size_t set_count;
    slot *slots;
    size_t slot_count;
    size_t kept_count; /* slots from here on are computed each time */
    uint64_t kept_bytes;
    clm_feature_place place;
    clm_feature_storage storage;
    clm_buffer **pieces; /* on the device; other places have one piece */
    size_t piece_count;
    unsigned char *host;
    int file;               /* -1 when there is none */
    unsigned char *staging; /* one text, for the file */
    clm_buffer *halves;     /* one pass in 16 bits */
    clm_buffer *gathered;   /* one batch that is put together from several places */
    uint32_t *computing;    /* (width) slots of a pass */
    uint32_t *wanted;       /* (batch) slots of the rows asked for, all of one family */
    int32_t *tokens;        /* (width,T) */
    int32_t *lengths;       /* (width) */
    uint64_t computed;
    size_t filled_count;
    void (*on_compute)(void *context, size_t done, size_t all); /* or NULL */
    void *context;
};

static bool has_halves(const clm_features *f) {
    return f->storage != CLM_FEATURES_F32;
}

static clm_dtype halves_type(const clm_features *f) {
    return f->storage == CLM_FEATURES_F16 ? CLM_F16 : CLM_BF16;
}

/* ---- which texts there are ---- */

static size_t tokens_in(const slot *s) {
    return (size_t)clm_dataset_length(s->set);
}

static const int32_t *tokens_of(const slot *s) {
    return clm_dataset_tokens(s->set) + (size_t)s->row * tokens_in(s);
}

/* Padding is not told from text by tokens alone, and pooling asks where the text ends. */
static bool equal_texts(const slot *a, const slot *b) {
    return a->family == b->family &&
           clm_dataset_lengths(a->set)[a->row] == clm_dataset_lengths(b->set)[b->row] &&
           memcmp(tokens_of(a), tokens_of(b), tokens_in(a) * sizeof(int32_t)) == 0;
}

/* The slot of a row, a new one when no earlier row has its tokens. `table` (mask + 1) holds slot
 * numbers from 1. */
static uint32_t slot_for(clm_features *f, uint32_t *table, size_t mask, slot text) {
    uint64_t at = clm_keyed_hash(tokens_of(&text), tokens_in(&text) * sizeof(int32_t));
    for (;; at++) {
        uint32_t *entry = &table[at & mask];
        if (*entry == 0) {
            f->slots[f->slot_count++] = text;
            f->families[text.family].slot_count++;
            *entry = (uint32_t)f->slot_count;
            return *entry - 1;
        }
        if (equal_texts(&f->slots[*entry - 1], &text)) {
            return *entry - 1;
        }
    }
}

static clm_status find_families(clm_features *f) {
    clm_status status = CLM_OK;
    for (size_t s = 0; s < f->set_count; s++) {
        const int T = clm_dataset_length(f->sets[s]);
        size_t at = 0;
        while (at < f->family_count && f->families[at].T != T) {
            at++;
        }
        if (at == f->family_count) {
            size_t count = 0;
            CLM_TRY(clm_model_count_features(f->model, T, &count));
            f->families[f->family_count++] = (family){
                .T = T, .count = count, .slot_bytes = count * (has_halves(f) ? 2 : sizeof(float))};
        }
        f->family_of[s] = (uint8_t)at;
    }
cleanup:
    return status;
}

static clm_status find_slots(clm_features *f) {
    size_t rows = 0;
    size_t mask = 1;
    uint32_t *table = NULL;
    clm_status status = CLM_OK;
    for (size_t s = 0; s < f->set_count; s++) {
        rows += clm_dataset_count(f->sets[s]);
    }
    while (mask + 1 < 2 * rows) {
        mask = 2 * mask + 1;
    }
    CLM_TRY(clm_allocate(&table, mask + 1, sizeof *table, "a table of texts"));
    CLM_TRY(clm_allocate(&f->slots, rows, sizeof *f->slots, "a table of texts"));
    for (size_t s = 0; s < f->set_count; s++) {
        const size_t count = clm_dataset_count(f->sets[s]);
        CLM_TRY(clm_allocate(&f->slot_of[s], count, sizeof *f->slot_of[s], "a table of texts"));
        for (size_t row = 0; row < count; row++) {
            const slot text = {.set = f->sets[s], .row = (int32_t)row, .family = f->family_of[s]};
            f->slot_of[s][row] = slot_for(f, table, mask, text);
        }
    }
cleanup:
    clm_free(table);
    return status;
}

/* ---- where they are kept ---- */

static uint64_t less(uint64_t from, uint64_t amount) {
    return from > amount ? from - amount : 0;
}

/* What a place can take, with a reserve for everything else that runs there. */
static uint64_t room_at(const clm_features *f, clm_feature_place place,
                        const clm_features_plan *plan) {
    const uint64_t memory_bytes = clm_memory_available_bytes() / 2;
    if (place == CLM_FEATURES_HOST) {
        return memory_bytes;
    }
    if (place == CLM_FEATURES_DISK) {
        struct statvfs disk;
        return statvfs(plan->folder, &disk) == 0
                   ? (uint64_t)disk.f_bavail * (uint64_t)disk.f_frsize / 2
                   : 0;
    }
    const uint64_t device_bytes = clm_device_get_info(f->model->device)->memory_size_bytes;
    const uint64_t left_bytes = less(device_bytes - device_bytes / 8, plan->training_bytes);
    return clm_device_is_cpu(f->model->device) && memory_bytes < left_bytes ? memory_bytes
                                                                            : left_bytes;
}

static size_t bytes_of(const clm_features *f, const slot *s) {
    return f->families[s->family].slot_bytes;
}

/* The first slots that a place can take. */
static size_t slots_in(const clm_features *f, clm_feature_place place,
                       const clm_features_plan *plan) {
    const uint64_t room_bytes = room_at(f, place, plan);
    uint64_t left_bytes =
        plan->budget_bytes > 0 && plan->budget_bytes < room_bytes ? plan->budget_bytes : room_bytes;
    size_t count = 0;
    while (count < f->slot_count && bytes_of(f, &f->slots[count]) <= left_bytes) {
        left_bytes -= bytes_of(f, &f->slots[count]);
        count++;
    }
    return count;
}

/* Lays the slots that are kept one behind the other, in pieces of at most `most_bytes`. */
static void lay_out(clm_features *f, uint64_t most_bytes) {
    uint64_t used_bytes = 0;
    f->piece_count = 1;
    f->kept_bytes = 0;
    for (size_t i = 0; i < f->kept_count; i++) {
        slot *s = &f->slots[i];
        if (used_bytes > 0 && used_bytes + bytes_of(f, s) > most_bytes) {
            f->piece_count++;
            used_bytes = 0;
        }
        s->piece = (uint32_t)(f->piece_count - 1);
        s->offset_bytes = used_bytes;
        used_bytes += bytes_of(f, s);
        f->kept_bytes += bytes_of(f, s);
    }
}

static clm_status open_device(clm_features *f) {
    clm_status status = CLM_OK;
    lay_out(f, clm_device_get_info(f->model->device)->max_allocation_size_bytes);
    CLM_TRY(clm_allocate(&f->pieces, f->piece_count, sizeof *f->pieces, "features"));
    for (size_t i = 0; i < f->kept_count; i++) {
        const slot *s = &f->slots[i];
        if (i + 1 == f->kept_count || s[1].piece != s->piece) {
            CLM_TRY(clm_buffer_create(&f->pieces[s->piece], f->model->device,
                                      (size_t)s->offset_bytes + bytes_of(f, s), "features"));
        }
    }
cleanup:
    return status;
}

static clm_status open_host(clm_features *f) {
    lay_out(f, UINT64_MAX);
    return clm_allocate(&f->host, (size_t)f->kept_bytes, 1, "features");
}

static clm_status open_file(clm_features *f, const char *folder) {
    size_t largest_bytes = 0;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < f->family_count; i++) {
        const size_t bytes = f->families[i].slot_bytes;
        largest_bytes = bytes > largest_bytes ? bytes : largest_bytes;
    }
    lay_out(f, UINT64_MAX);
    CLM_TRY(clm_allocate(&f->staging, 1, largest_bytes, "features"));
    CLM_TRY(clm_file_open_scratch(&f->file, folder));
cleanup:
    return status;
}

static void close_place(clm_features *f) {
    for (size_t i = 0; f->pieces != NULL && i < f->piece_count; i++) {
        clm_buffer_release(f->pieces[i]);
    }
    clm_free(f->pieces);
    clm_free(f->host);
    clm_free(f->staging);
    f->pieces = NULL;
    f->host = NULL;
    f->staging = NULL;
    if (f->file >= 0) {
        (void)close(f->file);
        f->file = -1;
    }
}

static clm_status open_place(clm_features *f, clm_feature_place place, const char *folder) {
    f->place = place;
    clm_status status = place == CLM_FEATURES_DEVICE ? open_device(f)
                        : place == CLM_FEATURES_HOST ? open_host(f)
                                                     : open_file(f, folder);
    if (status != CLM_OK) {
        close_place(f);
    }
    return status;
}

/* The place that was asked for, or the first that takes all; where none does, that which takes
 * most. A place that turns out full passes on to the next. */
static clm_status choose_place(clm_features *f, const clm_features_plan *plan) {
    static const clm_feature_place places[] = {CLM_FEATURES_DEVICE, CLM_FEATURES_HOST,
                                               CLM_FEATURES_DISK};
    clm_feature_place best = plan->place;
    if (plan->place != CLM_FEATURES_AUTO) {
        f->kept_count = slots_in(f, plan->place, plan);
        return f->kept_count > 0 ? open_place(f, plan->place, plan->folder) : CLM_OK;
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const size_t slots = slots_in(f, places[i], plan);
        if (slots == f->slot_count) {
            f->kept_count = slots;
            if (open_place(f, places[i], plan->folder) == CLM_OK) {
                return CLM_OK;
            }
            clm_error_clear();
            f->kept_count = 0;
        } else if (best == CLM_FEATURES_AUTO || slots > f->kept_count) {
            best = places[i];
            f->kept_count = slots;
        }
    }
    if (f->kept_count > 0 && open_place(f, best, plan->folder) != CLM_OK) {
        clm_error_clear(); /* what is not kept is computed */
        f->kept_count = 0;
    }
    return CLM_OK;
}

static void tell(const clm_features *f) {
    static const char *const names[] = {[CLM_FEATURES_DEVICE] = "on the device",
                                        [CLM_FEATURES_HOST] = "in host memory",
                                        [CLM_FEATURES_DISK] = "on disk"};
    clm_log(CLM_LOG_INFO,
            "features: %zu of %zu different texts, %.0f MiB, are kept %s in %s; the frozen layers "
            "see each of them once",
            f->kept_count, f->slot_count, (double)f->kept_bytes / (1024.0 * 1024.0),
            names[f->place],
            f->storage == CLM_FEATURES_F16    ? "f16"
            : f->storage == CLM_FEATURES_BF16 ? "bf16"
                                              : "f32");
}

static clm_status choose_widths(clm_features *f, const clm_features_plan *plan) {
    clm_status status = CLM_OK;
    for (size_t i = 0; i < f->family_count; i++) {
        family *of = &f->families[i];
        int wide = 1;
        CLM_TRY(clm_model_wide_batch(f->model, of->T, plan->training_bytes, &wide));
        const int width = (size_t)wide < of->slot_count ? wide : (int)of->slot_count;
        of->width = width > plan->batch ? width : plan->batch;
    }
cleanup:
    return status;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static clm_status make_batch(clm_features *f) {
    const size_t batch = (size_t)f->batch;
    size_t width = 0;
    size_t tokens = 0;
    size_t slot_bytes = 0;
    size_t pass_bytes = 0;
    clm_device *device = f->model->device;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < f->family_count; i++) {
        const family *of = &f->families[i];
        width = larger(width, (size_t)of->width);
        tokens = larger(tokens, (size_t)of->width * (size_t)of->T);
        slot_bytes = larger(slot_bytes, of->slot_bytes);
        pass_bytes = larger(pass_bytes, (size_t)of->width * of->slot_bytes);
    }
    CLM_TRY(clm_allocate(&f->computing, width, sizeof *f->computing, "a batch"));
    CLM_TRY(clm_allocate(&f->wanted, batch, sizeof *f->wanted, "a batch"));
    CLM_TRY(clm_allocate(&f->tokens, tokens, sizeof *f->tokens, "a batch"));
    CLM_TRY(clm_allocate(&f->lengths, width, sizeof *f->lengths, "a batch"));
    CLM_TRY(clm_buffer_create(&f->gathered, device, batch * slot_bytes, "features"));
    if (has_halves(f)) {
        CLM_TRY(clm_buffer_create(&f->halves, device, pass_bytes, "features in 16 bits"));
    }
cleanup:
    return status;
}

clm_status clm_features_make(clm_features **features, clm_model *model,
                             const clm_dataset *const *sets, size_t set_count,
                             const clm_features_plan *plan) {
    *features = NULL;
    if (plan->place == CLM_FEATURES_OFF) {
        return CLM_OK;
    }
    clm_features *f = NULL;
    clm_status status = clm_allocate(&f, 1, sizeof *f, "features");
    if (status != CLM_OK) {
        return status;
    }
    f->model = model;
    f->batch = plan->batch;
    f->on_compute = plan->on_compute;
    f->context = plan->context;
    f->set_count = set_count;
    memcpy(f->sets, sets, set_count * sizeof *sets);
    f->storage = plan->storage;
    f->file = -1;
    CLM_TRY(find_families(f));
    if (f->families[0].count == 0) { /* nothing is frozen */
        goto cleanup;
    }
    CLM_TRY(find_slots(f));
    CLM_TRY(choose_widths(f, plan));
    CLM_TRY(choose_place(f, plan));
    if (f->kept_count == 0) {
        clm_log(CLM_LOG_WARNING,
                "features: no room for those of a single text, so frozen layers run in every step");
        goto cleanup;
    }
    CLM_TRY(make_batch(f));
    tell(f);
    *features = f;
    f = NULL;
cleanup:
    clm_features_free(f);
    return status;
}

void clm_features_free(clm_features *features) {
    if (features == NULL) {
        return;
    }
    /* It may still read what the host keeps. */
    clm_error_hold();
    (void)clm_device_finish(features->model->device);
    clm_error_release();
    if (clm_device_is_given_up(features->model->device)) {
        clm_device_keep(features->model->device, features->host);
        features->host = NULL;
    }
    close_place(features);
    for (size_t s = 0; s < features->set_count; s++) {
        clm_free(features->slot_of[s]);
    }
    clm_free(features->slots);
    clm_buffer_release(features->halves);
    clm_buffer_release(features->gathered);
    clm_free(features->computing);
    clm_free(features->wanted);
    clm_free(features->tokens);
    clm_free(features->lengths);
    clm_free(features);
}

uint64_t clm_features_computed(const clm_features *features) {
    return features != NULL ? features->computed : 0;
}

size_t clm_features_missing(const clm_features *features) {
    return features != NULL ? features->kept_count - features->filled_count : 0;
}

/* ---- from and to the place ---- */

static clm_status file_failed(const char *how) {
    return clm_fail_errno(errno, "the file of features cannot be %s", how);
}

/* Row `at` of `from`, which has the storage's type, into the slot. */
static clm_status store(clm_features *f, uint32_t number, const clm_buffer *from, size_t at) {
    slot *s = &f->slots[number];
    const size_t bytes = bytes_of(f, s);
    const size_t place = (size_t)s->offset_bytes;
    clm_status status = CLM_OK;
    if (f->place == CLM_FEATURES_DEVICE) {
        CLM_TRY(clm_buffer_copy(f->pieces[s->piece], place, from, at * bytes, bytes));
    } else if (f->place == CLM_FEATURES_HOST) {
        CLM_TRY(clm_buffer_read(from, at * bytes, f->host + place, bytes));
    } else {
        CLM_TRY(clm_buffer_read(from, at * bytes, f->staging, bytes));
        if (pwrite(f->file, f->staging, bytes, (off_t)place) != (ssize_t)bytes) {
            status = file_failed("written");
            goto cleanup;
        }
    }
    f->filled_count += s->filled ? 0 : 1;
    s->filled = true;
cleanup:
    return status;
}

/* The slot into row `at` of `to`. What host memory holds never changes once it is there, so the
 * device may read it when it comes to that. */
static clm_status load(const clm_features *f, uint32_t number, clm_buffer *to, size_t at) {
    const slot *s = &f->slots[number];
    const size_t bytes = bytes_of(f, s);
    const size_t place = (size_t)s->offset_bytes;
    if (f->place == CLM_FEATURES_DEVICE) {
        return clm_buffer_copy(to, at * bytes, f->pieces[s->piece], place, bytes);
    }
    if (f->place == CLM_FEATURES_HOST) {
        return clm_buffer_write_lent(to, at * bytes, f->host + place, bytes);
    }
    if (pread(f->file, f->staging, bytes, (off_t)place) != (ssize_t)bytes) {
        return file_failed("read");
    }
    return clm_buffer_write(to, at * bytes, f->staging, bytes);
}

/* ---- a batch ---- */

static size_t position_in(const uint32_t *numbers, size_t count, uint32_t number) {
    size_t i = 0;
    while (i < count && numbers[i] != number) {
        i++;
    }
    return i;
}

static bool is_stored(const clm_features *f, uint32_t number) {
    return number < f->kept_count && f->slots[number].filled;
}

/* The slots of the next pass: what the batch lacks, then others of its family that will be asked
 * for; when none is left, the first again, for a pass of the same size. Returns how many there are
 * without it. */
static size_t choose_missing(clm_features *f, uint8_t number, size_t wanted_count) {
    family *of = &f->families[number];
    const size_t width = (size_t)of->width;
    size_t count = 0;
    for (size_t i = 0; i < wanted_count; i++) {
        if (!is_stored(f, f->wanted[i]) &&
            position_in(f->computing, count, f->wanted[i]) == count) {
            f->computing[count++] = f->wanted[i];
        }
    }
    for (size_t at = of->next_empty; at < f->kept_count && count < width; at++) {
        if (f->slots[at].filled || f->slots[at].family != number) {
            of->next_empty += at == of->next_empty;
        } else if (position_in(f->computing, count, (uint32_t)at) == count) {
            f->computing[count++] = (uint32_t)at;
        }
    }
    for (size_t i = count; i < width; i++) {
        f->computing[i] = f->computing[0];
    }
    return count;
}

static clm_status compute(clm_features *f, const family *of, size_t count) {
    clm_model *model = f->model;
    const size_t width = (size_t)of->width;
    const size_t T = (size_t)of->T;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < width; i++) {
        const slot *s = &f->slots[f->computing[i]];
        memcpy(f->tokens + i * T, tokens_of(s), T * sizeof *f->tokens);
        f->lengths[i] = clm_dataset_lengths(s->set)[s->row];
    }
    if (f->on_compute != NULL) {
        f->on_compute(f->context, f->filled_count, f->kept_count);
    }
    CLM_TRY(clm_model_compute_features(model, f->tokens, f->lengths, of->width, of->T));
    f->computed += width;
    const clm_buffer *from = clm_model_features(model);
    if (has_halves(f)) {
        CLM_TRY(clm_convert_narrow(f->model->device, halves_type(f), f->halves, from,
                                   width * of->count));
        from = f->halves;
    }
    for (size_t i = 0; i < count; i++) {
        if (f->computing[i] < f->kept_count) {
            CLM_TRY(store(f, f->computing[i], from, i));
        }
    }
cleanup:
    return status;
}

/* The first `count` of `wanted` from where they are kept into `to`. */
static clm_status load_all(clm_features *f, const family *of, clm_buffer *to, size_t count) {
    const bool halves = has_halves(f);
    clm_status status = CLM_OK;
    for (size_t i = 0; i < count; i++) {
        CLM_TRY(load(f, f->wanted[i], halves ? f->halves : to, i));
    }
    if (halves) {
        CLM_TRY(
            clm_convert_widen(f->model->device, halves_type(f), to, f->halves, count * of->count));
    }
cleanup:
    return status;
}

/* After a pass over `computed` slots: what has no place is taken from the pass itself, as it would
 * have been kept. */
static clm_status gather(clm_features *f, const family *of, size_t count, size_t computed) {
    const size_t bytes = of->slot_bytes;
    const bool halves = has_halves(f);
    clm_buffer *features = clm_model_features(f->model);
    clm_status status = CLM_OK;
    bool all_stored = true;
    for (size_t i = 0; i < count; i++) {
        all_stored = all_stored && is_stored(f, f->wanted[i]);
    }
    if (all_stored) {
        return load_all(f, of, features, count);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t at = position_in(f->computing, computed, f->wanted[i]);
        if (at < computed) {
            CLM_TRY(clm_buffer_copy(f->gathered, i * bytes, halves ? f->halves : features,
                                    at * bytes, bytes));
        } else {
            CLM_TRY(load(f, f->wanted[i], f->gathered, i));
        }
    }
    if (halves) {
        CLM_TRY(clm_convert_widen(f->model->device, halves_type(f), features, f->gathered,
                                  count * of->count));
    } else {
        CLM_TRY(clm_buffer_copy(features, 0, f->gathered, 0, count * bytes));
    }
cleanup:
    return status;
}

clm_status clm_features_take(clm_features *features, const clm_dataset *set, const int32_t *rows,
                             size_t count) {
    clm_features *f = features;
    size_t s = 0;
    bool missing = false;
    clm_status status = CLM_OK;
    while (s < f->set_count && f->sets[s] != set) {
        s++;
    }
    if (s == f->set_count || count > (size_t)f->batch) {
        return clm_fail(CLM_ERROR_ARGUMENT, "features of %zu rows of a set that has none", count);
    }
    const uint8_t number = f->family_of[s];
    const family *of = &f->families[number];
    for (size_t i = 0; i < count; i++) {
        f->wanted[i] = f->slot_of[s][rows[i]];
        missing = missing || !is_stored(f, f->wanted[i]);
    }
    CLM_TRY(clm_model_reserve_features(f->model, (size_t)of->width * of->count));
    if (!missing) {
        return load_all(f, of, clm_model_features(f->model), count);
    }
    const size_t computed = choose_missing(f, number, count);
    CLM_TRY(compute(f, of, computed));
    CLM_TRY(gather(f, of, count, computed));
cleanup:
    return status;
}
