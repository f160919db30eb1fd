/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes test images to files, with holes where the images are zero. */

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "image-builder.h"

#define BLOCK_SIZE 4096u

static gboolean
is_zero (const guint8 *data, gsize size)
{
  return data[0] == 0 && memcmp (data, data + 1, size - 1) == 0;
}

static gboolean
write_all (int fd, const guint8 *data, gsize size, guint64 offset)
{
  while (size > 0)
    {
      gssize n = pwrite (fd, data, size, (off_t) offset);

      if (n < 0 && errno != EINTR)
        return FALSE;
      if (n > 0)
        {
          data += n;
          size -= (gsize) n;
          offset += (guint64) n;
        }
    }

  return TRUE;
}

static gboolean
write_blocks (int fd, const Image *image)
{
  for (gsize at = 0; at < image->bytes->len; at += BLOCK_SIZE)
    {
      const guint8 *block = image->bytes->data + at;
      gsize size = MIN (BLOCK_SIZE, image->bytes->len - at);

      if (!is_zero (block, size) && !write_all (fd, block, size, at))
        return FALSE;
    }

  return ftruncate (fd, (off_t) image->size) == 0;
}

static gboolean
write_image (const char *name, const char *path)
{
  g_autoptr (Image) image = image_build (name);
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  gboolean ok = fd >= 0 && write_blocks (fd, image);
  int saved_errno = errno;

  if (fd >= 0 && close (fd) != 0 && ok)
    {
      saved_errno = errno;
      ok = FALSE;
    }
  if (!ok)
    g_printerr ("mkimage: %s: %s\n", path, g_strerror (saved_errno));

  return ok;
}

static gboolean
list_all (void)
{
  g_autofree ImageName *names = image_list_names ();

  for (guint i = 0; names[i].name != NULL; i++)
    printf ("%s\t%s\n", names[i].name, names[i].sentence);

  return fflush (stdout) == 0;
}

/* Continues without an image that the file system cannot hold.  Returns FALSE
 * when any image failed. */
static gboolean
write_all_images (const char *dir)
{
  g_autofree ImageName *names = image_list_names ();
  gboolean ok = TRUE;

  for (guint i = 0; names[i].name != NULL; i++)
    {
      g_autofree char *path
          = g_strdup_printf ("%s/%s.qcow2", dir, names[i].name);

      if (!write_image (names[i].name, path))
        {
          unlink (path);
          ok = FALSE;
        }
    }

  return ok;
}

int
main (int argc, char **argv)
{
  if (argc == 2 && strcmp (argv[1], "--list") == 0)
    return list_all () ? 0 : 1;
  if (argc == 3 && strcmp (argv[1], "--all") == 0)
    return write_all_images (argv[2]) ? 0 : 1;

  if (argc != 3)
    {
      g_printerr ("usage: mkimage NAME FILE | --list | --all DIR\n");
      return 1;
    }
  if (!image_name_exists (argv[1]))
    {
      g_printerr ("mkimage: no image is named '%s'\n", argv[1]);
      return 1;
    }

  return write_image (argv[1], argv[2]) ? 0 : 1;
}
