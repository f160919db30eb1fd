/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/directory.h"

#include <string.h>

#define WHAT "bitmap directory"

/* The fixed part of an entry and its field name_size (qcow2 spec, bitmap
 * directory). */
#define HEAD_LENGTH 24
#define AT_NAME_SIZE 18

#define DIGEST_LENGTH 32 /* SHA-256 */

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

  GArray *namesakes; /* Namesakes, for each bitmap */
};

/* The first bitmaps that have the name of a bitmap, or have it up to the first
 * NUL byte: indexes. */
typedef struct
{
  guint32 whole;
  guint32 cut;
} Namesakes;

/* A bitmap's name, for finding equal ones. */
typedef struct
{
  guint8 cut_digest[DIGEST_LENGTH]; /* up to the first NUL byte */
  guint8 digest[DIGEST_LENGTH];
  guint32 index;
} Name;

void
qcow2_directory_rewind (Qcow2Directory *directory)
{
  directory->pos = directory->start;
  directory->index = 0;
  directory->state = directory->window != NULL ? WALKING : AT_END;
}

/* Reads what follows the head of the entry at the walk's position; its SIZE
 * bytes without padding are there. */
static gboolean
read_tail (Qcow2Directory *directory, Qcow2Bitmap *bitmap, guint64 size,
           GError **error)
{
  ByteWindow *window = directory->window;
  const guint64 extra = directory->pos + HEAD_LENGTH;
  const gsize preview
      = MIN (bitmap->extra_data_size, sizeof bitmap->extra_data);
  const guint8 *bytes = byte_window_get (window, extra, preview, WHAT, error);
  if (bytes == NULL)
    return FALSE;

  memcpy (bitmap->extra_data, bytes, preview);

  const guint64 name = extra + bitmap->extra_data_size;
  const guint n_padding = (guint) ((8 - size % 8) % 8);
  const gsize wanted = bitmap->name_size + n_padding;
  const gsize len = (gsize) MIN (wanted, directory->end - name);
  bytes = byte_window_get (window, name, len, WHAT, error);
  if (bytes == NULL)
    return FALSE;

  bitmap->name = g_bytes_new (bytes, bitmap->name_size);
  bitmap->name_offset = name;
  bitmap->padding_cut = len < wanted;
  for (gsize i = bitmap->name_size; i < len && bitmap->bad_padding == 0; i++)
    bitmap->bad_padding = bytes[i] != 0 ? name + i : 0;
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

  g_auto (Qcow2Bitmap) b = { .index = directory->index,
                             .file_offset = directory->pos,
                             .disk_bytes = QCOW2_ABSENT,
                             .dirty_bytes = QCOW2_ABSENT };
  qcow2_record_decode (qcow2_bitmap_fields, head, HEAD_LENGTH, &b);
  b.granularity = b.granularity_bits < 64
                      ? G_GUINT64_CONSTANT (1) << b.granularity_bits
                      : QCOW2_ABSENT;

  const guint64 size = HEAD_LENGTH + (guint64) b.extra_data_size + b.name_size;
  if (size > left)
    directory->state = ENTRY_CUT;
  else if (!read_tail (directory, &b, size, error))
    return FALSE;
  else
    directory->pos
        += MIN ((size + 7) / 8 * 8, directory->declared_end - directory->pos);

  directory->index++;
  *bitmap = b;
  b.name = NULL;
  return TRUE;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  const Name *left = a;
  const Name *right = b;
  const gint by_cut
      = memcmp (left->cut_digest, right->cut_digest, DIGEST_LENGTH);
  const gint by_whole = memcmp (left->digest, right->digest, DIGEST_LENGTH);

  if (by_cut != 0)
    return by_cut;
  if (by_whole != 0)
    return by_whole;

  return left->index < right->index ? -1 : left->index > right->index;
}

static void
digest_bytes (GChecksum *checksum, const guint8 *bytes, gsize len,
              guint8 *digest)
{
  gsize size = DIGEST_LENGTH;

  g_checksum_reset (checksum);
  g_checksum_update (checksum, bytes, (gssize) len);
  g_checksum_get_digest (checksum, digest, &size);
}

static void
digest_name (GChecksum *checksum, GBytes *bytes, Name *name)
{
  gsize len;
  const guint8 *data = g_bytes_get_data (bytes, &len);
  const guint8 *nul = len > 0 ? memchr (data, 0, len) : NULL;

  digest_bytes (checksum, data, len, name->digest);
  if (nul == NULL)
    memcpy (name->cut_digest, name->digest, DIGEST_LENGTH);
  else
    digest_bytes (checksum, data, (gsize) (nul - data), name->cut_digest);
}

/* Gives in CUT the lowest index of the names that begin NAMES and are equal up
 * to a NUL byte; returns how many they are. */
static guint
measure_cut_group (const Name *names, guint n, guint32 *cut)
{
  guint len = 0;

  *cut = names[0].index;
  for (; len < n; len++)
    {
      if (memcmp (names[len].cut_digest, names[0].cut_digest, DIGEST_LENGTH)
          != 0)
        break;
      *cut = MIN (*cut, names[len].index);
    }

  return len;
}

/* Fills namesakes from NAMES, whose order it changes. */
static void
find_namesakes (Qcow2Directory *directory, GArray *names)
{
  const Name *all = (gconstpointer) names->data;
  Namesakes first = { 0 };
  guint group_end = 0;

  g_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    {
      const Name *name = &all[i];

      if (i == group_end)
        group_end += measure_cut_group (name, names->len - i, &first.cut);
      if (i == 0 || memcmp (name[-1].digest, name->digest, DIGEST_LENGTH) != 0)
        first.whole = name->index;
      g_array_index (directory->namesakes, Namesakes, name->index) = first;
    }
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

/* Walks the directory once: finds names that stand in it twice, and judges
 * the directory as a whole. */
static gboolean
survey (Qcow2Directory *directory, GError **error)
{
  g_autoptr (GArray) names = g_array_new (FALSE, FALSE, sizeof (Name));
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GError) local_error = NULL;

  while (TRUE)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };
      Name name = { .index = directory->namesakes->len };
      const Namesakes none = { name.index, name.index };

      if (!qcow2_directory_next (directory, &bitmap, &local_error))
        break;

      g_array_append_val (directory->namesakes, none);
      if (bitmap.name == NULL)
        continue;

      digest_name (checksum, bitmap.name, &name);
      g_array_append_val (names, name);
    }

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  find_namesakes (directory, names);
  judge_walk (directory);
  qcow2_directory_rewind (directory);
  return TRUE;
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
  directory->namesakes = g_array_new (FALSE, FALSE, sizeof (Namesakes));
  directory->state = AT_END;

  /* At offset 0 lies the header, never a directory. */
  if (!image->has_directory || start == 0
      || start > byte_source_get_size (image->source))
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
  directory->namesakes = g_array_new (FALSE, FALSE, sizeof (Namesakes));
  directory->max_entries = MIN (extension->nb_bitmaps, QCOW2_MAX_BITMAPS);
  directory->start = MIN (extension->bitmap_directory_offset, size);
  directory->declared_end = size;
  directory->end = size;
  directory->window = byte_window_new (image->source, size);
  qcow2_directory_rewind (directory);
  return directory;
}

/* Gives in BITMAP, which the caller clears, entry INDEX of DIRECTORY, which is
 * at host offset OFFSET.  The walk goes on behind it.  Returns FALSE as
 * qcow2_directory_next () does. */
gboolean
qcow2_directory_read (Qcow2Directory *directory, guint64 index, guint64 offset,
                      Qcow2Bitmap *bitmap, GError **error)
{
  qcow2_directory_rewind (directory);
  directory->pos = offset;
  directory->index = index;
  return qcow2_directory_next (directory, bitmap, error);
}

/* Returns how many entries there are. */
guint64
qcow2_directory_get_n (const Qcow2Directory *directory)
{
  return directory->namesakes->len;
}

/* Returns the index of the first bitmap that has the name of bitmap INDEX:
 * INDEX itself when no bitmap before it has.  An entry that was not there when
 * the directory was opened, because somebody is writing, has no namesake. */
guint64
qcow2_directory_get_namesake (const Qcow2Directory *directory, guint64 index)
{
  if (index >= directory->namesakes->len)
    return index;

  return g_array_index (directory->namesakes, Namesakes, index).whole;
}

/* Likewise, of the first bitmap whose name is equal up to the first NUL byte,
 * where QEMU takes a name to end. */
guint64
qcow2_directory_get_cut_namesake (const Qcow2Directory *directory,
                                  guint64 index)
{
  if (index >= directory->namesakes->len)
    return index;

  return g_array_index (directory->namesakes, Namesakes, index).cut;
}

void
qcow2_directory_free (Qcow2Directory *directory)
{
  if (directory == NULL)
    return;

  byte_window_free (directory->window);
  g_array_unref (directory->namesakes);
  g_free (directory);
}
