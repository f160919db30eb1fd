/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/lock.h"

#include <errno.h>
#include <fcntl.h>

#include "edit/error.h"
#include "qcow2/source-locks.h"

#ifdef F_OFD_SETLK

/* The bytes that QEMU locks: 100 plus the number of a permission that it
 * has, and 200 plus that of one that it does not share (QEMU,
 * block/file-posix.c).  Permission 0 is to read consistent data, 1 to write,
 * and 3 to resize. */
#define HAS(permission) (100 + (permission))
#define DENIES(permission) (200 + (permission))
#define READ_DATA 0
#define WRITE 1
#define RESIZE 3

static const guint held[] = { HAS (READ_DATA), HAS (WRITE), HAS (RESIZE),
                              DENIES (WRITE), DENIES (RESIZE) };

/* A lock on one of these by another program is a conflict. */
static const guint probed[] = { DENIES (READ_DATA), DENIES (WRITE),
                                DENIES (RESIZE), HAS (WRITE), HAS (RESIZE) };

/* Calls fcntl () with COMMAND for the lock of TYPE on BYTE, which it stores in
 * *LOCK. */
static int
call (int fd, int command, short type, guint byte, struct flock *lock)
{
  int result;

  do
    {
      *lock = (struct flock){ .l_type = type,
                              .l_whence = SEEK_SET,
                              .l_start = (off_t) byte,
                              .l_len = 1 };
      result = fcntl (fd, command, lock);
    }
  while (result != 0 && errno == EINTR);

  return result;
}

static gboolean
in_use (guint byte, GError **error)
{
  const gboolean writes = byte < DENIES (0);

  g_set_error (error, EDIT_ERROR, EDIT_ERROR_LOCKED,
               "another program %s (it holds a lock on byte %u): nothing was "
               "changed; try again when that program has closed the image",
               writes ? "is writing to the image"
                      : "has the image open and lets no other program write",
               byte);
  return FALSE;
}

/* Fails because of errno.  Unless the file system has no locks at all and
 * FORCE allows for that. */
static gboolean
cannot_lock (gboolean force, GError **error)
{
  const gboolean is_unsupported = errno == EINVAL || errno == ENOSYS
                                  || errno == EOPNOTSUPP || errno == ENOTSUP;

  if (is_unsupported && force)
    return TRUE;

  g_set_error (error, EDIT_ERROR,
               is_unsupported ? EDIT_ERROR_REFUSED : EDIT_ERROR_LOCKED,
               "cannot lock the image: %s%s", g_strerror (errno),
               is_unsupported
                   ? "; if no other program uses it, --force edits it anyway"
                   : "");
  return FALSE;
}

/* Returns whether LOCK, which was found on one of the bytes that QEMU locks,
 * counts: a program that locks everything in order to read is no QEMU. */
static gboolean
counts (const struct flock *lock)
{
  return lock->l_type == F_WRLCK
         || (lock->l_type == F_RDLCK && lock->l_start >= HAS (0)
             && lock->l_start <= DENIES (RESIZE));
}

static gboolean
probe (int fd, gboolean force, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (probed); i++)
    {
      struct flock lock;

      if (call (fd, F_OFD_GETLK, F_WRLCK, probed[i], &lock) != 0)
        {
          if (!cannot_lock (force, error))
            return FALSE;
          continue;
        }
      if (counts (&lock))
        return in_use (probed[i], error);
    }

  return TRUE;
}

static void
drop (int fd)
{
  struct flock lock;

  for (guint i = 0; i < G_N_ELEMENTS (held); i++)
    call (fd, F_OFD_SETLK, F_UNLCK, held[i], &lock);
}

static gboolean
take (int fd, gboolean force, GError **error)
{
  for (guint i = 0; i < G_N_ELEMENTS (held); i++)
    {
      struct flock lock;

      if (call (fd, F_OFD_SETLK, F_RDLCK, held[i], &lock) == 0)
        continue;
      if (errno == EAGAIN || errno == EACCES)
        return in_use (held[i], error);
      if (!cannot_lock (force, error))
        return FALSE;
    }

  return probe (fd, force, error);
}

/* Refuses the image that is open as FD, unless FORCE, if locks of others may
 * be invisible.  Fails with EDIT_ERROR_REFUSED. */
gboolean
edit_lock_is_possible (int fd, gboolean force, GError **error)
{
  if (force || byte_source_sees_all_locks (fd))
    return TRUE;

  g_set_error (error, EDIT_ERROR, EDIT_ERROR_REFUSED,
               "a program that writes to the image may be invisible here "
               "(a block device, a loop device, or a shared file system): "
               "if no other program uses it, --force edits it anyway");
  return FALSE;
}

/* Locks the image that is open as FD for reading and writing, as QEMU does:
 * neither starts to write while the other may.  The lock lasts until FD is
 * closed.  FORCE only accepts that locks of others may be invisible.  Fails
 * with EDIT_ERROR_LOCKED if another program holds a lock, and with
 * EDIT_ERROR_REFUSED if that cannot be seen. */
gboolean
edit_lock (int fd, gboolean force, GError **error)
{
  if (take (fd, force, error) && edit_lock_is_possible (fd, force, error))
    return TRUE;

  drop (fd);
  return FALSE;
}

#else

gboolean
edit_lock_is_possible (int fd G_GNUC_UNUSED, gboolean force, GError **error)
{
  if (!force)
    g_set_error (error, EDIT_ERROR, EDIT_ERROR_REFUSED,
                 "this system has no locks for open files: if no other "
                 "program uses the image, --force edits it anyway");
  return force;
}

gboolean
edit_lock (int fd, gboolean force, GError **error)
{
  return edit_lock_is_possible (fd, force, error);
}

#endif
