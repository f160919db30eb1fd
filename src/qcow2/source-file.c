/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file or a block device, opened for reading without a lock. */

#include "config.h"

#include "qcow2/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif
#include <unistd.h>

#include "qcow2/error.h"

typedef struct
{
  ByteSource base;
  int fd;
  struct stat st; /* as it was when the file was opened */
} FileSource;

static gssize
file_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  const FileSource *self = (FileSource *) source;

  return pread (self->fd, buffer, len, (off_t) offset);
}

#ifdef F_OFD_GETLK

/* File systems on which a lock may be held that this host, or this mount, does
 * not know of: statfs (2) has their numbers. */
static const guint32 shared_file_systems[] = {
  0x65735546, /* FUSE, which virtiofs is, too */
  0x6969,     /* NFS */
  0x517b,     /* SMB */
  0xff534d42, /* CIFS */
  0xfe534d42, /* SMB2 */
  0x01021997, /* 9P */
  0x00c36400, /* Ceph */
  0x5346414f, /* AFS */
  0x6b414653, /* AFS, of the kernel */
  0x73757245, /* Coda */
  0x786f4256, /* shared folders of VirtualBox */
  0x01161970, /* GFS2 */
  0x7461636f, /* OCFS2 */
  0x0bd00bd0, /* Lustre */
  0x47504653, /* GPFS */
  0x19830326, /* BeeGFS */
  0x20030528  /* OrangeFS */
};

static gboolean
is_shared (int fd)
{
#ifdef __linux__
  struct statfs fs;

  if (fstatfs (fd, &fs) < 0)
    return TRUE;

  for (guint i = 0; i < G_N_ELEMENTS (shared_file_systems); i++)
    {
      if ((guint32) fs.f_type == shared_file_systems[i])
        return TRUE;
    }
#else
  (void) fd;
#endif

  return FALSE;
}

/* Whether the loop device NAME, if it is one, has ST below it. */
static gboolean
is_loop_on (const char *name, const struct stat *st)
{
  g_autofree char *file
      = g_strdup_printf ("/sys/block/%s/loop/backing_file", name);
  g_autofree char *path = NULL;
  struct stat below;

  if (!g_str_has_prefix (name, "loop")
      || !g_file_get_contents (file, &path, NULL, NULL))
    return FALSE;

  g_strchomp (path);
  return stat (path, &below) == 0 && below.st_dev == st->st_dev
         && below.st_ino == st->st_ino;
}

/* Whether a loop device stands on the file ST: who writes to the device locks
 * the device. */
static gboolean
is_below_loop (const struct stat *st)
{
  g_autoptr (GDir) devices = g_dir_open ("/sys/block", 0, NULL);
  const char *name;

  while (devices != NULL && (name = g_dir_read_name (devices)) != NULL)
    {
      if (is_loop_on (name, st))
        return TRUE;
    }

  return FALSE;
}

/* Whether a lock on SELF is seen from here wherever it was taken.  A block
 * device has several nodes, and each has locks of its own. */
static gboolean
sees_all_locks (const FileSource *self)
{
  return S_ISREG (self->st.st_mode) && !is_shared (self->fd)
         && !is_below_loop (&self->st);
}

#endif

/* Open file description locks belong to whoever opened the file, so even one
 * of this process is seen.  Only the first lock that is in the way is told:
 * a reader's shared lock on the whole file may hide another behind it. */
static guint64
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
    return sees_all_locks (self) ? BYTE_SOURCE_UNLOCKED
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

/* A block device keeps no time of what is written to it. */
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

static void
file_free (ByteSource *source)
{
  FileSource *self = (FileSource *) source;

  close (self->fd);
  g_free (self);
}

static const ByteSourceClass file_class = { .read = file_read,
                                            .probe_lock = file_probe_lock,
                                            .has_changed = file_has_changed,
                                            .free = file_free };

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
  self->st = st;
  return g_steal_pointer (&source);
}
