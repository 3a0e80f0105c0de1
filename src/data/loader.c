/* Batches, as torch.utils.data.DataLoader gives them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "base/random.h"
#include "data/dataset.h"

struct clm_loader {
    clm_torch_random *random;
    clm_loader_options options;
    size_t count;   /* rows of the data set */
    int32_t *order; /* (count) */
    clm_loader_position position;
};

clm_status clm_loader_create(clm_loader **loader, const clm_dataset *dataset,
                             clm_torch_random *random, const clm_loader_options *options) {
    static const clm_loader_options usual = CLM_LOADER_OPTIONS_DEFAULT;
    *loader = NULL;
    clm_status status = CLM_OK;
    clm_loader *fresh = NULL;
    CLM_TRY(clm_allocate(&fresh, 1, sizeof *fresh, "a loader"));
    fresh->random = random;
    fresh->options = options != NULL ? *options : usual;
    fresh->count = clm_dataset_count(dataset);
    if (fresh->options.batch <= 0) {
        status =
            clm_fail(CLM_ERROR_SHAPE, "a batch of %d texts is impossible", fresh->options.batch);
        goto cleanup;
    }
    if (clm_loader_batch_count(fresh) == 0) {
        status = clm_fail(CLM_ERROR_SHAPE,
                          "%zu texts do not fill one batch of %d, and smaller ones are dropped; "
                          "choose a smaller batch",
                          fresh->count, fresh->options.batch);
        goto cleanup;
    }
    CLM_TRY(clm_allocate(&fresh->order, fresh->count, sizeof *fresh->order, "the order of rows"));
    for (size_t row = 0; row < fresh->count; row++) {
        fresh->order[row] = (int32_t)row;
    }
    *loader = fresh;
    fresh = NULL;
cleanup:
    clm_loader_free(fresh);
    return status;
}

void clm_loader_free(clm_loader *loader) {
    if (loader != NULL) {
        clm_free(loader->order);
        clm_free(loader);
    }
}

size_t clm_loader_batch_count(const clm_loader *loader) {
    size_t batch = (size_t)loader->options.batch;
    return (loader->count + (loader->options.drop_last ? 0 : batch - 1)) / batch;
}

void clm_loader_begin(clm_loader *loader) {
    (void)clm_torch_random_int64(loader->random); /* _BaseDataLoaderIter._base_seed */
    loader->position = (clm_loader_position){.begun = true};
}

/* RandomSampler.__iter__: a generator of its own, seeded from the shared one. */
static void shuffle(clm_loader *loader, int64_t sampler_seed) {
    clm_torch_random sampler;
    clm_torch_random_seed(&sampler, (uint64_t)sampler_seed);
    clm_torch_random_permutation(&sampler, loader->order, loader->count);
}

size_t clm_loader_next(clm_loader *loader, const int32_t **rows) {
    *rows = NULL;
    clm_loader_position *position = &loader->position;
    if (!position->begun) {
        return 0;
    }
    /* Only now: Python's generator functions run from their first next() on. */
    if (loader->options.shuffle && !position->drawn) {
        position->sampler_seed = clm_torch_random_int64(loader->random);
        position->drawn = true;
        shuffle(loader, position->sampler_seed);
    }
    if (position->next_batch >= clm_loader_batch_count(loader)) {
        return 0;
    }
    size_t batch = (size_t)loader->options.batch;
    size_t first = (size_t)position->next_batch * batch;
    position->next_batch++;
    *rows = loader->order + first;
    return loader->count - first < batch ? loader->count - first : batch;
}

void clm_loader_save(const clm_loader *loader, clm_loader_position *position) {
    *position = loader->position;
}

clm_status clm_loader_restore(clm_loader *loader, const clm_loader_position *position) {
    bool drawn_in_vain = position->drawn && (!position->begun || !loader->options.shuffle);
    bool given_undrawn = position->next_batch > 0 &&
                         (!position->begun || (loader->options.shuffle && !position->drawn));
    if (drawn_in_vain || given_undrawn || position->sampler_seed < 0 ||
        position->next_batch > clm_loader_batch_count(loader)) {
        return clm_fail(CLM_ERROR_FORMAT,
                        "the saved position, batch %llu of %zu, is none of these rows and batches",
                        (unsigned long long)position->next_batch, clm_loader_batch_count(loader));
    }
    loader->position = *position;
    if (position->drawn) {
        shuffle(loader, position->sampler_seed);
    }
    return CLM_OK;
}
