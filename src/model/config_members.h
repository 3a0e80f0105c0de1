/* Every member of config.json that transformers' GPT2Config knows, and what clm does with it: one
 * table, used to check files and to generate the documentation.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_MODEL_CONFIG_MEMBERS_H
#define CLM_MODEL_CONFIG_MEMBERS_H

#include "base/error.h"
#include "base/json.h"

typedef enum clm_member_use {
    CLM_MEMBER_HONOURED,   /* clm computes as it says; config_json.c reads it */
    CLM_MEMBER_IRRELEVANT, /* no effect on what a classifier computes */
    CLM_MEMBER_FIXED       /* changes what is computed; only `values` are accepted */
} clm_member_use;

enum { CLM_MEMBER_VALUES = 5 };

typedef struct clm_config_member {
    const char *name;
    clm_member_use use;
    const char *about;
    /* Of a fixed member: strings as they are, and the words true, false, null, {} and []. A missing
     * member is fine, too. */
    const char *values[CLM_MEMBER_VALUES];
} clm_config_member;

/* The table in the order of the names; NULL after the last. */
const clm_config_member *clm_config_member_at(size_t index);
/* NULL for a name that GPT2Config does not have. */
const clm_config_member *clm_config_member_named(const char *name);

/* Whether every member of the object is one that clm computes with. CLM_ERROR_UNSUPPORTED names the
 * first that is not, and CLM_ERROR_FORMAT the first known one that appears twice. Unknown ones
 * are ignored, as by transformers, with one warning. */
clm_status clm_config_members_check(const cJSON *json, const char *where);

#endif
