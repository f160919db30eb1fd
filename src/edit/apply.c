/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/apply.h"

#include <string.h>

#include "edit/apply-judge.h"
#include "edit/error.h"

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
  if (!edit_apply_judge (work, plan, reverse, progress.is_begun, error)
      || !plan_rest (work, plan, error))
    return FALSE;

  work->may_vouch = reverse && saved->is_done
                    && edit_target_get_stamp (work->target, &now)
                    && memcmp (&now, &saved->stamp, sizeof now) == 0;
  work->whole_plan = g_steal_pointer (&plan);
  return TRUE;
}
