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

/* A text of its own: the first row with these tokens. */
typedef struct slot {
    const clm_dataset *set;
    int32_t row;
    bool filled;
} slot;

struct clm_features {
    clm_model *model;
    int T;
    int batch; /* rows asked for at once, at most */
    int width; /* texts of a pass through the frozen layers, at least `batch` */
    const clm_dataset *sets[CLM_FEATURES_SETS_MOST];
    uint32_t *slot_of[CLM_FEATURES_SETS_MOST]; /* of each row */
    size_t set_count;
    slot *slots;
    size_t slot_count;
    size_t kept_count; /* slots from here on are computed each time */
    size_t next_empty; /* no slot before it is both kept and empty */
    size_t count;      /* floats of a text */
    size_t slot_bytes;
    clm_feature_place place;
    clm_feature_storage storage;
    clm_buffer **pieces; /* on the device, each of piece_slots */
    size_t piece_count;
    size_t piece_slots;
    unsigned char *host;
    int file;               /* -1 when there is none */
    unsigned char *staging; /* one text, for the file */
    clm_buffer *halves;     /* one pass in 16 bits */
    clm_buffer *gathered;   /* one batch that is put together from several places */
    uint32_t *computing;    /* (width) slots of a pass */
    uint32_t *wanted;       /* (batch) slots of the rows asked for */
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

/* Floats to 16 bits, and back. */
static clm_status narrow(const clm_features *f, clm_buffer *halves, const clm_buffer *floats,
                         size_t count) {
    return f->storage == CLM_FEATURES_F16
               ? clm_convert_f32_to_f16(f->model->device, halves, floats, count)
               : clm_convert_f32_to_bf16(f->model->device, halves, floats, count);
}

static clm_status widen(const clm_features *f, clm_buffer *floats, const clm_buffer *halves,
                        size_t count) {
    return f->storage == CLM_FEATURES_F16
               ? clm_convert_f16_to_f32(f->model->device, floats, halves, count)
               : clm_convert_bf16_to_f32(f->model->device, floats, halves, count);
}

/* ---- which texts there are ---- */

static const int32_t *tokens_of(const clm_features *f, const slot *s) {
    return clm_dataset_tokens(s->set) + (size_t)s->row * (size_t)f->T;
}

/* Padding is not told from text by tokens alone, and pooling asks where the text ends. */
static bool equal_texts(const clm_features *f, const slot *a, const slot *b) {
    return clm_dataset_lengths(a->set)[a->row] == clm_dataset_lengths(b->set)[b->row] &&
           memcmp(tokens_of(f, a), tokens_of(f, b), (size_t)f->T * sizeof(int32_t)) == 0;
}

/* The slot of a row, a new one when no earlier row has its tokens. `table` (mask + 1) holds slot
 * numbers from 1. */
static uint32_t slot_for(clm_features *f, uint32_t *table, size_t mask, slot text) {
    uint64_t at = clm_keyed_hash(tokens_of(f, &text), (size_t)f->T * sizeof(int32_t));
    for (;; at++) {
        uint32_t *entry = &table[at & mask];
        if (*entry == 0) {
            f->slots[f->slot_count++] = text;
            *entry = (uint32_t)f->slot_count;
            return *entry - 1;
        }
        if (equal_texts(f, &f->slots[*entry - 1], &text)) {
            return *entry - 1;
        }
    }
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
            const slot text = {.set = f->sets[s], .row = (int32_t)row};
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

static size_t slots_in(const clm_features *f, clm_feature_place place,
                       const clm_features_plan *plan) {
    const uint64_t room_bytes = room_at(f, place, plan);
    const uint64_t bytes =
        plan->budget_bytes > 0 && plan->budget_bytes < room_bytes ? plan->budget_bytes : room_bytes;
    const uint64_t slots = bytes / f->slot_bytes;
    return slots < f->slot_count ? (size_t)slots : f->slot_count;
}

static clm_status open_device(clm_features *f) {
    const uint64_t most_bytes = clm_device_get_info(f->model->device)->max_allocation_size_bytes;
    clm_status status = CLM_OK;
    f->piece_slots = (size_t)(most_bytes / f->slot_bytes);
    f->piece_slots = f->piece_slots < 1 ? 1 : f->piece_slots;
    f->piece_count = (f->kept_count + f->piece_slots - 1) / f->piece_slots;
    CLM_TRY(clm_allocate(&f->pieces, f->piece_count, sizeof *f->pieces, "features"));
    for (size_t i = 0; i < f->piece_count; i++) {
        const size_t left = f->kept_count - i * f->piece_slots;
        CLM_TRY(clm_buffer_create(&f->pieces[i], f->model->device,
                                  (left < f->piece_slots ? left : f->piece_slots) * f->slot_bytes,
                                  "features"));
    }
cleanup:
    return status;
}

static clm_status open_host(clm_features *f) {
    return clm_allocate(&f->host, f->kept_count, f->slot_bytes, "features");
}

static clm_status open_file(clm_features *f, const char *folder) {
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&f->staging, 1, f->slot_bytes, "features"));
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
            f->kept_count, f->slot_count,
            (double)f->kept_count * (double)f->slot_bytes / (1024.0 * 1024.0), names[f->place],
            f->storage == CLM_FEATURES_F16    ? "f16"
            : f->storage == CLM_FEATURES_BF16 ? "bf16"
                                              : "f32");
}

static int choose_width(const clm_features *f, const clm_features_plan *plan) {
    const int wide = clm_model_wide_batch(f->model, f->T, plan->training_bytes);
    const int width = (size_t)wide < f->slot_count ? wide : (int)f->slot_count;
    return width > plan->batch ? width : plan->batch;
}

static clm_status make_batch(clm_features *f) {
    const size_t batch = (size_t)f->batch;
    const size_t width = (size_t)f->width;
    clm_device *device = f->model->device;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&f->computing, width, sizeof *f->computing, "a batch"));
    CLM_TRY(clm_allocate(&f->wanted, batch, sizeof *f->wanted, "a batch"));
    CLM_TRY(clm_allocate(&f->tokens, width * (size_t)f->T, sizeof *f->tokens, "a batch"));
    CLM_TRY(clm_allocate(&f->lengths, width, sizeof *f->lengths, "a batch"));
    CLM_TRY(clm_buffer_create(&f->gathered, device, batch * f->slot_bytes, "features"));
    if (has_halves(f)) {
        CLM_TRY(
            clm_buffer_create(&f->halves, device, width * f->slot_bytes, "features in 16 bits"));
    }
cleanup:
    return status;
}

clm_status clm_features_make(clm_features **features, clm_model *model,
                             const clm_dataset *const *sets, size_t set_count,
                             const clm_features_plan *plan) {
    *features = NULL;
    if (plan->place == CLM_FEATURES_OFF || !clm_model_has_features(model)) {
        return CLM_OK;
    }
    clm_features *f = NULL;
    clm_status status = clm_allocate(&f, 1, sizeof *f, "features");
    if (status != CLM_OK) {
        return status;
    }
    f->model = model;
    f->T = clm_dataset_length(sets[0]);
    f->batch = plan->batch;
    f->on_compute = plan->on_compute;
    f->context = plan->context;
    f->set_count = set_count;
    memcpy(f->sets, sets, set_count * sizeof *sets);
    f->storage = plan->storage;
    f->count = clm_model_feature_count(model, f->T);
    f->slot_bytes = f->count * (has_halves(f) ? 2 : sizeof(float));
    f->file = -1;
    CLM_TRY(find_slots(f));
    f->width = choose_width(f, plan);
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

static clm_buffer *piece_of(const clm_features *f, uint32_t number, size_t *offset_bytes) {
    *offset_bytes = number % f->piece_slots * f->slot_bytes;
    return f->pieces[number / f->piece_slots];
}

static clm_status file_failed(const char *how) {
    return clm_fail_errno(errno, "the file of features cannot be %s", how);
}

/* Row `at` of `from`, which has the storage's type, into the slot. */
static clm_status store(clm_features *f, uint32_t number, const clm_buffer *from, size_t at) {
    const size_t from_bytes = at * f->slot_bytes;
    size_t offset_bytes = 0;
    clm_status status = CLM_OK;
    if (f->place == CLM_FEATURES_DEVICE) {
        clm_buffer *piece = piece_of(f, number, &offset_bytes);
        CLM_TRY(clm_buffer_copy(piece, offset_bytes, from, from_bytes, f->slot_bytes));
    } else if (f->place == CLM_FEATURES_HOST) {
        CLM_TRY(clm_buffer_read(from, from_bytes, f->host + number * f->slot_bytes, f->slot_bytes));
    } else {
        const off_t place = (off_t)number * (off_t)f->slot_bytes;
        CLM_TRY(clm_buffer_read(from, from_bytes, f->staging, f->slot_bytes));
        if (pwrite(f->file, f->staging, f->slot_bytes, place) != (ssize_t)f->slot_bytes) {
            status = file_failed("written");
            goto cleanup;
        }
    }
    f->filled_count += f->slots[number].filled ? 0 : 1;
    f->slots[number].filled = true;
cleanup:
    return status;
}

/* The slot into row `at` of `to`. What host memory holds never changes once it is there, so the
 * device may read it when it comes to that. */
static clm_status load(const clm_features *f, uint32_t number, clm_buffer *to, size_t at) {
    const size_t to_bytes = at * f->slot_bytes;
    size_t offset_bytes = 0;
    if (f->place == CLM_FEATURES_DEVICE) {
        const clm_buffer *piece = piece_of(f, number, &offset_bytes);
        return clm_buffer_copy(to, to_bytes, piece, offset_bytes, f->slot_bytes);
    }
    if (f->place == CLM_FEATURES_HOST) {
        return clm_buffer_write_lent(to, to_bytes, f->host + number * f->slot_bytes, f->slot_bytes);
    }
    const off_t place = (off_t)number * (off_t)f->slot_bytes;
    if (pread(f->file, f->staging, f->slot_bytes, place) != (ssize_t)f->slot_bytes) {
        return file_failed("read");
    }
    return clm_buffer_write(to, to_bytes, f->staging, f->slot_bytes);
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

/* The slots of the next pass: what the batch lacks, then others that will be asked for; when none
 * is left, the first again, for a pass of the same size. Returns how many there are without it. */
static size_t choose_missing(clm_features *f, size_t wanted_count) {
    const size_t width = (size_t)f->width;
    size_t count = 0;
    for (size_t i = 0; i < wanted_count; i++) {
        if (!is_stored(f, f->wanted[i]) &&
            position_in(f->computing, count, f->wanted[i]) == count) {
            f->computing[count++] = f->wanted[i];
        }
    }
    for (size_t at = f->next_empty; at < f->kept_count && count < width; at++) {
        if (f->slots[at].filled) {
            f->next_empty += at == f->next_empty;
        } else if (position_in(f->computing, count, (uint32_t)at) == count) {
            f->computing[count++] = (uint32_t)at;
        }
    }
    for (size_t i = count; i < width; i++) {
        f->computing[i] = f->computing[0];
    }
    return count;
}

static clm_status compute(clm_features *f, size_t count) {
    clm_model *model = f->model;
    const size_t width = (size_t)f->width;
    const size_t T = (size_t)f->T;
    clm_status status = CLM_OK;
    for (size_t i = 0; i < width; i++) {
        const slot *s = &f->slots[f->computing[i]];
        memcpy(f->tokens + i * T, tokens_of(f, s), T * sizeof *f->tokens);
        f->lengths[i] = clm_dataset_lengths(s->set)[s->row];
    }
    if (f->on_compute != NULL) {
        f->on_compute(f->context, f->filled_count, f->kept_count);
    }
    CLM_TRY(clm_model_compute_features(model, f->tokens, f->lengths, f->width, f->T));
    f->computed += width;
    const clm_buffer *from = clm_model_features(model);
    if (has_halves(f)) {
        CLM_TRY(narrow(f, f->halves, from, width * f->count));
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
static clm_status load_all(clm_features *f, clm_buffer *to, size_t count) {
    const bool halves = has_halves(f);
    clm_status status = CLM_OK;
    for (size_t i = 0; i < count; i++) {
        CLM_TRY(load(f, f->wanted[i], halves ? f->halves : to, i));
    }
    if (halves) {
        CLM_TRY(widen(f, to, f->halves, count * f->count));
    }
cleanup:
    return status;
}

/* After a pass over `computed` slots: what has no place is taken from the pass itself, as it would
 * have been kept. */
static clm_status gather(clm_features *f, size_t count, size_t computed) {
    const bool halves = has_halves(f);
    clm_buffer *features = clm_model_features(f->model);
    clm_status status = CLM_OK;
    bool all_stored = true;
    for (size_t i = 0; i < count; i++) {
        all_stored = all_stored && is_stored(f, f->wanted[i]);
    }
    if (all_stored) {
        return load_all(f, features, count);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t at = position_in(f->computing, computed, f->wanted[i]);
        if (at < computed) {
            CLM_TRY(clm_buffer_copy(f->gathered, i * f->slot_bytes, halves ? f->halves : features,
                                    at * f->slot_bytes, f->slot_bytes));
        } else {
            CLM_TRY(load(f, f->wanted[i], f->gathered, i));
        }
    }
    if (halves) {
        CLM_TRY(widen(f, features, f->gathered, count * f->count));
    } else {
        CLM_TRY(clm_buffer_copy(features, 0, f->gathered, 0, count * f->slot_bytes));
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
    for (size_t i = 0; i < count; i++) {
        f->wanted[i] = f->slot_of[s][rows[i]];
        missing = missing || !is_stored(f, f->wanted[i]);
    }
    CLM_TRY(clm_model_reserve_features(f->model, f->width, f->T));
    if (!missing) {
        return load_all(f, clm_model_features(f->model), count);
    }
    const size_t computed = choose_missing(f, count);
    CLM_TRY(compute(f, computed));
    CLM_TRY(gather(f, count, computed));
cleanup:
    return status;
}
