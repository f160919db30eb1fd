/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes that a function requests from the compiler. */

#pragma once

/* Compiles a function several times: for processors with more instructions, on
 * which it is faster, and for all others.  The version is selected at run
 * time. */
#ifdef HAVE_TARGET_CLONES
#define QCOW2_CLONES                                                          \
  __attribute__ ((target_clones ("avx2", "popcnt", "default")))
#else
#define QCOW2_CLONES
#endif

/* The arithmetic of a function wraps on purpose, as in a hash: sanitizers do
 * not report it. */
#ifdef __clang__
#define QCOW2_WRAPS __attribute__ ((no_sanitize ("integer")))
#else
#define QCOW2_WRAPS
#endif
