/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-bitmap-chains.h"

#include <string.h>

#include "cli/layers.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/bitmap-chain.h"

/* Stores in *VERDICT whether the BITMAPS with NAME are a chain.  Fails with
 * QCOW2_ERROR_NOT_FOUND if no layer has any. */
static gboolean
judge_name (Qcow2BitmapChain *bitmaps, const char *name,
            Qcow2BitmapChainVerdict *verdict, GError **error)
{
  qcow2_bitmap_chain_judge (bitmaps, name, strlen (name), verdict);
  if (verdict->is_found || verdict->answer == QCOW2_BITMAP_CHAIN_UNKNOWN)
    return TRUE;

  g_autofree char *escaped = usage_escape (name);
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
               "no layer has a bitmap with the name '%s'", escaped);
  return FALSE;
}

/* Fails with QCOW2_ERROR_NOT_FOUND if no layer of BITMAPS has a bitmap with
 * NAME, or with QCOW2_ERROR_READ if the top layer's are unknown. */
gboolean
bitmap_chains_have_name (Qcow2BitmapChain *bitmaps, const char *name,
                         GError **error)
{
  Qcow2BitmapChainVerdict verdict;

  return qcow2_bitmap_chain_open_directory (bitmaps, 0, error) != NULL
         && judge_name (bitmaps, name, &verdict, error);
}

/* Answers through the exit status whether the bitmaps with NAME in BITMAPS,
 * those of the layers of CHAIN, are a chain.  Fails with
 * QCOW2_ERROR_NOT_FOUND if there are none, with QCOW2_ERROR_CORRUPT if the
 * answer is unknown, or with QCOW2_ERROR_READ if a layer has changed. */
gboolean
bitmap_chains_answer (Tool *tool, const Qcow2Chain *chain,
                      Qcow2BitmapChain *bitmaps, const char *name,
                      GError **error)
{
  Qcow2BitmapChainVerdict verdict;

  if (!judge_name (bitmaps, name, &verdict, error)
      || !layers_check_still (chain, error))
    return FALSE;
  if (verdict.answer == QCOW2_BITMAP_CHAIN_VALID)
    return TRUE;

  g_autofree char *reason = bitmap_chain_explain (&verdict);
  if (verdict.answer != QCOW2_BITMAP_CHAIN_UNKNOWN)
    {
      tool_set_status (tool, TOOL_DAMAGED);
      return TRUE;
    }

  g_set_error_literal (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT, reason);
  return FALSE;
}

/* Stores entry INDEX of CHECKED in *BITMAP.  Judging a chain moves CHECKED, so
 * that each entry is searched for.  An entry without a name ends the
 * directory: it is the last one. */
static Qcow2Next
read_entry (const Qcow2CheckedDirectory *checked, guint64 index,
            Qcow2Bitmap *bitmap, GError **error)
{
  Qcow2Directory *directory = qcow2_checked_directory_get (checked);

  qcow2_directory_rewind (directory);
  if (!qcow2_directory_skip_to_index (directory, index))
    return QCOW2_NEXT_END;

  const Qcow2Next next = qcow2_directory_next (directory, bitmap, error);
  return next == QCOW2_NEXT_ITEM && bitmap->index != index ? QCOW2_NEXT_END
                                                           : next;
}

/* Writes a message if VERDICT is unknown because a layer of CHAIN cannot be
 * read.  In JSON that layer has said so, as has one that cannot be opened. */
static gboolean
tell_read_error (Tool *tool, const Qcow2Chain *chain,
                 const Qcow2BitmapChainVerdict *verdict, GError **error)
{
  if (tool_get_emitter (tool)->machine_readable
      || !g_error_matches (verdict->error, QCOW2_ERROR, QCOW2_ERROR_READ)
      || qcow2_chain_get (chain, verdict->depth)->image == NULL)
    return TRUE;

  g_autofree char *reason = bitmap_chain_explain (verdict);
  return tool_recover (
      tool, g_error_new_literal (QCOW2_ERROR, QCOW2_ERROR_READ, reason),
      error);
}

/* Shows whether BITMAP, one of the top layer's, and those in BITMAPS with its
 * name are a chain, unless it is not selected.  CHAIN has the layers. */
static gboolean
show_chain (Tool *tool, const Qcow2Chain *chain, Qcow2BitmapChain *bitmaps,
            const Selection *selection, const Qcow2Bitmap *bitmap,
            GError **error)
{
  Qcow2BitmapChainVerdict verdict;
  gsize len;

  if (bitmap->name == NULL || !selection_matches (selection, bitmap))
    return TRUE;

  const char *name = g_bytes_get_data (bitmap->name, &len);
  qcow2_bitmap_chain_judge (bitmaps, name, len, &verdict);
  if (!tell_read_error (tool, chain, &verdict, error))
    return FALSE;

  bitmap_chain_describe (tool_get_emitter (tool), bitmap->name, &verdict);
  return tool_flush (tool, error);
}

/* Shows, for each bitmap of the top layer of CHAIN that SELECTION selects,
 * whether it and those in BITMAPS with its name are a chain.  Fails with
 * QCOW2_ERROR_NOT_FOUND if a name is selected that no layer has, or with
 * QCOW2_ERROR_READ. */
gboolean
bitmap_chains_show (Tool *tool, const Qcow2Chain *chain,
                    Qcow2BitmapChain *bitmaps, const Selection *selection,
                    GError **error)
{
  Emitter *emitter = tool_get_emitter (tool);
  Qcow2CheckedDirectory *top
      = qcow2_bitmap_chain_open_directory (bitmaps, 0, error);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2BitmapChainVerdict verdict;
  Qcow2Next next;

  if (top == NULL
      || (selection->name != NULL
          && !judge_name (bitmaps, selection->name, &verdict, error)))
    return FALSE;

  emitter_begin (emitter, EMITTER_LIST, "chains", NULL);
  for (guint64 i = 0;
       (next = read_entry (top, i, &bitmap, error)) == QCOW2_NEXT_ITEM; i++)
    {
      if (!show_chain (tool, chain, bitmaps, selection, &bitmap, error))
        return FALSE;
    }
  emitter_end (emitter);
  return next == QCOW2_NEXT_END && layers_check_still (chain, error);
}
