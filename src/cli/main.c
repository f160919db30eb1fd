/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process around the tool: the only file that names stdout and stderr. */

#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "cli/dispatch.h"

static gboolean
write_all (OutputStream stream, const char *bytes, gsize len, GError **error)
{
  const int fd
      = stream == OUTPUT_STREAM_ANSWER ? STDOUT_FILENO : STDERR_FILENO;

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

int
main (int argc G_GNUC_UNUSED, char **argv)
{
  /* No setlocale (): the output is the same bytes in every locale. */
  return dispatch (argv, write_all);
}
