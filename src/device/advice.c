/* SPDX-License-Identifier: Apache-2.0 */
#include "device/advice.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"

#define INSTALL_POCL "PoCL (Debian and Ubuntu: apt install pocl-opencl-icd)"

/* What was found, one finding after the other. */
typedef struct findings {
    clm_string *text;
    const char *separator;
    size_t count;
    size_t drivers;         /* that are named by a file or the environment */
    bool has_pocl;          /* is one of them */
    bool has_silent_driver; /* one that loads, and perhaps shows no platform */
} findings;

static const char *begin(findings *f) {
    return f->count++ > 0 ? f->separator : "";
}

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ---- too little address space ---- */

/* In MiB, where it may be what is missing; 0 where it is not. PoCL's LLVM alone maps 200 MiB. */
static unsigned long long limited_space_mib(void) {
    const unsigned long long enough_mib = 4096;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return 0;
    }
    const unsigned long long mib = (unsigned long long)limit.rlim_cur >> 20;
    return mib >= enough_mib ? 0 : mib > 0 ? mib : 1;
}

static void add_space(findings *f) {
    const unsigned long long mib = limited_space_mib();
    if (mib > 0) {
        clm_string_add_format(f->text,
                              "%saddress space is limited to %llu MiB (ulimit -v), and drivers map "
                              "more: raise it, or run with 'ulimit -v unlimited'",
                              begin(f), mib);
    }
}

/* ---- drivers, as the loader finds them ---- */

/* An .icd file's only line is the name of a driver's library. */
static bool read_library(const char *path, char *library, size_t capacity, int *error_number) {
    FILE *file = fopen(path, "re");
    *error_number = errno;
    library[0] = '\0';
    if (file == NULL) {
        return false;
    }
    *error_number = 0;
    if (fgets(library, (int)capacity, file) == NULL) {
        *error_number = ferror(file) ? errno : 0;
        library[0] = '\0';
    }
    library[strcspn(library, "\r\n")] = '\0';
    (void)fclose(file);
    return *error_number == 0;
}

/* `file` NULL: the library is named by the environment. */
static void look_at_library(findings *f, const char *file, const char *library) {
    const char *from = file != NULL ? file : "OCL_ICD_VENDORS";
    f->drivers++;
    f->has_pocl = f->has_pocl || clm_contains_ignoring_case(library, "pocl");
    /* Never closed: some drivers do not survive that, and those in use are loaded anyway. */
    void *driver = dlopen(library, RTLD_LAZY | RTLD_LOCAL);
    if (driver == NULL) {
        char why[400];
        const char *said = dlerror();
        (void)snprintf(why, sizeof why, "%.399s", said != NULL ? said : "no reason is known");
        const size_t length = strlen(library);
        const bool repeats =
            strncmp(why, library, length) == 0 && strncmp(why + length, ": ", 2) == 0;
        clm_string_add_format(f->text, "%s%s names %s, which cannot be loaded: %s", begin(f), from,
                              library, repeats ? why + length + 2 : why);
        if (limited_space_mib() == 0) { /* else that is why */
            clm_string_add_format(f->text, "; reinstall that driver%s",
                                  file != NULL ? ", or remove the file" : "");
        }
        return;
    }
    if (dlsym(driver, "clGetExtensionFunctionAddress") == NULL &&
        dlsym(driver, "clIcdGetPlatformIDsKHR") == NULL) {
        clm_string_add_format(f->text, "%s%s names %s, which is no OpenCL driver", begin(f), from,
                              library);
        return;
    }
    f->has_silent_driver = true;
}

static void look_at_icd(findings *f, const char *path) {
    char library[1024];
    int error_number = 0;
    if (!read_library(path, library, sizeof library, &error_number)) {
        f->drivers++;
        clm_string_add_format(f->text, "%s%s cannot be read: %s", begin(f), path,
                              strerror(error_number));
    } else if (library[0] == '\0') {
        f->drivers++;
        clm_string_add_format(f->text, "%s%s is empty: its line should name a driver's library",
                              begin(f), path);
    } else {
        look_at_library(f, path, library);
    }
}

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* How many .icd files there are; looks at each where `f` is not NULL. */
static size_t look_into_folder(findings *f, const char *folder) {
    size_t count = 0;
    DIR *stream = opendir(folder);
    if (stream == NULL) {
        return 0;
    }
    for (const struct dirent *entry = NULL; (entry = readdir(stream)) != NULL;) {
        char path[4096];
        const int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!ends_with(entry->d_name, ".icd") || length < 0 || (size_t)length >= sizeof path) {
            continue;
        }
        count++;
        if (f != NULL) {
            look_at_icd(f, path);
        }
    }
    (void)closedir(stream);
    return count;
}

/* The variable that tells the loader where to look, and what it says; NULL for none. */
static const char *loader_variable(const char **place) {
    static const char *const names[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"};
    for (size_t i = 0; i < 2; i++) {
        *place = variable(names[i]);
        if (*place != NULL) {
            return names[i];
        }
    }
    return NULL;
}

/* As the loaders read it: a folder, an .icd file (one without a path is of the usual folder), or a
 * library. */
static void look_at_drivers(findings *f, const clm_advice_scene *scene) {
    const char *place = NULL;
    if (loader_variable(&place) == NULL) {
        (void)look_into_folder(f, scene->vendors);
    } else if (clm_file_is_folder(place)) {
        (void)look_into_folder(f, place);
    } else if (ends_with(place, ".icd")) {
        const bool is_name = strchr(place, '/') == NULL;
        char path[4096];
        (void)snprintf(path, sizeof path, "%s%s%s", is_name ? scene->vendors : "",
                       is_name ? "/" : "", place);
        look_at_icd(f, path);
    } else if (strstr(place, ".so") != NULL) {
        look_at_library(f, NULL, place);
    }
}

static void add_no_driver(findings *f, const clm_advice_scene *scene) {
    const char *place = NULL;
    const char *name = loader_variable(&place);
    if (name != NULL) {
        clm_string_add_format(f->text, "%s%s is \"%s\", %s: unset it to use what is installed",
                              begin(f), name, place,
                              clm_file_is_folder(place) ? "where there is no .icd file"
                              : clm_file_exists(place)  ? "which is no folder and no .icd file"
                                                        : "which does not exist");
        return;
    }
    clm_string_add_format(f->text,
                          "%sno OpenCL driver is installed (%s has no .icd file): install your "
                          "GPU's driver, or, for the processor, " INSTALL_POCL,
                          begin(f), scene->vendors);
}

/* ---- device nodes of GPUs ---- */

/* Whether the node can be opened as a driver does; if not, says why. */
static bool try_node(findings *f, const char *path) {
    const int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    const int error_number = errno;
    struct stat information;
    if (descriptor >= 0) {
        (void)close(descriptor);
        return true;
    }
    clm_string_add_format(f->text, "%s%s cannot be opened: %s", begin(f), path,
                          strerror(error_number));
    if (error_number == EACCES && stat(path, &information) == 0) {
        char names[1024];
        struct group entry;
        struct group *found = NULL;
        (void)getgrgid_r(information.st_gid, &entry, names, sizeof names, &found);
        clm_string_add_format(f->text,
                              "; it is for group %s: 'sudo usermod -aG %s $USER', then log in "
                              "again",
                              found != NULL ? found->gr_name : "render",
                              found != NULL ? found->gr_name : "render");
    }
    return false;
}

/* Says what keeps a GPU's driver from its device, as far as nodes tell. */
static void add_nodes(findings *f, const clm_advice_scene *scene) {
    char folder[512];
    char path[1024];
    bool has_node = false;
    (void)snprintf(folder, sizeof folder, "%s/dri", scene->nodes);
    DIR *stream = opendir(folder);
    for (const struct dirent *entry = NULL; stream != NULL && (entry = readdir(stream)) != NULL;) {
        if (strncmp(entry->d_name, "renderD", 7) == 0) {
            has_node = true;
            (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            (void)try_node(f, path);
        }
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
    const char *others[] = {"kfd", "nvidiactl"}; /* AMD's for computing, NVIDIA's */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", scene->nodes, others[i]);
        if (clm_file_exists(path)) {
            has_node = true;
            (void)try_node(f, path);
        }
    }
    if (!has_node) {
        clm_string_add_format(f->text,
                              "%sthere is no GPU to open (%s/renderD*): the kernel's driver is not "
                              "loaded, or a container was not given its devices",
                              begin(f), folder);
    }
}

/* ---- platforms without devices ---- */

/* Where PoCL keeps built kernels; returns what says so. */
static const char *pocl_folder(char *folder, size_t capacity) {
    const char *names[] = {"POCL_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
    const char *says[] = {"from POCL_CACHE_DIR", "from XDG_CACHE_HOME", "from HOME"};
    const char *below[] = {"", "/pocl/kcache", "/.cache/pocl/kcache"};
    for (size_t i = 0; i < 3; i++) {
        if (variable(names[i]) != NULL) {
            (void)snprintf(folder, capacity, "%s%s", getenv(names[i]), below[i]);
            return says[i];
        }
    }
    (void)snprintf(folder, capacity, "/tmp/pocl/kcache");
    return "HOME is not set";
}

static bool can_be_written(const char *folder) {
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/clm-XXXXXX", folder);
    clm_error_hold();
    const bool made = clm_folder_make(folder) == CLM_OK;
    clm_error_release();
    const int descriptor = made ? mkstemp(path) : -1;
    if (descriptor < 0) {
        return false;
    }
    (void)close(descriptor);
    (void)unlink(path);
    return true;
}

static void look_at_pocl(findings *f) {
    char folder[4096];
    const char *from = pocl_folder(folder, sizeof folder);
    const char *devices = getenv("POCL_DEVICES");
    const size_t before = f->count;
    if (!can_be_written(folder)) {
        clm_string_add_format(f->text,
                              "%sPoCL keeps built kernels in %s (%s), where nothing can be "
                              "written: set POCL_CACHE_DIR to a folder where it can",
                              begin(f), folder, from);
    }
    if (devices != NULL) {
        clm_string_add_format(f->text,
                              "%sPOCL_DEVICES is \"%s\", which names none of PoCL's devices here: "
                              "unset it",
                              begin(f), devices);
    }
    if (f->count == before && limited_space_mib() == 0) {
        clm_string_add_format(
            f->text,
            "%sPoCL is installed and shows no device: POCL_DEBUG=all makes it say "
            "why",
            begin(f));
    }
}

static void look_at_platform(findings *f, const char *platform, const clm_advice_scene *scene) {
    if (clm_contains_ignoring_case(platform, "portable computing language")) {
        f->has_pocl = true;
        look_at_pocl(f);
        return;
    }
    if (clm_contains_ignoring_case(platform, "rusticl")) {
        const char *enabled = variable("RUSTICL_ENABLE");
        if (enabled == NULL) {
            clm_string_add_format(
                f->text,
                "%srusticl shows devices once RUSTICL_ENABLE names a driver, such "
                "as radeonsi, iris or llvmpipe",
                begin(f));
            return;
        }
        clm_string_add_format(f->text, "%srusticl has no device for RUSTICL_ENABLE=%s", begin(f),
                              enabled);
    } else {
        clm_string_add_format(f->text, "%s%s has no device", begin(f), platform);
    }
    add_nodes(f, scene);
}

/* ---- all of it ---- */

void clm_advice_add_hints(clm_string *text, const clm_advice_scene *scene) {
    findings f = {.text = text, .separator = "\n"};
    look_at_drivers(&f, scene);
    for (size_t i = 0; i < scene->empty_count; i++) {
        look_at_platform(&f, scene->empty[i], scene);
    }
}

void clm_advice_add_reasons(clm_string *text, const clm_advice_scene *scene) {
    findings f = {.text = text, .separator = "; "};
    clm_string_add(text, "no OpenCL device: ");
    add_space(&f);
    look_at_drivers(&f, scene);
    if (f.drivers == 0 && scene->empty_count == 0) {
        add_no_driver(&f, scene);
        return;
    }
    for (size_t i = 0; i < scene->empty_count; i++) {
        look_at_platform(&f, scene->empty[i], scene);
    }
    if (scene->empty_count == 0 && f.has_silent_driver) {
        clm_string_add_format(text, "%sthe installed drivers show no platform", begin(&f));
        add_nodes(&f, scene);
    }
    const char *place = NULL;
    const char *name = loader_variable(&place);
    if (name != NULL && look_into_folder(NULL, scene->vendors) > 0) {
        clm_string_add_format(text, "%sunset %s to use the drivers of %s", begin(&f), name,
                              scene->vendors);
    } else if (!f.has_pocl) {
        clm_string_add_format(text, "%sfor the processor, install " INSTALL_POCL, begin(&f));
    }
}
