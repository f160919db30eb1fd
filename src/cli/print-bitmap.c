/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/bitmap-block.h"

#include "cli/rows.h"
#include "render/describe.h"

/* Examines BITMAP and counts its dirty bytes if STATS is not NULL and *STATS
 * is TRUE. */
static gboolean
examine (Qcow2Examiner *examiner, Qcow2Bitmap *bitmap, const gboolean *stats,
         GError **error)
{
  return qcow2_examiner_examine (examiner, bitmap, error)
         && (stats == NULL || !*stats
             || qcow2_examiner_count_dirty (examiner, bitmap, error));
}

/* Emits the block of BITMAP; a SelectionFunc.  The directory entry is printed
 * even if the table cannot be read.  DATA is NULL or points to a gboolean that
 * says whether to read the contents of BITMAP, too. */
gboolean
bitmap_block_show (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
                   Qcow2Examiner *examiner, Qcow2Bitmap *bitmap, gpointer data,
                   GError **error)
{
  const gboolean examined = examine (examiner, bitmap, data, error);

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  emitter_end (tool_get_emitter (tool));
  return examined;
}

/* Emits the block of BITMAP with its table; otherwise like
 * bitmap_block_show ().  The block already judges the table, so the rows are
 * not judged again. */
gboolean
bitmap_block_show_with_table (Tool *tool, Qcow2Image *image,
                              Qcow2Examiner *examiner, Qcow2Bitmap *bitmap,
                              gpointer data, GError **error)
{
  const RowOptions all_rows = { .count = ROWS_ALL };
  const gboolean examined = examine (examiner, bitmap, data, error);

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  const gboolean printed
      = rows_print_bitmap (tool, image, examiner, bitmap, &all_rows, FALSE,
                           examined ? error : NULL);
  emitter_end (tool_get_emitter (tool));
  return examined && printed;
}
