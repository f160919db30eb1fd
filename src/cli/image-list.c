/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/image-list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ImageList
{
  char **operands; /* rest of each array, not owned; may be NULL */
  char **line_files;
  char **nul_files;

  FILE *file;       /* current list file, or NULL */
  const char *name; /* name of the current list file */
  int delimiter;    /* last character of each name: newline or NUL */
  char *line;       /* buffer of getdelim () */
  size_t line_size;
};

/* Returns a list of the images in OPERANDS, then of those in LINE_FILES, files
 * with one name per line, then of those in NUL_FILES, files in which a NUL
 * ends each name.  The file "-" is standard input.  Each array is
 * NULL-terminated or NULL, and must outlive the list. */
ImageList *
image_list_new (char **operands, char **line_files, char **nul_files)
{
  ImageList *list = g_new0 (ImageList, 1);

  list->operands = operands;
  list->line_files = line_files;
  list->nul_files = nul_files;
  return list;
}

static char *
next_of (char ***array)
{
  if (*array == NULL || **array == NULL)
    return NULL;

  return *(*array)++;
}

static Qcow2Next
list_error (const ImageList *list, const char *what, int errnum,
            GError **error)
{
  g_set_error (error, G_FILE_ERROR, g_file_error_from_errno (errnum),
               "%s: cannot %s the list of images: %s", list->name, what,
               g_strerror (errnum));
  return QCOW2_NEXT_FAILED;
}

/* Opens the next list file. */
static Qcow2Next
open_next (ImageList *list, GError **error)
{
  list->delimiter = '\n';
  list->name = next_of (&list->line_files);
  if (list->name == NULL)
    {
      list->delimiter = '\0';
      list->name = next_of (&list->nul_files);
    }
  if (list->name == NULL)
    return QCOW2_NEXT_END;

  list->file
      = g_str_equal (list->name, "-") ? stdin : fopen (list->name, "re");
  return list->file != NULL ? QCOW2_NEXT_ITEM
                            : list_error (list, "open", errno, error);
}

static void
close_list (ImageList *list)
{
  if (list->file != NULL && list->file != stdin)
    fclose (list->file);

  list->file = NULL;
}

/* Stores the next name in the current list file in *NAME, which the caller
 * frees. */
static Qcow2Next
read_name (ImageList *list, char **name, GError **error)
{
  ssize_t got;

  errno = 0;
  while ((got = getdelim (&list->line, &list->line_size, list->delimiter,
                          list->file))
         >= 0)
    {
      gsize len = (gsize) got;
      if (list->line[len - 1] == list->delimiter)
        list->line[--len] = '\0';
      if (len == 0)
        continue; /* not a file name; an empty list may be one empty line */

      if (strlen (list->line) == len)
        {
          *name = g_strdup (list->line);
          return QCOW2_NEXT_ITEM;
        }

      g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                   "%s: a line of the list of images has a NUL byte: give it "
                   "to --files0-from",
                   list->name);
      return QCOW2_NEXT_FAILED;
    }

  return ferror (list->file) ? list_error (list, "read", errno, error)
                             : QCOW2_NEXT_END;
}

/* Stores the name of the next image in *NAME, which the caller frees.  Fails
 * with G_FILE_ERROR when a list file cannot be read; the next call then
 * continues with the next list file. */
Qcow2Next
image_list_next (ImageList *list, char **name, GError **error)
{
  const char *operand = next_of (&list->operands);
  Qcow2Next next = QCOW2_NEXT_ITEM;

  if (operand != NULL)
    {
      *name = g_strdup (operand);
      return QCOW2_NEXT_ITEM;
    }

  do
    {
      if (list->file == NULL)
        next = open_next (list, error);
      if (next != QCOW2_NEXT_ITEM)
        return next;

      next = read_name (list, name, error);
      if (next != QCOW2_NEXT_ITEM)
        close_list (list);
    }
  while (next == QCOW2_NEXT_END);

  return next;
}

void
image_list_free (ImageList *list)
{
  if (list == NULL)
    return;

  close_list (list);
  free (list->line);
  g_free (list);
}
