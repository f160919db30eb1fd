/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* peak FILE COMMAND: runs the shell command COMMAND and writes the peak memory
 * of its largest process to FILE, in kilobytes.  The process that starts
 * COMMAND must be small in order not to count: a script's interpreter needs
 * more memory than the programs that are measured. */

#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int
main (int argc, char **argv)
{
  int status = 1;
  struct rusage usage;

  if (argc != 3)
    return 2;

  const pid_t pid = fork ();
  if (pid == 0)
    {
      execl ("/bin/bash", "bash", "-c", argv[2], (char *) NULL);
      _exit (127);
    }
  if (pid < 0 || waitpid (pid, &status, 0) < 0
      || getrusage (RUSAGE_CHILDREN, &usage) < 0)
    return 2;

  FILE *file = fopen (argv[1], "w");
  if (file == NULL)
    return 2;
  fprintf (file, "%ld\n", usage.ru_maxrss);
  fclose (file);
  return WIFEXITED (status) ? WEXITSTATUS (status) : 2;
}
