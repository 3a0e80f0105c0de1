/* Numbers as text, the same in every locale.
 *
 * strtod() and printf("%f") take the decimal point from the program's or thread's locale: a program
 * that calls setlocale() for its users would write "0,1" into config.json. So only these functions
 * read or write floating-point numbers (tests/house/check_locale.sh). They do not change the
 * program's or the thread's locale.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef CLM_BASE_NUMBER_H
#define CLM_BASE_NUMBER_H

#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#if defined(__APPLE__)
#include <xlocale.h>
#endif

#include "clm/status.h"

/* Reads text[0..length), all of it, as a decimal number: "-1", "0.5", ".5", "5e-5". False, with
 * *value unchanged, for anything else, including blanks, empty text, values too large for a double,
 * and names ("nan", "inf"). */
bool clm_number_parse(const char *text, size_t length, double *value);

/* snprintf() and vsnprintf(). */
int clm_format(char *buffer, size_t size_bytes, const char *format, ...) CLM_PRINTF(3, 4);
int clm_format_list(char *buffer, size_t size_bytes, const char *format, va_list arguments);

/* fprintf() and vfprintf(), for the command; the stream keeps the error. */
void clm_print(FILE *stream, const char *format, ...) CLM_PRINTF(2, 3);
void clm_print_list(FILE *stream, const char *format, va_list arguments);

/* The shortest decimal that reads back as the same number, which is finite. */
enum { CLM_NUMBER_CAPACITY = 32 };
void clm_number_of_float(char text[CLM_NUMBER_CAPACITY], float value);
void clm_number_of_double(char text[CLM_NUMBER_CAPACITY], double value);

/* For calls of other libraries that read or write numbers: between the two calls the calling
 * thread, and no other, uses the "C" locale. */
locale_t clm_number_locale_enter(void);
void clm_number_locale_leave(locale_t before);

#endif
