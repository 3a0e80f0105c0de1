/* A tokenizer's folder: which files it has, and how its text is read.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"
#include "base/lines.h"
#include "base/memory.h"
#include "text/load_files.h"

enum {
    file_json,
    file_vocab,
    file_merges,
    file_encoder,
    file_bpe,
    file_config,
    file_special_map,
    file_added,
    file_model_config,
    file_count
};

static const char *const file_names[file_count] = {
    [file_json] = "tokenizer.json",
    [file_vocab] = "vocab.json",
    [file_merges] = "merges.txt",
    [file_encoder] = "encoder.json",
    [file_bpe] = "vocab.bpe",
    [file_config] = "tokenizer_config.json",
    [file_special_map] = "special_tokens_map.json",
    [file_added] = "added_tokens.json",
    [file_model_config] = "config.json",
};

typedef struct folder_files {
    char *paths[file_count];
    char *texts[file_count];
    clm_source sources[file_count];
} folder_files;

static clm_status read_file(folder_files *f, int file) {
    clm_source *source = &f->sources[file];
    const bool small = file == file_config || file == file_special_map || file == file_model_config;
    const clm_file_kind kind = small ? CLM_FILE_CONFIG : CLM_FILE_TOKENIZER;
    clm_status status = CLM_OK;
    source->where = f->paths[file];
    CLM_TRY(clm_file_read(f->paths[file], kind, &f->texts[file], &source->length));
    CLM_TRY(clm_text_refuse_nul(f->texts[file], source->length, source->where));
    const size_t mark = clm_text_mark(f->texts[file], source->length);
    source->text = f->texts[file] + mark;
    source->length -= mark;
cleanup:
    return status;
}

/* A file that need not be there. */
static clm_status read_optional(folder_files *f, int file, const clm_source **source) {
    if (!clm_file_exists(f->paths[file])) {
        return CLM_OK;
    }
    *source = &f->sources[file];
    return read_file(f, file);
}

static clm_status read_pair(folder_files *f, int vocab, int merges, clm_tokenizer_files *files) {
    clm_status status = read_file(f, vocab);
    files->vocab = &f->sources[vocab];
    files->merges = &f->sources[merges];
    return status == CLM_OK ? read_file(f, merges) : status;
}

clm_status clm_tokenizer_open(clm_tokenizer **tokenizer, const char *folder) {
    clm_status status = CLM_OK;
    folder_files f = {{0}, {0}, {{0}}};
    clm_tokenizer_files files = {0};
    *tokenizer = NULL;
    for (size_t i = 0; i < file_count; i++) {
        CLM_TRY(clm_path_join(&f.paths[i], folder, file_names[i]));
    }
    if (clm_file_exists(f.paths[file_json])) {
        CLM_TRY(read_file(&f, file_json));
        files.json = &f.sources[file_json];
    } else if (clm_file_exists(f.paths[file_vocab])) {
        CLM_TRY(read_pair(&f, file_vocab, file_merges, &files));
    } else if (clm_file_exists(f.paths[file_encoder])) {
        CLM_TRY(read_pair(&f, file_encoder, file_bpe, &files));
    } else {
        status = clm_fail(CLM_ERROR_NOT_FOUND,
                          "%s: no tokenizer here: needs tokenizer.json, vocab.json with "
                          "merges.txt, or encoder.json with vocab.bpe (GPT-2's come with "
                          "`clm fetch gpt2`)",
                          folder);
        goto cleanup;
    }
    CLM_TRY(read_optional(&f, file_config, &files.config));
    CLM_TRY(read_optional(&f, file_special_map, &files.special_map));
    CLM_TRY(read_optional(&f, file_added, &files.added));
    CLM_TRY(read_optional(&f, file_model_config, &files.model_config));
    CLM_TRY(clm_load_files(tokenizer, &files));
cleanup:
    for (size_t i = 0; i < file_count; i++) {
        clm_free(f.texts[i]);
        clm_free(f.paths[i]);
    }
    return status;
}
