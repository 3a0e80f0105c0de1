/* The search, and what users ask of the kept settings.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "clm/tune.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "ops/tuning_file.h"
#include "tune/candidates.h"
#include "tune/child.h"
#include "tune/progress.h"
#include "tune/trial.h"

/* What a candidate has to win by, each time: less is noise. */
static const double win = 1.02;

/* By how much parameters may make CLBlast faster: where more is missing, only the full preset looks
 * for them. They gave a factor of 5 on PoCL, where CLBlast began at 0.07. */
static const double most_clblast_gain = 8;

/* How often the fastest of a stage is measured again. */
enum { CONFIRMATIONS = 2 };

static const char *const preset_names[] = {"quick", "normal", "full", "small"};

typedef struct search {
    clm_device *device;
    clm_tune_options options;
    clm_tune_result *result;
    clm_tune_progress progress;
    clm_tuned tuned;
    /* The best of each part, and its speed: of products over the own kernel with its defaults, of
     * the other kernels over theirs. 0: no such part, or it does not run. */
    clm_tuning best[CLM_TUNE_PARTS];
    double speed[CLM_TUNE_PARTS];
    bool clblast_known;     /* whether its speed was looked for */
    bool clblast_left_out;  /* its parameters */
    clm_gemm_backend quick; /* what clm would take by itself, */
    double untuned;         /* and its speed */
    int stage_number, stage_count;
} search;

static bool is_refusal(clm_tune_outcome outcome) {
    return outcome != CLM_TUNE_RIGHT && outcome != CLM_TUNE_SLOW;
}

static void send_event(const search *s, const char *stage, int number, int count, const char *label,
                       const clm_tune_score *score, bool known) {
    const clm_tune_event event = {.stage = stage,
                                  .number = number,
                                  .count = count,
                                  .settings = label,
                                  .outcome = clm_tune_outcome_name(score->outcome),
                                  .why = score->why,
                                  .speed = score->speed,
                                  .known = known};
    if (s->options.on_event != NULL) {
        s->options.on_event(s->options.context, &event);
    }
}

/* `number` of the stage's candidates have been tried. */
static void tell_progress(const search *s, const char *stage, int number, int count) {
    char detail[96];
    (void)snprintf(detail, sizeof detail, "%s, stage %d of %d", stage, s->stage_number,
                   s->stage_count);
    clm_progress_send(&(clm_progress){.stage = "tuning",
                                      .done = number,
                                      .total = count,
                                      .unit = "candidates",
                                      .detail = detail,
                                      .seconds_left = -1.0});
}

static clm_status stopped(void) {
    return clm_fail(
        CLM_ERROR_INTERRUPTED,
        "the tuning was stopped; the results so far are stored, and the same command continues");
}

/* ---- one trial ---- */

static clm_status try_once(search *s, const clm_tune_trial *trial, clm_tune_score *score) {
    if (s->options.helper != NULL) {
        return clm_tune_in_child(s->options.helper, clm_device_get_info(s->device)->index, trial,
                                 s->options.limit_seconds, s->options.should_stop,
                                 s->options.context, score);
    }
    if (s->options.should_stop != NULL && s->options.should_stop(s->options.context)) {
        *score = (clm_tune_score){.outcome = CLM_TUNE_STOPPED};
        return CLM_OK;
    }
    return clm_tune_measure(s->device, trial, score);
}

/* Runs the trial unless its end is known. */
static clm_status try_trial(search *s, const clm_tune_trial *trial, int round,
                            clm_tune_score *score, bool *known) {
    clm_status status = CLM_OK;
    const clm_tune_score begun = {.outcome = CLM_TUNE_STARTED};
    *known = clm_tune_progress_find(&s->progress, trial, round, score);
    if (!*known) {
        CLM_TRY(clm_tune_progress_add(&s->progress, trial, round, &begun));
        CLM_TRY(try_once(s, trial, score));
        CLM_TRY(clm_tune_progress_add(&s->progress, trial, round, score));
        if (score->outcome == CLM_TUNE_STOPPED) {
            status = stopped();
            goto cleanup;
        }
    }
    s->result->known += *known;
    s->result->tried += !*known;
    s->result->refused += is_refusal(score->outcome);
cleanup:
    return status;
}

/* ---- stages ---- */

/* Once more, and once more, each in its own process where there is one: how memory lies there moves
 * a figure by some per cent, and the maximum of many such figures flatters. *speed becomes the
 * smaller of the new ones, 0 when one was not right. */
static clm_status confirm(search *s, const clm_tune_trial *trial, int number, int count,
                          const char *label, double *speed) {
    clm_status status = CLM_OK;
    clm_tune_score score;
    bool known = false;
    *speed = HUGE_VAL;
    for (int round = 1; round <= CONFIRMATIONS && *speed > 0; round++) {
        tell_progress(s, "once more", round - 1, CONFIRMATIONS);
        CLM_TRY(try_trial(s, trial, round, &score, &known));
        send_event(s, "once more", number, count, label, &score, known);
        const double got = score.outcome == CLM_TUNE_RIGHT ? score.speed : 0;
        *speed = got < *speed ? got : *speed;
    }
cleanup:
    return status;
}

/* The fastest that is right, when it wins each time it is measured; else *chosen stays -1. */
static clm_status find_winner(search *s, const clm_tune_stage *stage,
                              const clm_tune_candidate *candidates, int count, int *chosen) {
    clm_status status = CLM_OK;
    const double to_beat = win * s->speed[stage->part];
    double most = to_beat;
    double confirmed = 0;
    int best = -1;
    clm_tune_score score;
    clm_tune_trial trial = {
        .kind = stage->part == CLM_TUNE_GROUPS ? CLM_TUNE_OTHERS : CLM_TUNE_PRODUCTS,
        .preset = s->options.preset,
        .beat = s->speed[stage->part]};
    bool known = false;
    *chosen = -1;
    for (int i = 0; i < count; i++) {
        trial.settings = candidates[i].settings;
        tell_progress(s, stage->name, i, count);
        CLM_TRY(try_trial(s, &trial, 0, &score, &known));
        send_event(s, stage->name, i + 1, count, candidates[i].label, &score, known);
        if (score.outcome == CLM_TUNE_RIGHT && score.speed > most) {
            most = score.speed;
            best = i;
        }
    }
    if (best >= 0) {
        trial.settings = candidates[best].settings;
        CLM_TRY(confirm(s, &trial, best + 1, count, candidates[best].label, &confirmed));
        if (confirmed > to_beat) {
            *chosen = best;
            s->speed[stage->part] = confirmed;
        }
    }
cleanup:
    return status;
}

/* Everything that was found, and which GEMM is the faster. */
static void combine_best(search *s) {
    clm_tuning all = clm_tuning_defaults();
    for (int part = 0; part < CLM_TUNE_PARTS; part++) {
        for (int i = 0; i < CLM_SETTING_COUNT; i++) {
            if (s->best[part].values[i] != CLM_NOT_SET) {
                all.values[i] = s->best[part].values[i];
            }
        }
    }
    const double own = s->speed[CLM_TUNE_OWN];
    const double clblast = s->speed[CLM_TUNE_CLBLAST];
    /* Never on a processor (ops/gemm_choose.c). */
    const bool takes_clblast =
        !clm_device_is_cpu(s->device) &&
        (s->clblast_known ? clblast > win * own : s->quick == CLM_GEMM_CLBLAST);
    all.values[CLM_SET_GEMM_BACKEND] = takes_clblast ? CLM_GEMM_CLBLAST : CLM_GEMM_OWN;
    s->tuned.settings = all;
    s->tuned.gain = !s->clblast_known ? 1 : (takes_clblast ? clblast : own) / s->untuned;
    s->result->gain = s->tuned.gain;
    (void)snprintf(s->tuned.preset, sizeof s->tuned.preset, "%s", preset_names[s->options.preset]);
}

static clm_status run_stage(search *s, const clm_tune_stage *stage) {
    clm_status status = CLM_OK;
    clm_tune_candidate *candidates = NULL;
    int count = 0;
    int chosen = -1;
    CLM_TRY(clm_tune_list(&candidates, &count, stage, s->device, s->options.preset,
                          &s->best[stage->part]));
    CLM_TRY(find_winner(s, stage, candidates, count, &chosen));
    if (chosen >= 0) {
        s->best[stage->part] = candidates[chosen].settings;
        combine_best(s);
        clm_tuned_keep(&s->tuned, s->device);
    }
cleanup:
    clm_free(candidates);
    return status;
}

/* CLBlast as it is, which its parameters have to beat. Its speed counts whatever it is. */
static clm_status run_clblast(search *s, const clm_tune_stage *stage) {
    clm_status status = CLM_OK;
    clm_tune_score score;
    bool known = false;
    clm_tune_trial trial = {
        .kind = CLM_TUNE_PRODUCTS, .preset = s->options.preset, .settings = clm_tuning_defaults()};
    trial.settings.values[CLM_SET_GEMM_BACKEND] = CLM_GEMM_CLBLAST;
    tell_progress(s, stage->name, 0, 1);
    CLM_TRY(try_trial(s, &trial, 0, &score, &known));
    send_event(s, stage->name, 1, 1, "its own parameters", &score, known);
    s->clblast_known = true;
    if (score.outcome == CLM_TUNE_RIGHT) {
        s->speed[CLM_TUNE_CLBLAST] = score.speed;
        s->best[CLM_TUNE_CLBLAST] = trial.settings;
        if (s->quick == CLM_GEMM_CLBLAST) {
            s->untuned = score.speed;
        }
    }
cleanup:
    return status;
}

/* Whether CLBlast's parameters are worth looking for: each takes it seconds, and there are dozens.
 */
static bool clblast_may_win(search *s) {
    const double own = s->speed[CLM_TUNE_OWN];
    const double clblast = s->speed[CLM_TUNE_CLBLAST];
    if (s->options.helper == NULL || clblast == 0 || s->clblast_left_out) {
        return false;
    }
    if (s->options.preset != CLM_TUNE_FULL && most_clblast_gain * clblast < own) {
        s->clblast_left_out = true;
        clm_log(CLM_LOG_INFO,
                "tune: the rest of CLBlast's parameters is left out: with %.3f of the speed where "
                "the own kernel has %.3f it cannot win; the preset full tries them all",
                clblast, own);
    }
    return !s->clblast_left_out;
}

static clm_status run_stages(search *s) {
    clm_status status = CLM_OK;
    for (int i = 0; i < clm_tune_stage_count; i++) {
        const clm_tune_stage *stage = &clm_tune_stages[i];
        const bool parameters = stage->part == CLM_TUNE_CLBLAST && stage->changes == NULL;
        if (!clm_tune_stage_is_for(stage, s->device, s->options.preset)) {
            continue;
        }
        s->stage_number++;
        if (stage->part == CLM_TUNE_CLBLAST && !parameters) {
            CLM_TRY(run_clblast(s, stage));
        } else if (!parameters || clblast_may_win(s)) {
            CLM_TRY(run_stage(s, stage));
        }
    }
cleanup:
    return status;
}

/* ---- the search ---- */

/* The measurement that is also made at first use. CLBlast is ruled out if it crashes the process.
 */
static clm_status run_quick(search *s) {
    clm_status status = CLM_OK;
    clm_tune_score score = {0};
    bool known = false;
    const clm_tune_trial trial = {
        .kind = CLM_TUNE_BACKENDS, .preset = CLM_TUNE_QUICK, .settings = clm_tuning_defaults()};
    if (s->options.preset != CLM_TUNE_QUICK && s->tuned.own_gflops > 0) { /* measured before */
        s->quick = !clm_device_is_cpu(s->device) && s->tuned.clblast_gflops > s->tuned.own_gflops
                       ? CLM_GEMM_CLBLAST
                       : CLM_GEMM_OWN;
        goto cleanup;
    }
    tell_progress(s, "GEMM", 0, 1);
    CLM_TRY(try_once(s, &trial, &score));
    if (score.outcome == CLM_TUNE_STOPPED) {
        status = stopped();
        goto cleanup;
    }
    s->result->tried++;
    s->result->refused += is_refusal(score.outcome);
    const bool right = score.outcome == CLM_TUNE_RIGHT;
    const bool clblast = right && score.backends.backend == CLM_GEMM_CLBLAST;
    s->quick = clblast ? CLM_GEMM_CLBLAST : CLM_GEMM_OWN;
    s->tuned.settings.values[CLM_SET_GEMM_BACKEND] = (int)s->quick;
    s->tuned.peak_gflops = score.backends.peak_flops / 1e9;
    s->tuned.own_gflops = score.backends.own_flops / 1e9;
    s->tuned.clblast_gflops = score.backends.clblast_flops / 1e9;
    s->result->slow_device = right && score.backends.peak_flops < CLM_GEMM_TOO_SLOW_FLOPS;
    send_event(s, "GEMM", 1, 1, clblast ? "gemm.backend=clblast" : "gemm.backend=own", &score,
               known);
    if (s->tuned.preset[0] == '\0') {
        (void)snprintf(s->tuned.preset, sizeof s->tuned.preset, "quick");
    }
    clm_tuned_keep(&s->tuned, s->device);
cleanup:
    return status;
}

clm_status clm_tune(clm_device *device, const clm_tune_options *options, clm_tune_result *result) {
    static const clm_tune_options defaults = CLM_TUNE_OPTIONS_DEFAULT;
    clm_status status = CLM_OK;
    clm_tune_result own_result;
    search s = {.device = device,
                .options = options != NULL ? *options : defaults,
                .result = result != NULL ? result : &own_result,
                .speed = {1, 0, 1},
                .untuned = 1,
                .stage_number = 1};
    *s.result = (clm_tune_result){.gain = 1};
    for (int part = 0; part < CLM_TUNE_PARTS; part++) {
        s.best[part] = clm_tuning_defaults();
    }
    if ((int)s.options.preset < 0 || s.options.preset > CLM_TUNE_SMALL ||
        s.options.limit_seconds < 1) {
        return clm_fail(CLM_ERROR_ARGUMENT,
                        "tune: there is no preset %d with a limit of %d seconds",
                        (int)s.options.preset, s.options.limit_seconds);
    }
    s.stage_count = 1;
    for (int i = 0; i < clm_tune_stage_count && s.options.preset != CLM_TUNE_QUICK; i++) {
        s.stage_count += clm_tune_stage_is_for(&clm_tune_stages[i], device, s.options.preset);
    }
    clm_tuned_load(&s.tuned, device);
    CLM_TRY(clm_tune_progress_open(&s.progress, device, s.options.restart));
    CLM_TRY(run_quick(&s));
    if (s.options.preset == CLM_TUNE_QUICK || s.result->slow_device) {
        goto cleanup;
    }
    CLM_TRY(run_stages(&s));
    s.clblast_known = true; /* a build without CLBlast has no such stage */
    combine_best(&s);
    clm_tuned_keep(&s.tuned, device);
cleanup:
    clm_tune_progress_close(&s.progress);
    return status;
}

/* ---- what is kept ---- */

clm_status clm_tune_describe(char **text, clm_device *device) {
    clm_string out = {0};
    clm_tuned tuned;
    clm_tuned_load(&tuned, device);
    clm_tuned_describe(&out, &tuned, device);
    *text = NULL;
    clm_status status = clm_string_status(&out);
    if (status == CLM_OK) {
        *text = out.text;
    } else {
        clm_string_free(&out);
    }
    return status;
}

void clm_tune_text_free(char *text) {
    clm_free(text);
}

clm_status clm_tune_export(clm_device *device, const char *path) {
    clm_tuned tuned;
    clm_tuned_load(&tuned, device);
    return clm_tuned_write(&tuned, path, device);
}

clm_status clm_tune_import(clm_device *device, const char *path, bool force) {
    clm_status status = CLM_OK;
    clm_tuned tuned;
    CLM_TRY(clm_tuned_read(&tuned, path, device, force));
    CLM_TRY(clm_tuned_store(&tuned, device));
cleanup:
    return status;
}

clm_status clm_tune_reset(clm_device *device) {
    static const char *const endings[] = {"json", "progress.jsonl"};
    clm_status status = CLM_OK;
    char *path = NULL;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        CLM_TRY(clm_tuned_path(&path, device, endings[i]));
        if (unlink(path) != 0 && errno != ENOENT) {
            status = clm_fail_errno(errno, "%s cannot be removed", path);
            goto cleanup;
        }
        clm_free(path);
        path = NULL;
    }
cleanup:
    clm_free(path);
    return status;
}
