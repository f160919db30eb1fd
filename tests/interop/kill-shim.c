/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded by interop-crash.py: kills a program of QEMU at one of its writes.
 * KILL_AT in the environment is the number of this write, counted from 1.  A
 * write of several pages is done for the first half of them, as the kernel
 * does if a program is killed while it writes.
 *
 * Only the C library is used here, and none of the program's code. */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096

typedef ssize_t (*Write) (int fd, const void *data, size_t size,
                          off64_t offset);
typedef ssize_t (*WriteVector) (int fd, const struct iovec *parts, int n_parts,
                                off64_t offset);
typedef int (*Allocate) (int fd, int mode, off64_t offset, off64_t size);
typedef int (*Truncate) (int fd, off64_t size);

static atomic_int n_writes;

/* Returns whether the program is to be killed at this write to FD. */
static int
is_last (int fd)
{
  const char *kill_at = getenv ("KILL_AT");
  struct stat status;

  if (kill_at == NULL || fstat (fd, &status) != 0 || !S_ISREG (status.st_mode))
    return 0;
  return atomic_fetch_add (&n_writes, 1) + 1 == atoi (kill_at);
}

ssize_t
pwrite64 (int fd, const void *data, size_t size, off64_t offset)
{
  const Write next = (Write) dlsym (RTLD_NEXT, "pwrite64");

  if (!is_last (fd))
    return next (fd, data, size, offset);
  if (size > PAGE)
    next (fd, data, size / PAGE / 2 * PAGE, offset);
  raise (SIGKILL);
  return -1;
}

ssize_t
pwritev64 (int fd, const struct iovec *parts, int n_parts, off64_t offset)
{
  const WriteVector next = (WriteVector) dlsym (RTLD_NEXT, "pwritev64");

  if (is_last (fd))
    raise (SIGKILL);
  return next (fd, parts, n_parts, offset);
}

int
fallocate64 (int fd, int mode, off64_t offset, off64_t size)
{
  const Allocate next = (Allocate) dlsym (RTLD_NEXT, "fallocate64");

  if (is_last (fd))
    raise (SIGKILL);
  return next (fd, mode, offset, size);
}

int
ftruncate64 (int fd, off64_t size)
{
  const Truncate next = (Truncate) dlsym (RTLD_NEXT, "ftruncate64");

  if (is_last (fd))
    raise (SIGKILL);
  return next (fd, size);
}
