/* Sources, programs and kernels.
 *
 * A program is one file, or where the driver asks for it (clm_quirk_joins_files()) a group of files
 * that are built with the same options. In a group each file is preprocessed as if it were alone:
 * its macros end with it, and #line keeps errors true. Functions and types need names of their own;
 * a group that does not compile is built file by file, so that no file takes others with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "device/internal.h"
#include "device/program.h"

/* Made from cl/ by ci/cmake/EmbedKernels.cmake. */
extern const clm_embedded_file clm_embedded_files[];
extern const size_t clm_embedded_file_count;

/* ---- groups ---- */

enum { GROUP_FILES = 8, GROUP_MACROS = 8 };

struct clm_program_group {
    const char *files[GROUP_FILES];
    const char *macros[GROUP_MACROS]; /* options that define others are built file by file */
};

/* What an answer takes, what training takes between layers, what Llama takes besides, and products.
 */
static const clm_program_group groups[] = {
    {.files = {"embedding", "layernorm", "rows"}, .macros = {"WIDTH", "LOCAL"}},
    {.files = {"gelu", "crossentropy", "residual", "dropout", "convert", "reduce", "adamw",
               "gemm_outer"},
     .macros = {"WIDTH", "LOCAL"}},
    {.files = {"attention", "attention_one"}, .macros = {"D", "WIDTH", "LOCAL", "ITEM"}},
    {.files = {"rmsnorm", "rope", "silu_gate"}, .macros = {"WIDTH", "LOCAL"}},
    {.files = {"gemm", "gemm_few"},
     .macros = {"WIDTH", "VECTORS", "ROWS", "K_BLOCK", "ITEMS", "SIDE", "K_STEP", "ITEM"}},
};

/* Whether `name` is among the first `most` of the list, which NULL may end. */
static bool is_listed(const char *const *list, size_t most, const char *name, size_t length) {
    for (size_t i = 0; i < most && list[i] != NULL; i++) {
        if (strlen(list[i]) == length && memcmp(list[i], name, length) == 0) {
            return true;
        }
    }
    return false;
}

/* How long the name of a macro is. */
static size_t macro_length(const char *name) {
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
}

static bool defines_only(const char *options, const clm_program_group *group) {
    for (const char *at = options + strspn(options, " "); *at != '\0'; at += strspn(at, " ")) {
        if (strncmp(at, "-D", 2) != 0 ||
            !is_listed(group->macros, GROUP_MACROS, at + 2, macro_length(at + 2))) {
            return false;
        }
        at += strcspn(at, " ");
    }
    return true;
}

/* The group that a file is built with; NULL: alone. */
static const clm_program_group *group_of(const clm_device *device, const char *file,
                                         const char *options) {
    if (!clm_quirk_joins_files(&device->info) || clm_kernel_cache_is_on(device)) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (is_listed(groups[i].files, GROUP_FILES, file, strlen(file)) &&
            defines_only(options, &groups[i])) {
            return &groups[i];
        }
    }
    return NULL;
}

/* ---- sources ---- */

static clm_status read_kernel_file(char **text, const char *name) {
    const char *folder = getenv("CLM_KERNEL_DIR");
    size_t size_bytes = 0;
    if (folder != NULL && folder[0] != '\0') {
        char *path = NULL;
        clm_status status = clm_path_join(&path, folder, name);
        if (status == CLM_OK) {
            status = clm_file_read(path, CLM_FILE_SOURCE, text, &size_bytes);
        }
        clm_free(path);
        return status;
    }
    for (size_t i = 0; i < clm_embedded_file_count; i++) {
        const clm_embedded_file *file = &clm_embedded_files[i];
        if (strcmp(file->name, name) == 0) {
            clm_status status = clm_allocate(text, file->size_bytes + 1, 1, "a kernel's source");
            if (status == CLM_OK) {
                memcpy(*text, file->bytes, file->size_bytes);
            }
            return status;
        }
    }
    return clm_fail(CLM_ERROR_INTERNAL, "no kernel file %s is embedded", name);
}

clm_status clm_kernel_sources_hash(uint64_t *hash) {
    *hash = CLM_HASH_START;
    for (size_t i = 0; i < clm_embedded_file_count; i++) {
        char *text = NULL;
        clm_status status = read_kernel_file(&text, clm_embedded_files[i].name);
        if (status != CLM_OK) {
            return status;
        }
        *hash = clm_hash(*hash, text, strlen(text));
        clm_free(text);
    }
    return CLM_OK;
}

/* Adds `text`, the file `name`, with each header in the place of its #include, because an include
 * path means nothing to an embedded file; the #line directives keep file and line in build errors
 * true. Headers include nothing themselves. */
static clm_status add_with_headers(clm_string *whole, const char *text, const char *name) {
    static const char include[] = "#include \"";
    clm_status status = CLM_OK;
    char *header = NULL;
    clm_string header_name = {0};
    int line = 1;
    clm_string_add_format(whole, "#line 1 \"cl/%s\"\n", name);
    for (const char *at = strstr(text, include); at != NULL; at = strstr(text, include)) {
        const char *from = at + strlen(include);
        const size_t length = strcspn(from, "\"\n");
        for (const char *c = text; c < at; c++) {
            line += *c == '\n';
        }
        clm_string_clear(&header_name);
        clm_string_add_bytes(&header_name, from, length);
        CLM_TRY(clm_string_status(&header_name));
        CLM_TRY(read_kernel_file(&header, header_name.text));
        clm_string_add_bytes(whole, text, (size_t)(at - text));
        clm_string_add_format(whole, "\n#line 1 \"cl/%s\"\n%s\n#line %d \"cl/%s\"\n",
                              header_name.text, header, line, name);
        clm_free(header);
        header = NULL;
        text = from + length + (from[length] == '"');
    }
    clm_string_add(whole, text);
cleanup:
    clm_string_free(&header_name);
    clm_free(header);
    return status;
}

/* Ends the macros of a file, so that the next one of its group is read as if it were the first; but
 * not those that the options may define, which are the group's. */
static void add_undefines(clm_string *whole, const char *text, const clm_program_group *group) {
    static const char define[] = "\n#define ";
    for (const char *at = strstr(text, define); at != NULL; at = strstr(at, define)) {
        at += strlen(define);
        const size_t length = macro_length(at);
        if (!is_listed(group->macros, GROUP_MACROS, at, length)) {
            clm_string_add_format(whole, "\n#undef %.*s", (int)length, at);
        }
    }
    clm_string_add(whole, "\n");
}

/* Adds cl/<file>.cl, for a group or (NULL) alone. */
static clm_status add_source(clm_string *whole, const char *file, const clm_program_group *group) {
    clm_status status = CLM_OK;
    char *text = NULL;
    clm_string name = {0};
    clm_string_add_format(&name, "%s.cl", file);
    CLM_TRY(clm_string_status(&name));
    CLM_TRY(read_kernel_file(&text, name.text));
    CLM_TRY(add_with_headers(whole, text, name.text));
    if (group != NULL) {
        add_undefines(whole, text, group);
    }
cleanup:
    clm_string_free(&name);
    clm_free(text);
    return status;
}

/* The source of a group, or of a file where there is none, with headers put in the place of their
 * #include, through *source (clm_free). */
static clm_status make_source(char **source, const char *file, const clm_program_group *group) {
    *source = NULL;
    clm_status status = CLM_OK;
    clm_string whole = {0};
    if (group == NULL) {
        CLM_TRY(add_source(&whole, file, NULL));
    }
    for (size_t i = 0; group != NULL && i < GROUP_FILES && group->files[i] != NULL; i++) {
        CLM_TRY(add_source(&whole, group->files[i], group));
    }
    CLM_TRY(clm_string_status(&whole));
    *source = whole.text;
    whole = (clm_string){0};
cleanup:
    clm_string_free(&whole);
    return status;
}

/* ---- programs ---- */

/* The line of a build log that says most: the first with "error", else the first that is not empty.
 */
static void best_line(const char *log, char *line, size_t capacity) {
    const char *at = strstr(log, "error");
    if (at == NULL) {
        at = log + strspn(log, " \t\r\n");
    }
    while (at > log && at[-1] != '\n') {
        at--;
    }
    size_t length = strcspn(at, "\r\n");
    length = length < capacity - 1 ? length : capacity - 1;
    memcpy(line, at, length);
    line[length] = '\0';
}

static clm_status build_failed(clm_device *device, cl_program program, const char *what,
                               const char *options, cl_int code) {
    char *log = NULL;
    size_t size_bytes = 0;
    (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &size_bytes);
    clm_status status = clm_allocate(&log, size_bytes + 1, 1, "a build log");
    if (status != CLM_OK) {
        return status;
    }
    (void)clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size_bytes, log, NULL);
    clm_log(CLM_LOG_DEBUG, "build log of %s: %s", what, log);
    char line[512];
    best_line(log, line, sizeof line);
    clm_free(log);
    return clm_fail(CLM_ERROR_BUILD, "%s: %s does not compile with \"%s\" (%s): %s",
                    device->info.name, what, options, clm_opencl_error_name(code),
                    line[0] != '\0' ? line : "the driver gives no build log");
}

/* Building takes from milliseconds to minutes. */
static void tell_of(const char *kernel) {
    char detail[96];
    (void)snprintf(detail, sizeof detail, "building %s", kernel);
    clm_progress_detail(detail);
}

/* `what` is built, in words. */
static clm_status build(cl_program *program, clm_device *device, const char *what,
                        const char *source, const char *options) {
    clm_status status = CLM_OK;
    cl_program made = NULL;
    cl_int code = CL_SUCCESS;
    double start = clm_seconds();
    tell_of(what);
    CLM_TRY(clm_kernel_cache_load(&made, device, source, options));
    const bool cached = made != NULL;
    if (!cached) {
        made = clCreateProgramWithSource(device->context, 1, &source, NULL, &code);
        CLM_TRY(clm_opencl_check(code, "clCreateProgramWithSource", what));
        code = clBuildProgram(made, 1, &device->id, options, NULL, NULL);
        if (code != CL_SUCCESS) {
            status = build_failed(device, made, what, options, code);
            goto cleanup;
        }
        clm_kernel_cache_store(device, made, source, options);
    }
    clm_log(CLM_LOG_DEBUG, "%s %s in %.3f s with \"%s\"", what,
            cached ? "read from the cache" : "built", clm_seconds() - start, options);
    *program = made;
    made = NULL;
cleanup:
    if (made != NULL) {
        clm_release_program(made);
    }
    return status;
}

static clm_status build_group_or_file(cl_program *program, clm_device *device,
                                      const clm_program_group *group, const char *file,
                                      const char *options) {
    clm_status status = CLM_OK;
    char *source = NULL;
    clm_string what = {0};
    clm_string all_options = {0};
    /* PoCL counts warnings on standard error, such as those of vectors wider than the processor's;
     * tests/house/check_kernels.sh is where they matter. */
    clm_string_add_format(&all_options, "-cl-std=CL1.2 -w%s %s",
                          clm_quirk_build_options(&device->info), options);
    CLM_TRY(clm_string_status(&all_options));
    clm_string_add_format(&what, "cl/%s.cl", group == NULL ? file : group->files[0]);
    for (size_t i = 1; group != NULL && i < GROUP_FILES && group->files[i] != NULL; i++) {
        clm_string_add_format(&what, ", %s.cl", group->files[i]);
    }
    CLM_TRY(clm_string_status(&what));
    CLM_TRY(make_source(&source, file, group));
    CLM_TRY(build(program, device, what.text, source, all_options.text));
cleanup:
    clm_free(source);
    clm_string_free(&what);
    clm_string_free(&all_options);
    return status;
}

static clm_status add_program(clm_program **program, clm_device *device,
                              const clm_program_group *group, const char *file,
                              const char *options) {
    clm_status status = CLM_OK;
    clm_program made = {.group = group};
    CLM_TRY(clm_reserve(&device->programs, &device->program_capacity, device->program_count + 1,
                        sizeof *device->programs, "programs"));
    CLM_TRY(clm_duplicate(&made.file, file));
    CLM_TRY(clm_duplicate(&made.options, options));
    status = build_group_or_file(&made.program, device, group, file, options);
    if (group != NULL && status != CLM_OK && status != CLM_ERROR_MEMORY) {
        /* Remembered without a program; the file that is wrong says so when its turn comes. */
        clm_log(CLM_LOG_DEBUG, "built file by file: %s", clm_error_message());
        clm_error_clear();
        status = CLM_OK;
    }
    CLM_TRY(status);
    device->programs[device->program_count] = made;
    *program = &device->programs[device->program_count++];
    made = (clm_program){0};
cleanup:
    clm_free(made.file);
    clm_free(made.options);
    return status;
}

/* The program of a group, or of a file where there is none. */
static clm_status find_one(clm_program **program, clm_device *device,
                           const clm_program_group *group, const char *file, const char *options) {
    for (size_t i = 0; i < device->program_count; i++) {
        clm_program *known = &device->programs[i];
        if (known->group == group && (group != NULL || strcmp(known->file, file) == 0) &&
            strcmp(known->options, options) == 0) {
            *program = known;
            return CLM_OK;
        }
    }
    return add_program(program, device, group, file, options);
}

static clm_status find_program(clm_program **program, clm_device *device, const char *file,
                               const char *options) {
    const clm_program_group *group = group_of(device, file, options);
    clm_status status = find_one(program, device, group, file, options);
    if (status == CLM_OK && (*program)->program == NULL) {
        status = find_one(program, device, NULL, file, options);
    }
    return status;
}

clm_status clm_kernel_find(const clm_kernel **kernel, clm_device *device, const char *file,
                           const char *name, const char *options) {
    clm_program *program = NULL;
    clm_status status = find_program(&program, device, file, options != NULL ? options : "");
    if (status != CLM_OK) {
        return status;
    }
    for (size_t i = 0; i < program->kernel_count; i++) {
        if (strcmp(program->kernels[i].name, name) == 0) {
            *kernel = &program->kernels[i];
            return CLM_OK;
        }
    }
    clm_kernel made = {0};
    cl_int code = CL_SUCCESS;
    tell_of(name); /* some drivers compile a kernel only when it first runs */
    CLM_TRY(clm_reserve(&program->kernels, &program->kernel_capacity, program->kernel_count + 1,
                        sizeof *program->kernels, "kernels"));
    CLM_TRY(clm_duplicate(&made.name, name));
    made.kernel = clCreateKernel(program->program, name, &code);
    CLM_TRY(clm_opencl_check(code, "clCreateKernel", name));
    program->kernels[program->kernel_count] = made;
    *kernel = &program->kernels[program->kernel_count++];
    made = (clm_kernel){0};
cleanup:
    clm_free(made.name);
    return status;
}

void clm_programs_close(clm_device *device) {
    for (size_t i = 0; i < device->program_count; i++) {
        clm_program *program = &device->programs[i];
        for (size_t j = 0; j < program->kernel_count; j++) {
            clm_release_kernel(program->kernels[j].kernel);
            clm_free(program->kernels[j].name);
        }
        if (program->program != NULL) {
            clm_release_program(program->program);
        }
        clm_free(program->kernels);
        clm_free(program->file);
        clm_free(program->options);
    }
    clm_free(device->programs);
    device->programs = NULL;
    device->program_count = 0;
}
