/* What is said when no device shows, for each reason that can be made here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "support/test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "clm/device.h"
#include "device/advice.h"

static const char pocl[1][128] = {"Portable Computing Language"};
static const char rusticl[1][128] = {"rusticl"};
static const char amd[1][128] = {"AMD Accelerated Parallel Processing"};
static char vendors[1024];
static char nodes[1024];

static const char *names[] = {"OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH", "POCL_DEVICES",
                              "POCL_CACHE_DIR",  "XDG_CACHE_HOME",     "RUSTICL_ENABLE"};

/* An empty folder of drivers, and one without nodes. */
static int begin(void **state) {
    static int turn;
    char name[32];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)unsetenv(names[i]);
    }
    (void)snprintf(name, sizeof name, "vendors%d", ++turn);
    (void)snprintf(vendors, sizeof vendors, "%s", clm_test_path(name));
    (void)snprintf(name, sizeof name, "dev%d", turn);
    (void)snprintf(nodes, sizeof nodes, "%s", clm_test_path(name));
    (void)chmod(clm_test_folder(), 0755); /* for another user, below */
    return clm_folder_make(vendors) != CLM_OK || clm_folder_make(nodes) != CLM_OK;
}

static void put(const char *folder, const char *name, const char *text) {
    char path[2048];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    clm_test_write(path, text, strlen(text));
}

static char *said;

static void look(const char (*empty)[128]) {
    const clm_advice_scene scene = {
        .empty = empty, .empty_count = empty != NULL, .vendors = vendors, .nodes = nodes};
    clm_string text = {0};
    clm_advice_add_reasons(&text, &scene);
    assert_ok(clm_string_status(&text));
    clm_free(said);
    said = text.text;
    assert_non_null(strstr(said, "no OpenCL device: "));
    assert_null(strchr(said, '\n'));
}

static void assert_said(const char *words) {
    if (strstr(said, words) == NULL) {
        fail_msg("\"%s\" is not in: %s", words, said);
    }
}

static void assert_not_said(const char *words) {
    if (strstr(said, words) != NULL) {
        fail_msg("\"%s\" is in: %s", words, said);
    }
}

static void nothing_installed(void **state) {
    (void)state;
    look(NULL);
    assert_said("no OpenCL driver is installed");
    assert_said(vendors);
    assert_said("apt install pocl-opencl-icd");
}

static void an_empty_place_of_the_users(void **state) {
    (void)state;
    put(vendors, "pocl.icd", "libpocl.so.2\n"); /* installed, and not looked at */
    assert_int_equal(setenv("OCL_ICD_VENDORS", nodes, 1), 0);
    look(NULL);
    assert_said("OCL_ICD_VENDORS is \"");
    assert_said("where there is no .icd file: unset it");
    assert_not_said("apt install");
    assert_int_equal(unsetenv("OCL_ICD_VENDORS"), 0);
    assert_int_equal(setenv("OPENCL_VENDOR_PATH", "/nowhere/at/all", 1), 0);
    look(NULL);
    assert_said("OPENCL_VENDOR_PATH is \"/nowhere/at/all\", which does not exist");
}

static void a_broken_icd_file(void **state) {
    (void)state;
    char library[1200];
    put(vendors, "gone.icd", "/usr/lib/nowhere/libgone.so\n");
    look(NULL);
    assert_said("/gone.icd names /usr/lib/nowhere/libgone.so, which cannot be loaded: ");
    assert_said("No such file or directory; reinstall that driver, or remove the file");
    assert_said("apt install pocl-opencl-icd");
    put(vendors, "gone.icd", "");
    look(NULL);
    assert_said("/gone.icd is empty");
    put(vendors, "gone.icd", "libm.so.6\n");
    look(NULL);
    assert_said("libm.so.6, which is no OpenCL driver");
    (void)snprintf(library, sizeof library, "%s/libtext.so", nodes);
    put(nodes, "libtext.so", "this is no library, however long its text may be made to be\n");
    put(vendors, "gone.icd", library);
    look(NULL);
    assert_said("cannot be loaded: ");
    /* Of PoCL, which is therefore not to be installed. */
    put(vendors, "gone.icd", "libpocl.so.0.nowhere");
    look(NULL);
    assert_said("libpocl.so.0.nowhere");
    assert_not_said("apt install");
    /* Named by the environment: what is hidden by it is told. */
    (void)snprintf(library, sizeof library, "%s/gone.icd", nodes);
    put(nodes, "gone.icd", "libother.so.nowhere");
    assert_int_equal(setenv("OCL_ICD_VENDORS", library, 1), 0);
    look(NULL);
    assert_said("libother.so.nowhere");
    assert_said("unset OCL_ICD_VENDORS to use the drivers of ");
    assert_int_equal(setenv("OCL_ICD_VENDORS", "libdriver.so.nowhere", 1), 0);
    look(NULL);
    assert_said("OCL_ICD_VENDORS names libdriver.so.nowhere, which cannot be loaded");
}

static void pocl_without_a_cache(void **state) {
    (void)state;
    char home[1200];
    char file[1300];
    char *before = getenv("HOME") != NULL ? strdup(getenv("HOME")) : NULL;
    put(nodes, "file", "no folder");
    (void)snprintf(file, sizeof file, "%s/file/below", nodes);
    assert_int_equal(setenv("POCL_CACHE_DIR", file, 1), 0);
    look(pocl);
    assert_said(file);
    assert_said("(from POCL_CACHE_DIR)");
    assert_said("set POCL_CACHE_DIR to a folder");
    assert_not_said("apt install");
    assert_int_equal(unsetenv("POCL_CACHE_DIR"), 0);
    assert_int_equal(setenv("HOME", file, 1), 0);
    look(pocl);
    assert_said("/file/below/.cache/pocl/kcache (from HOME)");
    assert_int_equal(setenv("XDG_CACHE_HOME", file, 1), 0);
    look(pocl);
    assert_said("/file/below/pocl/kcache (from XDG_CACHE_HOME)");
    (void)snprintf(home, sizeof home, "%s/home", nodes);
    assert_int_equal(setenv("XDG_CACHE_HOME", home, 1), 0);
    look(pocl);
    assert_not_said("written");
    assert_said("POCL_DEBUG=all");
    if (before != NULL) {
        assert_int_equal(setenv("HOME", before, 1), 0);
    }
    free(before);
}

static void pocl_devices_that_are_not_there(void **state) {
    (void)state;
    assert_int_equal(setenv("XDG_CACHE_HOME", nodes, 1), 0);
    assert_int_equal(setenv("POCL_DEVICES", "", 1), 0);
    look(pocl);
    assert_said("POCL_DEVICES is \"\", which names none");
    assert_not_said("apt install");
}

static void rusticl_without_a_driver(void **state) {
    (void)state;
    look(rusticl);
    assert_said("RUSTICL_ENABLE names a driver");
    assert_said("apt install pocl-opencl-icd");
    assert_int_equal(setenv("RUSTICL_ENABLE", "radeonsi", 1), 0);
    look(rusticl);
    assert_said("no device for RUSTICL_ENABLE=radeonsi");
    assert_said("there is no GPU to open");
}

static void nodes_that_may_not_be_opened(void **state) {
    (void)state;
    char folder[1200];
    char node[1300];
    look(amd);
    assert_said("AMD Accelerated Parallel Processing has no device; there is no GPU to open");
    (void)snprintf(folder, sizeof folder, "%s/dri", nodes);
    (void)snprintf(node, sizeof node, "%s/renderD128", folder);
    assert_ok(clm_folder_make(folder));
    put(folder, "renderD128", "");
    put(nodes, "kfd", "");
    look(amd);
    assert_not_said("cannot be opened");
    assert_int_equal(chmod(nodes, 0755), 0); /* whatever the umask */
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(chmod(node, 0), 0);
    const bool is_root = geteuid() == 0;
    assert_true(!is_root || seteuid(65534) == 0); /* whom modes do not bind */
    look(amd);
    assert_true(!is_root || seteuid(0) == 0);
    assert_said("/dri/renderD128 cannot be opened: Permission denied; it is for group ");
    assert_said("usermod -aG ");
}

static void too_little_address_space(void **state) {
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the sanitizer itself wants terabytes */
#endif
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    const struct rlimit little = {.rlim_cur = (rlim_t)2 << 30, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
    put(vendors, "gone.icd", "/usr/lib/nowhere/libpocl.so\n");
    look(NULL);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_said("address space is limited to 2048 MiB (ulimit -v)");
    assert_said("libpocl.so");
    assert_not_said("reinstall");
    look(NULL);
    assert_said("reinstall");
    assert_not_said("ulimit");
}

/* As the loader sees it, in a process that has not asked it yet. */
static void every_call_says_so(void **state) {
    (void)state;
    clm_device_info *list = NULL;
    clm_device *device = NULL;
    size_t count = 0;
    char hints[1024];
    put(vendors, "gone.icd", "/usr/lib/nowhere/libgone.so\n");
    assert_int_equal(setenv("OCL_ICD_VENDORS", vendors, 1), 0);
    assert_status(CLM_ERROR_NO_DEVICE, clm_device_list(&list, &count));
    assert_message_has("/gone.icd names /usr/lib/nowhere/libgone.so");
    assert_null(list);
    assert_status(CLM_ERROR_NO_DEVICE, clm_device_open(&device, NULL));
    assert_message_has("/gone.icd names /usr/lib/nowhere/libgone.so");
    assert_null(device);
    assert_ok(clm_device_hints(hints, sizeof hints));
    assert_non_null(strstr(hints, "/gone.icd names /usr/lib/nowhere/libgone.so"));
    assert_ok(clm_device_hints(hints, 8)); /* however little room there is */
    assert_int_equal(strlen(hints), 7);
}

#define CASE(name) cmocka_unit_test_setup(name, begin)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(every_call_says_so), /* before the loader has looked elsewhere */
        CASE(nothing_installed),
        CASE(an_empty_place_of_the_users),
        CASE(a_broken_icd_file),
        CASE(pocl_without_a_cache),
        CASE(pocl_devices_that_are_not_there),
        CASE(rusticl_without_a_driver),
        CASE(nodes_that_may_not_be_opened),
        CASE(too_little_address_space),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clm_free(said);
    return failed;
}
