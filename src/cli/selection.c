/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/selection.h"

#include <string.h>

#include "check/directory-rules.h"
#include "cli/search.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/describe.h"
#include "render/format.h"

/* Fails with a usage error if the options of SELECTION exclude each other. */
gboolean
selection_check (const Selection *selection, GError **error)
{
  const char *const given[]
      = { selection->name != NULL ? "--name" : "",
          selection->index.given ? "--index" : "", NULL };

  return usage_check_exclusive (given, error);
}

gboolean
selection_is_given (const Selection *selection)
{
  return selection->name != NULL || selection->index.given;
}

/* Returns whether BITMAP is selected.  Without an option, all bitmaps are. */
gboolean
selection_matches (const Selection *selection, const Qcow2Bitmap *bitmap)
{
  if (selection->name != NULL)
    return search_is_equal (selection->name, bitmap->name);

  return !selection->index.given || selection->index.value == bitmap->index;
}

/* Moves DIRECTORY closer to the next selected bitmap, unless all bitmaps are
 * selected.  Returns FALSE when there is none. */
static gboolean
skip_others (const Selection *selection, Qcow2Directory *directory)
{
  if (selection->name != NULL)
    return qcow2_directory_skip_to_name (directory, selection->name,
                                         strlen (selection->name));

  return !selection->index.given
         || qcow2_directory_skip_to_index (directory, selection->index.value);
}

/* Returns a hint, possibly empty, at where else to find a bitmap that IMAGE
 * does not have.  The caller frees it. */
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
not_found (const Qcow2Image *image, const Search *search, GError **error)
{
  g_autofree char *hint = hint_elsewhere (image);

  return search_fail_not_found (search, hint, error);
}

/* Stores the next selected bitmap of DIRECTORY in *BITMAP, as
 * qcow2_directory_next () does. */
static Qcow2Next
next_match (const Selection *selection, Qcow2Directory *directory,
            Qcow2Bitmap *bitmap, GError **error)
{
  while (skip_others (selection, directory))
    {
      const Qcow2Next next = qcow2_directory_next (directory, bitmap, error);

      if (next != QCOW2_NEXT_ITEM || selection_matches (selection, bitmap))
        return next;
    }

  return QCOW2_NEXT_END;
}

/* Stores the number of selected bitmaps and the index of the last one in
 * SEARCH.  Rewinds DIRECTORY. */
static gboolean
find_matches (const Selection *selection, Qcow2Directory *directory,
              Search *search, GError **error)
{
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next;

  qcow2_directory_rewind (directory);
  while ((next = next_match (selection, directory, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      search->n_matches++;
      search->last = bitmap.index;
    }

  qcow2_directory_rewind (directory);
  return next == QCOW2_NEXT_END;
}

/* Stores the index of the first bitmap whose escaped name is the requested one
 * in SEARCH.  Rewinds DIRECTORY. */
static gboolean
find_lookalike (const Selection *selection, Qcow2Directory *directory,
                Search *search, GError **error)
{
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next = QCOW2_NEXT_END;

  if (selection->name == NULL || !search_may_look_like (selection->name))
    return TRUE;

  while (search->lookalike == QCOW2_NO_INDEX
         && (next = qcow2_directory_next (directory, &bitmap, error))
                == QCOW2_NEXT_ITEM)
    {
      if (search_looks_like (selection->name, bitmap.name))
        search->lookalike = bitmap.index;
    }

  qcow2_directory_rewind (directory);
  return next != QCOW2_NEXT_FAILED;
}

/* Searches DIRECTORY, which it rewinds, for the selected bitmaps, and stores
 * the index of the last one in *LAST.  Fails with QCOW2_ERROR_NOT_FOUND if
 * there is none.  If USE allows only one and there are several, fails with
 * QCOW2_ERROR_AMBIGUOUS. */
gboolean
selection_find (const Selection *selection, SelectionUse use,
                Qcow2Directory *directory, guint64 *last, GError **error)
{
  Search search = { .noun = "bitmap",
                    .key = "name",
                    .wanted = selection->name,
                    .wanted_index = selection->index.value,
                    .lookalike = QCOW2_NO_INDEX };

  if (!find_matches (selection, directory, &search, error))
    return FALSE;
  if (search.n_matches == 0)
    return find_lookalike (selection, directory, &search, error)
           && not_found (qcow2_directory_get_image (directory), &search,
                         error);
  if (use != SELECTION_ALL && search.n_matches > 1)
    return search_fail_ambiguous (&search, error);

  *last = search.last;
  return TRUE;
}

/* Calls SHOW for the selected bitmaps, up to the one with index LAST, and
 * reports the findings on each and on those before it.  VERDICT, unless it is
 * NULL, says whether QEMU opens the image. */
static gboolean
walk_up_to (const Selection *selection, const SelectionVisit *visit,
            SelectionFunc show, guint64 last, const Qcow2Verdict *verdict,
            Tool *tool, Qcow2Image *image,
            const Qcow2CheckedDirectory *checked, GError **error)
{
  Qcow2BitmapChecker *checker = qcow2_checked_directory_get_checker (checked);
  Qcow2Directory *directory = qcow2_checked_directory_get (checked);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_BITMAPS);
  gboolean any = FALSE;
  Qcow2Next next;

  if (verdict != NULL && verdict->effect >= QCOW2_EFFECT_UNKNOWN)
    qcow2_bitmap_checker_set_refused (checker);
  qcow2_directory_rewind (directory);
  while ((next = next_match (selection, directory, &bitmap, error))
             == QCOW2_NEXT_ITEM
         && bitmap.index <= last)
    {
      GError *show_error = NULL;
      const gboolean shown
          = show (tool, image, checker, &bitmap, visit->data, &show_error);

      any = TRUE;
      scope.max_bitmap = bitmap.index;
      if (visit->use != SELECTION_PREDICATE)
        tool_report (tool, scope);
      if ((!shown && !tool_recover (tool, show_error, error))
          || !tool_flush (tool, error))
        return FALSE;
    }

  if (next == QCOW2_NEXT_FAILED)
    return FALSE;
  if (any || !selection_is_given (selection))
    return TRUE;

  /* The bitmap was found before, so a writer has changed the directory. */
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ,
               "the bitmap directory changed while it was read");
  return FALSE;
}

/* Stores in *VERDICT whether QEMU opens the image of CHECKED.  Failed reads
 * are reported and leave the verdict unknown. */
static void
check_opening (Tool *tool, Qcow2CheckedDirectory *checked,
               Qcow2Verdict *verdict)
{
  GError *error = NULL;

  if (!qcow2_checked_directory_judge (checked, verdict, &error))
    tool_recover (tool, error, NULL);
}

/* Emits VERDICT for programs, unless it is NULL.  If the bitmaps are UNKNOWN,
 * emits null for them first. */
static void
give_verdict (Tool *tool, const Qcow2Verdict *verdict, gboolean unknown)
{
  Emitter *emitter = tool_get_emitter (tool);

  if (verdict == NULL || !emitter->machine_readable)
    return;

  if (unknown)
    emitter_null (emitter, "bitmaps");
  describe_verdict (emitter, verdict);
}

/* Fails with QCOW2_ERROR_CORRUPT if FINDINGS says that the directory has an
 * entry that cannot be read, after the N that were visited: an answer would
 * not be about all bitmaps. */
static gboolean
check_all_visited (const Qcow2Findings *findings, guint64 n, GError **error)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);
      const Qcow2Subject *subject = &finding->subject;

      if (finding->severity != QCOW2_SEVERITY_ERROR
          || (subject->parts & QCOW2_PART_BITMAPS) == 0
          || subject->bitmap == QCOW2_NO_INDEX || subject->bitmap < n)
        continue;

      g_autoptr (GString) message = g_string_new (NULL);
      format_finding_message (message, finding);
      g_set_error_literal (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
                           message->str);
      return FALSE;
    }

  return TRUE;
}

/* Fails with QCOW2_ERROR_CORRUPT because damage on the way to the bitmap
 * directory hides all of it. */
static gboolean
refuse_unknown (GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
               "the bitmap directory cannot be read: see qcow2tool check");
  return FALSE;
}

/* If ERROR says that no bitmap was found, makes another error of it, because
 * the bitmap may be in the part of the directory that cannot be read. */
static void
doubt_not_found (GError **error)
{
  if (!g_error_matches (*error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND))
    return;

  g_clear_error (error);
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
               "the bitmap directory cannot be read to its end: see qcow2tool "
               "check");
}

/* Ends VISIT, in which FIND_ERROR, of which it takes ownership, says why there
 * is no bitmap.  Emits the VERDICT all the same.  UNKNOWN tells whether damage
 * hides the bitmaps. */
static gboolean
visit_none (const SelectionVisit *visit, const Qcow2Verdict *verdict,
            gboolean unknown, Tool *tool, GError *find_error, GError **error)
{
  const gboolean is_error
      = !visit->may_be_none
        || !g_error_matches (find_error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);

  if (!is_error && !unknown)
    {
      emitter_begin (tool_get_emitter (tool), EMITTER_LIST, visit->key, NULL);
      emitter_end (tool_get_emitter (tool));
    }
  give_verdict (tool, verdict, is_error || unknown);
  if (visit->use != SELECTION_PREDICATE)
    tool_report (tool, REPORT_SCOPE (QCOW2_PART_BITMAPS));
  if (!is_error)
    {
      g_error_free (find_error);
      return TRUE;
    }

  g_propagate_error (error, find_error);
  return FALSE;
}

/* Visits the bitmaps of IMAGE in CHECKED, its directory, as selection_visit ()
 * says. */
static gboolean
visit_directory (const Selection *selection, const SelectionVisit *visit,
                 Tool *tool, Qcow2Image *image, Qcow2CheckedDirectory *checked,
                 GError **error)
{
  const gboolean selected = selection_is_given (selection);
  const ReportScope all = REPORT_SCOPE (QCOW2_PART_BITMAPS);
  Qcow2Findings *findings = tool_get_findings (tool);
  Qcow2Directory *directory = qcow2_checked_directory_get (checked);
  guint64 last = G_MAXUINT64;
  Qcow2Verdict opening = QCOW2_VERDICT_INIT;
  const Qcow2Verdict *verdict = visit->with_verdict ? &opening : NULL;
  const gboolean unknown = qcow2_directory_is_unknown (directory, findings);
  GError *find_error = NULL;

  if (verdict != NULL)
    check_opening (tool, checked, &opening);

  if (selected
      && !selection_find (selection, visit->use, directory, &last,
                          &find_error))
    {
      if (qcow2_directory_breaks_off (findings))
        doubt_not_found (&find_error);
      return visit_none (visit, verdict, unknown, tool, find_error, error);
    }
  if (unknown && visit->use == SELECTION_PREDICATE)
    return refuse_unknown (error);
  if (unknown)
    {
      give_verdict (tool, verdict, TRUE);
      tool_report (tool, all);
      return TRUE;
    }

  emitter_begin (tool_get_emitter (tool), EMITTER_LIST, visit->key, NULL);
  const gboolean shown
      = walk_up_to (selection, visit, visit->show, last, verdict, tool, image,
                    checked, error)
        && (visit->again == NULL
            || walk_up_to (selection, visit, visit->again, last, verdict, tool,
                           image, checked, error));
  emitter_end (tool_get_emitter (tool));
  give_verdict (tool, verdict, FALSE);
  if (!shown)
    return FALSE;

  if (visit->use == SELECTION_PREDICATE)
    return selected
           || check_all_visited (findings, qcow2_directory_get_n (directory),
                                 error);

  if (!selected)
    tool_report (tool, all);
  return TRUE;
}

/* Visits each selected bitmap of IMAGE in the order of the directory, and
 * reports the findings on it, or, without a selection, on all bitmaps.  Fails
 * when a function of VISIT fails, with QCOW2_ERROR_NOT_FOUND if the selection
 * matches no bitmap, unless VISIT allows that, and as selection_find () does
 * if it matches several where only one is allowed.  A predicate writes no
 * message except the error, which means that there is no answer. */
gboolean
selection_visit (const Selection *selection, const SelectionVisit *visit,
                 Tool *tool, Qcow2Image *image, GError **error)
{
  if (visit->directory != NULL)
    return visit_directory (selection, visit, tool, image, visit->directory,
                            error);

  g_autoptr (Qcow2CheckedDirectory) checked
      = qcow2_checked_directory_open (image, tool_get_findings (tool), error);

  return checked != NULL
         && visit_directory (selection, visit, tool, image, checked, error);
}

void
selection_clear (Selection *selection)
{
  g_clear_pointer (&selection->name, g_free);
}
