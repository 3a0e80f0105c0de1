/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/explanation.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "cli/explanation_json.h"

/* ---- words ---- */

typedef struct words {
    char text[32];
} words;

/* "12.3 MB", in powers of 1000, as rates are told. */
static words amount(double value, const char *unit) {
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P"};
    words shown;
    int i = 0;
    for (; value >= 999.5 && i < 5; i++) {
        value /= 1000.0;
    }
    (void)clm_format(shown.text, sizeof shown.text,
                     value < 99.95 && i > 0 ? "%.1f %s%s" : "%.0f %s%s", value, prefixes[i], unit);
    return shown;
}

static words bytes(uint64_t count) {
    return amount((double)count, "B");
}

static void add_shape(clm_string *out, const clm_shape *shape) {
    clm_string text = {0};
    clm_shape_write(&text, shape);
    const char *at = text.text != NULL ? text.text : "";
    clm_string_add(out, at + (*at == ' '));
    if (clm_string_status(&text) != CLM_OK) {
        out->status = text.status;
    }
    clm_string_free(&text);
}

static const char *part_title(const clm_cli_explained *explained,
                              const clm_pass_explanation *part) {
    return (part->kind & CLM_PASS_FEATURES) != 0         ? "frozen part, once for each text"
           : (part->kind & CLM_PASS_FROM_FEATURES) != 0  ? "trained part, each step"
           : strcmp(explained->command, "finetune") == 0 ? "training step"
                                                         : "answers";
}

/* ---- operations ---- */

/* Without the name of the section that they stand below: "ln_1" of "h.0.ln_1". */
static const char *short_name(const clm_explained_operation *o, const clm_explained_section *in) {
    const size_t length = strlen(in->name);
    return length > 0 && strncmp(o->name, in->name, length) == 0 && o->name[length] == '.'
               ? o->name + length + 1
               : o->name;
}

static void add_notes(clm_string *line, const clm_explained_operation *o) {
    for (int i = 0; i < CLM_NOTE_COUNT; i++) {
        if ((o->notes >> i & 1U) != 0) {
            clm_string_add_format(
                line, " %s%s",
                (1U << i & (CLM_NOTE_BIAS | CLM_NOTE_GELU | CLM_NOTE_RESIDUAL)) != 0 ? "+" : "",
                clm_note_name(i));
        }
    }
    for (int i = 0; i < CLM_NODE_OUTPUTS && o->dropped[i] != NULL; i++) {
        clm_string_add_format(line, " no-%s", o->dropped[i]);
    }
}

static void add_operation(clm_string *out, const clm_explanation *x,
                          const clm_explained_operation *o) {
    clm_string shapes = {0};
    clm_string notes = {0};
    add_shape(&shapes, &o->in);
    clm_string_add(&shapes, " -> ");
    add_shape(&shapes, &o->out);
    add_notes(&notes, o);
    clm_string_add_format(
        out, "  %-14s %-21s %-34s %8s %10s%s%s", short_name(o, &x->sections[o->section]),
        o->operation, clm_string_status(&shapes) == CLM_OK ? shapes.text : "",
        bytes(o->read_bytes + o->written_bytes).text, amount((double)o->flops, "flop").text,
        notes.text != NULL ? " " : "", notes.text != NULL ? notes.text : "");
    if (x->has_run) {
        char time[32];
        (void)clm_format(time, sizeof time, "%.3f ms:", 1e3 * o->seconds);
        clm_string_add_format(out, "\n  %14s %s", "", time);
        for (size_t i = 0; i < o->kernel_count; i++) {
            clm_string_add_format(out, " %s", o->kernels[i]);
        }
    }
    clm_string_add(out, "\n");
    clm_string_free(&shapes);
    clm_string_free(&notes);
}

/* What comes before the first mark is named by that. */
static void add_section_name(clm_string *out, const clm_explanation *x, size_t i) {
    const char *name = x->sections[i].name;
    for (size_t k = 0; k < x->section_count && name[0] == '\0'; k++) {
        name = x->sections[k].name;
        clm_string_add(out, name[0] != '\0' ? "before " : "");
    }
    clm_string_add(out, name[0] != '\0' ? name : "all");
}

/* Sections that follow one another and are like one that was shown are one line. Returns the first
 * after them. */
static size_t add_repeats(clm_string *out, const clm_explanation *x, size_t first) {
    const size_t like = x->sections[first].like;
    const bool backward = x->sections[first].backward;
    size_t end = first;
    while (end < x->section_count && x->sections[end].like == like &&
           x->sections[end].backward == backward) {
        end++;
    }
    add_section_name(out, x, first);
    if (end - first > 1) {
        clm_string_add(out, " to ");
        add_section_name(out, x, end - 1);
    }
    clm_string_add(out, ": as ");
    add_section_name(out, x, like);
    clm_string_add(out, "\n");
    return end;
}

static void add_sections(clm_string *out, const clm_explanation *x, bool all) {
    bool backward = false;
    clm_string_add(out, "forward:\n");
    for (size_t i = 0; i < x->section_count;) {
        const clm_explained_section *section = &x->sections[i];
        if (section->backward && !backward) {
            clm_string_add(out, "backward:\n");
            backward = true;
        }
        if (section->like != i && !all) {
            i = add_repeats(out, x, i);
            continue;
        }
        add_section_name(out, x, i);
        clm_string_add(out, "\n");
        for (size_t k = 0; k < section->count; k++) {
            const clm_explained_operation *o = &x->operations[section->first + k];
            if (all || (o->notes & CLM_NOTE_VIEW) == 0) {
                add_operation(out, x, o);
            }
        }
        i++;
    }
}

/* ---- memory ---- */

enum { GRAPH_COLUMNS = 64, GRAPH_ROWS = 6 };

/* The workspace in use, from the first operation to the last; "|" where the backward pass begins.
 */
static void add_graph(clm_string *out, const clm_explanation *x) {
    const size_t columns =
        x->operation_count < GRAPH_COLUMNS ? x->operation_count : (size_t)GRAPH_COLUMNS;
    for (int row = GRAPH_ROWS; row > 0 && x->peak_bytes > 0; row--) {
        clm_string_add_format(out, "  %9s ", row == GRAPH_ROWS ? bytes(x->peak_bytes).text : "");
        for (size_t c = 0; c < columns; c++) {
            uint64_t most = 0;
            for (size_t i = c * x->operation_count / columns;
                 i < (c + 1) * x->operation_count / columns; i++) {
                most = x->operations[i].live_bytes > most ? x->operations[i].live_bytes : most;
            }
            const double height = (double)most / (double)x->peak_bytes * GRAPH_ROWS;
            clm_string_add(out, height > row - 0.5 ? "#" : row == 1 ? "." : " ");
        }
        clm_string_add(out, "\n");
    }
    if (x->backward < x->operation_count) {
        const size_t at = x->backward * columns / x->operation_count;
        clm_string_add_format(out, "  %9s %*s^ backward pass\n", "", (int)at, "");
    }
}

/* What is in the workspace while most of it is in use, the largest first. */
static void add_peak(clm_string *out, const clm_explanation *x) {
    enum { shown = 6 };
    size_t peak = 0;
    size_t count = 0;
    for (size_t i = 0; i < x->operation_count; i++) {
        peak = x->operations[i].live_bytes > x->operations[peak].live_bytes ? i : peak;
    }
    if (x->operation_count == 0) {
        return;
    }
    const clm_explained_operation *o = &x->operations[peak];
    const char *name = clm_explained_name(x, peak);
    clm_string_add_format(out, "the most is in use in %s%s%s:\n", name, name[0] != '\0' ? " " : "",
                          o->operation);
    if (o->scratch_bytes > 0) {
        clm_string_add_format(out, "  %9s  its scratch\n", bytes(o->scratch_bytes).text);
    }
    for (size_t i = 0; i < x->tensor_count && count < shown; i++) {
        const clm_explained_tensor *t = &x->tensors[i];
        if (t->from <= peak && peak <= t->until) {
            clm_string_add_format(out, "  %9s  %s %s ", bytes(t->size_bytes).text, t->name,
                                  clm_dtype_name(t->type));
            add_shape(out, &t->shape);
            clm_string_add(out, "\n");
            count++;
        }
    }
}

static void add_memory(clm_string *out, const clm_pass_explanation *part) {
    const clm_explanation *x = &part->plan;
    clm_string_add_format(out, "memory: parameters %s, gradients %s",
                          bytes(part->memory.values_bytes).text,
                          bytes(part->memory.gradients_bytes).text);
    clm_string_add_format(out, ", moments %s", bytes(part->memory.moments_bytes).text);
    clm_string_add_format(out, ", workspace %s", bytes(x->workspace_bytes).text);
    if (x->backward < x->operation_count) {
        clm_string_add_format(out, ", of which %s are kept for the backward pass",
                              bytes(x->kept_bytes).text);
    }
    clm_string_add(out, "\n");
    add_peak(out, x);
    clm_string_add(out, "in use over time:\n");
    add_graph(out, x);
}

/* ---- all of it ---- */

static void add_counts(clm_string *out, const clm_explanation *x) {
    const clm_plan_counts *c = &x->counts;
    clm_string_add_format(out, "operations: %u described", c->described);
    if (c->narrowed != c->described) {
        clm_string_add_format(out, ", %u with rows that are picked apart", c->narrowed);
    }
    if (c->derived != c->narrowed) {
        clm_string_add_format(out, ", %u with the backward pass", c->derived);
    }
    if (c->needed != c->derived) {
        clm_string_add_format(out, ", %u without what nothing needs", c->needed);
    }
    if (c->held != c->needed) {
        clm_string_add_format(out, ", %u with what is computed again or kept in 16 bits", c->held);
    }
    if (c->fused != c->held) {
        clm_string_add_format(out, ", %u fused", c->fused);
    }
    clm_string_add(out, "\n");
}

static void add_part(clm_string *out, const clm_cli_explained *explained,
                     const clm_pass_explanation *part) {
    const clm_explanation *x = &part->plan;
    clm_string_add_format(out, "\n%s\n", part_title(explained, part));
    add_counts(out, x);
    clm_string_add_format(out, "  %-14s %-21s %-34s %8s %10s  %s\n", "name", "operation", "shapes",
                          "moved", "computed", "notes");
    add_sections(out, x, explained->all);
    clm_string_add_format(out, "total: %s read, ", bytes(x->read_bytes).text);
    clm_string_add_format(out, "%s written, ", bytes(x->written_bytes).text);
    clm_string_add_format(out, "%s", amount((double)x->flops, "flop").text);
    if (x->has_run) {
        char time[32];
        (void)clm_format(time, sizeof time, ", %.3f ms", 1e3 * x->seconds);
        clm_string_add(out, time);
    }
    clm_string_add(out, "\n");
    add_memory(out, part);
}

static void add_cut(clm_string *out, const clm_cli_explained *explained) {
    const clm_pass_explanation *part = &explained->parts[0];
    if (part->features.rank == 0) {
        return;
    }
    clm_string_add(out, "cut: what lies below the trained part gives ");
    add_shape(out, &part->features);
    clm_string_add(out, explained->part_count > 1
                            ? ", computed once for each text and kept\n"
                            : ", which training computes once for each text and keeps if there is "
                              "room (--features)\n");
}

static void add_text(clm_string *out, const clm_cli_explained *explained) {
    const clm_device_info *info = clm_device_get_info(explained->device);
    const clm_memory_plan *how = &explained->how;
    clm_string_add_visible(out, explained->model, strlen(explained->model));
    clm_string_add_format(out, ", %s: %d %s of %d tokens", explained->command, how->B,
                          how->B == 1 ? "text" : "texts", how->T);
    if (how->train != CLM_TRAIN_NOTHING) {
        clm_string_add_format(out, "; %s is trained, %zu of %zu parameters",
                              clm_train_policy_name(how->train), explained->parts[0].trained_count,
                              explained->parts[0].parameter_count);
    }
    clm_string_add_format(out, "\non %s (%s)", info->name, info->platform);
    if (how->frozen_storage != CLM_F32) {
        clm_string_add_format(out, "; frozen weights in %s", clm_dtype_name(how->frozen_storage));
    }
    if (how->kept_storage != CLM_F32 && how->train != CLM_TRAIN_NOTHING) {
        clm_string_add_format(out, "; what is kept in %s", clm_dtype_name(how->kept_storage));
    }
    clm_string_add(out,
                   how->recompute && how->train != CLM_TRAIN_NOTHING ? "; recomputed\n" : "\n");
    add_cut(out, explained);
    for (size_t i = 0; i < explained->part_count; i++) {
        add_part(out, explained, &explained->parts[i]);
    }
}

clm_status clm_cli_print_explained(const clm_cli_explained *explained) {
    clm_string out = {0};
    if (explained->json) {
        clm_cli_add_explained_json(&out, explained);
        return clm_cli_print_json(&out);
    }
    add_text(&out, explained);
    const clm_status status = clm_string_status(&out);
    if (status == CLM_OK) {
        (void)fwrite(out.text, 1, out.length, stdout);
    }
    clm_string_free(&out);
    return status;
}

clm_dtype clm_cli_storage_of(clm_precision precision) {
    return precision == CLM_PRECISION_F16    ? CLM_F16
           : precision == CLM_PRECISION_BF16 ? CLM_BF16
                                             : CLM_F32;
}

clm_status clm_cli_explain(clm_cli_explained *explained, clm_device *device,
                           const clm_model_config *config, bool features) {
    const clm_memory_plan *how = &explained->how;
    const int whole = how->train != CLM_TRAIN_NOTHING ? CLM_PASS_LOSSES | CLM_PASS_GRADIENTS : 0;
    clm_shape shape = {0}; /* of features */
    clm_status status = CLM_OK;
    explained->device = device;
    explained->part_count = 1;
    if (features && whole != 0) {
        CLM_TRY(clm_pass_features(&shape, config, how));
    }
    if (shape.rank > 0) {
        explained->part_count = 2;
        CLM_TRY(clm_pass_explain(&explained->parts[0], device, config, how, CLM_PASS_FEATURES));
        CLM_TRY(clm_pass_explain(&explained->parts[1], device, config, how,
                                 whole | CLM_PASS_FROM_FEATURES));
    } else {
        CLM_TRY(clm_pass_explain(&explained->parts[0], device, config, how, whole));
    }
    CLM_TRY(clm_cli_print_explained(explained));
cleanup:
    clm_pass_explanation_free(&explained->parts[0]);
    clm_pass_explanation_free(&explained->parts[1]);
    return status;
}
