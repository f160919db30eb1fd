/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/write-plan.h"

#include <signal.h>
#include <string.h>

#include "edit/error.h"
#include "qcow2/error.h"

/* The bytes that are compared at a time. */
#define BLOCK_SIZE (16 * 1024)

/* Bytes that are written with one call. */
typedef struct
{
  guint64 offset;
  GBytes *bytes;
} Write;

/* Compares the LEN bytes of TARGET at host offset OFFSET, at most BLOCK_SIZE,
 * with BYTES.  Stores whether they are the same in *IS_SAME. */
static gboolean
compare_block (const EditTarget *target, guint64 offset, const guint8 *bytes,
               gsize len, gboolean *is_same, GError **error)
{
  guint8 found[BLOCK_SIZE];

  if (!edit_target_read (target, offset, found, len, error))
    return FALSE;

  *is_same = memcmp (found, bytes, len) == 0;
  return TRUE;
}

/* Stores in *IS_SAME whether the bytes of TARGET where RUN is are those before
 * PLAN, which RUN is of. */
static gboolean
compare_run (const EditTarget *target, const EditPlan *plan,
             const EditRun *run, gboolean *is_same, GError **error)
{
  const gsize size = edit_run_get_size (run);
  gsize len;

  *is_same = TRUE;
  for (gsize at = 0; at < size && *is_same; at += len)
    {
      guint8 wanted[BLOCK_SIZE];

      len = MIN (BLOCK_SIZE, size - at);
      memcpy (wanted, edit_run_get_bytes (run, TRUE) + at, len);
      edit_plan_overlay (plan, TRUE, run->offset + at, wanted, len);
      if (!compare_block (target, run->offset + at, wanted, len, is_same,
                          error))
        return FALSE;
    }

  return TRUE;
}

/* Compares the old bytes of PLAN with those of TARGET.  Fails with
 * EDIT_ERROR_CHANGED at the first one that differs. */
static gboolean
compare_old (const EditTarget *target, const EditPlan *plan, GError **error)
{
  EditPosition at = { 0, 0 };
  const EditRun *run;

  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    {
      gboolean is_same;

      if (!compare_run (target, plan, run, &is_same, error))
        return FALSE;
      if (is_same)
        continue;

      g_set_error (error, EDIT_ERROR, EDIT_ERROR_CHANGED,
                   QCOW2_HEX_FORMAT ": the bytes there have changed since "
                                    "the image was read: nothing was written",
                   run->offset);
      return FALSE;
    }

  return TRUE;
}

static gboolean
reserve_all (EditTarget *target, const EditPlan *plan, GError **error)
{
  EditPosition at = { 0, 0 };
  const EditRun *run;

  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    {
      if (!edit_target_reserve (target, run->offset, edit_run_get_size (run),
                                error))
        return FALSE;
    }

  return TRUE;
}

static gint
compare_runs (gconstpointer a, gconstpointer b)
{
  const EditRun *const *left = a;
  const EditRun *const *right = b;

  return (*left)->offset < (*right)->offset
             ? -1
             : (*left)->offset > (*right)->offset;
}

static void
write_clear (gpointer data)
{
  g_bytes_unref (((Write *) data)->bytes);
}

/* Returns whether RUN begins in the sector in which WRITE ends. */
static gboolean
is_in_last_sector (const Write *write, const EditRun *run)
{
  const guint64 last = write->offset + g_bytes_get_size (write->bytes) - 1;

  return run->offset / EDIT_SECTOR_SIZE == last / EDIT_SECTOR_SIZE;
}

/* Adds RUN to WRITES.  Runs in the same sector become one write, so that the
 * disk has all of them or none; the bytes between them are read. */
static gboolean
add_run (const EditTarget *target, GArray *writes, const EditRun *run,
         gboolean undo, GError **error)
{
  GBytes *bytes = undo ? run->old_bytes : run->new_bytes;
  Write *last = writes->len > 0
                    ? &g_array_index (writes, Write, writes->len - 1)
                    : NULL;

  if (last == NULL || !is_in_last_sector (last, run))
    {
      const Write write
          = { .offset = run->offset, .bytes = g_bytes_ref (bytes) };

      g_array_append_val (writes, write);
      return TRUE;
    }

  const guint64 end = last->offset + g_bytes_get_size (last->bytes);
  guint8 gap[EDIT_SECTOR_SIZE];
  const gsize gap_size = (gsize) (run->offset - end);
  g_assert (gap_size <= sizeof gap);
  if (!edit_target_read (target, end, gap, gap_size, error))
    return FALSE;

  GByteArray *joined = g_bytes_unref_to_array (last->bytes);
  g_byte_array_append (joined, gap, (guint) gap_size);
  g_byte_array_append (joined, edit_run_get_bytes (run, undo),
                       (guint) edit_run_get_size (run));
  last->bytes = g_byte_array_free_to_bytes (joined);
  return TRUE;
}

/* Returns the writes of STEP or, with UNDO, those that undo it, in the order
 * of their offsets.  Returns NULL if a read fails. */
static GArray *
collect_writes (const EditTarget *target, const GPtrArray *step, gboolean undo,
                GError **error)
{
  g_autoptr (GPtrArray) runs = g_ptr_array_new ();
  g_autoptr (GArray) writes = g_array_new (FALSE, FALSE, sizeof (Write));

  g_array_set_clear_func (writes, write_clear);
  for (guint i = 0; i < step->len; i++)
    g_ptr_array_add (runs, (gpointer) edit_step_get_run (step, i));
  g_ptr_array_sort (runs, compare_runs);
  for (guint i = 0; i < runs->len; i++)
    {
      if (!add_run (target, writes, g_ptr_array_index (runs, i), undo, error))
        return NULL;
    }

  return g_steal_pointer (&writes);
}

/* Stores in *IS_DONE whether TARGET has the bytes of WRITE. */
static gboolean
compare_write (const EditTarget *target, const Write *write, gboolean *is_done,
               GError **error)
{
  gsize size;
  const guint8 *bytes = g_bytes_get_data (write->bytes, &size);
  gsize len;

  *is_done = TRUE;
  for (gsize at = 0; at < size && *is_done; at += len)
    {
      len = MIN (BLOCK_SIZE, size - at);
      if (!compare_block (target, write->offset + at, bytes + at, len, is_done,
                          error))
        return FALSE;
    }

  return TRUE;
}

/* Reads WRITE back, from the disk as far as the system lets us. */
static gboolean
verify (const EditTarget *target, const Write *write, GError **error)
{
  gboolean is_done;

  if (!compare_write (target, write, &is_done, error))
    return FALSE;
  if (is_done)
    return TRUE;

  g_set_error (error, EDIT_ERROR, EDIT_ERROR_WRITE,
               QCOW2_HEX_FORMAT ": other bytes were read than those that were "
                                "written",
               write->offset);
  return FALSE;
}

/* Carries out STEP or, with UNDO, undoes it: then, a write that did not happen
 * is not undone, because that may fail as well. */
static gboolean
do_step (EditTarget *target, const GPtrArray *step, gboolean undo,
         GError **error)
{
  g_autoptr (GArray) writes = collect_writes (target, step, undo, error);

  if (writes == NULL)
    return FALSE;

  for (guint i = 0; i < writes->len; i++)
    {
      const Write *write = &g_array_index (writes, Write, i);
      gsize len;
      const guint8 *bytes = g_bytes_get_data (write->bytes, &len);
      gboolean is_done = FALSE;

      if (undo && !compare_write (target, write, &is_done, error))
        return FALSE;
      if (!is_done
          && !edit_target_write (target, write->offset, bytes, len, error))
        return FALSE;
    }
  if (!edit_target_sync (target, error))
    return FALSE;

  for (guint i = 0; i < writes->len; i++)
    {
      const Write *write = &g_array_index (writes, Write, i);

      edit_target_forget_cache (target, write->offset,
                                g_bytes_get_size (write->bytes));
      if (!verify (target, write, error))
        return FALSE;
    }

  return TRUE;
}

/* Puts the old bytes of the first N steps of PLAN back, the last step first,
 * after WRITE_ERROR, to which it adds whether that worked. */
static void
take_back (EditTarget *target, const EditPlan *plan, guint n,
           GError **write_error)
{
  for (guint i = n; i > 0; i--)
    {
      const GPtrArray *step = edit_plan_get_step (plan, i - 1);
      g_autoptr (GError) error = NULL;

      if (do_step (target, step, TRUE, &error))
        continue;

      g_autoptr (GString) where = g_string_new (NULL);
      EditPosition at = { 0, 0 };
      const EditRun *run;
      while (where->len < 200 && (run = edit_plan_next_run (plan, &at)) != NULL
             && at.step < i)
        g_string_append_printf (
            where, "%s" QCOW2_HEX_FORMAT "+%" G_GSIZE_FORMAT,
            where->len > 0 ? ", " : "", run->offset, edit_run_get_size (run));
      g_autofree char *message = g_strdup ((*write_error)->message);
      g_clear_error (write_error);
      g_set_error (write_error, EDIT_ERROR, EDIT_ERROR_WRITE,
                   "%s; the old bytes could not be put back (%s): the bytes "
                   "at %s may be old or new",
                   message, error->message, where->str);
      return;
    }

  g_autofree char *message = g_strdup ((*write_error)->message);
  g_clear_error (write_error);
  g_set_error (write_error, EDIT_ERROR, EDIT_ERROR_WRITE,
               "%s; the old bytes were put back: the image is as it was",
               message);
}

static gboolean
do_steps (EditTarget *target, const EditPlan *plan, GError **error)
{
  for (guint i = 0; i < edit_plan_get_n_steps (plan); i++)
    {
      GError *write_error = NULL;

      if (do_step (target, edit_plan_get_step (plan, i), FALSE, &write_error))
        continue;

      take_back (target, plan, i + 1, &write_error);
      g_propagate_error (error, write_error);
      return FALSE;
    }

  return TRUE;
}

/* Carries out PLAN, whose old bytes must be those of TARGET.  All signals that
 * can be blocked are blocked meanwhile.  If a write fails, puts the old bytes
 * back.  Fails with EDIT_ERROR_CHANGED or EDIT_ERROR_WRITE. */
gboolean
edit_plan_write (const EditPlan *plan, EditTarget *target, GError **error)
{
  sigset_t all;
  sigset_t before;

  if (!compare_old (target, plan, error) || !reserve_all (target, plan, error))
    return FALSE;

  sigfillset (&all);
  sigprocmask (SIG_SETMASK, &all, &before);
  const gboolean done = do_steps (target, plan, error);
  sigprocmask (SIG_SETMASK, &before, NULL);
  return done;
}
