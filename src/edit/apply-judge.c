/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/apply-judge.h"

#include <string.h>

#include "edit/area-plan.h"
#include "edit/error.h"
#include "edit/header-edit.h"
#include "edit/overlay.h"
#include "edit/sharing.h"
#include "qcow2/directory.h"

#define OTHER_ENTRIES                                                         \
  "bitmap directory: the plan changes an entry other than by taking it out "  \
  "or putting it back"

/* A range of the file. */
typedef struct
{
  guint64 start;
  guint64 end;
} Region;

/* Refuses PLAN unless it writes only to the first cluster, of CLUSTER_SIZE
 * bytes, and to the DIRECTORY.  Stores in *TOUCHES whether it writes to the
 * latter. */
static void
judge_regions (EditWork *work, const EditPlan *plan, guint64 cluster_size,
               Region directory, gboolean *touches)
{
  EditPosition at = { 0, 0 };
  const EditRun *run;

  *touches = FALSE;
  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    {
      const guint64 end = run->offset + edit_run_get_size (run);

      if (end <= cluster_size)
        continue;
      if (run->offset < directory.start || end > directory.end)
        edit_refuse_always (&work->refusals,
                            QCOW2_HEX_FORMAT
                            ": the plan writes outside of the first "
                            "cluster and the bitmap directory",
                            run->offset);
      *touches = TRUE;
    }
}

/* Refuses a plan that does more to the directory than to take entries out or
 * to put them back: flags of bitmaps, above all, say what only QEMU knows.
 * Unless the plan TOUCHES the directory, the entries are others because the
 * extension is, or because the directory overlaps the header: the command that
 * made the plan does that with --force. */
static void
judge_entries (EditWork *work, const EditJudgement *before,
               const EditJudgement *after, gboolean touches)
{
  if (edit_bitmaps_are_some_of (before, after)
      || edit_bitmaps_are_some_of (after, before))
    return;

  if (touches)
    edit_refuse_always (&work->refusals, OTHER_ENTRIES);
  else
    edit_refuse (&work->refusals, OTHER_ENTRIES);
}

/* Returns whether the bitmaps bit is set after STEP; IS_SET says that it is
 * before. */
static gboolean
is_set_after (const GPtrArray *step, gboolean is_set)
{
  const guint64 at = edit_area_get_bitmaps_byte ();

  for (guint i = 0; i < step->len; i++)
    {
      const EditRun *run = edit_step_get_run (step, i);

      if (run->offset <= at && at - run->offset < edit_run_get_size (run))
        is_set = (edit_run_get_bytes (run, FALSE)[at - run->offset]
                  & QCOW2_AUTOCLEAR_BITMAPS)
                 != 0;
    }

  return is_set;
}

/* Returns whether the header is known to be one without autoclear bits, in
 * place of which there are extensions. */
static gboolean
is_version_2 (const EditJudgement *judgement)
{
  return judgement->image != NULL && judgement->image->header.version == 2;
}

/* Refuses a plan that changes the bitmap directory, which lies after the first
 * cluster of CLUSTER_SIZE bytes, in a step before or after which the bitmaps
 * bit is set, and one that sets the bit for a while, although it is clear
 * before and after the plan.  IS_SET says that it is set before the plan,
 * ENDS_SET that it is after it. */
static void
judge_hiding (EditWork *work, const EditPlan *plan, guint64 cluster_size,
              gboolean is_set, gboolean ends_set)
{
  const gboolean stays_clear = !is_set && !ends_set;

  for (guint i = 0; i < edit_plan_get_n_steps (plan); i++)
    {
      const GPtrArray *step = edit_plan_get_step (plan, i);
      const gboolean is_set_next = is_set_after (step, is_set);

      if (stays_clear && is_set_next && !is_set)
        edit_refuse (&work->refusals,
                     "header: the plan sets the bitmaps bit for a while: a "
                     "power failure could leave stale bitmaps that are valid");
      for (guint k = 0; k < step->len; k++)
        {
          const EditRun *run = edit_step_get_run (step, k);

          if ((is_set || is_set_next)
              && run->offset + edit_run_get_size (run) > cluster_size)
            edit_refuse (&work->refusals,
                         QCOW2_HEX_FORMAT
                         ": the plan changes the bitmap directory while the "
                         "bitmaps bit is set: a power failure could leave "
                         "a wrong bitmap that is valid",
                         run->offset);
        }
      is_set = is_set_next;
    }
}

/* Returns the extension of AREA with the bytes of WANTED, from *INDEX on, or
 * NULL.  Stores the index after it in *INDEX. */
static const EditExtension *
find_extension (const EditArea *area, const EditExtension *wanted,
                guint *index)
{
  for (guint i = *index; i < area->extensions->len; i++)
    {
      const EditExtension *extension = g_ptr_array_index (area->extensions, i);

      if (!g_bytes_equal (extension->stored, wanted->stored))
        continue;

      *index = i + 1;
      return extension;
    }

  return NULL;
}

/* Returns whether all extensions of RESULT are where they are in ORIGINAL: at
 * most the contents of a bitmaps extension differ. */
static gboolean
are_in_place (const EditArea *original, const EditArea *result)
{
  if (original->extensions->len != result->extensions->len)
    return FALSE;

  for (guint i = 0; i < result->extensions->len; i++)
    {
      const EditExtension *a = g_ptr_array_index (original->extensions, i);
      const EditExtension *b = g_ptr_array_index (result->extensions, i);

      if (a->offset != b->offset || a->magic != b->magic
          || (a->magic != QCOW2_EXTENSION_BITMAPS
              && !g_bytes_equal (a->stored, b->stored)))
        return FALSE;
    }

  return TRUE;
}

/* Gives the extensions of RESULT, which is ORIGINAL after a plan, the offsets
 * that they have in ORIGINAL, as edit_area_plan () expects.  Returns whether
 * the plan writes all those that are new. */
static gboolean
match_extensions (const EditArea *original, EditArea *result)
{
  gboolean are_written = TRUE;
  guint index = 0;

  for (guint i = 0; i < result->extensions->len; i++)
    {
      EditExtension *extension = g_ptr_array_index (result->extensions, i);
      const EditExtension *found
          = find_extension (original, extension, &index);
      gsize size;
      const guint8 *stored = g_bytes_get_data (extension->stored, &size);

      if (found == NULL
          && memcmp (original->bytes + extension->offset, stored, size) == 0)
        are_written = FALSE;
      extension->offset = found != NULL ? found->offset : 0;
    }

  return are_written;
}

/* Refuses a plan that turns the extensions of ORIGINAL into those of RESULT,
 * unless a command would write the same, in a safe order.  IS_BEGUN says that
 * the plan was carried out in part: then nothing but the plan helps.  Takes
 * the extensions of RESULT. */
static void
judge_areas (EditWork *work, EditArea *original, EditArea *result,
             gboolean is_begun)
{
  const gboolean stay = are_in_place (original, result);
  const gboolean are_written = match_extensions (original, result);
  const guint64 start = original->start;
  g_autoptr (EditPlan) wanted = edit_plan_new ();
  EditRefusals reasons;

  edit_refusals_init (&reasons);
  g_ptr_array_unref (original->extensions);
  original->extensions = g_ptr_array_ref (result->extensions);
  const gboolean is_ordered
      = edit_area_plan (original, TRUE, wanted, &reasons);
  edit_plan_overlay (wanted, FALSE, start, original->bytes + start,
                     original->len - start);
  const gboolean is_equal
      = are_written && reasons.final == NULL
        && memcmp (original->bytes + start, result->bytes + start,
                   original->len - start)
               == 0;
  edit_refusals_clear (&reasons);

  if (!is_equal && stay)
    edit_work_say (work, "the plan writes bytes that no header extension of "
                         "the image has");
  else if (!is_equal)
    edit_refuse (&work->refusals,
                 "header extensions: others were added or deleted since the "
                 "plan was made, and it would hide or uncover one");
  else if (!is_ordered && !stay && !is_begun)
    edit_refuse (&work->refusals, "%s", EDIT_NO_ORDER);
}

/* Refuses a plan that turns the header of FROM into that of TO if it changes
 * bytes that no command writes: they are of no field. */
static void
judge_padding (EditWork *work, const EditArea *from, const EditArea *to)
{
  g_autofree guint8 *bytes = g_malloc (from->start);

  memcpy (bytes, from->bytes, from->start);
  for (const Qcow2Field *field = qcow2_header_record.fields;
       field->name != NULL; field++)
    {
      const guint at = qcow2_record_get_offset (&qcow2_header_record, field);

      if (field->stored && field->format != QCOW2_BYTES
          && at + field->size <= from->start)
        memcpy (bytes + at, to->bytes + at, field->size);
    }
  if (memcmp (bytes, to->bytes, from->start) != 0)
    edit_refuse (&work->refusals,
                 "header: the plan changes bytes that no field has");
}

/* Judges what the plan of WORK does to the first cluster: it turns the image
 * ORIGINAL into RESULT, which has the same fields, or undoes that.  Fails with
 * QCOW2_ERROR_READ. */
static gboolean
judge_first_cluster (EditWork *work, const Qcow2Image *original,
                     const Qcow2Image *result, gboolean is_begun,
                     GError **error)
{
  EditRefusals reasons;

  edit_refusals_init (&reasons);
  g_autoptr (EditArea) from = edit_area_read (original, &reasons, error);
  g_autoptr (EditArea) to
      = from != NULL ? edit_area_read (result, &reasons, error) : NULL;
  const gboolean is_read = to != NULL;
  const gboolean is_comparable
      = is_read && from->bytes != NULL && to->bytes != NULL
        && from->start == to->start && from->len == to->len;

  if (is_comparable)
    judge_padding (work, from, to);
  /* Of a plan that changes only fields, the header is judged. */
  if (is_comparable
      && memcmp (from->bytes + from->start, to->bytes + to->start,
                 from->len - from->start)
             != 0)
    {
      work->needs_all |= original->has_crypto || result->has_crypto;
      if (reasons.final != NULL)
        edit_refuse (&work->refusals, "%s", reasons.final);
      else
        judge_areas (work, from, to, is_begun);
    }
  edit_refusals_clear (&reasons);
  return is_read;
}

/* Judges PLAN as the command that made it did, and adds its reasons to refuse
 * it to WORK.  REVERSE says that PLAN undoes what that command did, IS_BEGUN
 * that it was carried out in part before.  Fails with EDIT_ERROR_PLAN or
 * QCOW2_ERROR_READ. */
gboolean
edit_apply_judge (EditWork *work, const EditPlan *plan, gboolean reverse,
                  gboolean is_begun, GError **error)
{
  g_autoptr (EditJudgement) before
      = edit_judge (edit_overlay_new (work->source, plan, TRUE), FALSE);
  g_autoptr (EditJudgement) after
      = edit_judge (edit_overlay_new (work->source, plan, FALSE), FALSE);
  EditJudgement *original = reverse ? after : before;
  gboolean touches;

  if (original->image == NULL)
    {
      g_set_error (error, EDIT_ERROR, EDIT_ERROR_PLAN,
                   "without the plan, the image could not be opened: %s",
                   original->open_error);
      return FALSE;
    }

  const Qcow2Image *image = original->image;
  const guint64 start = image->bitmaps.bitmap_directory_offset;
  const guint64 size
      = MIN (image->bitmaps.bitmap_directory_size, QCOW2_MAX_DIRECTORY_SIZE);
  const guint64 cluster_size
      = image->header.cluster_size != QCOW2_ABSENT
            ? MIN (image->header.cluster_size, EDIT_MAX_FIRST_CLUSTER)
            : QCOW2_KNOWN_HEADER_LENGTH;
  Region directory = { 0, 0 };
  if (image->has_bitmaps && start != 0)
    directory = (Region){ start, start + MIN (size, G_MAXUINT64 - start) };

  judge_regions (work, plan, cluster_size, directory, &touches);
  if (work->refusals.final != NULL)
    return TRUE;

  if (before->image != NULL && after->image != NULL)
    edit_work_judge_headers (work, &before->image->header,
                             &after->image->header);
  else
    edit_refuse (&work->refusals,
                 "no program can open the image before or after this, so "
                 "that its header fields cannot be compared: %s",
                 before->image == NULL ? before->open_error
                                       : after->open_error);
  if (before->image != NULL && after->image != NULL
      && !judge_first_cluster (work, image,
                               reverse ? before->image : after->image,
                               is_begun, error))
    return FALSE;
  if (image->has_bitmaps)
    judge_entries (work, before, after, touches);
  if (!is_version_2 (before) || !is_version_2 (after))
    judge_hiding (work, plan, cluster_size, edit_judgement_vouches (before),
                  edit_judgement_vouches (after));
  if (touches)
    edit_judge_sharing (
        original, directory.start, directory.end - directory.start,
        edit_bitmaps_find_removed (reverse ? before : after, original),
        &work->refusals);
  work->needs_all |= before->image == NULL || after->image == NULL;
  return TRUE;
}
