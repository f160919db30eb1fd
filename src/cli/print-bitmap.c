/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-bitmap.h"

#include "cli/print-table.h"
#include "render/describe.h"

/* Examines BITMAP and counts its dirty bytes if STATS is not NULL and *STATS
 * is TRUE. */
static gboolean
examine (Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap,
         const gboolean *stats, GError **error)
{
  return qcow2_bitmap_checker_check (checker, bitmap, error)
         && (stats == NULL || !*stats
             || qcow2_bitmap_checker_count_dirty (checker, bitmap, error));
}

/* Emits the block of BITMAP; a SelectionFunc.  The directory entry is printed
 * even if the table cannot be read.  DATA is NULL or points to a gboolean that
 * says whether to read the contents of BITMAP, too. */
gboolean
bitmap_block_show (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
                   Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap,
                   gpointer data, GError **error)
{
  const gboolean examined = examine (checker, bitmap, data, error);

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  emitter_end (tool_get_emitter (tool));
  return examined;
}

/* Emits the block of BITMAP with its table; otherwise like
 * bitmap_block_show ().  The block already checks the table, so the rows are
 * not checked again. */
gboolean
bitmap_block_show_with_table (Tool *tool, Qcow2Image *image,
                              Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap,
                              gpointer data, GError **error)
{
  const RowOptions all_rows = { .count = ROWS_ALL };
  const gboolean examined = examine (checker, bitmap, data, error);

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  const gboolean printed = rows_print_bitmap (
      tool, image, checker, bitmap, &all_rows, FALSE, examined ? error : NULL);
  emitter_end (tool_get_emitter (tool));
  return examined && printed;
}
