/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the entries of any table but a bitmap table and prints them, block by
 * block. */

#pragma once

#include "cli/tool.h"
#include "qcow2/cluster-table.h"
#include "qcow2/snapshot-walk.h"

G_BEGIN_DECLS

typedef struct
{
  guint64 start; /* index of the first entry */
  guint64 end;   /* index after the last one */
  gboolean used; /* only those that are not 0 */
} EntryRange;

gboolean entries_print (Tool *tool, const Qcow2ClusterTable *table,
                        const EntryRange *range, GError **error);
gboolean entries_print_snapshots (Tool *tool, Qcow2SnapshotWalk *walk,
                                  const EntryRange *range, gboolean *complete,
                                  GError **error);

G_END_DECLS
