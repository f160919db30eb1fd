/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables that map and count clusters, read entry by entry: L1 and L2
 * tables, refcount tables and refcount blocks. */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

typedef enum
{
  QCOW2_TABLE_L1,
  QCOW2_TABLE_L2,
  QCOW2_TABLE_REFCOUNTS, /* the refcount table */
  QCOW2_TABLE_REFCOUNT_BLOCK
} Qcow2TableKind;

#define QCOW2_N_TABLE_KINDS 4

/* Bits of Qcow2ClusterRow.flags. */
#define QCOW2_ROW_COPIED (1 << 0)
#define QCOW2_ROW_ZERO (1 << 1)
#define QCOW2_ROW_COMPRESSED (1 << 2)
#define QCOW2_ROW_RESERVED (1 << 3)

/* An entry of any of these tables.  Members that its kind of table does not
 * have are 0. */
typedef struct
{
  guint64 index;
  guint64 value;    /* as on disk; a refcount */
  guint64 offset;   /* host, of the table, the cluster or the compressed
                       data */
  guint64 length;   /* bytes at OFFSET */
  guint64 type;     /* Qcow2ClusterType */
  guint64 flags;    /* QCOW2_ROW_... */
  guint64 reserved; /* bits of VALUE that are set but must be 0 */
  guint64 place;   /* start of what the entry describes, in bytes: in the guest
                      disk (L1, L2) or in the file (refcounts).  QCOW2_ABSENT
                      outside the disk, or if it is unknown */
  guint64 cluster; /* PLACE as a cluster number, or QCOW2_ABSENT */
  guint64 subclusters_allocated; /* masks; QCOW2_ABSENT without extended L2 */
  guint64 subclusters_zeroes;    /* entries */
} Qcow2ClusterRow;

/* A table, and what is needed to read its entries. */
typedef struct
{
  const Qcow2Image *image;
  Qcow2TableKind kind;
  guint64 offset;    /* host, of entry 0 */
  guint64 n_entries; /* as the image declares */
  guint64 index;     /* of the entry that points to the table, or
                        QCOW2_NO_INDEX if the header does, or nothing */
  guint64 pointer;   /* host offset of the entry or header field that points to
                        the table */
  guint64 place;     /* of entry 0, see Qcow2ClusterRow; QCOW2_ABSENT if it is
                        unknown */
} Qcow2ClusterTable;

extern const Qcow2Label qcow2_cluster_types[];

const char *qcow2_table_kind_get_name (Qcow2TableKind kind);
gboolean qcow2_table_kind_is_listed (Qcow2TableKind kind);
const Qcow2Field *
qcow2_cluster_table_get_fields (const Qcow2ClusterTable *table);
Qcow2ClusterTable qcow2_cluster_table_at (const Qcow2Image *image,
                                          Qcow2TableKind kind, guint64 offset,
                                          guint64 n_entries);
gboolean qcow2_cluster_table_find (const Qcow2Image *image,
                                   Qcow2TableKind kind, guint64 index,
                                   Qcow2ClusterTable *table, GError **error);
guint64 qcow2_cluster_table_get_n_readable (const Qcow2ClusterTable *table);
gboolean qcow2_cluster_table_skip_zeroes (const Qcow2ClusterTable *table,
                                          ByteWindow *window, guint64 *start,
                                          guint64 end, GError **error);
gsize qcow2_cluster_table_read (const Qcow2ClusterTable *table,
                                ByteWindow *window, guint64 start,
                                Qcow2ClusterRow *rows, gsize n_rows,
                                GError **error);

G_END_DECLS
