/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/target.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edit/error.h"
#include "edit/lock.h"
#include "qcow2/error.h"

/* The bytes that are compared at a time. */
#define BLOCK_SIZE (16 * 1024)

/* How often to look, a millisecond apart, whether the time of a file has
 * passed, and the clock that it is taken from. */
#define SETTLE_TRIES 100
#ifdef CLOCK_REALTIME_COARSE
#define FILE_CLOCK CLOCK_REALTIME_COARSE
#else
#define FILE_CLOCK CLOCK_REALTIME
#endif

#define NANOSECONDS G_GINT64_CONSTANT (1000000000)

struct EditTarget
{
  ByteSource base; /* reads FD; it is not freed on its own */
  int fd;
  mode_t kind; /* S_IFMT of FD */
};

/* Bytes that are written with one call. */
typedef struct
{
  guint64 offset;
  GBytes *bytes;
} Write;

static gssize
target_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  return pread (((EditTarget *) source)->fd, buffer, len, (off_t) offset);
}

static void
target_free_source (ByteSource *source G_GNUC_UNUSED)
{
}

static const ByteSourceClass target_class
    = { .read = target_read, .free = target_free_source };

static gboolean
cannot_open (GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_OPEN, "cannot open: %s",
               g_strerror (errno));
  return FALSE;
}

/* Opens PATH, whose kind is that of MODE, for writing unless READ_ONLY. */
static int
open_kind (const char *path, mode_t mode, gboolean read_only)
{
  /* On a block device, O_EXCL fails while the device is in use, such as by a
   * file system. */
  const int exclusive = S_ISBLK (mode) ? O_EXCL : 0;
  const int access = read_only ? O_RDONLY : O_RDWR | exclusive;

  return open (path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static gboolean
set_up (EditTarget *target, mode_t expected, GError **error)
{
  struct stat st;

  if (fstat (target->fd, &st) < 0)
    return cannot_open (error);
  if ((st.st_mode & S_IFMT) != (expected & S_IFMT))
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_OPEN,
                   "the file was replaced while it was opened");
      return FALSE;
    }

  const off_t end = lseek (target->fd, 0, SEEK_END);
  if (end < 0)
    return cannot_open (error);

  target->kind = st.st_mode & S_IFMT;
  target->base.size = (guint64) end;
  return TRUE;
}

/* Opens the image PATH and, unless READ_ONLY, locks it; for FORCE see
 * edit_lock ().  Fails with QCOW2_ERROR_OPEN, or as edit_lock () does. */
EditTarget *
edit_target_open (const char *path, gboolean read_only, gboolean force,
                  GError **error)
{
  struct stat st;

  /* This refuses kinds of files that cannot hold an image. */
  g_autoptr (ByteSource) source = byte_source_open_file (path, error);
  if (source == NULL)
    return NULL;

  g_autoptr (EditTarget) target = g_new0 (EditTarget, 1);
  target->base.klass = &target_class;
  target->fd = -1;
  if (stat (path, &st) == 0)
    target->fd = open_kind (path, st.st_mode, read_only);
  if (target->fd < 0)
    {
      cannot_open (error);
      return NULL;
    }

  const gboolean may_edit
      = read_only ? edit_lock_is_possible (target->fd, force, error)
                  : edit_lock (target->fd, force, error);

  /* The size counts only under the lock. */
  return may_edit && set_up (target, st.st_mode, error)
             ? g_steal_pointer (&target)
             : NULL;
}

/* Returns a source of the bytes of TARGET, which owns it. */
ByteSource *
edit_target_get_source (EditTarget *target)
{
  return &target->base;
}

static gint64
to_nanoseconds (const struct timespec *time)
{
  return (gint64) time->tv_sec * NANOSECONDS + time->tv_nsec;
}

/* Stores the state of TARGET in *STAMP.  Returns FALSE if it has none: block
 * devices do not record when they were written. */
gboolean
edit_target_get_stamp (const EditTarget *target, EditStamp *stamp)
{
  struct stat st;

  if (!S_ISREG (target->kind) || fstat (target->fd, &st) < 0)
    return FALSE;

  *stamp = (EditStamp){ .size = (guint64) st.st_size,
                        .mtime = to_nanoseconds (&st.st_mtim),
                        .ctime = to_nanoseconds (&st.st_ctim) };
  return TRUE;
}

/* Waits until a write to TARGET would change its time: the clock of a file
 * system has ticks.  Returns FALSE if that takes too long. */
gboolean
edit_target_settle (const EditTarget *target)
{
  const struct timespec pause = { .tv_nsec = 1000000 };
  EditStamp stamp;

  for (guint i = 0; i < SETTLE_TRIES; i++)
    {
      struct timespec now;

      if (!edit_target_get_stamp (target, &stamp)
          || clock_gettime (FILE_CLOCK, &now) != 0
          || stamp.mtime % NANOSECONDS == 0)
        return FALSE;
      if (to_nanoseconds (&now) > MAX (stamp.mtime, stamp.ctime))
        return TRUE;

      nanosleep (&pause, NULL);
    }

  return FALSE;
}

/* Reads the LEN bytes at host offset OFFSET into BYTES. */
static gboolean
read_all (const EditTarget *target, guint64 offset, guint8 *bytes, gsize len,
          GError **error)
{
  while (len > 0)
    {
      const ssize_t got = pread (target->fd, bytes, len, (off_t) offset);

      if (got < 0 && errno == EINTR)
        continue;
      if (got <= 0)
        {
          g_set_error (error, EDIT_ERROR, EDIT_ERROR_WRITE,
                       QCOW2_HEX_FORMAT ": cannot read: %s", offset,
                       got < 0 ? g_strerror (errno) : "the file has shrunk");
          return FALSE;
        }

      bytes += got;
      offset += (guint64) got;
      len -= (gsize) got;
    }

  return TRUE;
}

static gboolean
write_all (const EditTarget *target, guint64 offset, const guint8 *bytes,
           gsize len, GError **error)
{
  while (len > 0)
    {
      const ssize_t written = pwrite (target->fd, bytes, len, (off_t) offset);

      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        {
          g_set_error (error, EDIT_ERROR, EDIT_ERROR_WRITE,
                       QCOW2_HEX_FORMAT ": cannot write: %s", offset,
                       g_strerror (written < 0 ? errno : EIO));
          return FALSE;
        }

      bytes += written;
      offset += (guint64) written;
      len -= (gsize) written;
    }

  return TRUE;
}

static gboolean
sync_all (const EditTarget *target, GError **error)
{
  int result;

  do
    result = fdatasync (target->fd);
  while (result != 0 && errno == EINTR);

  if (result == 0)
    return TRUE;

  g_set_error (error, EDIT_ERROR, EDIT_ERROR_WRITE, "cannot sync: %s",
               g_strerror (errno));
  return FALSE;
}

/* Compares the LEN bytes of TARGET at host offset OFFSET, at most BLOCK_SIZE,
 * with BYTES.  Stores whether they are the same in *IS_SAME. */
static gboolean
compare_block (const EditTarget *target, guint64 offset, const guint8 *bytes,
               gsize len, gboolean *is_same, GError **error)
{
  guint8 found[BLOCK_SIZE];

  if (!read_all (target, offset, found, len, error))
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

#ifdef FALLOC_FL_KEEP_SIZE

/* Reserves the blocks for RUN if some of them are missing. */
static gboolean
reserve (const EditTarget *target, const EditRun *run, GError **error)
{
  const off_t start = (off_t) run->offset;
  const off_t size = (off_t) edit_run_get_size (run);
  const off_t hole = lseek (target->fd, start, SEEK_HOLE);
  int result;

  if (hole < 0 || hole - start >= size)
    return TRUE;

  do
    result = fallocate (target->fd, FALLOC_FL_KEEP_SIZE, start, size);
  while (result != 0 && errno == EINTR);

  if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
    return TRUE;

  g_set_error (error, EDIT_ERROR, EDIT_ERROR_WRITE,
               QCOW2_HEX_FORMAT ": cannot reserve space: %s: nothing was "
                                "written",
               run->offset, g_strerror (errno));
  return FALSE;
}

#else

static gboolean
reserve (const EditTarget *target G_GNUC_UNUSED,
         const EditRun *run G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

#endif

static gboolean
reserve_all (const EditTarget *target, const EditPlan *plan, GError **error)
{
  EditPosition at = { 0, 0 };
  const EditRun *run;

  if (!S_ISREG (target->kind))
    return TRUE;

  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    {
      if (!reserve (target, run, error))
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
  if (!read_all (target, end, gap, gap_size, error))
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
do_step (const EditTarget *target, const GPtrArray *step, gboolean undo,
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
      if (!is_done && !write_all (target, write->offset, bytes, len, error))
        return FALSE;
    }
  if (!sync_all (target, error))
    return FALSE;

  for (guint i = 0; i < writes->len; i++)
    {
      const Write *write = &g_array_index (writes, Write, i);

      posix_fadvise (target->fd, (off_t) write->offset,
                     (off_t) g_bytes_get_size (write->bytes),
                     POSIX_FADV_DONTNEED);
      if (!verify (target, write, error))
        return FALSE;
    }

  return TRUE;
}

/* Puts the old bytes of the first N steps of PLAN back, the last step first,
 * after WRITE_ERROR, to which it adds whether that worked. */
static void
take_back (const EditTarget *target, const EditPlan *plan, guint n,
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
do_steps (const EditTarget *target, const EditPlan *plan, GError **error)
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
edit_target_write (EditTarget *target, const EditPlan *plan, GError **error)
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

void
edit_target_free (EditTarget *target)
{
  if (target == NULL)
    return;

  if (target->fd >= 0)
    close (target->fd);
  g_free (target);
}
