/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source that reads a file or a block device, which is opened for reading
 * without a lock. */

#include "config.h"

#include "qcow2/source-locks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qcow2/error.h"

typedef struct
{
  ByteSource base;
  int fd;
  struct stat st; /* at the time of opening */
} FileSource;

static gssize
file_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  const FileSource *self = (FileSource *) source;

  return pread (self->fd, buffer, len, (off_t) offset);
}

/* Probes for open file description locks.  These belong to the open file
 * rather than the process, so locks that this process holds by another
 * descriptor are found as well.  The kernel reports only the first conflicting
 * lock: a reader's shared lock on the whole file may hide another one. */
static ByteSourceLock
file_probe_lock (ByteSource *source, guint64 offset)
{
#ifdef F_OFD_GETLK
  const FileSource *self = (FileSource *) source;
  struct flock lock = { .l_type = F_WRLCK,
                        .l_whence = SEEK_SET,
                        .l_start = (off_t) offset,
                        .l_len = 1 };

  if (fcntl (self->fd, F_OFD_GETLK, &lock) != 0)
    return BYTE_SOURCE_LOCK_UNKNOWN;
  if (lock.l_type == F_UNLCK)
    return byte_source_sees_all_locks (self->fd) ? BYTE_SOURCE_UNLOCKED
                                                 : BYTE_SOURCE_LOCK_UNKNOWN;
  if (lock.l_type == F_RDLCK && (lock.l_start == 0 || lock.l_len == 0))
    return BYTE_SOURCE_LOCK_UNKNOWN;

  return BYTE_SOURCE_LOCKED;
#else

  return BYTE_SOURCE_LOCK_UNKNOWN;
#endif
}

static gboolean
is_same_time (const struct timespec *a, const struct timespec *b)
{
  return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Block devices do not record when they were last written. */
static gboolean
file_has_changed (ByteSource *source)
{
  const FileSource *self = (FileSource *) source;
  struct stat now;

  if (!S_ISREG (self->st.st_mode) || fstat (self->fd, &now) < 0)
    return FALSE;

  return now.st_size != self->st.st_size
         || !is_same_time (&now.st_mtim, &self->st.st_mtim)
         || !is_same_time (&now.st_ctim, &self->st.st_ctim);
}

static ByteIdentity
file_get_identity (const ByteSource *source)
{
  const struct stat *st = &((const FileSource *) source)->st;
  const gboolean is_device = S_ISBLK (st->st_mode);

  /* Several nodes may stand for the same device. */
  return (ByteIdentity){ .device = is_device ? 0 : st->st_dev,
                         .inode = is_device ? st->st_rdev : st->st_ino };
}

/* st_blocks counts units of 512 bytes, whatever the block size. */
static guint64
file_get_disk_size (const ByteSource *source)
{
  const FileSource *self = (const FileSource *) source;

  return (guint64) self->st.st_blocks * 512;
}

static gboolean
file_is_device (const ByteSource *source)
{
  const FileSource *self = (const FileSource *) source;

  return S_ISBLK (self->st.st_mode);
}

static void
file_free (ByteSource *source)
{
  FileSource *self = (FileSource *) source;

  close (self->fd);
  g_free (self);
}

static const ByteSourceClass file_class
    = { .read = file_read,
        .probe_lock = file_probe_lock,
        .has_changed = file_has_changed,
        .get_identity = file_get_identity,
        .get_disk_size = file_get_disk_size,
        .is_device = file_is_device,
        .free = file_free };

/* Returns a description of a file type that cannot hold an image, or NULL if
 * the type can. */
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

  qcow2_set_rule_error (error, QCOW2_ERROR_OPEN, "FILE-01",
                        "is %s, not a file or block device", kind);
  return FALSE;
}

/* Returns a source that reads FD, which it owns. */
static ByteSource *
new_source (int fd, GError **error)
{
  FileSource *self = g_new0 (FileSource, 1);

  self->base.klass = &file_class;
  self->fd = fd;
  g_autoptr (ByteSource) source = &self->base;

  if (fstat (fd, &self->st) < 0)
    {
      cannot_open (error);
      return NULL;
    }
  if (!accept_kind (self->st.st_mode, error))
    return NULL;

  /* st_size is 0 for a block device. */
  const off_t end = lseek (fd, 0, SEEK_END);
  if (end < 0)
    {
      cannot_open (error);
      return NULL;
    }

  source->size = (guint64) end;
  return g_steal_pointer (&source);
}

/* Opens PATH, whose kind was accepted.  Another file may have taken its place
 * since then, so the call must not block. */
static ByteSource *
open_accepted (const char *path, GError **error)
{
  const int fd = open (path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

  if (fd < 0)
    {
      cannot_open (error);
      return NULL;
    }

  return new_source (fd, error);
}

/* Opens the file or block device PATH for reading.  Other types of files are
 * refused before they are opened, because opening alone may block (a FIFO) or
 * have side effects (a device).  Takes no lock.  Fails with QCOW2_ERROR_OPEN;
 * the message does not contain PATH. */
ByteSource *
byte_source_open_file (const char *path, GError **error)
{
  struct stat st;

  if (stat (path, &st) < 0)
    {
      cannot_open (error);
      return NULL;
    }

  return accept_kind (st.st_mode, error) ? open_accepted (path, error) : NULL;
}

#ifdef O_PATH

/* Returns the path by which the kernel knows FD, or NULL if it tells none.
 * The caller frees it. */
static char *
get_real_path (int fd)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);

  return g_file_read_link (link, NULL);
}

/* Returns whether the open file FD lies in the open directory ROOT or in one
 * below it. */
static gboolean
is_beneath (int fd, int root)
{
  g_autofree char *path = get_real_path (fd);
  g_autofree char *directory = get_real_path (root);

  if (path == NULL || directory == NULL || *path != '/' || *directory != '/')
    return FALSE;

  const gsize len = g_str_equal (directory, "/") ? 0 : strlen (directory);
  return strncmp (path, directory, len) == 0 && path[len] == '/';
}

/* Opens the file of PLACE, which was opened only to look at it. */
static ByteSource *
open_place (int place, int root, GError **error)
{
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", place);
  struct stat st;

  if (fstat (place, &st) < 0)
    {
      cannot_open (error);
      return NULL;
    }
  if (!accept_kind (st.st_mode, error))
    return NULL;
  if (root >= 0 && !is_beneath (place, root))
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_REFUSED,
                   "is not in the directory of --root");
      return NULL;
    }

  return open_accepted (path, error);
}

/* Opens the file or block device PATH, which an image may have named, like
 * byte_source_open_file ().  The file is looked at by an open descriptor, so
 * that no other one can take its place.  Unless ROOT is -1, it must lie in
 * that open directory or below, wherever symbolic links lead; otherwise fails
 * with QCOW2_ERROR_REFUSED. */
ByteSource *
byte_source_open_named (const char *path, int root, GError **error)
{
  const int place = open (path, O_PATH | O_CLOEXEC);

  if (place < 0)
    {
      cannot_open (error);
      return NULL;
    }

  ByteSource *source = open_place (place, root, error);
  close (place);
  return source;
}

/* Opens the directory PATH for byte_source_open_named ().  Returns a
 * descriptor that the caller closes, or -1 with QCOW2_ERROR_OPEN. */
int
byte_source_open_root (const char *path, GError **error)
{
  const int root = open (path, O_PATH | O_DIRECTORY | O_CLOEXEC);

  if (root < 0)
    cannot_open (error);
  return root;
}

#else

ByteSource *
byte_source_open_named (const char *path, int root G_GNUC_UNUSED,
                        GError **error)
{
  return byte_source_open_file (path, error);
}

int
byte_source_open_root (const char *path G_GNUC_UNUSED, GError **error)
{
  errno = ENOSYS;
  cannot_open (error);
  return -1;
}

#endif

/* Closes ROOT, unless it is -1. */
void
byte_source_close_root (int root)
{
  if (root >= 0)
    close (root);
}
