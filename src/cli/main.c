/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entry point of the process, and the only file that names stdout and stderr.
 */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/dispatch.h"

/* Default capacity of a pipe in bytes, and the capacity for large output.
 * With more room, the two sides wait less for each other. */
#define USUAL_PIPE_SIZE (64 * 1024)
#define PIPE_SIZE (1024 * 1024)

/* The most bytes of freed memory that are kept for later use. */
#define MAX_SPARE_MEMORY (1024 * 1024)

/* Keeps the memory that an image needed for the next image.  By default, glibc
 * returns it to the system and asks for it again several times for each image,
 * which takes longer than to read the image. */
static void
keep_spare_memory (void)
{
#ifdef __GLIBC__
  mallopt (M_TRIM_THRESHOLD, MAX_SPARE_MEMORY);
  mallopt (M_MMAP_THRESHOLD, MAX_SPARE_MEMORY);
#endif
}

/* Enlarges the buffer of FD if it is a pipe.  Failure is harmless: output is
 * only slower. */
static void
widen_pipe (int fd)
{
#ifdef F_SETPIPE_SZ
  const int size = fcntl (fd, F_GETPIPE_SZ);

  if (size > 0 && size < PIPE_SIZE)
    fcntl (fd, F_SETPIPE_SZ, PIPE_SIZE);
#else
  (void) fd;
#endif
}

static gboolean
write_all (OutputStream stream, const char *bytes, gsize len,
           gpointer data G_GNUC_UNUSED, GError **error)
{
  const int fd
      = stream == OUTPUT_STREAM_ANSWER ? STDOUT_FILENO : STDERR_FILENO;

  if (len > USUAL_PIPE_SIZE)
    widen_pipe (fd);

  while (len > 0)
    {
      const ssize_t written = write (fd, bytes, len);

      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        {
          g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errno),
                       "cannot write output: %s", g_strerror (errno));
          return FALSE;
        }

      bytes += written;
      len -= (gsize) written;
    }

  return TRUE;
}

/* Opens the standard descriptors that are closed.  Otherwise, an image that is
 * edited could become standard output, and get what is printed.  To use one of
 * these still fails, because it is open for the other direction. */
static gboolean
fill_standard_descriptors (void)
{
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    {
      const int access = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
      struct stat st;

      /* The lowest descriptor that is closed is FD. */
      if (fstat (fd, &st) < 0 && errno == EBADF
          && open ("/dev/null", access) != fd)
        return FALSE;
    }

  return TRUE;
}

int
main (int argc G_GNUC_UNUSED, char **argv)
{
  if (!fill_standard_descriptors ())
    return 1;

  keep_spare_memory ();
  /* A write beyond the limit on the size of files fails, and is reported. */
  signal (SIGXFSZ, SIG_IGN);

  /* setlocale () is not called, so that the output has the same bytes in every
   * locale. */
  return dispatch (argv, write_all, NULL);
}
