/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/table.h"

#include <string.h>

#define WHAT "bitmap table"
#define ENTRY_LENGTH QCOW2_ENTRY_LENGTH

/* The number of entries that are tested together, so that compilers can
 * vectorize the loop. */
#define WORD_STEP 64

/* An entry with the all-ones bit and no other, as qcow2_load_word () returns
 * it, in little-endian order. */
#define ALL_ONES_WORD (QCOW2_ENTRY_ALL_ONES_BIT << 56)

const Qcow2Label qcow2_entry_types[] = {
  { QCOW2_ENTRY_SERIALIZED, "serialized" },
  { QCOW2_ENTRY_ALL_ZEROES, "all-zeroes" },
  { QCOW2_ENTRY_ALL_ONES, "all-ones" },
  { 0, NULL },
};

static Qcow2EntryType
type_of (guint64 raw)
{
  if ((raw & QCOW2_ENTRY_OFFSET_MASK) != 0)
    return QCOW2_ENTRY_SERIALIZED;

  return (raw & QCOW2_ENTRY_ALL_ONES_BIT) != 0 ? QCOW2_ENTRY_ALL_ONES : QCOW2_ENTRY_ALL_ZEROES;
}

/* The ranges of the guest disk that the entries of a table cover. */
typedef struct
{
  guint64 size;    /* of the disk, in bytes */
  guint64 span;    /* bytes that each entry covers */
  guint64 n_spans; /* entries that cover part of the disk; 0 if unknown */
} GuestRanges;

/* An entry covers as many granules as its cluster has bits.  That range may
 * exceed 2^64 bytes, and always does if a granule does.  Cluster sizes of up
 * to 2^63 bytes occur with Qcow2Dumper. */
static GuestRanges
get_guest_ranges (const Qcow2Table *table)
{
  GuestRanges ranges = { .size = table->header->size };

  if (table->header->cluster_size == QCOW2_ABSENT)
    return ranges;

  const guint64 cluster_size = table->header->cluster_size;
  const gboolean endless = cluster_size > G_MAXUINT64 / 8 / table->granularity;

  ranges.span = endless ? G_MAXUINT64 : cluster_size * 8 * table->granularity;
  if (table->granularity != QCOW2_ABSENT && ranges.size > 0)
    ranges.n_spans = (ranges.size - 1) / ranges.span + 1;
  return ranges;
}

/* Sets the guest range of ENTRY, clipped to the virtual size. */
static void
locate_guest_range (const GuestRanges *ranges, Qcow2TableEntry *entry)
{
  entry->guest_offset = QCOW2_ABSENT;
  entry->guest_length = QCOW2_ABSENT;
  if (entry->index >= ranges->n_spans)
    return;

  entry->guest_offset = entry->index * ranges->span;
  entry->guest_length = MIN (ranges->span, ranges->size - entry->guest_offset);
}

/* Returns the bitmap table of BITMAP.  IMAGE must outlive the result. */
Qcow2Table
qcow2_image_get_table (const Qcow2Image *image, const Qcow2Bitmap *bitmap)
{
  const Qcow2Table table = { .source = image->source,
                             .header = &image->header,
                             .offset = bitmap->bitmap_table_offset,
                             .n_entries = bitmap->bitmap_table_size,
                             .granularity = bitmap->granularity };

  return table;
}

/* Returns the number of entries of TABLE that lie entirely in the file. */
guint64
qcow2_table_get_n_readable (const Qcow2Table *table)
{
  const guint64 end = byte_source_get_size (table->source);
  const guint64 left = end - MIN (table->offset, end);

  return MIN (table->n_entries, left / ENTRY_LENGTH);
}

/* Returns the number of words at BYTES before the first one that is neither 0
 * nor PLAIN, at most N_WORDS.  Stores in *N_PLAIN how many of them are not
 * 0. */
static gsize
count_plain_words (const guint8 *bytes, gsize n_words, guint64 plain,
                   gsize *n_plain)
{
  gsize n = 0;

  *n_plain = 0;
  for (; n_words - n >= WORD_STEP; n += WORD_STEP)
    {
      const guint8 *at = bytes + n * ENTRY_LENGTH;
      guint64 others = 0;
      gsize set = 0;

      for (gsize i = 0; i < WORD_STEP; i++)
        {
          const guint64 word = qcow2_load_word (at + i * ENTRY_LENGTH);

          others |= word & ~plain;
          set += word != 0;
        }
      if (others != 0)
        break;
      *n_plain += set;
    }

  for (; n < n_words; n++)
    {
      const guint64 word = qcow2_load_word (bytes + n * ENTRY_LENGTH);

      if ((word & ~plain) != 0)
        break;
      *n_plain += word != 0;
    }

  return n;
}

/* Counts entries of TABLE with no bit set, from entry START on, until any
 * other entry, and stores the count in *N_ZEROES.  Reads at most N_ENTRIES
 * entries through WINDOW; all of them must be in the file.  If N_ONES is not
 * NULL, entries with only the all-ones bit do not end the count, and their
 * number is stored in *N_ONES.  A table in a sparse file may have very many
 * such entries, so they are not decoded.  Fails with QCOW2_ERROR_READ if entry
 * START cannot be read; a later unreadable entry ends the count. */
gboolean
qcow2_table_count_plain (const Qcow2Table *table, ByteWindow *window,
                         guint64 start, guint64 n_entries, guint64 *n_zeroes,
                         guint64 *n_ones, GError **error)
{
  const guint64 plain = n_ones != NULL ? ALL_ONES_WORD : 0;
  guint64 done = 0;
  guint64 ones = 0;

  byte_window_set_end (
      window,
      table->offset + qcow2_table_get_n_readable (table) * ENTRY_LENGTH);
  while (done < n_entries)
    {
      const gsize wanted
          = (gsize) MIN (n_entries - done, BYTE_WINDOW_SIZE / ENTRY_LENGTH);
      gsize n;
      gsize n_plain;
      const guint8 *bytes = byte_window_get_some (
          window, table->offset + (start + done) * ENTRY_LENGTH, ENTRY_LENGTH,
          wanted * ENTRY_LENGTH, &n, WHAT, done == 0 ? error : NULL);

      if (bytes == NULL && done == 0)
        return FALSE;
      if (bytes == NULL)
        break;

      const gsize n_words = n / ENTRY_LENGTH;
      const gsize counted
          = count_plain_words (bytes, n_words, plain, &n_plain);
      done += counted;
      ones += n_plain;
      if (counted < n_words)
        break;
    }

  *n_zeroes = done - ones;
  if (n_ones != NULL)
    *n_ones = ones;
  return TRUE;
}

/* Decodes up to N_ENTRIES entries of TABLE into ENTRIES, from entry START on,
 * reading through WINDOW.  Returns the number of entries decoded: 0 after the
 * last readable entry, and 0 with QCOW2_ERROR_READ when a read fails. */
gsize
qcow2_table_read (const Qcow2Table *table, ByteWindow *window, guint64 start,
                  Qcow2TableEntry *entries, gsize n_entries, GError **error)
{
  const guint64 n_readable = qcow2_table_get_n_readable (table);
  const guint64 left = n_readable - MIN (start, n_readable);
  const gsize room = MIN (n_entries, BYTE_WINDOW_SIZE / ENTRY_LENGTH);
  const gsize n = (gsize) MIN (left, room);

  if (n == 0)
    return 0;

  const GuestRanges ranges = get_guest_ranges (table);
  const guint64 offset = table->offset + start * ENTRY_LENGTH;
  byte_window_set_end (window, table->offset + n_readable * ENTRY_LENGTH);
  const guint8 *bytes
      = byte_window_get (window, offset, n * ENTRY_LENGTH, WHAT, error);
  if (bytes == NULL)
    return 0;

  for (gsize i = 0; i < n; i++)
    {
      const guint64 raw = qcow2_load_be64 (bytes + i * ENTRY_LENGTH);
      Qcow2TableEntry *entry = &entries[i];

      entry->raw = raw;
      entry->index = start + i;
      entry->type = type_of (raw);
      entry->offset = raw & QCOW2_ENTRY_OFFSET_MASK;
      entry->size = table->header->cluster_size;
      entry->reserved = raw & QCOW2_ENTRY_RESERVED_MASK;
      if (entry->type == QCOW2_ENTRY_SERIALIZED)
        entry->reserved |= raw & QCOW2_ENTRY_ALL_ONES_BIT;
      locate_guest_range (&ranges, entry);
    }

  return n;
}
