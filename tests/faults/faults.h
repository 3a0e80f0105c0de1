/* Makes calls of OpenCL and allocations fail, from outside of clm: a program that this is linked
 * into has its own clBuildProgram and so on, which stand before the loader's (CLBlast's calls come
 * by too) and pass on what they do not fail; calloc, realloc and free of the objects in the program
 * are wrapped by the linker (--wrap; see clm_add_faulty()). Only calls of the thread that began are
 * failed.
 *
 * A call that releases or waits does its work and fails then: a driver that says so has let go.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_TESTS_FAULTS_H
#define CLM_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/device.h"

typedef enum clm_fault_kind {
    CLM_FAULT_OPENCL = 0,
    CLM_FAULT_MEMORY, /* of the host */
    CLM_FAULT_KINDS
} clm_fault_kind;

/* A place in the program from which a call comes: its own, and the way there. */
typedef struct clm_fault_site {
    uint64_t way; /* a hash of the return addresses */
    clm_fault_kind kind;
    const char *call; /* "clCreateBuffer", "calloc" */
    uint64_t count;   /* how often it was passed */
} clm_fault_site;

/* What is to fail. */
typedef struct clm_fault {
    clm_fault_kind kind;
    uint64_t way;     /* of the site; 0: any */
    const char *call; /* NULL: any */
    uint64_t number;  /* the so-manieth of those, from 1 */
    bool for_good;    /* and all of `only` afterwards: a device that is lost, memory that is full */
    const char *only; /* for_good: only this call; NULL: all of the kind */
} clm_fault;

/* Begins to note sites: those that differ in the last `depth` return addresses. */
void clm_faults_record(int depth);

/* Begins to wait for the call that is to fail; `depth` as when its site was noted. */
void clm_faults_inject(const clm_fault *fault, int depth);

/* Notes and fails no more, but counts what is released. */
void clm_faults_stop(void);

/* Ends counting too. */
void clm_faults_end(void);

/* What was noted, in the order of first calls. Lent until the next clm_faults_record(). */
const clm_fault_site *clm_faults_sites(size_t *count);

/* How many calls failed since clm_faults_inject(), the name of the first ("" when none did), and
 * the code it returned (CL_SUCCESS for an allocation). */
uint64_t clm_faults_fired(void);
const char *clm_faults_fired_call(void);
cl_int clm_faults_fired_code(void);

/* Objects of OpenCL and allocations that were made and not released since the last
 * clm_faults_record() or clm_faults_inject(): how many; `text` gets "2 events, 1 allocation". */
size_t clm_faults_left(char *text, size_t capacity);

/* Where each allocation that was not freed came from, to standard error. */
void clm_faults_print_left(void);

#endif
