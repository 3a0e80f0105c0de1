/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"
#include "cli/cli.h"
#include "clm/device.h"
#include "clm/selftest.h"
#include "ops/tuning_file.h"

/* A device, and what clm knows about it. */
typedef struct entry {
    const clm_device_info *info;
    char failure[512]; /* why it cannot be opened; "" when it can */
    clm_selftest_report selftest;
    clm_tuned tuned;
} entry;

/* What clm would do with an extension. It needs none. */
static const struct {
    const char *name;
    size_t offset;
    const char *use;
} extensions[] = {
    {"cl_khr_fp16", offsetof(clm_device_info, has_fp16),
     "arithmetic with f16 weights; storing "
     "halves does not need it"},
    {"cl_khr_fp64", offsetof(clm_device_info, has_fp64), "not needed"},
    {"cl_khr_subgroups", offsetof(clm_device_info, has_subgroups), "not needed"},
};
enum { EXTENSIONS = sizeof extensions / sizeof *extensions };

static bool has_extension(const clm_device_info *info, size_t i) {
    return *(const bool *)((const char *)info + extensions[i].offset);
}

/* A device that cannot be opened is listed all the same. */
static void look_at(entry *e) {
    char index[24];
    clm_device *device = NULL;
    clm_device_options options = CLM_DEVICE_OPTIONS_DEFAULT;
    (void)snprintf(index, sizeof index, "%d", e->info->index);
    options.pattern = index;
    e->tuned = clm_tuned_nothing();
    clm_status status = clm_device_open(&device, &options);
    if (status == CLM_OK) {
        clm_tuned_load(&e->tuned, device);
        status = clm_selftest_recall(&e->selftest, device);
    }
    if (status != CLM_OK && status != CLM_ERROR_DEVICE_WRONG) {
        (void)snprintf(e->failure, sizeof e->failure, "%s", clm_error_message());
    }
    clm_error_clear();
    clm_device_close(device);
}

/* ---- JSON ---- */

static void add_text(clm_string *out, const char *before, const char *text) {
    clm_string_add(out, before);
    clm_json_add_string(out, text);
}

static void add_findings(clm_string *out, const entry *e) {
    add_text(out, ",\"selftest\":{\"outcome\":", clm_selftest_outcome_name(e->selftest.outcome));
    clm_string_add_format(out, ",\"comparisons\":%d,\"seconds\":%.2f", e->selftest.comparisons,
                          e->selftest.seconds);
    add_text(out, ",\"replaced\":", e->selftest.replaced);
    add_text(out, ",\"why\":", e->selftest.why);
    add_text(out, "},\"tuning\":{\"preset\":", e->tuned.preset);
    clm_string_add_format(out, ",\"gain\":%.3f}", e->tuned.gain);
    if (e->failure[0] != '\0') {
        add_text(out, ",\"error\":", e->failure);
    }
    const clm_quirk *quirk = NULL;
    clm_string_add(out, ",\"quirks\":[");
    for (size_t i = 0; (quirk = clm_device_quirk(e->info, i)) != NULL; i++) {
        add_text(out, i > 0 ? ",{\"name\":" : "{\"name\":", quirk->name);
        add_text(out, ",\"reason\":", quirk->reason);
        add_text(out, ",\"action\":", quirk->action);
        add_text(out, ",\"see\":", quirk->see);
        clm_string_add(out, "}");
    }
    clm_string_add(out, "]}");
}

static void add_json(clm_string *out, const entry *e) {
    const clm_device_info *info = e->info;
    clm_string_add_format(out, "{\"index\":%d,\"default\":%s,\"rank\":%d", info->index,
                          info->is_default ? "true" : "false", info->rank);
    const struct {
        const char *key;
        const char *text;
    } texts[] = {
        {"rank_reason", info->rank_reason},
        {"type", clm_device_type_name(info->type)},
        {"name", info->name},
        {"vendor", info->vendor},
        {"platform", info->platform},
        {"platform_version", info->platform_version},
        {"driver", info->driver},
        {"version", info->version},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        clm_string_add_format(out, ",\"%s\":", texts[i].key);
        clm_json_add_string(out, texts[i].text);
    }
    clm_string_add_format(
        out,
        ",\"compute_units\":%d,\"clock_mhz\":%d,\"max_work_group_size\":%zu,"
        "\"memory_size_bytes\":%llu,\"max_allocation_size_bytes\":%llu,"
        "\"local_memory_size_bytes\":%llu,\"fp16\":%s,\"fp64\":%s,\"subgroups\":%s",
        info->compute_units, info->clock_mhz, info->max_work_group_size,
        (unsigned long long)info->memory_size_bytes,
        (unsigned long long)info->max_allocation_size_bytes,
        (unsigned long long)info->local_memory_size_bytes, info->has_fp16 ? "true" : "false",
        info->has_fp64 ? "true" : "false", info->has_subgroups ? "true" : "false");
    add_findings(out, e);
}

static clm_status print_json(const entry *entries, size_t count) {
    clm_string out = {0};
    clm_string_add(&out, "[");
    for (size_t i = 0; i < count; i++) {
        clm_string_add(&out, i > 0 ? ", " : "");
        add_json(&out, &entries[i]);
    }
    clm_string_add(&out, "]");
    return clm_cli_print_json(&out);
}

/* ---- the page ---- */

static void print_findings(const entry *e) {
    const clm_selftest_report *test = &e->selftest;
    if (e->failure[0] != '\0') {
        (void)printf("     cannot be opened: %s\n", e->failure);
        return;
    }
    (void)printf("     self-test   %s", clm_selftest_outcome_name(test->outcome));
    if (test->outcome == CLM_SELFTEST_UNKNOWN) {
        (void)printf(" with this driver and these settings; 'clm selftest' does\n");
    } else {
        clm_print(stdout, " (%d comparisons in %.1f s)\n", test->comparisons, test->seconds);
    }
    if (test->replaced[0] != '\0') {
        (void)printf("                 stand-ins: %s\n", test->replaced);
    }
    if (test->why[0] != '\0') {
        (void)printf("                 wrong: %s\n", test->why);
    }
    if (e->tuned.preset[0] == '\0') {
        (void)printf("     tuning      none; 'clm tune' searches for the fastest settings\n");
    } else if (e->tuned.gain > 0) {
        clm_print(stdout,
                  "     tuning      preset %s, GEMM at %.2f times the speed of the defaults\n",
                  e->tuned.preset, e->tuned.gain);
    } else {
        (void)printf("     tuning      preset %s: only the choice of GEMM\n", e->tuned.preset);
    }
}

static void print_quirks(const clm_device_info *info) {
    const clm_quirk *quirk = NULL;
    for (size_t i = 0; (quirk = clm_device_quirk(info, i)) != NULL; i++) {
        (void)printf("     %-11s %s: %s;\n                 clm: %s\n                 see %s\n",
                     i == 0 ? "quirks" : "", quirk->name, quirk->reason, quirk->action, quirk->see);
    }
}

static void print_entry(const entry *e, size_t count) {
    const double mib = 1024.0 * 1024.0;
    const clm_device_info *info = e->info;
    (void)printf("%c %d: %s\n", info->is_default ? '*' : ' ', info->index, info->name);
    (void)printf("     rank        %d of %zu: %s\n", info->rank, count, info->rank_reason);
    (void)printf("     platform    %s (%s)\n", info->platform, info->platform_version);
    (void)printf("     driver      %s, by %s; %s\n", info->driver, info->vendor, info->version);
    (void)printf("     units       %d at %d MHz, work-groups of up to %zu items\n",
                 info->compute_units, info->clock_mhz, info->max_work_group_size);
    clm_print(stdout, "     memory      %.0f MiB, at most %.0f MiB in one piece, %.0f KiB local\n",
              (double)info->memory_size_bytes / mib, (double)info->max_allocation_size_bytes / mib,
              (double)info->local_memory_size_bytes / 1024.0);
    for (size_t i = 0; i < EXTENSIONS; i++) {
        (void)printf("     %-11s %-17s %-3s (%s)\n", i == 0 ? "extensions" : "", extensions[i].name,
                     has_extension(info, i) ? "yes" : "no", extensions[i].use);
    }
    print_findings(e);
    print_quirks(info);
    (void)printf("\n");
}

static void print_page(const entry *entries, size_t count) {
    char hints[1024] = "";
    for (size_t i = 0; i < count; i++) {
        print_entry(&entries[i], count);
    }
    (void)printf(
        "* marks the default; --device or CLM_DEVICE selects another by index, gpu, cpu,\n"
        "accelerator, or part of a name. GPUs rank before accelerators, accelerators before\n"
        "CPUs, native drivers before emulation, more units before fewer.\n");
    (void)clm_cli_can_write(); /* while errno is that of a write that failed */
    if (clm_device_hints(hints, sizeof hints) == CLM_OK && hints[0] != '\0') {
        (void)printf("%s\n", hints);
    }
}

typedef struct settings {
    bool json;
    bool brief;
} settings;

static const clm_cli_option options[] = {
    {"--json", NULL, "print a JSON array; README.md names its members",
     CLM_CLI_FLAG_AT(settings, json)},
    {"--brief", NULL, "print index, type and name, separated by tabs, without opening any device",
     CLM_CLI_FLAG_AT(settings, brief), .excludes = "--json", .synonyms = "--short --names --list"},
    {NULL},
};

static const clm_cli_example examples[] = {
    {"clm devices", "Shows every device; * marks the default."},
    {NULL, NULL},
};

static void print_brief(const clm_device_info *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)printf("%d\t%s\t%s\n", list[i].index, clm_device_type_name(list[i].type),
                     list[i].name);
    }
}

static clm_status print_all(const settings *s, const clm_device_info *list, size_t count) {
    entry *entries = NULL;
    clm_status status = CLM_OK;
    CLM_TRY(clm_allocate(&entries, count, sizeof *entries, "the list of devices"));
    for (size_t i = 0; i < count; i++) {
        entries[i].info = &list[i];
        look_at(&entries[i]);
    }
    if (s->json) {
        CLM_TRY(print_json(entries, count));
    } else {
        print_page(entries, count);
    }
cleanup:
    clm_free(entries);
    return status;
}

static int run(const clm_cli_arguments *arguments) {
    const settings *s = arguments->settings;
    clm_device_info *list = NULL;
    size_t count = 0;
    clm_status status = clm_device_list(&list, &count);
    if (status == CLM_OK && s->brief) {
        print_brief(list, count);
    } else if (status == CLM_OK) {
        status = print_all(s, list, count);
    }
    clm_device_list_free(list);
    return status != CLM_OK ? clm_cli_fail(status) : CLM_EXIT_DONE;
}

const clm_cli_command clm_command_devices = {
    .name = "devices",
    .about = "list OpenCL devices",
    .synopsis = "[--json | --brief]",
    .description =
        "Lists the OpenCL devices of this machine: their properties, clm's order of preference, "
        "results of 'clm selftest' and 'clm tune', and known problems of their drivers.",
    .groups = {{"Output", options, 0}},
    .examples = examples,
    .ends = CLM_CLI_ENDS_DEVICE,
    .synonyms = "device gpus list info",
    .settings_size = sizeof(settings),
    .run = run,
};
