/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/plan.h"

#include <string.h>

#include "edit/error.h"
#include "qcow2/error.h"

/* Changed bytes with no more than this number of equal bytes between them are
 * in one run. */
#define MAX_GAP 7

/* The number of runs of one change beyond which there is only one.  An edit of
 * the extensions has up to 14 changes, and EDIT_PLAN_MAX_RUNS counts all. */
#define MAX_CHANGES 256

/* The bytes of a run that are checked at a time. */
#define BLOCK_SIZE 4096

static void
run_free (gpointer data)
{
  EditRun *run = data;

  g_bytes_unref (run->old_bytes);
  g_bytes_unref (run->new_bytes);
  g_free (run->note);
  g_free (run);
}

static void
step_free (gpointer data)
{
  g_ptr_array_unref (data);
}

/* Returns a new plan without steps. */
EditPlan *
edit_plan_new (void)
{
  EditPlan *plan = g_new0 (EditPlan, 1);

  plan->steps = g_ptr_array_new_with_free_func (step_free);
  return plan;
}

void
edit_plan_free (EditPlan *plan)
{
  if (plan == NULL)
    return;

  g_ptr_array_unref (plan->steps);
  g_free (plan);
}

/* Begins a step of PLAN, unless the last one is still empty. */
void
edit_plan_begin_step (EditPlan *plan)
{
  const guint n = plan->steps->len;

  if (n > 0 && edit_plan_get_step (plan, n - 1)->len == 0)
    return;

  g_ptr_array_add (plan->steps, g_ptr_array_new_with_free_func (run_free));
}

/* Adds a run at host offset OFFSET to the last step of PLAN, which must have
 * begun.  OLD_BYTES and NEW_BYTES are of the same size, which is not 0.  FIELD
 * is a static string or NULL. */
void
edit_plan_add_bytes (EditPlan *plan, guint64 offset, GBytes *old_bytes,
                     GBytes *new_bytes, const char *field, const char *note)
{
  EditRun *run = g_new0 (EditRun, 1);

  g_assert (g_bytes_get_size (new_bytes) > 0 && plan->steps->len > 0);
  g_assert (g_bytes_get_size (old_bytes) == g_bytes_get_size (new_bytes));

  run->offset = offset;
  run->old_bytes = g_bytes_ref (old_bytes);
  run->new_bytes = g_bytes_ref (new_bytes);
  run->field = field;
  run->note = g_strdup (note);
  g_ptr_array_add (g_ptr_array_index (plan->steps, plan->steps->len - 1), run);
}

/* Adds a run of LEN bytes, at least one, as edit_plan_add_bytes () does. */
void
edit_plan_add (EditPlan *plan, guint64 offset, const guint8 *old_bytes,
               const guint8 *new_bytes, gsize len, const char *field,
               const char *note)
{
  g_autoptr (GBytes) old = g_bytes_new (old_bytes, len);
  g_autoptr (GBytes) new = g_bytes_new (new_bytes, len);

  edit_plan_add_bytes (plan, offset, old, new, field, note);
}

/* Returns the length of the equal bytes at the start of the LEN bytes at A and
 * B. */
static gsize
count_equal (const guint8 *a, const guint8 *b, gsize len)
{
  gsize n = 0;

  while (n < len && a[n] == b[n])
    n++;

  return n;
}

/* Returns the length of the run of changed bytes at the start of the LEN bytes
 * at A and B, of which the first differs. */
static gsize
measure_change (const guint8 *a, const guint8 *b, gsize len)
{
  gsize end = 1;

  while (end < len)
    {
      const gsize gap = count_equal (a + end, b + end, len - end);

      if (gap > MAX_GAP || gap == len - end)
        return end;
      end += gap + 1;
    }

  return end;
}

/* Returns the number of bytes up to the last one that differs between the LEN
 * bytes at A and B. */
static gsize
find_last_change (const guint8 *a, const guint8 *b, gsize len)
{
  while (len > 0 && a[len - 1] == b[len - 1])
    len--;

  return len;
}

/* Adds a run at host offset OFFSET to the last step of PLAN: the bytes from
 * the first one that differs between OLD_BYTES and NEW_BYTES to the last one.
 * They are not copied.  Adds nothing if there are none. */
void
edit_plan_add_change (EditPlan *plan, guint64 offset, GBytes *old_bytes,
                      GBytes *new_bytes, const char *note)
{
  gsize len;
  const guint8 *old = g_bytes_get_data (old_bytes, &len);
  const guint8 *new = g_bytes_get_data (new_bytes, NULL);
  const gsize start = count_equal (old, new, len);
  const gsize end = find_last_change (old, new, len);

  if (start == len)
    return;

  g_autoptr (GBytes) from
      = g_bytes_new_from_bytes (old_bytes, start, end - start);
  g_autoptr (GBytes) to
      = g_bytes_new_from_bytes (new_bytes, start, end - start);
  edit_plan_add_bytes (plan, offset + start, from, to, NULL, note);
}

/* Adds runs for those of the LEN bytes at host offset OFFSET that differ to
 * the last step of PLAN: one run for each group of them, as long as there are
 * not too many. */
void
edit_plan_add_changes (EditPlan *plan, guint64 offset, const guint8 *old_bytes,
                       const guint8 *new_bytes, gsize len, const char *note)
{
  guint n = 0;

  for (gsize i = count_equal (old_bytes, new_bytes, len); i < len;)
    {
      gsize size = measure_change (old_bytes + i, new_bytes + i, len - i);

      if (++n == MAX_CHANGES)
        size = find_last_change (old_bytes + i, new_bytes + i, len - i);
      edit_plan_add (plan, offset + i, old_bytes + i, new_bytes + i, size,
                     NULL, note);
      i += size;
      i += count_equal (old_bytes + i, new_bytes + i, len - i);
    }
}

guint
edit_plan_get_n_steps (const EditPlan *plan)
{
  return plan->steps->len;
}

/* Returns step INDEX of PLAN, an array of EditRun. */
const GPtrArray *
edit_plan_get_step (const EditPlan *plan, guint index)
{
  return g_ptr_array_index (plan->steps, index);
}

/* Returns run INDEX of STEP. */
const EditRun *
edit_step_get_run (const GPtrArray *step, guint index)
{
  return g_ptr_array_index (step, index);
}

/* Returns the run of PLAN at AT, and moves AT to the next one.  Returns NULL
 * after the last run. */
const EditRun *
edit_plan_next_run (const EditPlan *plan, EditPosition *at)
{
  for (; at->step < edit_plan_get_n_steps (plan); at->step++, at->run = 0)
    {
      const GPtrArray *step = edit_plan_get_step (plan, at->step);

      if (at->run < step->len)
        return edit_step_get_run (step, at->run++);
    }

  return NULL;
}

/* Returns the number of runs in all steps of PLAN. */
guint
edit_plan_get_n_runs (const EditPlan *plan)
{
  guint n = 0;

  for (guint i = 0; i < edit_plan_get_n_steps (plan); i++)
    n += edit_plan_get_step (plan, i)->len;

  return n;
}

/* Returns whether PLAN changes nothing. */
gboolean
edit_plan_is_empty (const EditPlan *plan)
{
  return edit_plan_get_n_runs (plan) == 0;
}

/* Adds a run to the last step of TO that is RUN or, with REVERSED, undoes
 * it. */
static void
copy_run (EditPlan *to, const EditRun *run, gboolean reversed)
{
  edit_plan_add_bytes (
      to, run->offset, reversed ? run->new_bytes : run->old_bytes,
      reversed ? run->old_bytes : run->new_bytes, run->field, run->note);
}

/* Adds a step to PLAN with the runs of STEP, which is of another plan, or,
 * with REVERSED, runs that undo them.  Adds nothing if STEP has none. */
void
edit_plan_add_step (EditPlan *plan, const GPtrArray *step, gboolean reversed)
{
  if (step->len > 0)
    edit_plan_begin_step (plan);
  for (guint i = 0; i < step->len; i++)
    copy_run (plan, edit_step_get_run (step, i), reversed);
}

/* Returns a copy of PLAN or, with REVERSED, a plan that undoes it. */
EditPlan *
edit_plan_copy (const EditPlan *plan, gboolean reversed)
{
  EditPlan *copy = edit_plan_new ();
  const guint n = edit_plan_get_n_steps (plan);

  for (guint i = 0; i < n; i++)
    edit_plan_add_step (
        copy, edit_plan_get_step (plan, reversed ? n - 1 - i : i), reversed);

  copy->is_done = plan->is_done;
  copy->stamp = plan->stamp;
  return copy;
}

/* Stores in *START and *END the offsets, counted from OFFSET, between which
 * RUN overlaps the LEN bytes at host offset OFFSET.  Returns FALSE if it does
 * not. */
static gboolean
find_overlap (const EditRun *run, guint64 offset, gsize len, gsize *start,
              gsize *end)
{
  const gsize size = edit_run_get_size (run);

  if (run->offset >= offset ? run->offset - offset >= len
                            : offset - run->offset >= size)
    return FALSE;

  *start = run->offset > offset ? (gsize) (run->offset - offset) : 0;
  const guint64 skipped = offset > run->offset ? offset - run->offset : 0;
  *end = (gsize) MIN (len, *start + (size - skipped));
  return TRUE;
}

/* Copies the bytes of RUN, the OLD or the new ones, over those of the LEN
 * bytes at BYTES that are at the same host offset: BYTES are at OFFSET. */
static void
overlay_run (const EditRun *run, gboolean old, guint64 offset, guint8 *bytes,
             gsize len)
{
  gsize start;
  gsize end;

  if (!find_overlap (run, offset, len, &start, &end))
    return;

  const gsize skipped
      = offset > run->offset ? (gsize) (offset - run->offset) : 0;
  memcpy (bytes + start, edit_run_get_bytes (run, old) + skipped, end - start);
}

/* Replaces those of the LEN bytes at BYTES, which are at host offset OFFSET,
 * that PLAN changes by their values after the edit or, with UNDO, before
 * it. */
void
edit_plan_overlay (const EditPlan *plan, gboolean undo, guint64 offset,
                   guint8 *bytes, gsize len)
{
  const guint n = edit_plan_get_n_steps (plan);

  for (guint i = 0; i < n; i++)
    {
      const GPtrArray *step = edit_plan_get_step (plan, undo ? n - 1 - i : i);

      for (guint k = 0; k < step->len; k++)
        overlay_run (edit_step_get_run (step, k), undo, offset, bytes, len);
    }
}

/* Fails if RUN overlaps one of the first N runs of STEP. */
static gboolean
check_overlaps (const GPtrArray *step, guint n, const EditRun *run,
                GError **error)
{
  gsize start;
  gsize end;

  for (guint i = 0; i < n; i++)
    {
      if (!find_overlap (edit_step_get_run (step, i), run->offset,
                         edit_run_get_size (run), &start, &end))
        continue;

      g_set_error (error, EDIT_ERROR, EDIT_ERROR_PLAN,
                   "two runs of a step change the byte at " QCOW2_HEX_FORMAT,
                   run->offset + start);
      return FALSE;
    }

  return TRUE;
}

/* Fails if an old byte of RUN is not what the steps in BEFORE left there. */
static gboolean
check_old (const EditRun *run, const EditPlan *before, GError **error)
{
  const gsize size = edit_run_get_size (run);
  gsize len;

  for (gsize at = 0; at < size; at += len)
    {
      const guint8 *old = edit_run_get_bytes (run, TRUE) + at;
      guint8 bytes[BLOCK_SIZE];

      len = MIN (sizeof bytes, size - at);
      memcpy (bytes, old, len);
      edit_plan_overlay (before, FALSE, run->offset + at, bytes, len);
      const gsize n = count_equal (bytes, old, len);
      if (n == len)
        continue;

      g_set_error (error, EDIT_ERROR, EDIT_ERROR_PLAN,
                   "the byte at " QCOW2_HEX_FORMAT
                   " is not what the step before left there",
                   run->offset + at + n);
      return FALSE;
    }

  return TRUE;
}

/* Fails if a byte of STEP is not what the steps in BEFORE left there. */
static gboolean
check_step (const GPtrArray *step, const EditPlan *before, GError **error)
{
  for (guint i = 0; i < step->len; i++)
    {
      const EditRun *run = edit_step_get_run (step, i);

      if (!check_overlaps (step, i, run, error)
          || !check_old (run, before, error))
        return FALSE;
    }

  return TRUE;
}

/* Fails with EDIT_ERROR_PLAN if PLAN contradicts itself: two runs of a step
 * overlap, or a byte has another value than the step before left there. */
gboolean
edit_plan_check (const EditPlan *plan, GError **error)
{
  g_autoptr (EditPlan) before = edit_plan_new ();

  for (guint i = 0; i < edit_plan_get_n_steps (plan); i++)
    {
      const GPtrArray *step = edit_plan_get_step (plan, i);

      if (!check_step (step, before, error))
        return FALSE;

      edit_plan_add_step (before, step, FALSE);
    }

  return TRUE;
}
