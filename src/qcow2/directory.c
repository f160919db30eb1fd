/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/directory.h"

#include <string.h>

#include "qcow2/namesakes.h"

#define WHAT "bitmap directory"

/* The field name_size of an entry (qcow2 spec, bitmap directory). */
#define AT_NAME_SIZE 18

/* Where the walk stands; all but WALKING are ends. */
typedef enum
{
  WALKING,
  AT_END,   /* of the directory, the file or what is examined */
  HEAD_CUT, /* too few bytes for an entry are left */
  ENTRY_CUT /* the last entry given extends beyond the end */
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
  gboolean cut_by_file; /* a truncated entry fits into the directory */
  Qcow2Bitmap cut;      /* that entry, with zeroes for what the file lacks of
                           its fields; index QCOW2_NO_INDEX: there is none */

  Qcow2Namesakes *namesakes; /* of all entries when it was opened */
  gboolean is_none;          /* none of its entries can be one */
  gboolean is_rewritten;     /* by QEMU, when it opens the image for writing */
};

#define MAX_PADDING 7
G_STATIC_ASSERT (G_MAXUINT16 + MAX_PADDING <= BYTE_WINDOW_SIZE);

/* How many fields of 24 bytes have to be wrong before they are no entry. */
#define MANY_FLAWS 3

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
  const guint64 extra = directory->pos + QCOW2_BITMAP_HEAD_LENGTH;
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

/* Notes that the walk has ended inside the fields of an entry.  When the file
 * truncates the last one, QEMU reads zeroes for the rest of it. */
static void
end_in_head (Qcow2Directory *directory)
{
  Qcow2Bitmap cut = { .index = directory->index,
                      .file_offset = directory->pos,
                      .truncated_by_file = TRUE };

  directory->state = HEAD_CUT;
  directory->cut_by_file = directory->end < directory->declared_end;
  if (directory->cut_by_file
      && cut.index + 1 == directory->image->bitmaps.nb_bitmaps
      && qcow2_bitmap_read_head (&cut, directory->window, NULL))
    directory->cut = cut;
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
  else if (directory->state == WALKING && left < QCOW2_BITMAP_HEAD_LENGTH)
    end_in_head (directory);
  if (directory->state != WALKING)
    return FALSE;

  Qcow2Bitmap b = { .index = directory->index,
                    .file_offset = directory->pos,
                    .disk_bytes = QCOW2_ABSENT,
                    .dirty_bytes = QCOW2_ABSENT };
  if (!qcow2_bitmap_read_head (&b, directory->window, error))
    return FALSE;

  const guint64 size
      = QCOW2_BITMAP_HEAD_LENGTH + (guint64) b.extra_data_size + b.name_size;
  const guint64 padded = (size + 7) / 8 * 8;
  const guint64 room = directory->declared_end - directory->pos;
  const gboolean cut = size > left;
  *name = cut ? NULL : read_tail (directory, &b, size, error);
  if (!cut && *name == NULL)
    return FALSE;

  if (cut)
    {
      directory->state = ENTRY_CUT;
      directory->cut_by_file = padded <= room;
      b.truncated_by_file = directory->cut_by_file;
    }
  else
    directory->pos += MIN (padded, room);
  directory->index++;
  *bitmap = b;
  return TRUE;
}

/* Gives the next entry in BITMAP, which the caller clears.  When its extra
 * data or name do not end in the directory and the file it has no
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

/* Whether the walk has ended inside the fields of an entry that still has a
 * name, all of which is zeroes to QEMU. */
static gboolean
has_cut_name (const Qcow2Directory *directory)
{
  return directory->cut.index != QCOW2_NO_INDEX
         && directory->cut.name_size > 0;
}

/* Gives in BITMAP the last entry of DIRECTORY if the file ends in its fields,
 * but QEMU, which reads zeroes for the rest, reads its table.  It is no bitmap
 * to qcow2_directory_next ().  Returns FALSE when there is none. */
gboolean
qcow2_directory_get_cut_entry (const Qcow2Directory *directory,
                               Qcow2Bitmap *bitmap)
{
  *bitmap = directory->cut;
  return has_cut_name (directory);
}

/* Returns the image whose directory DIRECTORY is. */
Qcow2Image *
qcow2_directory_get_image (const Qcow2Directory *directory)
{
  return directory->image;
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

/* Whether none of the entries of DIRECTORY can be one, which has been said:
 * what they are is not worth judging. */
gboolean
qcow2_directory_is_none (const Qcow2Directory *directory)
{
  return directory->is_none;
}

/* Whether QEMU writes DIRECTORY when it opens the image for writing, since it
 * marks the bitmaps as in use. */
gboolean
qcow2_directory_is_rewritten (const Qcow2Directory *directory)
{
  return directory->is_rewritten;
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

/* Whether the fields of BITMAP are so wrong that they are no entry at all. */
static gboolean
is_no_entry (const Qcow2Directory *directory, const Qcow2Bitmap *bitmap)
{
  const guint64 cluster_size = directory->image->header.cluster_size;
  const gboolean flaws[]
      = { bitmap->bitmap_table_offset == 0
              || bitmap->bitmap_table_offset % cluster_size != 0,
          bitmap->bitmap_table_size == 0,
          (bitmap->flags & ~QCOW2_BITMAP_KNOWN_FLAGS) != 0,
          bitmap->type != QCOW2_BITMAP_DIRTY_TRACKING,
          bitmap->granularity_bits < 9 || bitmap->granularity_bits > 31,
          bitmap->name_size == 0,
          bitmap->extra_data_size != 0 };
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (flaws); i++)
    n += flaws[i] ? 1 : 0;

  return n >= MANY_FLAWS;
}

/* Returns a finding's subject: the directory as a whole, or, with INDEX, an
 * entry. */
static Qcow2Subject
make_subject (guint64 index)
{
  const Qcow2Subject subject
      = { .parts = QCOW2_PART_BITMAPS,
          .structure = index == QCOW2_NO_INDEX ? WHAT : "bitmap",
          .extension = QCOW2_NO_INDEX,
          .bitmap = index };

  return subject;
}

/* Whether the entry at which the walk has ended, which the file truncates,
 * takes fewer bytes with the name that QEMU reads: what is missing of it is
 * zeroes. An entry that cannot be read has not. */
static gboolean
has_shorter_name (const Qcow2Directory *directory)
{
  ByteWindow *window = directory->window;
  const guint64 end = directory->end;
  Qcow2Bitmap bitmap = { .file_offset = directory->pos };

  if (!qcow2_bitmap_read_head (&bitmap, window, NULL))
    return FALSE;

  const gsize size = bitmap.name_size;
  const guint64 start
      = directory->pos + QCOW2_BITMAP_HEAD_LENGTH + bitmap.extra_data_size;
  const gsize in_file = (gsize) MIN (end - MIN (start, end), size);
  const guint8 *name
      = byte_window_get (window, end - in_file, in_file, WHAT, NULL);

  return name != NULL
         && (strnlen ((const char *) name, in_file) + 7) / 8 < (size + 7) / 8;
}

/* Adds that the walk has ended inside an entry.  Returns FALSE when it has
 * not. */
static gboolean
judge_cut_entry (const Qcow2Directory *directory)
{
  Qcow2Problems *problems = directory->image->problems;
  const gboolean by_file = directory->cut_by_file;
  const guint64 n = directory->index;

  if (directory->state == ENTRY_CUT)
    {
      const Qcow2Subject subject = make_subject (n - 1);
      const Qcow2RuleIndex rule
          = !by_file ? QCOW2_BDIR_02
            : directory->is_rewritten && has_shorter_name (directory)
                ? QCOW2_BDIR_02_SHORTER
                : QCOW2_BDIR_02_FILE;

      qcow2_problems_add (problems, &subject, rule,
                          directory->pos + AT_NAME_SIZE, 0,
                          "extra data and name do not end before " QCOW2_X
                          ", the end of the %s",
                          by_file ? directory->end : directory->declared_end,
                          by_file ? "file" : "directory");
      return TRUE;
    }
  if (directory->state == HEAD_CUT && n < directory->image->bitmaps.nb_bitmaps)
    {
      const Qcow2Subject subject = make_subject (n);

      const Qcow2RuleIndex rule
          = !by_file ? QCOW2_BDIR_01
            : directory->is_rewritten && has_cut_name (directory)
                ? QCOW2_BDIR_01_SHORTER
                : QCOW2_BDIR_01_FILE;

      qcow2_problems_add (problems, &subject, rule, directory->pos, 0,
                          "only " QCOW2_U " of the %u bytes of an entry's "
                          "fields are left",
                          directory->end - directory->pos,
                          QCOW2_BITMAP_HEAD_LENGTH);
      return TRUE;
    }

  return FALSE;
}

/* Adds what is wrong with the directory as a whole, when the walk has ended.
 */
static void
judge_walk (const Qcow2Directory *directory)
{
  const Qcow2Image *image = directory->image;
  const guint64 n = directory->index;
  const guint32 nb_bitmaps = image->bitmaps.nb_bitmaps;
  const Qcow2Subject subject = make_subject (QCOW2_NO_INDEX);

  if (directory->is_none)
    {
      qcow2_problems_add (
          image->problems, &subject, QCOW2_BDIR_21, directory->start, 0,
          "what bitmap_directory_offset points to is no bitmap "
          "directory: none of its " QCOW2_U " entries can be one",
          n);
      return;
    }
  if (judge_cut_entry (directory))
    return;

  /* When nothing of the directory is in the file, that has been said. */
  if (directory->end <= directory->start)
    return;

  if (n != nb_bitmaps)
    qcow2_problem_allow (
        qcow2_problems_add (
            image->problems, &subject,
            n > nb_bitmaps ? QCOW2_BDIR_03_MORE : QCOW2_BDIR_03_LESS,
            image->bitmaps_offset, nb_bitmaps,
            "the directory has " QCOW2_U " entries, but nb_bitmaps is %u", n,
            nb_bitmaps),
        n);
  else if (directory->pos < directory->declared_end)
    qcow2_problems_add (image->problems, &subject,
                        directory->declared_end - directory->pos
                                < QCOW2_BITMAP_HEAD_LENGTH
                            ? QCOW2_BDIR_04
                            : QCOW2_BDIR_04_MORE,
                        MIN (directory->pos, directory->end), 0,
                        "the entries end here, but the directory ends "
                        "at " QCOW2_X,
                        directory->declared_end);
}

/* HDR-31: says that QEMU has no room to write the header anew, which it does
 * with the directory. */
static void
judge_room (const Qcow2Directory *directory)
{
  if (directory->is_rewritten && !directory->image->header_is_rewritten)
    qcow2_image_judge_room (directory->image);
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
  const gboolean vouched
      = qcow2_header_vouches_for_bitmaps (&directory->image->header)
        && !directory->image->extensions_ignored;
  g_autoptr (GError) local_error = NULL;
  guint64 n_entries = 0; /* that may be some */

  while (TRUE)
    {
      Qcow2Bitmap bitmap;
      const guint8 *name;

      if (!read_next (directory, &bitmap, &name, &local_error))
        break;

      n_entries += is_no_entry (directory, &bitmap) ? 0 : 1;
      directory->is_rewritten
          = directory->is_rewritten
            || (vouched && (bitmap.flags & QCOW2_BITMAP_IN_USE) == 0);
      qcow2_namesakes_add (directory->namesakes,
                           (guint32) (bitmap.file_offset - directory->start),
                           name, bitmap.name_size);
    }

  if (local_error == NULL)
    {
      directory->is_rewritten
          = directory->is_rewritten
            || (vouched && directory->cut.index != QCOW2_NO_INDEX
                && (directory->cut.flags & QCOW2_BITMAP_IN_USE) == 0);
      directory->is_none = directory->index > 0 && n_entries == 0;
      judge_walk (directory);
      judge_room (directory);
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
  directory->cut.index = QCOW2_NO_INDEX;
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
  directory->cut.index = QCOW2_NO_INDEX;
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
