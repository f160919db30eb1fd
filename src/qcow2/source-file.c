/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file or a block device, opened for reading without a lock. */

#include "config.h"

#include "qcow2/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qcow2/error.h"

typedef struct
{
  ByteSource base;
  int fd;
} FileSource;

static gssize
file_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  const FileSource *self = (FileSource *) source;

  return pread (self->fd, buffer, len, (off_t) offset);
}

/* Open file description locks belong to whoever opened the file, so even one
 * of this process is seen. */
static guint64
file_probe_lock (ByteSource *source, guint64 offset)
{
#ifdef F_OFD_GETLK
  const FileSource *self = (FileSource *) source;
  struct flock lock = { .l_type = F_WRLCK,
                        .l_whence = SEEK_SET,
                        .l_start = (off_t) offset,
                        .l_len = 1 };

  if (fcntl (self->fd, F_OFD_GETLK, &lock) == 0)
    return lock.l_type == F_UNLCK ? BYTE_SOURCE_UNLOCKED : BYTE_SOURCE_LOCKED;
#endif

  return BYTE_SOURCE_LOCK_UNKNOWN;
}

static void
file_free (ByteSource *source)
{
  FileSource *self = (FileSource *) source;

  close (self->fd);
  g_free (self);
}

static const ByteSourceClass file_class
    = { .read = file_read, .probe_lock = file_probe_lock, .free = file_free };

/* Returns what a file that cannot hold an image is, NULL for one that can. */
static const char *
refused_kind (mode_t mode)
{
  switch (mode & S_IFMT)
    {
    case S_IFREG:
    case S_IFBLK:
      return NULL;
    case S_IFDIR:
      return "a directory";
    case S_IFIFO:
      return "a FIFO";
    case S_IFSOCK:
      return "a socket";
    case S_IFCHR:
      return "a character device";
    default:
      return "of an unknown kind";
    }
}

static gboolean
cannot_open (GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_OPEN, "cannot open: %s",
               g_strerror (errno));
  return FALSE;
}

static gboolean
accept_kind (mode_t mode, GError **error)
{
  const char *kind = refused_kind (mode);

  if (kind == NULL)
    return TRUE;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_OPEN,
               "is %s, not a file or block device [FILE-01]", kind);
  return FALSE;
}

/* Opens the file or block device PATH for reading.  Anything else is refused
 * before it is opened, because opening alone may block (a FIFO) or do
 * something (a device).  Nothing is locked.  The error is QCOW2_ERROR_OPEN and
 * does not name PATH. */
ByteSource *
byte_source_open_file (const char *path, GError **error)
{
  struct stat st;

  if (stat (path, &st) < 0)
    {
      cannot_open (error);
      return NULL;
    }
  if (!accept_kind (st.st_mode, error))
    return NULL;

  /* What PATH names may have changed since stat (): do not block on it. */
  const int fd = open (path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    {
      cannot_open (error);
      return NULL;
    }

  FileSource *self = g_new0 (FileSource, 1);
  self->base.klass = &file_class;
  self->fd = fd;
  g_autoptr (ByteSource) source = &self->base;

  if (fstat (fd, &st) < 0)
    {
      cannot_open (error);
      return NULL;
    }
  if (!accept_kind (st.st_mode, error))
    return NULL;

  /* A block device has no st_size. */
  const off_t end = lseek (fd, 0, SEEK_END);
  if (end < 0)
    {
      cannot_open (error);
      return NULL;
    }

  source->size = (guint64) end;
  return g_steal_pointer (&source);
}
