/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/apply.h"

#include <string.h>

#include "edit/error.h"
#include "edit/overlay.h"
#include "edit/sharing.h"
#include "qcow2/directory.h"

#define OTHER_ENTRIES                                                         \
  "bitmap directory: the plan changes an entry other than by taking it out "  \
  "or putting it back"

/* QEMU's largest cluster in bytes. */
#define MAX_FIRST_CLUSTER (2 * 1024 * 1024)

/* The bytes of a run that are compared at a time. */
#define BLOCK_SIZE (16 * 1024)

/* How far a plan was carried out. */
typedef struct
{
  gboolean is_begun; /* a byte is not as before the plan */
  gboolean is_ended; /* all bytes are as after it */
} Progress;

/* Marks in MATCHES those of the SIZE bytes at FOUND, at host offset OFFSET,
 * that RUN has as old or new bytes. */
static void
match_run (const EditRun *run, guint64 offset, const guint8 *found, gsize size,
           guint8 *matches)
{
  const guint64 run_end = run->offset + edit_run_get_size (run);
  const guint64 start = MAX (run->offset, offset);
  const guint64 end = MIN (run_end, offset + size);
  const guint8 *old = edit_run_get_bytes (run, TRUE);
  const guint8 *new = edit_run_get_bytes (run, FALSE);

  for (guint64 at = start; at < end; at++)
    {
      const guint8 byte = found[at - offset];

      if (byte == old[at - run->offset] || byte == new[at - run->offset])
        matches[at - offset] = 1;
    }
}

/* Fails with EDIT_ERROR_CHANGED unless each of the SIZE bytes at FOUND, at
 * host offset OFFSET, is one that a step of PLAN leaves there. */
static gboolean
check_values (const EditPlan *plan, guint64 offset, const guint8 *found,
              gsize size, GError **error)
{
  g_autofree guint8 *matches = g_malloc0 (size);
  EditPosition position = { 0, 0 };
  const EditRun *run;

  while ((run = edit_plan_next_run (plan, &position)) != NULL)
    match_run (run, offset, found, size, matches);

  const guint8 *wrong = memchr (matches, 0, size);
  if (wrong == NULL)
    return TRUE;

  const gsize at = (gsize) (wrong - matches);
  g_set_error (error, EDIT_ERROR, EDIT_ERROR_CHANGED,
               QCOW2_HEX_FORMAT
               ": there is 0x%02x, which the plan neither expects nor leaves "
               "there: it is not the plan of this image, or the image was "
               "changed since; nothing was written",
               offset + at, found[at]);
  return FALSE;
}

/* Compares the LEN bytes at host offset OFFSET of the image, at most
 * BLOCK_SIZE, with those of PLAN, and updates PROGRESS of PLAN. */
static gboolean
compare_block (EditWork *work, const EditPlan *plan, guint64 offset, gsize len,
               Progress *progress, GError **error)
{
  guint8 found[BLOCK_SIZE];
  guint8 wanted[BLOCK_SIZE];

  if (!byte_source_read (work->source, offset, found, len, "plan", error)
      || !check_values (plan, offset, found, len, error))
    return FALSE;

  memcpy (wanted, found, len);
  edit_plan_overlay (plan, TRUE, offset, wanted, len);
  progress->is_begun |= memcmp (wanted, found, len) != 0;
  edit_plan_overlay (plan, FALSE, offset, wanted, len);
  progress->is_ended &= memcmp (wanted, found, len) == 0;
  return TRUE;
}

/* Compares the bytes of RUN with those of the image, and updates PROGRESS of
 * PLAN, which RUN is of. */
static gboolean
compare_run (EditWork *work, const EditPlan *plan, const EditRun *run,
             Progress *progress, GError **error)
{
  const gsize size = edit_run_get_size (run);
  const guint64 file_size = byte_source_get_size (work->source);
  gsize len;

  if (run->offset > file_size || size > file_size - run->offset)
    {
      g_set_error (error, EDIT_ERROR, EDIT_ERROR_CHANGED,
                   QCOW2_HEX_FORMAT
                   ": the file ends before the bytes of the plan; nothing was "
                   "written",
                   run->offset);
      return FALSE;
    }

  for (gsize at = 0; at < size; at += len)
    {
      len = MIN (BLOCK_SIZE, size - at);
      if (!compare_block (work, plan, run->offset + at, len, progress, error))
        return FALSE;
    }

  return TRUE;
}

static gboolean
compare (EditWork *work, const EditPlan *plan, Progress *progress,
         GError **error)
{
  EditPosition at = { 0, 0 };
  const EditRun *run;

  *progress = (Progress){ .is_begun = FALSE, .is_ended = TRUE };
  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    {
      if (!compare_run (work, plan, run, progress, error))
        return FALSE;
    }

  return TRUE;
}

/* Plans those steps of PLAN that are left, from the first one on: a step that
 * changes nothing now is left out.  There are no more runs than in PLAN, so
 * that the rest can be saved and read back, too. */
static gboolean
plan_rest (EditWork *work, const EditPlan *plan, GError **error)
{
  for (guint i = 0; i < edit_plan_get_n_steps (plan); i++)
    {
      const GPtrArray *step = edit_plan_get_step (plan, i);
      g_autoptr (EditPlan) rest = edit_plan_new ();

      edit_plan_begin_step (rest);
      for (guint k = 0; k < step->len; k++)
        {
          const EditRun *run = edit_step_get_run (step, k);
          const gsize size = edit_run_get_size (run);
          guint8 *bytes = g_malloc (size);
          g_autoptr (GBytes) now = g_bytes_new_take (bytes, size);

          if (!byte_source_read (work->source, run->offset, bytes, size,
                                 "plan", error))
            return FALSE;

          edit_plan_overlay (work->plan, FALSE, run->offset, bytes, size);
          edit_plan_add_change (rest, run->offset, now, run->new_bytes,
                                run->note);
        }

      edit_plan_add_step (work->plan, edit_plan_get_step (rest, 0), FALSE);
    }

  return TRUE;
}

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

/* Judges PLAN as the command that made it did.  REVERSE says that it undoes
 * what that command did. */
static gboolean
judge_plan (EditWork *work, const EditPlan *plan, gboolean reverse,
            GError **error)
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
            ? MIN (image->header.cluster_size, MAX_FIRST_CLUSTER)
            : QCOW2_KNOWN_HEADER_LENGTH;
  Region directory = { 0, 0 };
  if (image->has_bitmaps && start != 0)
    directory = (Region){ start, start + MIN (size, G_MAXUINT64 - start) };

  judge_regions (work, plan, cluster_size, directory, &touches);
  if (work->refusals.final != NULL)
    return TRUE;

  if (before->image != NULL && after->image != NULL)
    edit_work_compare_headers (work, &before->image->header,
                               &after->image->header);
  else
    edit_refuse (&work->refusals,
                 "no program can open the image before or after this, so "
                 "that its header fields cannot be compared: %s",
                 before->image == NULL ? before->open_error
                                       : after->open_error);
  if (image->has_bitmaps)
    judge_entries (work, before, after, touches);
  if (touches)
    edit_judge_sharing (original, directory.start,
                        directory.end - directory.start, &work->refusals);
  work->is_whole |= before->image == NULL || after->image == NULL;
  return TRUE;
}

/* Plans to carry out SAVED, a plan, or with REVERSE to undo it.  Stores in
 * *INTERRUPTED whether it was carried out in part before.  Fails with
 * EDIT_ERROR_CHANGED if the image has other bytes than the plan, with
 * EDIT_ERROR_PLAN or with QCOW2_ERROR_READ. */
gboolean
edit_apply (EditWork *work, const EditPlan *saved, gboolean reverse,
            gboolean *interrupted, GError **error)
{
  g_autoptr (EditPlan) plan = edit_plan_copy (saved, reverse);
  Progress progress;
  EditStamp now;

  *interrupted = FALSE;
  if (!compare (work, plan, &progress, error))
    return FALSE;
  if (progress.is_ended)
    return TRUE;

  *interrupted = progress.is_begun;
  if (!judge_plan (work, plan, reverse, error)
      || !plan_rest (work, plan, error))
    return FALSE;

  work->may_vouch = reverse && saved->is_done
                    && edit_target_get_stamp (work->target, &now)
                    && memcmp (&now, &saved->stamp, sizeof now) == 0;
  work->whole_plan = g_steal_pointer (&plan);
  return TRUE;
}
