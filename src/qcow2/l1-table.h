/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the active L1 table, and those parts of its L2 tables that tell which
 * clusters are in use: qcow2 specification, section "Cluster mapping". */

#pragma once

#include "qcow2/image.h"
#include "qcow2/next.h"

G_BEGIN_DECLS

typedef struct
{
  guint64 offset;        /* host, of the L2 table */
  guint64 reserved_low;  /* bits 0-8, in place */
  guint64 reserved_high; /* bits 56-62, in place */
  guint64 copied;        /* 1: the refcount is exactly one */
} Qcow2L1Entry;

extern const Qcow2Record qcow2_l1_entry_record;

/* Receives OFFSET, a host offset that a table entry holds, and POINTER, the
 * host offset of the entry.  Returns QCOW2_NEXT_ITEM to continue the walk, or
 * QCOW2_NEXT_END to end it successfully. */
typedef Qcow2Next (*Qcow2OffsetFunc) (guint64 offset, guint64 pointer,
                                      gpointer data, GError **error);

gboolean qcow2_offsets_walk (ByteSource *source, guint64 start, guint64 bytes,
                             guint64 mask, Qcow2OffsetFunc func, gpointer data,
                             GError **error);
gboolean qcow2_l1_table_walk (const Qcow2Image *image, Qcow2OffsetFunc func,
                              gpointer data, GError **error);
gboolean qcow2_l2_tables_reach (const Qcow2Image *image, guint64 end,
                                guint64 *reached, GError **error);

G_END_DECLS
