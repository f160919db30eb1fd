/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/plan-file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "edit/error.h"
#include "edit/plan-parse.h"

/* The maximum size of the text of a plan in bytes: a bitmap directory of 64
 * MiB, whose old and new bytes are in hexadecimal, and some more. */
#define MAX_SIZE (257 * 1024 * 1024)

/* The bytes that the line "# done" may add to a plan. */
#define DONE_SIZE 100

struct EditPlanFile
{
  int fd;
  char *path;
  gsize size;       /* bytes that were written */
  gboolean is_kept; /* all of the plan is on the disk */
};

static void
set_error (GError **error, const char *what)
{
  g_set_error (error, EDIT_ERROR, EDIT_ERROR_PLAN, "%s: %s", what,
               g_strerror (errno));
}

/* Reads at most LIMIT bytes from FD.  If there are more, leaves the rest if
 * TRUNCATES, or otherwise fails with EDIT_ERROR_PLAN. */
static GByteArray *
read_all (int fd, gsize limit, gboolean truncates, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint8 block[16 * 1024];

  for (;;)
    {
      const ssize_t got = read (fd, block, sizeof block);

      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        {
          set_error (error, "cannot read");
          return NULL;
        }
      if (got == 0)
        return g_steal_pointer (&bytes);

      const gsize room = limit - bytes->len;
      if ((gsize) got > room && !truncates)
        {
          g_set_error (error, EDIT_ERROR, EDIT_ERROR_PLAN,
                       "is longer than %" G_GSIZE_FORMAT " bytes", limit);
          return NULL;
        }

      g_byte_array_append (bytes, block, (guint) MIN ((gsize) got, room));
      if (truncates && bytes->len == limit)
        return g_steal_pointer (&bytes);
    }
}

/* Returns the plan in the file PATH.  Fails with EDIT_ERROR_PLAN. */
EditPlan *
edit_plan_load (const char *path, GError **error)
{
  const int fd = open (path, O_RDONLY | O_NOCTTY | O_CLOEXEC);

  if (fd < 0)
    {
      set_error (error, "cannot open");
      return NULL;
    }

  g_autoptr (GByteArray) text = read_all (fd, MAX_SIZE, FALSE, error);
  close (fd);
  if (text == NULL)
    return NULL;
  if (text->len == 0)
    return edit_plan_parse ("", 0, error);

  return edit_plan_parse ((const char *) text->data, text->len, error);
}

/* Returns what is on standard input, or its first LIMIT bytes.  Fails with
 * EDIT_ERROR_PLAN. */
GBytes *
edit_read_standard_input (gsize limit, GError **error)
{
  GByteArray *bytes = read_all (0, limit, TRUE, error);

  if (bytes == NULL)
    {
      g_prefix_error (error, "standard input: ");
      return NULL;
    }

  return g_byte_array_free_to_bytes (bytes);
}

static gboolean
write_all (int fd, const char *text, gsize len, GError **error)
{
  while (len > 0)
    {
      const ssize_t written = write (fd, text, len);

      if (written < 0 && errno == EINTR)
        continue;
      if (written < 0)
        {
          set_error (error, "cannot write");
          return FALSE;
        }

      text += written;
      len -= (gsize) written;
    }

  return TRUE;
}

static gboolean
sync_file (const EditPlanFile *file, GError **error)
{
  if (fsync (file->fd) == 0)
    return TRUE;

  set_error (error, "cannot write");
  return FALSE;
}

/* Makes the name of the file PATH last: syncs its folder. */
static gboolean
sync_folder (const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  const int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    {
      set_error (error, "cannot open its folder");
      return FALSE;
    }

  /* Some file systems cannot sync a folder. */
  const gboolean synced
      = fsync (fd) == 0 || errno == EINVAL || errno == ENOTSUP;
  if (!synced)
    set_error (error, "cannot sync its folder");
  close (fd);
  return synced;
}

/* Creates the file PATH, which must not exist.  It is removed again unless
 * edit_plan_file_keep () succeeds.  Fails with EDIT_ERROR_PLAN. */
EditPlanFile *
edit_plan_file_create (const char *path, GError **error)
{
  const int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

  if (fd < 0)
    {
      set_error (error, "cannot create");
      return NULL;
    }

  EditPlanFile *file = g_new0 (EditPlanFile, 1);
  file->fd = fd;
  file->path = g_strdup (path);
  return file;
}

/* Writes the LEN bytes at TEXT, a part of the plan, to FILE.  Fails with
 * EDIT_ERROR_PLAN, also if the plan becomes too long to be read back. */
gboolean
edit_plan_file_write (EditPlanFile *file, const char *text, gsize len,
                      GError **error)
{
  if (len > MAX_SIZE - DONE_SIZE - file->size)
    {
      g_set_error (error, EDIT_ERROR, EDIT_ERROR_PLAN,
                   "apply does not read so long a plan: do the edit without "
                   "--save-plan");
      return FALSE;
    }

  file->size += len;
  return write_all (file->fd, text, len, error);
}

/* Makes sure that FILE, to which all of the plan was written, is on the disk.
 * Fails with EDIT_ERROR_PLAN. */
gboolean
edit_plan_file_keep (EditPlanFile *file, GError **error)
{
  file->is_kept = sync_file (file, error) && sync_folder (file->path, error);
  return file->is_kept;
}

/* Appends the line TEXT, which says that the plan was carried out, to FILE,
 * and makes sure that it is on the disk.  Fails with EDIT_ERROR_PLAN. */
gboolean
edit_plan_file_append (EditPlanFile *file, const char *text, GError **error)
{
  return write_all (file->fd, text, strlen (text), error)
         && sync_file (file, error);
}

void
edit_plan_file_free (EditPlanFile *file)
{
  if (file == NULL)
    return;

  close (file->fd);
  if (!file->is_kept)
    unlink (file->path);
  g_free (file->path);
  g_free (file);
}
