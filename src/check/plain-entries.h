/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts the clusters of L2 entries that are like nearly all of them, many at
 * a time. */

#pragma once

#include "check/census.h"

G_BEGIN_DECLS

/* Clusters that qemu-img check counts as allocated and as fragmented. */
typedef struct
{
  guint64 next; /* host offset after the last cluster, or 0 */
  guint64 allocated;
  guint64 fragmented;
} Qcow2Fragments;

/* The form of plain entries, and their effect on the map of the census. */
typedef struct
{
  Qcow2Census *census;
  guint64 copied_bit; /* the COPIED flag of an L2 entry */
  guint64 odd_bits;   /* all bits but this one and an aligned host offset */
  guint64 n;          /* references to the L2 table */
  gboolean is_active; /* one of them is from the active L1 table */
  /* The new value of a byte of the map, by the COPIED flag and the byte. */
  guint8 next[2][G_MAXUINT8 + 1];
} Qcow2PlainEntries;

void qcow2_fragments_add (Qcow2Fragments *fragments, guint64 offset, guint64 n,
                          guint64 length);
void qcow2_plain_entries_init (Qcow2PlainEntries *plain, Qcow2Census *census);
void qcow2_plain_entries_set_table (Qcow2PlainEntries *plain, guint64 n,
                                    gboolean is_active);
gsize qcow2_plain_entries_count (const Qcow2PlainEntries *plain,
                                 Qcow2Fragments *fragments,
                                 const guint8 *bytes, gsize len);

G_END_DECLS
