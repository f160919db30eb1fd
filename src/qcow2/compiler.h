/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a function asks of the compiler. */

#pragma once

/* A processor with more instructions has a faster form of it: it is compiled
 * for that as well, and the right one is taken at run time. */
#ifdef HAVE_TARGET_CLONES
#define QCOW2_CLONES                                                          \
  __attribute__ ((target_clones ("avx2", "popcnt", "default")))
#else
#define QCOW2_CLONES
#endif

/* Its numbers are to wrap, as those of a hash do: no sanitizer minds. */
#ifdef __clang__
#define QCOW2_WRAPS __attribute__ ((no_sanitize ("integer")))
#else
#define QCOW2_WRAPS
#endif
