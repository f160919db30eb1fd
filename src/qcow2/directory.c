/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/directory.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/directory-index.h"

struct Qcow2Directory
{
  const Qcow2Image *image;
  ByteWindow *window;
  guint64 max_entries;

  guint64 pos;   /* host offset of the next entry */
  guint64 index; /* of the next entry */
  Qcow2DirectoryEnd state;
  gboolean truncated_by_file; /* the truncated entry fits into the directory */
  Qcow2Bitmap truncated; /* the entry whose fields the file truncates, with
                      zeroes for the missing bytes; truncated_by_file is
                      FALSE if there is none */

  Qcow2DirectoryIndex *name_index; /* of all entries at the time of opening */
  Qcow2DirectoryFacts facts;
};

#define MAX_PADDING 7
G_STATIC_ASSERT (G_MAXUINT16 + MAX_PADDING <= BYTE_WINDOW_SIZE);

/* With this many wrong fields or more, the first 24 bytes of an entry are not
 * taken for an entry. */
#define MANY_FLAWS 3

void
qcow2_directory_rewind (Qcow2Directory *directory)
{
  directory->pos = directory->facts.start;
  directory->index = 0;
  directory->state = directory->window != NULL ? QCOW2_DIRECTORY_WALKING
                                               : QCOW2_DIRECTORY_AT_END;
}

/* Reads the extra data and the name of BITMAP, the entry at the walk's
 * position.  SIZE is the size of the entry in bytes without padding; all of it
 * is in the file and the directory.  Returns the name, which stays valid until
 * the next read from the window, or NULL when a read fails. */
static const guint8 *
read_tail (Qcow2Directory *directory, Qcow2Bitmap *bitmap, guint64 size,
           GError **error)
{
  ByteWindow *window = directory->window;
  const guint64 extra = directory->pos + QCOW2_BITMAP_HEAD_LENGTH;
  const gsize preview
      = MIN (bitmap->extra_data_size, sizeof bitmap->extra_data);
  const guint8 *bytes = byte_window_get (window, extra, preview,
                                         qcow2_bitmap_record.name, error);
  if (bytes == NULL)
    return NULL;

  memcpy (bitmap->extra_data, bytes, preview);

  const guint64 name = extra + bitmap->extra_data_size;
  const guint n_padding = (guint) ((8 - size % 8) % 8);
  const gsize wanted = bitmap->name_size + n_padding;
  const gsize len = (gsize) MIN (wanted, directory->facts.file_end - name);
  bytes = byte_window_get (window, name, len, qcow2_bitmap_record.name, error);
  if (bytes == NULL)
    return NULL;

  bitmap->name_offset = name;
  bitmap->padding_truncated = len < wanted;
  for (gsize i = bitmap->name_size; i < len && bitmap->bad_padding == 0; i++)
    bitmap->bad_padding = bytes[i] != 0 ? name + i : 0;
  return bytes;
}

/* Ends the walk inside the fields of an entry.  QEMU reads zeroes for the
 * missing fields if the file truncates the last entry, so that entry is
 * kept. */
static void
end_in_head (Qcow2Directory *directory)
{
  Qcow2Bitmap truncated = { .index = directory->index,
                            .file_offset = directory->pos,
                            .truncated_by_file = TRUE,
                            .result = QCOW2_BITMAP_RESULT_INIT };

  directory->state = QCOW2_DIRECTORY_HEAD_TRUNCATED;
  directory->truncated_by_file
      = directory->facts.file_end < directory->facts.declared_end;
  if (directory->truncated_by_file
      && truncated.index + 1 == directory->image->bitmaps.nb_bitmaps
      && qcow2_bitmap_read_head (&truncated, directory->window, NULL))
    directory->truncated = truncated;
}

/* Stores the next entry in *BITMAP, without its name, and the name in *NAME:
 * NULL if the entry is truncated, else valid until the next call.  Fails with
 * QCOW2_ERROR_READ. */
static Qcow2Next
read_next (Qcow2Directory *directory, Qcow2Bitmap *bitmap, const guint8 **name,
           GError **error)
{
  const guint64 left = directory->facts.file_end
                       - MIN (directory->pos, directory->facts.file_end);

  if (directory->state == QCOW2_DIRECTORY_WALKING
      && (left == 0 || directory->index == directory->max_entries))
    directory->state = QCOW2_DIRECTORY_AT_END;
  else if (directory->state == QCOW2_DIRECTORY_WALKING
           && left < QCOW2_BITMAP_HEAD_LENGTH)
    end_in_head (directory);
  if (directory->state != QCOW2_DIRECTORY_WALKING)
    return QCOW2_NEXT_END;

  Qcow2Bitmap b = { .index = directory->index,
                    .file_offset = directory->pos,
                    .result = QCOW2_BITMAP_RESULT_INIT };
  if (!qcow2_bitmap_read_head (&b, directory->window, error))
    return QCOW2_NEXT_FAILED;

  const guint64 size
      = QCOW2_BITMAP_HEAD_LENGTH + (guint64) b.extra_data_size + b.name_size;
  const guint64 padded = qcow2_round_up (size, 8);
  const guint64 room = directory->facts.declared_end - directory->pos;
  const gboolean is_truncated = size > left;
  *name = is_truncated ? NULL : read_tail (directory, &b, size, error);
  if (!is_truncated && *name == NULL)
    return QCOW2_NEXT_FAILED;

  if (is_truncated)
    {
      directory->state = QCOW2_DIRECTORY_ENTRY_TRUNCATED;
      directory->truncated_by_file = padded <= room;
      b.truncated_by_file = directory->truncated_by_file;
    }
  else
    directory->pos += MIN (padded, room);
  directory->index++;
  *bitmap = b;
  return QCOW2_NEXT_ITEM;
}

/* Clears *BITMAP, the previous entry or zeroes, and stores the next entry in
 * it, which the caller clears if it is the last one.  Entries beyond
 * nb_bitmaps are included.  If the extra data or the name of an entry extends
 * beyond the end of the directory or the file, the entry has no name and is
 * the last one of DIRECTORY.  Fails with QCOW2_ERROR_READ. */
Qcow2Next
qcow2_directory_next (Qcow2Directory *directory, Qcow2Bitmap *bitmap,
                      GError **error)
{
  const guint8 *name;

  qcow2_bitmap_clear (bitmap);
  const Qcow2Next next = read_next (directory, bitmap, &name, error);
  if (next == QCOW2_NEXT_ITEM && name != NULL)
    bitmap->name = g_bytes_new (name, bitmap->name_size);
  return next;
}

/* Returns whether the file truncates the fields of the last entry and the
 * entry has a name, which QEMU reads as zeroes. */
static gboolean
has_truncated_name (const Qcow2Directory *directory)
{
  return directory->truncated.name_size > 0;
}

/* Stores in *BITMAP the last entry of DIRECTORY, if the file ends inside its
 * fields.  QEMU reads zeroes for the missing bytes and then reads the bitmap
 * table of the entry.  The entry is not returned by qcow2_directory_next ().
 * Returns FALSE if there is none. */
gboolean
qcow2_directory_get_truncated_entry (const Qcow2Directory *directory,
                                     Qcow2Bitmap *bitmap)
{
  *bitmap = directory->truncated;
  return has_truncated_name (directory);
}

/* Returns the image that DIRECTORY belongs to. */
const Qcow2Image *
qcow2_directory_get_image (const Qcow2Directory *directory)
{
  return directory->image;
}

/* Returns the number of entries that DIRECTORY had when it was opened. */
guint64
qcow2_directory_get_n (const Qcow2Directory *directory)
{
  return qcow2_directory_index_get_n (directory->name_index);
}

/* Returns what was found when DIRECTORY was opened. */
const Qcow2DirectoryFacts *
qcow2_directory_get_facts (const Qcow2Directory *directory)
{
  return &directory->facts;
}

/* Makes entry INDEX of DIRECTORY, at host offset OFFSET, the next one. */
static void
seek (Qcow2Directory *directory, guint64 index, guint64 offset)
{
  qcow2_directory_rewind (directory);
  directory->pos = offset;
  directory->index = index;
}

/* Stores entry INDEX of DIRECTORY, at host offset OFFSET, in *BITMAP, as
 * qcow2_directory_next () does.  The walk continues after that entry. */
Qcow2Next
qcow2_directory_read (Qcow2Directory *directory, guint64 index, guint64 offset,
                      Qcow2Bitmap *bitmap, GError **error)
{
  seek (directory, index, offset);
  return qcow2_directory_next (directory, bitmap, error);
}

/* Skips the entries before entry INDEX.  Skips none if the offset of entry
 * INDEX is unknown, because it had no name when DIRECTORY was opened.  Returns
 * FALSE if the walk is past entry INDEX or DIRECTORY has no such entry. */
gboolean
qcow2_directory_skip_to_index (Qcow2Directory *directory, guint64 index)
{
  guint32 offset;

  if (index < directory->index || index >= qcow2_directory_get_n (directory))
    return FALSE;

  if (qcow2_directory_index_get_offset (directory->name_index, index, &offset))
    seek (directory, index, directory->facts.start + offset);
  return TRUE;
}

/* Skips entries whose name cannot be the LEN bytes at NAME.  The next entry
 * may still have another name.  Returns FALSE if no further entry can have
 * that name. */
gboolean
qcow2_directory_skip_to_name (Qcow2Directory *directory, const char *name,
                              gsize len)
{
  const guint64 index = qcow2_directory_index_look_up (
      directory->name_index, (const guint8 *) name, len, directory->index);

  return qcow2_directory_skip_to_index (directory, index);
}

/* Returns whether so many fields of BITMAP are wrong that the bytes are not an
 * entry. */
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
          bitmap->granularity_bits < QCOW2_QEMU_MIN_GRANULARITY_BITS
              || bitmap->granularity_bits > QCOW2_QEMU_MAX_GRANULARITY_BITS,
          bitmap->name_size == 0,
          bitmap->extra_data_size != 0 };
  guint n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (flaws); i++)
    n += flaws[i] ? 1 : 0;

  return n >= MANY_FLAWS;
}

/* Returns whether the entry that the file truncates becomes shorter when QEMU
 * writes it: QEMU reads zeroes for the missing bytes of its name, and a name
 * ends at the first NUL.  Returns FALSE if the entry cannot be read. */
static gboolean
has_shorter_name (const Qcow2Directory *directory)
{
  ByteWindow *window = directory->window;
  const guint64 end = directory->facts.file_end;
  Qcow2Bitmap bitmap = { .file_offset = directory->pos };

  if (!qcow2_bitmap_read_head (&bitmap, window, NULL))
    return FALSE;

  const gsize size = bitmap.name_size;
  const guint64 start
      = directory->pos + QCOW2_BITMAP_HEAD_LENGTH + bitmap.extra_data_size;
  const gsize in_file = (gsize) MIN (end - MIN (start, end), size);
  const guint8 *name = byte_window_get (window, end - in_file, in_file,
                                        qcow2_bitmap_record.name, NULL);

  return name != NULL
         && qcow2_divide_up (strnlen ((const char *) name, in_file), 8)
                < qcow2_divide_up (size, 8);
}

/* A Qcow2DirectoryIndexRead. */
static GBytes *
read_name (guint32 index, guint32 offset, gpointer data, GError **error)
{
  Qcow2Directory *directory = data;
  Qcow2Bitmap bitmap = { 0 };

  return qcow2_directory_read (directory, index,
                               directory->facts.start + offset, &bitmap, error)
                 == QCOW2_NEXT_ITEM
             ? bitmap.name
             : NULL;
}

/* Stores in the facts of DIRECTORY, whose walk has ended, how it ended.
 * N_ENTRIES is the number of entries that look like bitmaps. */
static void
note_end (Qcow2Directory *directory, guint64 n_entries)
{
  Qcow2DirectoryFacts *facts = &directory->facts;

  facts->is_none = directory->index > 0 && n_entries == 0;
  facts->end = directory->state;
  facts->truncated_by_file = directory->truncated_by_file;
  facts->n_entries = directory->index;
  facts->pos = directory->pos;
  if (directory->truncated.truncated_by_file
      && (directory->truncated.flags & QCOW2_BITMAP_IN_USE) == 0)
    facts->has_loaded = TRUE;
  if (facts->end == QCOW2_DIRECTORY_ENTRY_TRUNCATED
      && facts->truncated_by_file)
    facts->has_shorter_name = has_shorter_name (directory);
  else if (facts->end == QCOW2_DIRECTORY_HEAD_TRUNCATED)
    facts->has_shorter_name = has_truncated_name (directory);
}

/* Walks DIRECTORY once to find out what it is like as a whole, and which names
 * occur more than once. */
static gboolean
read_facts (Qcow2Directory *directory, GError **error)
{
  Qcow2Bitmap bitmap;
  const guint8 *name;
  Qcow2Next next;
  guint64 n_entries = 0; /* that look like bitmaps */

  while ((next = read_next (directory, &bitmap, &name, error))
         == QCOW2_NEXT_ITEM)
    {
      n_entries += is_no_entry (directory, &bitmap) ? 0 : 1;
      if ((bitmap.flags & QCOW2_BITMAP_IN_USE) == 0)
        directory->facts.has_loaded = TRUE;
      qcow2_directory_index_add (
          directory->name_index,
          (guint32) (bitmap.file_offset - directory->facts.start), name,
          bitmap.name_size);
    }

  if (next == QCOW2_NEXT_FAILED)
    return FALSE;

  note_end (directory, n_entries);
  if (!qcow2_directory_index_find (directory->name_index, read_name, directory,
                                   error))
    return FALSE;

  qcow2_directory_rewind (directory);
  return TRUE;
}

/* Returns the bitmap directory of IMAGE, before its first entry.  IMAGE must
 * outlive it.  The directory has no entries if the image does not say where it
 * is.  Fails only with QCOW2_ERROR_READ. */
Qcow2Directory *
qcow2_directory_open (const Qcow2Image *image, GError **error)
{
  g_autoptr (Qcow2Directory) directory = g_new0 (Qcow2Directory, 1);
  const guint64 start = image->bitmaps.bitmap_directory_offset;
  const guint64 size = image->bitmaps.bitmap_directory_size;

  directory->image = image;
  directory->max_entries = QCOW2_MAX_BITMAPS;
  directory->name_index = qcow2_directory_index_new ();
  directory->state = QCOW2_DIRECTORY_AT_END;

  /* Offset 0 holds the header, never a directory. */
  if (start == 0 || start > byte_source_get_size (image->source))
    return g_steal_pointer (&directory);

  directory->facts.start = start;
  directory->facts.declared_end = start + MIN (size, G_MAXUINT64 - start);
  directory->window = byte_window_new (
      image->source, start + MIN (size, QCOW2_MAX_DIRECTORY_SIZE));
  directory->facts.file_end = byte_window_get_end (directory->window);
  qcow2_directory_rewind (directory);

  if (!read_facts (directory, error))
    return NULL;

  return g_steal_pointer (&directory);
}

/* Returns the directory that EXTENSION of IMAGE points to, before its first
 * entry.  The number of entries is nb_bitmaps, whatever bitmap_directory_size
 * says.  IMAGE must outlive the directory. */
Qcow2Directory *
qcow2_directory_open_counted (const Qcow2Image *image,
                              const Qcow2BitmapsExtension *extension)
{
  Qcow2Directory *directory = g_new0 (Qcow2Directory, 1);
  const guint64 size = byte_source_get_size (image->source);

  directory->image = image;
  directory->name_index = qcow2_directory_index_new ();
  directory->max_entries = MIN (extension->nb_bitmaps, QCOW2_MAX_BITMAPS);
  directory->facts.start = extension->bitmap_directory_offset;
  directory->facts.declared_end = size;
  directory->facts.file_end = size;
  directory->window = byte_window_new (image->source, size);
  qcow2_directory_rewind (directory);
  return directory;
}

/* Returns the index of the first bitmap with the same name as bitmap INDEX:
 * INDEX itself if no earlier bitmap has that name.  An entry that a writer has
 * added since DIRECTORY was opened has no earlier one. */
guint64
qcow2_directory_get_first_with_name (const Qcow2Directory *directory,
                                     guint64 index)
{
  return qcow2_directory_index_get_first (directory->name_index, index);
}

/* Returns the index of the first bitmap whose name equals that of bitmap INDEX
 * up to the first NUL byte, where names end for QEMU: INDEX itself if there is
 * no earlier one. */
guint64
qcow2_directory_get_first_with_c_name (const Qcow2Directory *directory,
                                       guint64 index)
{
  return qcow2_directory_index_get_first_c (directory->name_index, index);
}

void
qcow2_directory_free (Qcow2Directory *directory)
{
  if (directory == NULL)
    return;

  byte_window_free (directory->window);
  qcow2_directory_index_free (directory->name_index);
  g_free (directory);
}
