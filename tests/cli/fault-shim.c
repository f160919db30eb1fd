/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded by cli-faults.sh: makes reads of an image fail.  From the
 * environment:
 *
 *   FAULT_FILE   the image; reads of other files are left alone
 *   FAULT_KIND   eio, eintr, short or eof: such a read
 *                rough: all reads are cut in half or interrupted in turn
 *                shrink: the file is cut before the read
 *                change: it gets the bytes of FAULT_OTHER before the read
 *   FAULT_FIRST  the first read with it, counted from 1
 *   FAULT_LAST   the last one
 *   FAULT_SIZE   shrink: where the file then ends, counted from where the read
 *                begins unless it is an =, 0 or more bytes
 *   FAULT_LOG    a file to which a line is added for each fault: the offset
 *                and the size of the read
 *
 * Only the C library is used here, and none of the program's code. */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef ssize_t (*Read) (int fd, void *buffer, size_t size, off64_t offset);

ssize_t pread (int fd, void *buffer, size_t size, off_t offset);
ssize_t pread64 (int fd, void *buffer, size_t size, off64_t offset);

static const char *
get (const char *name)
{
  const char *value = getenv (name);

  return value != NULL ? value : "";
}

/* Whether FD is the image, which has to be looked for by what it is: it may
 * have been opened by any name. */
static int
is_image (int fd)
{
  struct stat ours, theirs;

  return fstat (fd, &ours) == 0 && stat (get ("FAULT_FILE"), &theirs) == 0
         && ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static void
write_log (size_t size, off64_t offset)
{
  const int fd = open (get ("FAULT_LOG"),
                       O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

  if (fd < 0)
    abort ();
  dprintf (fd, "%lld %zu\n", (long long) offset, size);
  close (fd);
}

static void
shrink_file (off64_t offset)
{
  const char *size = get ("FAULT_SIZE");
  const off64_t end = *size == '=' ? strtoll (size + 1, NULL, 10)
                                   : offset + strtoll (size, NULL, 10);

  if (truncate64 (get ("FAULT_FILE"), end) != 0)
    abort ();
}

static void
change_file (void)
{
  const int from = open (get ("FAULT_OTHER"), O_RDONLY | O_CLOEXEC);
  const int to = open (get ("FAULT_FILE"), O_WRONLY | O_CLOEXEC);
  char block[65536];
  ssize_t n;

  if (from < 0 || to < 0)
    abort ();
  while ((n = read (from, block, sizeof block)) > 0)
    {
      if (write (to, block, (size_t) n) != n)
        abort ();
    }
  close (from);
  close (to);
}

static ssize_t
fail (int errnum)
{
  errno = errnum;
  return -1;
}

static ssize_t
read_badly (Read real, int fd, void *buffer, size_t size, off64_t offset,
            long count)
{
  const char *kind = get ("FAULT_KIND");

  write_log (size, offset);
  if (strcmp (kind, "eio") == 0)
    return fail (EIO);
  if (strcmp (kind, "eintr") == 0)
    return fail (EINTR);
  if (strcmp (kind, "eof") == 0)
    return 0;
  if (strcmp (kind, "short") == 0)
    return real (fd, buffer, 1, offset);
  if (strcmp (kind, "rough") == 0)
    return count % 2 == 1 ? fail (EINTR)
                          : real (fd, buffer, (size + 1) / 2, offset);
  if (strcmp (kind, "shrink") == 0)
    shrink_file (offset);
  else if (strcmp (kind, "change") == 0)
    change_file ();
  else
    abort ();
  return real (fd, buffer, size, offset);
}

ssize_t
pread64 (int fd, void *buffer, size_t size, off64_t offset)
{
  static long count;
  Read real = NULL;

  /* A function is no object: ISO C has no cast for it. */
  *(void **) &real = dlsym (RTLD_NEXT, "pread64");
  if (real == NULL)
    abort ();
  if (!is_image (fd))
    return real (fd, buffer, size, offset);

  count++;
  if (count < strtol (get ("FAULT_FIRST"), NULL, 10)
      || count > strtol (get ("FAULT_LAST"), NULL, 10))
    return real (fd, buffer, size, offset);

  return read_badly (real, fd, buffer, size, offset, count);
}

ssize_t
pread (int fd, void *buffer, size_t size, off_t offset)
{
  return pread64 (fd, buffer, size, offset);
}
