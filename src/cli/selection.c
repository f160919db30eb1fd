/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/selection.h"

#include <string.h>

#include "cli/usage.h"
#include "qcow2/error.h"
#include "qcow2/opening.h"
#include "render/describe.h"
#include "render/format.h"

/* What a look through the directory has found. */
typedef struct
{
  guint64 n_matches;
  guint64 last;      /* index of the last match */
  guint64 lookalike; /* index of a bitmap whose name is shown as what was
                        asked for, or QCOW2_NO_INDEX */
} Search;

/* Checks and reads what the options of SELECTION were given. */
gboolean
selection_parse (Selection *selection, GError **error)
{
  const char *const given[]
      = { selection->name != NULL ? "--name" : "",
          selection->index_text != NULL ? "--index" : "", NULL };

  if (!usage_check_exclusive (given, error))
    return FALSE;

  return usage_parse_number ("--index", selection->index_text,
                             &selection->index, error);
}

gboolean
selection_is_given (const Selection *selection)
{
  return selection->name != NULL || selection->index_text != NULL;
}

static gboolean
is_named (const Qcow2Bitmap *bitmap, const char *name)
{
  gsize len;

  if (bitmap->name == NULL)
    return FALSE;

  const char *bytes = g_bytes_get_data (bitmap->name, &len);
  return len == strlen (name) && (len == 0 || memcmp (bytes, name, len) == 0);
}

/* Whether BITMAP is one of those asked for; all are when no option was given.
 */
gboolean
selection_matches (const Selection *selection, const Qcow2Bitmap *bitmap)
{
  if (selection->name != NULL)
    return is_named (bitmap, selection->name);

  return selection->index_text == NULL || selection->index == bitmap->index;
}

/* Moves DIRECTORY closer to the next bitmap that is asked for, if that is not
 * any.  Returns FALSE when there is none. */
static gboolean
skip_others (const Selection *selection, Qcow2Directory *directory)
{
  if (selection->name != NULL)
    return qcow2_directory_skip_to_name (directory, selection->name,
                                         strlen (selection->name));

  return selection->index_text == NULL
         || qcow2_directory_skip_to_index (directory, selection->index);
}

static gboolean
looks_like (const Qcow2Bitmap *bitmap, const char *name)
{
  g_autoptr (GString) shown = g_string_new (NULL);

  if (bitmap->name == NULL)
    return FALSE;

  format_escaped_bytes (shown, bitmap->name);
  return g_str_equal (shown->str, name);
}

/* Returns where else a bitmap may be that IMAGE does not have. */
static char *
hint_elsewhere (const Qcow2Image *image)
{
  const gboolean written
      = qcow2_image_probe_writer (image) == BYTE_SOURCE_LOCKED;
  const gboolean backed = image->header.backing_file != NULL;

  return g_strconcat (written ? "; a running QEMU keeps new bitmaps in memory "
                                "until it closes the image"
                              : "",
                      backed ? "; the backing file may have it" : "", NULL);
}

static gboolean
not_found (const Selection *selection, const Qcow2Image *image,
           const Search *search, GError **error)
{
  g_autofree char *name = NULL;

  if (selection->name == NULL)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   "no bitmap has the index " QCOW2_U, selection->index);
      return FALSE;
    }

  name = usage_escape (selection->name);
  /* A lookalike is in escaped form already. */
  if (search->lookalike == QCOW2_NO_INDEX)
    {
      g_autofree char *hint = hint_elsewhere (image);

      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                   "no bitmap has the name '%s'%s", name, hint);
    }
  else
    g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND,
                 "no bitmap has the name '%s', but bitmap " QCOW2_U
                 " is shown that way: use --index " QCOW2_U,
                 selection->name, search->lookalike, search->lookalike);
  return FALSE;
}

/* Gives in BITMAP, which the caller clears, the next one in DIRECTORY that is
 * asked for.  Returns FALSE without an error when there is none. */
static gboolean
next_match (const Selection *selection, Qcow2Directory *directory,
            Qcow2Bitmap *bitmap, GError **error)
{
  while (skip_others (selection, directory)
         && qcow2_directory_next (directory, bitmap, error))
    {
      if (selection_matches (selection, bitmap))
        return TRUE;

      qcow2_bitmap_clear (bitmap);
    }

  return FALSE;
}

/* Fills SEARCH with the bitmaps asked for. */
static gboolean
find_matches (const Selection *selection, Qcow2Directory *directory,
              Search *search, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  qcow2_directory_rewind (directory);
  while (TRUE)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };

      if (!next_match (selection, directory, &bitmap, &local_error))
        break;

      search->n_matches++;
      search->last = bitmap.index;
    }

  qcow2_directory_rewind (directory);
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Fills SEARCH with the first bitmap that is shown as what was asked for. */
static gboolean
find_lookalike (const Selection *selection, Qcow2Directory *directory,
                Search *search, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  /* Only what has an escape in it looks like another name. */
  if (selection->name == NULL || strchr (selection->name, '\\') == NULL)
    return TRUE;

  while (search->lookalike == QCOW2_NO_INDEX)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };

      if (!qcow2_directory_next (directory, &bitmap, &local_error))
        break;
      if (looks_like (&bitmap, selection->name))
        search->lookalike = bitmap.index;
    }

  qcow2_directory_rewind (directory);
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Looks for the bitmaps asked for in DIRECTORY, which it rewinds.  LAST gets
 * the index of the last of them.  Fails with QCOW2_ERROR_NOT_FOUND when there
 * is none, and, when only one may be, with QCOW2_ERROR_AMBIGUOUS when there
 * are several; of a predicate 2 would be an answer, so there it is another
 * error.
 */
gboolean
selection_find (const Selection *selection, SelectionUse use,
                Qcow2Directory *directory, guint64 *last, GError **error)
{
  Search search = { .lookalike = QCOW2_NO_INDEX };

  if (!find_matches (selection, directory, &search, error))
    return FALSE;
  if (search.n_matches == 0)
    return find_lookalike (selection, directory, &search, error)
           && not_found (selection, qcow2_directory_get_image (directory),
                         &search, error);

  if (use != SELECTION_ALL && search.n_matches > 1)
    {
      g_autofree char *name = usage_escape (selection->name);

      g_set_error (error, QCOW2_ERROR,
                   use == SELECTION_PREDICATE ? QCOW2_ERROR_READ
                                              : QCOW2_ERROR_AMBIGUOUS,
                   QCOW2_U " bitmaps have the name '%s': use --index",
                   search.n_matches, name);
      return FALSE;
    }

  *last = search.last;
  return TRUE;
}

/* Calls SHOW for the bitmaps asked for, up to the one with index LAST, and
 * reports what is wrong with each and on the way to it.  VERDICT, unless it is
 * NULL, says what QEMU does with the image. */
static gboolean
walk_up_to (const Selection *selection, const SelectionVisit *visit,
            SelectionFunc show, guint64 last, const Qcow2Verdict *verdict,
            Tool *tool, Qcow2Image *image, Qcow2Directory *directory,
            GError **error)
{
  g_autoptr (Qcow2Examiner) examiner = qcow2_examiner_new (image, directory);
  g_autoptr (GError) local_error = NULL;
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_BITMAPS);
  gboolean any = FALSE;

  if (verdict != NULL && verdict->effect >= QCOW2_EFFECT_UNKNOWN)
    qcow2_examiner_set_refused (examiner);
  qcow2_directory_rewind (directory);
  while (local_error == NULL)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };

      if (!next_match (selection, directory, &bitmap, &local_error)
          || bitmap.index > last)
        break;

      any = TRUE;
      show (tool, image, examiner, &bitmap, visit->data, &local_error);
      scope.max_bitmap = bitmap.index;
      if (visit->use != SELECTION_PREDICATE)
        tool_report (tool, scope);
      if (local_error == NULL || tool_go_on_after (tool, &local_error))
        tool_flush (tool, &local_error);
    }

  /* It was there when it was looked for: somebody is writing. */
  if (local_error == NULL && !any && selection_is_given (selection))
    g_set_error (&local_error, QCOW2_ERROR, QCOW2_ERROR_READ,
                 "the bitmap directory changed while it was read");
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Stores in *VERDICT what QEMU does with IMAGE.  Reads that fail are reported,
 * and leave it unknown. */
static void
judge_opening (Tool *tool, Qcow2Image *image, Qcow2Directory *directory,
               Qcow2Verdict *verdict)
{
  GError *error = NULL;

  if (!qcow2_image_judge_opening (image, directory, verdict, &error))
    tool_go_on_after (tool, &error);
}

/* Gives VERDICT, unless it is NULL, to programs; where the bitmaps are
 * UNKNOWN, their null comes before it. */
static void
give_verdict (Tool *tool, const Qcow2Verdict *verdict, gboolean unknown)
{
  Emitter *emitter = tool_get_emitter (tool);

  if (verdict == NULL || !emitter->for_programs)
    return;

  if (unknown)
    emitter_null (emitter, "bitmaps");
  describe_verdict (emitter, verdict);
}

/* Fails when the directory of IMAGE has an entry that cannot be read, after
 * the N that were visited: no answer is about all bitmaps then. */
static gboolean
check_all_visited (const Qcow2Image *image, guint64 n, GError **error)
{
  for (guint i = 0; i < qcow2_problems_get_n (image->problems); i++)
    {
      const Qcow2Problem *problem = qcow2_problems_get (image->problems, i);
      const Qcow2Subject *subject = &problem->subject;

      if (problem->severity != QCOW2_SEVERITY_ERROR
          || (subject->parts & QCOW2_PART_BITMAPS) == 0
          || subject->bitmap == QCOW2_NO_INDEX || subject->bitmap < n)
        continue;

      g_autoptr (GString) message = g_string_new (NULL);
      format_problem (message, problem);
      g_set_error_literal (error, QCOW2_ERROR, QCOW2_ERROR_READ, message->str);
      return FALSE;
    }

  return TRUE;
}

/* Fails because damage on the way to the bitmap directory hides all of it. */
static gboolean
refuse_unknown (GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ,
               "the bitmap directory cannot be read: see qcow2tool check");
  return FALSE;
}

/* Visits each bitmap of IMAGE that is asked for, in the order of the
 * directory, and reports what is wrong with it, or, when none was asked for in
 * particular, with any.  Fails as the functions of VISIT do, and when there is
 * no bitmap like that or, with SELECTION_ONE, several.  A predicate has no
 * messages but the error, with which there is no answer. */
gboolean
selection_visit (const Selection *selection, const SelectionVisit *visit,
                 Tool *tool, Qcow2Image *image, GError **error)
{
  const gboolean selected = selection_is_given (selection);
  const ReportScope all = REPORT_SCOPE (QCOW2_PART_BITMAPS);
  g_autoptr (Qcow2Directory) directory = qcow2_directory_open (image, error);
  guint64 last = G_MAXUINT64;
  Qcow2Verdict opening = QCOW2_VERDICT_INIT;
  const Qcow2Verdict *verdict = visit->with_verdict ? &opening : NULL;

  if (directory == NULL)
    return FALSE;
  if (verdict != NULL)
    judge_opening (tool, image, directory, &opening);

  if (selected
      && !selection_find (selection, visit->use, directory, &last, error))
    {
      if (visit->use != SELECTION_PREDICATE)
        tool_report (tool, all);
      return FALSE;
    }
  if (qcow2_directory_is_unknown (directory)
      && visit->use == SELECTION_PREDICATE)
    return refuse_unknown (error);
  if (qcow2_directory_is_unknown (directory))
    {
      give_verdict (tool, verdict, TRUE);
      tool_report (tool, all);
      return TRUE;
    }

  emitter_begin (tool_get_emitter (tool), EMITTER_LIST, visit->key, NULL);
  const gboolean shown
      = walk_up_to (selection, visit, visit->show, last, verdict, tool, image,
                    directory, error)
        && (visit->again == NULL
            || walk_up_to (selection, visit, visit->again, last, verdict, tool,
                           image, directory, error));
  emitter_end (tool_get_emitter (tool));
  give_verdict (tool, verdict, FALSE);
  if (!shown)
    return FALSE;

  if (visit->use == SELECTION_PREDICATE)
    return selected
           || check_all_visited (image, qcow2_directory_get_n (directory),
                                 error);

  if (!selected)
    tool_report (tool, all);
  return TRUE;
}

void
selection_clear (Selection *selection)
{
  g_clear_pointer (&selection->name, g_free);
  g_clear_pointer (&selection->index_text, g_free);
}
