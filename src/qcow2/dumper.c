/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/dumper.h"

#include "qcow2/arithmetic.h"
#include "qcow2/printable.h"

/* The most bytes of an extension's data that are read: QEMU's largest
 * cluster. */
#define MAX_DATA (2 * 1024 * 1024)

/* Returns a dumper of the image in SOURCE, which must outlive it.  HEADER is
 * the header of the image. */
Qcow2Dumper *
qcow2_dumper_new (ByteSource *source, const Qcow2Header *header)
{
  Qcow2Dumper *dumper = g_new0 (Qcow2Dumper, 1);
  const guint32 bits = header->cluster_bits;

  dumper->source = source;
  dumper->header = *header;
  dumper->header.cluster_size
      = bits < 64 ? G_GUINT64_CONSTANT (1) << bits : QCOW2_ABSENT;
  dumper->window = byte_window_new (source, G_MAXUINT64);
  dumper->pos = header->header_length;
  dumper->end = dumper->header.cluster_size;
  if (header->backing_file_offset != 0)
    dumper->end = MIN (dumper->end, header->backing_file_offset);
  /* qcow2.py seeks to the backing file name, and fails if the offset is above
   * 2^63 - 1. */
  dumper->is_stopped = header->backing_file_offset > G_MAXINT64;
  return dumper;
}

/* Returns whether the file holds LEN bytes at host offset OFFSET.  Stops
 * DUMPER if not. */
static gboolean
check_inside (Qcow2Dumper *dumper, guint64 offset, guint64 len)
{
  const guint64 size = byte_source_get_size (dumper->source);

  if (offset <= size && len <= size - offset)
    return TRUE;

  dumper->is_stopped = TRUE;
  return FALSE;
}

/* Returns the LEN bytes at host offset OFFSET, or those of them that are in
 * the file and within MAX_DATA.  Returns NULL when a read fails. */
static GBytes *
read_data (Qcow2Dumper *dumper, guint64 offset, guint64 len, GError **error)
{
  const guint64 size = byte_source_get_size (dumper->source);
  const guint64 there = MIN (len, size - MIN (offset, size));
  const gsize wanted = (gsize) MIN (there, MAX_DATA);
  g_autofree guint8 *bytes = g_malloc (wanted + 1);

  if (wanted > 0
      && !byte_source_read (dumper->source, offset, bytes, wanted,
                            qcow2_extension_record.name, error))
    return NULL;

  /* qcow2.py would print this text in full, but it is too long to be read
   * here. */
  if (there > wanted && qcow2_bytes_are_printable (bytes, wanted))
    dumper->is_stopped = TRUE;
  return g_bytes_new_take (g_steal_pointer (&bytes), wanted);
}

/* Reads the data of EXTENSION at host offset OFFSET, and advances DUMPER to
 * the next extension.  Returns QCOW2_NEXT_END where qcow2.py stops. */
static Qcow2Next
read_extension_data (Qcow2Dumper *dumper, guint64 offset,
                     Qcow2Extension *extension, GError **error)
{
  const gboolean is_bitmaps = extension->magic == QCOW2_EXTENSION_BITMAPS;
  const guint bitmaps_size
      = qcow2_record_get_size (&qcow2_bitmaps_extension_record);
  const guint64 padded = qcow2_round_up (extension->length, 8);

  if (is_bitmaps && !check_inside (dumper, offset, bitmaps_size))
    return QCOW2_NEXT_END;

  /* qcow2.py reads 24 bytes for the bitmaps extension, whatever its length.
   * Other data may end with the file: no extension follows there. */
  dumper->pos = MIN (offset + (is_bitmaps ? bitmaps_size : padded),
                     byte_source_get_size (dumper->source));
  extension->bytes = read_data (
      dumper, offset, is_bitmaps ? bitmaps_size : extension->length, error);
  if (extension->bytes == NULL)
    return QCOW2_NEXT_FAILED;
  if (!is_bitmaps)
    return QCOW2_NEXT_ITEM;

  qcow2_extension_decode_data (extension);
  dumper->entry = extension->bitmaps.bitmap_directory_offset;
  dumper->n_left = MIN (extension->bitmaps.nb_bitmaps, QCOW2_MAX_BITMAPS);
  if (dumper->entry > G_MAXINT64
      || dumper->n_left < extension->bitmaps.nb_bitmaps)
    dumper->is_stopped = TRUE;
  return QCOW2_NEXT_ITEM;
}

/* Clears *EXTENSION, the previous extension or zeroes, and stores the next
 * extension in it, which the caller clears if it is the last one.  The end is
 * also where qcow2.py stops.  Fails with QCOW2_ERROR_READ. */
Qcow2Next
qcow2_dumper_next_extension (Qcow2Dumper *dumper, Qcow2Extension *extension,
                             GError **error)
{
  const guint64 offset = dumper->pos;
  Qcow2Extension e = { .file_offset = offset };

  qcow2_extension_clear (extension);
  if (offset >= dumper->end
      || !check_inside (dumper, offset, QCOW2_EXTENSION_HEAD_LENGTH))
    return QCOW2_NEXT_END;

  const guint8 *head
      = byte_window_get (dumper->window, offset, QCOW2_EXTENSION_HEAD_LENGTH,
                         qcow2_extension_record.name, error);
  if (head == NULL)
    return QCOW2_NEXT_FAILED;

  qcow2_record_decode (&qcow2_extension_record, head,
                       QCOW2_EXTENSION_HEAD_LENGTH, &e);
  if (e.magic == 0)
    return QCOW2_NEXT_END;

  const Qcow2Next next = read_extension_data (
      dumper, offset + QCOW2_EXTENSION_HEAD_LENGTH, &e, error);
  if (next == QCOW2_NEXT_ITEM)
    *extension = e;
  return next;
}

/* Stores the next bitmap of the last extension that was read in *BITMAP, as
 * qcow2_dumper_next_extension () does. */
Qcow2Next
qcow2_dumper_next_bitmap (Qcow2Dumper *dumper, Qcow2Bitmap *bitmap,
                          GError **error)
{
  const guint64 offset = dumper->entry;
  Qcow2Bitmap b = { .file_offset = offset, .granularity = QCOW2_ABSENT };

  qcow2_bitmap_clear (bitmap);
  if (dumper->n_left == 0
      || !check_inside (dumper, offset, QCOW2_BITMAP_HEAD_LENGTH))
    return QCOW2_NEXT_END;

  const guint8 *head
      = byte_window_get (dumper->window, offset, QCOW2_BITMAP_HEAD_LENGTH,
                         qcow2_bitmap_record.name, error);
  if (head == NULL)
    return QCOW2_NEXT_FAILED;

  qcow2_record_decode (&qcow2_bitmap_record, head, QCOW2_BITMAP_HEAD_LENGTH,
                       &b);
  const guint64 name = offset + QCOW2_BITMAP_HEAD_LENGTH + b.extra_data_size;
  b.name = read_data (dumper, name, b.name_size, error);
  if (b.name == NULL)
    return QCOW2_NEXT_FAILED;

  dumper->n_left--;
  dumper->entry = (name + b.name_size + 7 - offset) / 8 * 8 + offset;
  if (b.bitmap_table_offset > G_MAXINT64)
    dumper->is_stopped = TRUE;
  *bitmap = b;
  return QCOW2_NEXT_ITEM;
}

/* Returns the bitmap table of BITMAP.  Stops DUMPER if the file does not hold
 * all entries, because qcow2.py reads all of them. */
Qcow2Table
qcow2_dumper_get_table (Qcow2Dumper *dumper, const Qcow2Bitmap *bitmap)
{
  const Qcow2Table table = { .source = dumper->source,
                             .header = &dumper->header,
                             .offset = bitmap->bitmap_table_offset,
                             .n_entries = bitmap->bitmap_table_size,
                             .granularity = QCOW2_ABSENT };

  if (qcow2_table_get_n_readable (&table) < table.n_entries)
    dumper->is_stopped = TRUE;
  return table;
}

void
qcow2_dumper_free (Qcow2Dumper *dumper)
{
  if (dumper == NULL)
    return;

  byte_window_free (dumper->window);
  g_free (dumper);
}
