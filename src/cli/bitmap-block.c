/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/bitmap-block.h"

#include "cli/rows.h"
#include "render/describe.h"

/* Shows the block of BITMAP: a SelectionFunc.  What can be read of a bitmap is
 * printed even if its table cannot. */
gboolean
bitmap_block_show (Tool *tool, Qcow2Image *image G_GNUC_UNUSED,
                   Qcow2Examiner *examiner, Qcow2Bitmap *bitmap,
                   gpointer data G_GNUC_UNUSED, GError **error)
{
  const gboolean examined = qcow2_examiner_examine (examiner, bitmap, error);

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  emitter_end (tool_get_emitter (tool));
  return examined;
}

/* The same with the table, which the block judges: its rows do not. */
gboolean
bitmap_block_show_with_table (Tool *tool, Qcow2Image *image,
                              Qcow2Examiner *examiner, Qcow2Bitmap *bitmap,
                              gpointer data G_GNUC_UNUSED, GError **error)
{
  const RowOptions all_rows = { .count = ROWS_ALL };
  const gboolean examined = qcow2_examiner_examine (examiner, bitmap, error);

  describe_begin_bitmap (tool_get_emitter (tool), bitmap);
  const gboolean printed = rows_print_bitmap (tool, image, bitmap, &all_rows,
                                              FALSE, examined ? error : NULL);
  emitter_end (tool_get_emitter (tool));
  return examined && printed;
}
