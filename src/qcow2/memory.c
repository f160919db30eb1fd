/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/memory.h"

#include <sys/mman.h>

/* The size of a huge page on x86-64 and on arm64 with pages of 4 KiB.  Where
 * it is another, this is only a size. */
#define HUGE_PAGE (2 * 1024 * 1024)

/* Returns SIZE zeroed bytes, for which the system uses huge pages if it can:
 * the first use of each small page costs more than what is done with it.
 * Stores in *BLOCK what the caller frees.  A part that is not used takes no
 * memory. */
gpointer
qcow2_memory_new0 (gsize size, gpointer *block)
{
  if (size < HUGE_PAGE)
    return *block = g_malloc0 (size);

  guint8 *start = *block = g_malloc0 (size + HUGE_PAGE);
  start += HUGE_PAGE - (guintptr) start % HUGE_PAGE;
#ifdef MADV_HUGEPAGE
  /* Without them, everything just takes longer. */
  (void) madvise (start, size, MADV_HUGEPAGE);
#endif
  return start;
}
