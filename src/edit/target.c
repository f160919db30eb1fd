/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edit/error.h"
#include "edit/lock.h"
#include "qcow2/error.h"

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

/* Reads the LEN bytes at host offset OFFSET into BYTES.  Fails with
 * EDIT_ERROR_WRITE. */
gboolean
edit_target_read (const EditTarget *target, guint64 offset, guint8 *bytes,
                  gsize len, GError **error)
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

/* Writes the LEN bytes at BYTES to host offset OFFSET.  Fails with
 * EDIT_ERROR_WRITE, when some of them may have been written. */
gboolean
edit_target_write (EditTarget *target, guint64 offset, const guint8 *bytes,
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

/* Waits until all that was written is on the disk.  Fails with
 * EDIT_ERROR_WRITE. */
gboolean
edit_target_sync (EditTarget *target, GError **error)
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

#ifdef FALLOC_FL_KEEP_SIZE

/* Reserves the blocks for the SIZE bytes at host offset OFFSET if some of them
 * are missing, so that a write does not fail for lack of space.  Does nothing
 * where the file system cannot.  Fails with EDIT_ERROR_WRITE. */
gboolean
edit_target_reserve (EditTarget *target, guint64 offset, gsize size,
                     GError **error)
{
  if (!S_ISREG (target->kind))
    return TRUE;

  const off_t start = (off_t) offset;
  const off_t hole = lseek (target->fd, start, SEEK_HOLE);
  int result;

  if (hole < 0 || hole - start >= (off_t) size)
    return TRUE;

  do
    result = fallocate (target->fd, FALLOC_FL_KEEP_SIZE, start, (off_t) size);
  while (result != 0 && errno == EINTR);

  if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
    return TRUE;

  g_set_error (error, EDIT_ERROR, EDIT_ERROR_WRITE,
               QCOW2_HEX_FORMAT ": cannot reserve space: %s: nothing was "
                                "written",
               offset, g_strerror (errno));
  return FALSE;
}

#else

gboolean
edit_target_reserve (EditTarget *target G_GNUC_UNUSED,
                     guint64 offset G_GNUC_UNUSED, gsize size G_GNUC_UNUSED,
                     GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

#endif

/* Has the next read of the SIZE bytes at host offset OFFSET come from the
 * disk, as far as the system lets us. */
void
edit_target_forget_cache (EditTarget *target, guint64 offset, gsize size)
{
  posix_fadvise (target->fd, (off_t) offset, (off_t) size,
                 POSIX_FADV_DONTNEED);
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
