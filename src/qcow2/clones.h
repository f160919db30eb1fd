/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For functions that a processor with more instructions has a faster form of:
 * they are compiled for it as well, and the right one is taken at run time. */

#pragma once

#ifdef HAVE_TARGET_CLONES
#define QCOW2_CLONES                                                          \
  __attribute__ ((target_clones ("avx2", "popcnt", "default")))
#else
#define QCOW2_CLONES
#endif
