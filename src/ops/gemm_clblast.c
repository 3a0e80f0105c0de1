/* CLBlast behind clm_gemm.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops/gemm_backend.h"

#if !CLM_WITH_CLBLAST

clm_status clm_gemm_clblast(clm_device *device, const clm_gemm_task *task) {
    (void)device;
    (void)task;
    return clm_fail(CLM_ERROR_UNSUPPORTED,
                    "gemm: this clm was built without CLBlast (CLM_WITH_CLBLAST=OFF)");
}

size_t clm_gemm_clblast_scratch(clm_device *device, const clm_gemm_task *task) {
    (void)device;
    (void)task;
    return 0;
}

#else

#include <clblast_c.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "ops/tuning.h"

/* Devices that have used CLBlast: its cache of programs is one for all of them, and has to be gone
 * before the drivers are (Oclgrind crashes at exit otherwise). */
static atomic_int users;

/* A device's, until it is closed. */
typedef struct clblast_use {
    bool built; /* its kernels: they are at the first product */
} clblast_use;

static void leave(void *context) {
    clm_free(context);
    if (atomic_fetch_sub(&users, 1) == 1 && !clm_is_forked()) {
        (void)CLBlastClearCache();
    }
}

/* ---- quiet ---- */

/* CLBlast prints the log of a failed build to standard output, which belongs to the program. It
 * builds everything at the first product on a device, so standard output points to nowhere for that
 * call; another thread that prints just then prints to nowhere too. One device at a time: a second
 * one would keep the first's nowhere, and put it back for good. */
static pthread_mutex_t quiet = PTHREAD_MUTEX_INITIALIZER;

static int silence(void) {
    (void)pthread_mutex_lock(&quiet);
    (void)fflush(stdout);
    int kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kept >= 0 && nowhere >= 0) {
        (void)dup2(nowhere, STDOUT_FILENO);
    }
    if (nowhere >= 0) {
        (void)close(nowhere);
    }
    return kept;
}

static void restore_stdout(int kept) {
    (void)fflush(stdout);
    if (kept >= 0) {
        (void)dup2(kept, STDOUT_FILENO);
        (void)close(kept);
    }
    (void)pthread_mutex_unlock(&quiet);
}

/* ---- errors ---- */

/* Of those codes that are CLBlast's own and that these calls can give. */
static const char *reason_of(CLBlastStatusCode code) {
    switch ((int)code) {
        case CLBlastNotImplemented:
            return "not implemented";
        case CLBlastInvalidLocalMemUsage:
            return "too little local memory on the device";
        case CLBlastInsufficientMemoryA:
        case CLBlastInsufficientMemoryB:
        case CLBlastInsufficientMemoryC:
        case CLBlastInsufficientMemoryTemp:
            return "a buffer is too small";
        case CLBlastInvalidOverrideKernel:
        case CLBlastMissingOverrideParameter:
            return "parameters that its kernel does not take";
        case CLBlastDatabaseError:
            return "no parameters for the device";
        default:
            return "see CLBlastStatusCode in clblast_c.h";
    }
}

static clm_status check_clblast(CLBlastStatusCode code, const char *call,
                                const clm_gemm_task *task) {
    if (code == CLBlastSuccess) {
        return CLM_OK;
    }
    const char *what = "gemm by CLBlast";
    if (code > CLBlastInvalidMatrixA) {
        /* OpenCL's own codes are small negative numbers, and passed on. */
        return clm_opencl_check((cl_int)code, call, what);
    }
    return clm_fail(CLM_ERROR_OPENCL,
                    "%s: %s of M=%d, N=%d, K=%d gave status %d (%s); CLM_GEMM=own "
                    "does without CLBlast",
                    what, call, task->M, task->N, task->K, (int)code, reason_of(code));
}

/* ---- its parameters ---- */

/* The device's tuning may set those of some of CLBlast's kernels. A setting that CLBlast does not
 * take leaves its own parameters. They hold for the process, and must be there before the first
 * product builds the kernels. */
static void override_kernel(clm_device *device, const clm_tuning *tuning,
                            const clm_clblast_kernel *kernel) {
    const char *names[CLM_CLBLAST_MOST_PARAMETERS];
    size_t values[CLM_CLBLAST_MOST_PARAMETERS];
    for (int i = 0; i < kernel->count; i++) {
        const clm_setting setting = (clm_setting)((int)kernel->first + i);
        if (tuning->values[setting] == CLM_NOT_SET) {
            return;
        }
        names[i] = strrchr(clm_setting_name(setting), '.') + 1;
        values[i] = (size_t)tuning->values[setting];
    }
    const CLBlastStatusCode code =
        CLBlastOverrideParameters(clm_device_id(device), kernel->name, CLBlastPrecisionSingle,
                                  (size_t)kernel->count, names, values);
    if (code != CLBlastSuccess) {
        clm_log(CLM_LOG_WARNING, "gemm: CLBlast does not take the parameters of %s (%s)",
                kernel->name, reason_of(code));
    }
}

static void override_all(clm_device *device) {
    for (int i = 0; i < CLM_CLBLAST_KERNELS; i++) {
        override_kernel(device, clm_tuning_of(device), &clm_clblast_kernels[i]);
    }
}

static clm_status use_of(clm_device *device, clblast_use **use) {
    *use = clm_device_close_context(device, leave);
    if (*use != NULL) {
        return CLM_OK;
    }
    clm_status status = clm_allocate(use, 1, sizeof **use, "the use of CLBlast");
    if (status == CLM_OK) {
        atomic_fetch_add(&users, 1);
        status = clm_device_on_close(device, leave, *use);
        if (status != CLM_OK) {
            leave(*use);
            *use = NULL;
        } else {
            override_all(device);
        }
    }
    return status;
}

/* ---- the product ---- */

static CLBlastTranspose transpose_of(const clm_gemm_matrix *matrix) {
    return matrix->transposed ? CLBlastTransposeYes : CLBlastTransposeNo;
}

/* CLBlast allocates its copies of matrices at each call, unless it is given memory. It does without
 * some of them where offsets are 0 and strides are dense, which is not counted on. */
size_t clm_gemm_clblast_scratch(clm_device *device, const clm_gemm_task *task) {
    size_t size_bytes = 0;
    clblast_use *use = NULL;
    cl_command_queue queue = clm_device_queue(device);
    const size_t M = (size_t)task->M;
    const size_t N = (size_t)task->N;
    const size_t K = (size_t)task->K;
    clm_error_hold();
    if (clm_device_check(device) != CLM_OK || use_of(device, &use) != CLM_OK ||
        CLBlastSGemmTempBufferSize(CLBlastLayoutRowMajor, transpose_of(&task->a),
                                   transpose_of(&task->b), M, N, K, 1, task->a.transposed ? M : K,
                                   1, task->b.transposed ? K : N, 1, N, &queue,
                                   &size_bytes) != CLBlastSuccess) {
        size_bytes = 0; /* the product will say why */
    }
    clm_error_release();
    return (size_bytes + sizeof(float) - 1) / sizeof(float);
}

static clm_status multiply(clm_device *device, const clm_gemm_task *task) {
    cl_command_queue queue = clm_device_queue(device);
    cl_event event = NULL;
    clm_status status =
        check_clblast(CLBlastSgemmWithTempBuffer(
                          CLBlastLayoutRowMajor, transpose_of(&task->a), transpose_of(&task->b),
                          (size_t)task->M, (size_t)task->N, (size_t)task->K, 1.0f,
                          clm_buffer_memory(task->a.buffer), task->a.offset, (size_t)task->a.stride,
                          clm_buffer_memory(task->b.buffer), task->b.offset, (size_t)task->b.stride,
                          (task->flags & CLM_GEMM_ADD_C) != 0 ? 1.0f : 0.0f,
                          clm_buffer_memory(task->c), task->c_offset, (size_t)task->c_stride,
                          &queue, clm_device_is_watched(device) ? &event : NULL,
                          task->scratch != NULL ? clm_buffer_memory(task->scratch) : NULL),
                      "CLBlastSgemm", task);
    return event != NULL && status == CLM_OK ? clm_device_watch(device, event, "CLBlast's Sgemm")
                                             : status;
}

clm_status clm_gemm_clblast(clm_device *device, const clm_gemm_task *task) {
    clm_status status = CLM_OK;
    clblast_use *use = NULL;
    CLM_TRY(clm_device_check(device));
    CLM_TRY(use_of(device, &use));
    const int kept = use->built ? -1 : silence();
    status = multiply(device, task);
    if (!use->built) {
        restore_stdout(kept);
        use->built = true;
    }
    if (status == CLM_OK && (task->flags & (CLM_GEMM_TAIL | CLM_GEMM_BEGIN_RESIDUAL)) != 0) {
        status = clm_gemm_own_tail(device, task);
    }
cleanup:
    return status;
}

#endif
