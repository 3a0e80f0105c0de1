/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/explanation_json.h"

#include <inttypes.h>

#include "base/json.h"

static const char *part_name(const clm_pass_explanation *part) {
    return (part->kind & CLM_PASS_FEATURES) != 0        ? "frozen"
           : (part->kind & CLM_PASS_FROM_FEATURES) != 0 ? "trained"
                                                        : "whole";
}

static void add_text(clm_string *out, const char *name, const char *text) {
    clm_string_add_format(out, "\"%s\":", name);
    clm_json_add_string(out, text);
    clm_string_add(out, ",");
}

static void add_count(clm_string *out, const char *name, uint64_t count, const char *after) {
    clm_string_add_format(out, "\"%s\":%" PRIu64 "%s", name, count, after);
}

static void add_shape(clm_string *out, const char *name, const clm_shape *shape) {
    clm_string_add_format(out, "\"%s\":[", name);
    for (int i = 0; i < shape->rank; i++) {
        clm_string_add_format(out, "%s%lld", i > 0 ? "," : "", (long long)shape->size[i]);
    }
    clm_string_add(out, "],");
}

static void add_operation(clm_string *out, const clm_explanation *x,
                          const clm_explained_operation *o) {
    const char *before = "";
    clm_string_add(out, "{");
    add_text(out, "operation", o->operation);
    add_text(out, "name", o->name);
    add_count(out, "section", o->section, ",");
    add_shape(out, "input", &o->in);
    add_shape(out, "output", &o->out);
    add_count(out, "read_bytes", o->read_bytes, ",");
    add_count(out, "written_bytes", o->written_bytes, ",");
    add_count(out, "flops", o->flops, ",");
    add_count(out, "scratch_bytes", o->scratch_bytes, ",");
    add_count(out, "live_bytes", o->live_bytes, ",\"notes\":[");
    for (int i = 0; i < CLM_NOTE_COUNT; i++) {
        if ((o->notes >> i & 1U) != 0) {
            clm_string_add_format(out, "%s\"%s\"", before, clm_note_name(i));
            before = ",";
        }
    }
    clm_string_add(out, "],\"dropped\":[");
    for (int i = 0; i < CLM_NODE_OUTPUTS && o->dropped[i] != NULL; i++) {
        clm_string_add_format(out, "%s\"%s\"", i > 0 ? "," : "", o->dropped[i]);
    }
    clm_string_add(out, "]");
    if (x->has_run) {
        clm_string_add(out, ",\"kernels\":[");
        for (size_t i = 0; i < o->kernel_count; i++) {
            clm_string_add(out, i > 0 ? "," : "");
            clm_json_add_string(out, o->kernels[i]);
        }
        clm_string_add(out, "],\"seconds\":");
        clm_json_add_double(out, o->seconds);
    }
    clm_string_add(out, "}");
}

static void add_section(clm_string *out, const clm_explained_section *section) {
    clm_string_add(out, "{");
    add_text(out, "name", section->name);
    clm_string_add_format(out, "\"backward\":%s,", section->backward ? "true" : "false");
    add_count(out, "first", section->first, ",");
    add_count(out, "count", section->count, ",");
    add_count(out, "like", section->like, "}");
}

static void add_tensor(clm_string *out, const clm_explained_tensor *tensor) {
    clm_string_add(out, "{");
    add_text(out, "name", tensor->name);
    add_text(out, "type", clm_dtype_name(tensor->type));
    add_shape(out, "shape", &tensor->shape);
    add_count(out, "bytes", tensor->size_bytes, ",");
    add_count(out, "from", tensor->from, ",");
    add_count(out, "until", tensor->until, "}");
}

static void add_totals(clm_string *out, const clm_explanation *x) {
    clm_string_add(out, "\"memory\":{");
    add_count(out, "workspace_bytes", x->workspace_bytes, ",");
    add_count(out, "largest_bytes", x->largest_bytes, ",");
    add_count(out, "peak_bytes", x->peak_bytes, ",");
    add_count(out, "kept_bytes", x->kept_bytes, "},\"totals\":{");
    add_count(out, "read_bytes", x->read_bytes, ",");
    add_count(out, "written_bytes", x->written_bytes, ",");
    add_count(out, "flops", x->flops, "");
    if (x->has_run) {
        clm_string_add(out, ",\"seconds\":");
        clm_json_add_double(out, x->seconds);
    }
    clm_string_add(out, "},\"counts\":{");
    add_count(out, "described", x->counts.described, ",");
    add_count(out, "narrowed", x->counts.narrowed, ",");
    add_count(out, "derived", x->counts.derived, ",");
    add_count(out, "needed", x->counts.needed, ",");
    add_count(out, "held", x->counts.held, ",");
    add_count(out, "fused", x->counts.fused, "}");
}

static void add_part(clm_string *out, const clm_pass_explanation *part) {
    const clm_explanation *x = &part->plan;
    clm_string_add(out, "{");
    add_text(out, "part", part_name(part));
    add_count(out, "backward", x->backward, ",\"sections\":[");
    for (size_t i = 0; i < x->section_count; i++) {
        clm_string_add(out, i > 0 ? "," : "");
        add_section(out, &x->sections[i]);
    }
    clm_string_add(out, "],\"operations\":[");
    for (size_t i = 0; i < x->operation_count; i++) {
        clm_string_add(out, i > 0 ? "," : "");
        add_operation(out, x, &x->operations[i]);
    }
    clm_string_add(out, "],\"tensors\":[");
    for (size_t i = 0; i < x->tensor_count; i++) {
        clm_string_add(out, i > 0 ? "," : "");
        add_tensor(out, &x->tensors[i]);
    }
    clm_string_add(out, "],");
    add_totals(out, x);
    clm_string_add(out, "}");
}

void clm_cli_add_explained_json(clm_string *json, const clm_cli_explained *explained) {
    const clm_pass_explanation *first = &explained->parts[0];
    clm_string_add(json, "{");
    add_text(json, "model", explained->model);
    add_text(json, "command", explained->command);
    add_text(json, "device", clm_device_get_info(explained->device)->name);
    add_text(json, "platform", clm_device_get_info(explained->device)->platform);
    add_text(json, "train", clm_train_policy_name(explained->how.train));
    add_count(json, "batch", (uint64_t)explained->how.B, ",");
    add_count(json, "tokens", (uint64_t)explained->how.T, ",");
    add_count(json, "parameters", first->parameter_count, ",");
    add_count(json, "trained", first->trained_count, ",");
    add_shape(json, "features", &first->features);
    clm_string_add(json, "\"memory\":{");
    add_count(json, "parameters_bytes", first->memory.values_bytes, ",");
    add_count(json, "gradients_bytes", first->memory.gradients_bytes, ",");
    add_count(json, "moments_bytes", first->memory.moments_bytes, "},\"plans\":[");
    for (size_t i = 0; i < explained->part_count; i++) {
        clm_string_add(json, i > 0 ? "," : "");
        add_part(json, &explained->parts[i]);
    }
    clm_string_add(json, "]}");
}
