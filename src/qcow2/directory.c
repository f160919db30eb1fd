/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/directory.h"

#include <string.h>

#include "qcow2/namesakes.h"

#define WHAT "bitmap directory"

/* The fixed part of an entry and its field name_size (qcow2 spec, bitmap
 * directory). */
#define HEAD_LENGTH 24
#define AT_NAME_SIZE 18

/* Where the walk stands; all but WALKING are ends. */
typedef enum
{
  WALKING,
  AT_END,   /* of the directory, the file or what is examined */
  HEAD_CUT, /* too few bytes for an entry are left */
  ENTRY_CUT /* the last entry given goes on behind the end */
} WalkState;

struct Qcow2Directory
{
  Qcow2Image *image;
  ByteWindow *window;
  guint64 start;        /* host offset of the first entry */
  guint64 declared_end; /* host offset, as the bitmaps extension has it */
  guint64 end;          /* host offset where the walk has to end */
  guint64 max_entries;

  guint64 pos;   /* host offset of the next entry */
  guint64 index; /* of the next entry */
  WalkState state;

  Qcow2Namesakes *namesakes; /* of all entries when it was opened */
};

void
qcow2_directory_rewind (Qcow2Directory *directory)
{
  directory->pos = directory->start;
  directory->index = 0;
  directory->state = directory->window != NULL ? WALKING : AT_END;
}

/* Reads what follows the head of the entry at the walk's position; its SIZE
 * bytes without padding are there.  Returns the name, which stays valid until
 * the next call, NULL when a read fails. */
static const guint8 *
read_tail (Qcow2Directory *directory, Qcow2Bitmap *bitmap, guint64 size,
           GError **error)
{
  ByteWindow *window = directory->window;
  const guint64 extra = directory->pos + HEAD_LENGTH;
  const gsize preview
      = MIN (bitmap->extra_data_size, sizeof bitmap->extra_data);
  const guint8 *bytes = byte_window_get (window, extra, preview, WHAT, error);
  if (bytes == NULL)
    return NULL;

  memcpy (bitmap->extra_data, bytes, preview);

  const guint64 name = extra + bitmap->extra_data_size;
  const guint n_padding = (guint) ((8 - size % 8) % 8);
  const gsize wanted = bitmap->name_size + n_padding;
  const gsize len = (gsize) MIN (wanted, directory->end - name);
  bytes = byte_window_get (window, name, len, WHAT, error);
  if (bytes == NULL)
    return NULL;

  bitmap->name_offset = name;
  bitmap->padding_cut = len < wanted;
  for (gsize i = bitmap->name_size; i < len && bitmap->bad_padding == 0; i++)
    bitmap->bad_padding = bytes[i] != 0 ? name + i : 0;
  return bytes;
}

/* Gives the next entry in BITMAP and its name, apart, in NAME, valid until the
 * next call.  Otherwise like qcow2_directory_next (). */
static gboolean
read_next (Qcow2Directory *directory, Qcow2Bitmap *bitmap, const guint8 **name,
           GError **error)
{
  const guint64 left = directory->end - MIN (directory->pos, directory->end);

  if (directory->state == WALKING
      && (left == 0 || directory->index == directory->max_entries))
    directory->state = AT_END;
  else if (directory->state == WALKING && left < HEAD_LENGTH)
    directory->state = HEAD_CUT;
  if (directory->state != WALKING)
    return FALSE;

  const guint8 *head = byte_window_get (directory->window, directory->pos,
                                        HEAD_LENGTH, WHAT, error);
  if (head == NULL)
    return FALSE;

  Qcow2Bitmap b = { .index = directory->index,
                    .file_offset = directory->pos,
                    .disk_bytes = QCOW2_ABSENT,
                    .dirty_bytes = QCOW2_ABSENT };
  qcow2_record_decode (qcow2_bitmap_fields, head, HEAD_LENGTH, &b);
  b.granularity = b.granularity_bits < 64
                      ? G_GUINT64_CONSTANT (1) << b.granularity_bits
                      : QCOW2_ABSENT;

  const guint64 size = HEAD_LENGTH + (guint64) b.extra_data_size + b.name_size;
  const gboolean cut = size > left;
  *name = cut ? NULL : read_tail (directory, &b, size, error);
  if (!cut && *name == NULL)
    return FALSE;

  if (cut)
    directory->state = ENTRY_CUT;
  else
    directory->pos
        += MIN ((size + 7) / 8 * 8, directory->declared_end - directory->pos);
  directory->index++;
  *bitmap = b;
  return TRUE;
}

/* Gives the next entry in BITMAP, which the caller clears.  When its extra
 * data or name go on behind the end of the directory or the file it has no
 * name and is the last one.  Entries beyond nb_bitmaps are given too.  Returns
 * FALSE without an error at the end, FALSE with QCOW2_ERROR_READ when a read
 * fails. */
gboolean
qcow2_directory_next (Qcow2Directory *directory, Qcow2Bitmap *bitmap,
                      GError **error)
{
  const guint8 *name;

  if (!read_next (directory, bitmap, &name, error))
    return FALSE;

  if (name != NULL)
    bitmap->name = g_bytes_new (name, bitmap->name_size);
  return TRUE;
}

/* Returns how many entries there were when DIRECTORY was opened. */
guint64
qcow2_directory_get_n (const Qcow2Directory *directory)
{
  return qcow2_namesakes_get_n (directory->namesakes);
}

/* Whether damage on the way to DIRECTORY hides all of its entries, so that
 * nobody can tell what bitmaps there are. */
gboolean
qcow2_directory_is_unknown (const Qcow2Directory *directory)
{
  return qcow2_directory_get_n (directory) == 0
         && qcow2_image_bitmaps_are_damaged (directory->image);
}

/* Makes entry INDEX of DIRECTORY, which is at host offset OFFSET, the next. */
static void
seek (Qcow2Directory *directory, guint64 index, guint64 offset)
{
  qcow2_directory_rewind (directory);
  directory->pos = offset;
  directory->index = index;
}

/* Gives in BITMAP, which the caller clears, entry INDEX of DIRECTORY, which is
 * at host offset OFFSET.  The walk goes on behind it.  Returns FALSE as
 * qcow2_directory_next () does. */
gboolean
qcow2_directory_read (Qcow2Directory *directory, guint64 index, guint64 offset,
                      Qcow2Bitmap *bitmap, GError **error)
{
  seek (directory, index, offset);
  return qcow2_directory_next (directory, bitmap, error);
}

/* Leaves out the entries before entry INDEX, if it is known where that is:
 * it was there, with a name, when the directory was opened.  Returns FALSE
 * when the walk is behind it, or there is none. */
gboolean
qcow2_directory_skip_to_index (Qcow2Directory *directory, guint64 index)
{
  guint32 offset;

  if (index < directory->index || index >= qcow2_directory_get_n (directory))
    return FALSE;

  if (qcow2_namesakes_get_offset (directory->namesakes, index, &offset))
    seek (directory, index, directory->start + offset);
  return TRUE;
}

/* Leaves out entries that cannot have the name of LEN bytes at NAME, likewise:
 * the next one may have it.  Returns FALSE when there is none. */
gboolean
qcow2_directory_skip_to_name (Qcow2Directory *directory, const char *name,
                              gsize len)
{
  const guint64 index = qcow2_namesakes_look_up (
      directory->namesakes, (const guint8 *) name, len, directory->index);

  return qcow2_directory_skip_to_index (directory, index);
}

/* Adds what is wrong with the directory as a whole, when the walk has ended.
 */
static void
judge_walk (const Qcow2Directory *directory)
{
  const Qcow2Image *image = directory->image;
  const guint64 n = directory->index;
  const guint32 nb_bitmaps = image->bitmaps.nb_bitmaps;
  Qcow2Subject subject = { .parts = QCOW2_PART_BITMAPS,
                           .structure = WHAT,
                           .extension = QCOW2_NO_INDEX,
                           .bitmap = QCOW2_NO_INDEX };

  if (directory->state == ENTRY_CUT)
    {
      subject.structure = "bitmap";
      subject.bitmap = n - 1;
      qcow2_problems_add (
          image->problems, &subject, QCOW2_BDIR_02,
          directory->pos + AT_NAME_SIZE, 0,
          "extra data and name go on behind " QCOW2_X ", the end of the %s",
          directory->end,
          directory->end < directory->declared_end ? "file" : "directory");
      return;
    }
  if (directory->state == HEAD_CUT && n < nb_bitmaps)
    {
      subject.structure = "bitmap";
      subject.bitmap = n;
      qcow2_problems_add (image->problems, &subject, QCOW2_BDIR_01,
                          directory->pos, 0,
                          "only " QCOW2_U " of the %u bytes of an entry's "
                          "fields are left",
                          directory->end - directory->pos, HEAD_LENGTH);
      return;
    }

  /* When nothing of the directory is in the file, that has been said. */
  if (n != nb_bitmaps && directory->end > directory->start)
    qcow2_problems_add (
        image->problems, &subject,
        n > nb_bitmaps ? QCOW2_BDIR_03_MORE : QCOW2_BDIR_03_LESS,
        image->bitmaps_offset, n,
        "the directory has " QCOW2_U " entries, but nb_bitmaps is %u", n,
        nb_bitmaps);
  else if (n == nb_bitmaps && directory->pos < directory->declared_end
           && directory->end > directory->start)
    qcow2_problems_add (image->problems, &subject, QCOW2_BDIR_04,
                        MIN (directory->pos, directory->end),
                        directory->declared_end,
                        "the entries end here, but the directory ends "
                        "at " QCOW2_X,
                        directory->declared_end);
}

/* A Qcow2NamesakesRead: reads the name of an entry again. */
static GBytes *
read_name (guint32 index, guint32 offset, gpointer data, GError **error)
{
  Qcow2Directory *directory = data;
  Qcow2Bitmap bitmap = { 0 };

  return qcow2_directory_read (directory, index, directory->start + offset,
                               &bitmap, error)
             ? bitmap.name
             : NULL;
}

/* Walks the directory once: judges it as a whole, and finds names that stand
 * in it twice. */
static gboolean
survey (Qcow2Directory *directory, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  while (TRUE)
    {
      Qcow2Bitmap bitmap;
      const guint8 *name;

      if (!read_next (directory, &bitmap, &name, &local_error))
        break;

      qcow2_namesakes_add (directory->namesakes,
                           (guint32) (bitmap.file_offset - directory->start),
                           name, bitmap.name_size);
    }

  if (local_error == NULL)
    {
      judge_walk (directory);
      qcow2_namesakes_find (directory->namesakes, read_name, directory,
                            &local_error);
    }
  qcow2_directory_rewind (directory);
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Returns the bitmap directory of IMAGE, which must outlive it, before its
 * first entry; one without entries when the image does not say where its
 * directory is.  What is wrong with the directory as a whole is added to the
 * image's problems, once.  Fails with QCOW2_ERROR_READ only. */
Qcow2Directory *
qcow2_directory_open (Qcow2Image *image, GError **error)
{
  g_autoptr (Qcow2Directory) directory = g_new0 (Qcow2Directory, 1);
  const guint64 start = image->bitmaps.bitmap_directory_offset;
  const guint64 size = image->bitmaps.bitmap_directory_size;

  directory->image = image;
  directory->max_entries = QCOW2_MAX_BITMAPS;
  directory->namesakes = qcow2_namesakes_new ();
  directory->state = AT_END;

  /* At offset 0 lies the header, never a directory. */
  if (start == 0 || start > byte_source_get_size (image->source))
    return g_steal_pointer (&directory);

  directory->start = start;
  directory->declared_end = start + MIN (size, G_MAXUINT64 - start);
  directory->window = byte_window_new (
      image->source, start + MIN (size, QCOW2_MAX_DIRECTORY_SIZE));
  directory->end = byte_window_get_end (directory->window);
  qcow2_directory_rewind (directory);

  if (!survey (directory, error))
    return NULL;

  return g_steal_pointer (&directory);
}

/* Returns the directory that EXTENSION of IMAGE points to as one of nb_bitmaps
 * entries, whatever size it is said to have, before its first entry.  Nothing
 * of it is judged. */
Qcow2Directory *
qcow2_directory_open_counted (Qcow2Image *image,
                              const Qcow2BitmapsExtension *extension)
{
  Qcow2Directory *directory = g_new0 (Qcow2Directory, 1);
  const guint64 size = byte_source_get_size (image->source);

  directory->image = image;
  directory->namesakes = qcow2_namesakes_new ();
  directory->max_entries = MIN (extension->nb_bitmaps, QCOW2_MAX_BITMAPS);
  directory->start = extension->bitmap_directory_offset;
  directory->declared_end = size;
  directory->end = size;
  directory->window = byte_window_new (image->source, size);
  qcow2_directory_rewind (directory);
  return directory;
}

/* Returns the index of the first bitmap that has the name of bitmap INDEX:
 * INDEX itself when no bitmap before it has.  An entry that was not there when
 * the directory was opened, because somebody is writing, has no namesake. */
guint64
qcow2_directory_get_namesake (const Qcow2Directory *directory, guint64 index)
{
  return qcow2_namesakes_get_whole (directory->namesakes, index);
}

/* Likewise, of the first bitmap whose name is equal up to the first NUL byte,
 * where QEMU takes a name to end. */
guint64
qcow2_directory_get_cut_namesake (const Qcow2Directory *directory,
                                  guint64 index)
{
  return qcow2_namesakes_get_cut (directory->namesakes, index);
}

void
qcow2_directory_free (Qcow2Directory *directory)
{
  if (directory == NULL)
    return;

  byte_window_free (directory->window);
  qcow2_namesakes_free (directory->namesakes);
  g_free (directory);
}
