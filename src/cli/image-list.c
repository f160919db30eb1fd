/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/image-list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Maximum number of bytes in a name: more than any system accepts. */
#define MAX_NAME (1024 * 1024)

struct ImageList
{
  char **operands; /* rest of each array, not owned; may be NULL */
  char **line_files;
  char **nul_files;

  FILE *file;       /* current list file, or NULL */
  const char *name; /* name of the current list file */
  int delimiter;    /* last character of each name: newline or NUL */
  GString *line;    /* a name that was read */
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
  list->line = g_string_new (NULL);
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

/* Reads the bytes up to the next delimiter, which may be none.  Returns
 * QCOW2_NEXT_END if there is nothing at all. */
static Qcow2Next
read_line (ImageList *list, GError **error)
{
  int c;

  g_string_truncate (list->line, 0);
  errno = 0;
  while ((c = getc (list->file)) != EOF && c != list->delimiter)
    {
      if (list->line->len == MAX_NAME)
        return list_error (list, "read", ENAMETOOLONG, error);

      g_string_append_c (list->line, (char) c);
    }

  if (c == EOF && !feof (list->file))
    return list_error (list, "read", errno, error);

  return c == EOF && list->line->len == 0 ? QCOW2_NEXT_END : QCOW2_NEXT_ITEM;
}

/* Stores the next name in the current list file in *NAME, which the caller
 * frees. */
static Qcow2Next
read_name (ImageList *list, char **name, GError **error)
{
  Qcow2Next next;

  /* An empty line is not a file name: an empty list may consist of one. */
  do
    next = read_line (list, error);
  while (next == QCOW2_NEXT_ITEM && list->line->len == 0);

  if (next != QCOW2_NEXT_ITEM)
    return next;
  if (strlen (list->line->str) == list->line->len)
    {
      *name = g_strdup (list->line->str);
      return QCOW2_NEXT_ITEM;
    }

  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
               "%s: a line of the list of images has a NUL byte: give it to "
               "--files0-from",
               list->name);
  return QCOW2_NEXT_FAILED;
}

/* Stores the name of the next image in *NAME, which the caller frees.  Fails
 * with G_FILE_ERROR when a list file cannot be read, or has a name that is too
 * long or contains a NUL byte; the next call then continues with the next list
 * file. */
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
  g_string_free (list->line, TRUE);
  g_free (list);
}
