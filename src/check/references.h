/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks over all references to clusters of an image file, except those in L2
 * tables, as QEMU does when it counts references: qcow2 specification, section
 * "Host cluster management". */

#pragma once

#include "check/reference.h"
#include "check/snapshot-rules.h"
#include "qcow2/directory.h"
#include "qcow2/refcount.h"

G_BEGIN_DECLS

/* The table of a bitmap. */
typedef struct
{
  guint64 offset;      /* host */
  guint64 pointer;     /* host offset of the directory entry */
  guint32 n;           /* entries */
  gboolean has_data;   /* entries may refer to data */
  gboolean is_refused; /* QEMU does not load it */
} Qcow2BitmapTable;

/* An entry of an L1 table that is not 0. */
typedef struct
{
  guint64 raw;
  guint64 pointer;  /* host offset of the entry */
  guint64 index;    /* in its L1 table */
  guint64 snapshot; /* index, or QCOW2_NO_INDEX: the active L1 table */
} Qcow2L1Reference;

/* These receive references, along with DATA.  Functions that return FALSE and
 * set ERROR end the walk. */
typedef gboolean (*Qcow2ReferenceFunc) (const Qcow2Reference *reference,
                                        gpointer data, GError **error);
typedef gboolean (*Qcow2L1ReferenceFunc) (const Qcow2L1Reference *entry,
                                          gpointer data, GError **error);

typedef struct Qcow2References Qcow2References;

Qcow2References *qcow2_references_new (const Qcow2Image *image,
                                       Qcow2Directory *directory,
                                       const Qcow2SnapshotTable *snapshots,
                                       Qcow2Refcounts *refcounts);
gboolean
qcow2_references_have_refused_table (const Qcow2References *references);
void qcow2_references_set_tables (Qcow2References *references, GArray *tables);
gboolean qcow2_references_are_too_many (const Qcow2References *references);
gboolean qcow2_references_walk_structures (Qcow2References *references,
                                           Qcow2ReferenceFunc func,
                                           gpointer data, GError **error);
gboolean qcow2_references_walk_blocks (Qcow2References *references,
                                       Qcow2ReferenceFunc func, gpointer data,
                                       GError **error);
gboolean qcow2_references_walk_l1_tables (Qcow2References *references,
                                          Qcow2L1ReferenceFunc func,
                                          gpointer data, GError **error);
void qcow2_references_free (Qcow2References *references);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2References, qcow2_references_free)

G_END_DECLS
