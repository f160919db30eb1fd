/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-entries.h"

#include "render/describe.h"

/* Number of entries that are read and printed at a time. */
#define BLOCK 512

/* Returns whether any bit of ROW is set. */
static gboolean
is_used (const Qcow2ClusterRow *row)
{
  const gboolean has_subclusters
      = row->subclusters_allocated != QCOW2_ABSENT
        && (row->subclusters_allocated | row->subclusters_zeroes) != 0;

  return row->value != 0 || has_subclusters;
}

/* Moves those of the N ROWS that are used to the front.  Returns their
 * number. */
static gsize
keep_used (Qcow2ClusterRow *rows, gsize n)
{
  gsize n_kept = 0;

  for (gsize i = 0; i < n; i++)
    {
      if (is_used (&rows[i]))
        rows[n_kept++] = rows[i];
    }

  return n_kept;
}

/* Prints those entries of TABLE in RANGE that are in the file. */
gboolean
entries_print (Tool *tool, const Qcow2ClusterTable *table,
               const EntryRange *range, GError **error)
{
  const guint64 end
      = MIN (range->end, qcow2_cluster_table_get_n_readable (table));
  g_autoptr (ByteWindow) window = byte_window_new (table->image->source, 0);
  Qcow2ClusterRow rows[BLOCK];

  for (guint64 start = range->start; start < end;)
    {
      if (range->used
          && !qcow2_cluster_table_skip_zeroes (table, window, &start, end,
                                               error))
        return FALSE;
      if (start == end)
        break;

      const gsize wanted = (gsize) MIN (end - start, BLOCK);
      const gsize got = qcow2_cluster_table_read (table, window, start, rows,
                                                  wanted, error);

      if (got == 0)
        return FALSE;

      emitter_rows (tool_get_emitter (tool),
                    qcow2_cluster_table_get_fields (table), rows,
                    sizeof rows[0], range->used ? keep_used (rows, got) : got);
      if (!tool_flush (tool, error))
        return FALSE;

      start += got;
    }

  return TRUE;
}

/* Prints the entries of WALK in RANGE.  Stores in *COMPLETE whether the walk
 * reached the end of RANGE. */
gboolean
entries_print_snapshots (Tool *tool, Qcow2SnapshotWalk *walk,
                         const EntryRange *range, gboolean *complete,
                         GError **error)
{
  g_auto (Qcow2Snapshot) snapshot = { 0 };

  while (qcow2_snapshot_walk_get_n (walk) < range->end)
    {
      const Qcow2Next next = qcow2_snapshot_walk_next (walk, &snapshot, error);

      if (next == QCOW2_NEXT_FAILED)
        return FALSE;
      if (next == QCOW2_NEXT_END)
        {
          *complete = FALSE;
          return TRUE;
        }
      if (snapshot.index < range->start)
        continue;

      describe_snapshot (tool_get_emitter (tool), &snapshot);
      if (!tool_flush (tool, error))
        return FALSE;
    }

  *complete = TRUE;
  return TRUE;
}
