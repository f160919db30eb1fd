/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks over the L2 tables of an image and its snapshots, each of them once,
 * in the order of their host offsets. */

#pragma once

#include "check/references.h"

G_BEGIN_DECLS

/* An L2 table, and all references to it. */
typedef struct
{
  guint64 offset;   /* host, as in the L1 entries */
  guint64 pointer;  /* host offset of the first of them, one of the active L1
                       table if there is one */
  guint32 index;    /* of that entry in its L1 table */
  guint32 snapshot; /* index of the snapshot with that table, or G_MAXUINT32 */
  guint32 n;        /* references */
  guint32 n_active; /* of which are in the active L1 table */
  guint32 other;    /* if there are several: index of another one of these */
} Qcow2L2Table;

/* Receives a table, along with DATA.  A function that returns FALSE and sets
 * ERROR ends the walk. */
typedef gboolean (*Qcow2L2TableFunc) (const Qcow2L2Table *table, gpointer data,
                                      GError **error);

gboolean qcow2_references_walk_l2_tables (Qcow2References *references,
                                          Qcow2L2TableFunc func, gpointer data,
                                          GError **error);

G_END_DECLS
