/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/table.h"

#include <string.h>

#define WHAT "bitmap table"

/* The number of entries that are tested together, so that compilers can
 * vectorize the loop. */
#define WORD_STEP 64

const Qcow2Label qcow2_entry_types[] = {
  { QCOW2_ENTRY_SERIALIZED, "serialized" },
  { QCOW2_ENTRY_ALL_ZEROES, "all-zeroes" },
  { QCOW2_ENTRY_ALL_ONES, "all-ones" },
  { 0, NULL },
};

#define F(member, format, first, n, ...)                                      \
  QCOW2_PACKED (Qcow2TableEntry, member, format, first, n, __VA_ARGS__)
#define D(member, ...)                                                        \
  QCOW2_DERIVED (Qcow2TableEntry, #member, member, __VA_ARGS__)

/* Rows of the fields on disk. */
enum
{
  OFFSET = 2,
  ALL_ONES = 7,
  RESERVED_LOW,
  RESERVED_HIGH
};

/* qcow2 spec, bitmap table. */
/* clang-format off */
static const Qcow2Field fields[] = {
  D (index, QCOW2_DEC, .text = "Bitmap table", .width = 14),
  D (type, QCOW2_NAME, .labels = qcow2_entry_types, .width = 15),
  [OFFSET] = F (offset, QCOW2_DEC, 9, 47, .in_place = TRUE, .width = 24),
  D (size, QCOW2_DEC, .width = 10),
  D (reserved, QCOW2_HEX, .width = 18, .column = QCOW2_COLUMN_LONG_TEXT),
  D (guest_offset, QCOW2_DEC, .width = 20, .column = QCOW2_COLUMN_LONG),
  D (guest_length, QCOW2_DEC, .column = QCOW2_COLUMN_LONG),
  [ALL_ONES] = F (all_ones, QCOW2_HIDDEN, 0, 1),
  [RESERVED_LOW] = F (reserved_low, QCOW2_HIDDEN, 1, 8, .in_place = TRUE),
  [RESERVED_HIGH] = F (reserved_high, QCOW2_HIDDEN, 56, 8, .in_place = TRUE),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_table_entry_record
    = { .name = WHAT, .fields = fields, .packed_size = QCOW2_ENTRY_LENGTH };

/* Decodes RAW into ENTRY.  There may be 2^27 entries, so the compiler is to
 * see which rows are meant; qcow2_record_decode () does the same. */
static inline void
decode (guint64 raw, Qcow2TableEntry *entry)
{
  entry->raw = raw;
  entry->offset = qcow2_field_unpack (&fields[OFFSET], raw);
  entry->all_ones = qcow2_field_unpack (&fields[ALL_ONES], raw);
  entry->reserved_low = qcow2_field_unpack (&fields[RESERVED_LOW], raw);
  entry->reserved_high = qcow2_field_unpack (&fields[RESERVED_HIGH], raw);
}

/* Sets the type and the reserved bits of ENTRY, which has been decoded. */
static inline void
derive (Qcow2TableEntry *entry)
{
  const guint64 reserved = entry->reserved_low | entry->reserved_high;

  entry->type = entry->offset != 0     ? QCOW2_ENTRY_SERIALIZED
                : entry->all_ones != 0 ? QCOW2_ENTRY_ALL_ONES
                                       : QCOW2_ENTRY_ALL_ZEROES;
  entry->reserved = entry->type == QCOW2_ENTRY_SERIALIZED
                        ? reserved | entry->all_ones
                        : reserved;
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

  return MIN (table->n_entries, left / QCOW2_ENTRY_LENGTH);
}

/* Returns the number of words at BYTES before the first one that is neither 0
 * nor PLAIN, at most N_WORDS.  Stores in *N_SET how many of them are not
 * 0. */
static gsize
count_uniform_words (const guint8 *bytes, gsize n_words, guint64 plain,
                     gsize *n_set)
{
  gsize n = 0;

  *n_set = 0;
  for (; n_words - n >= WORD_STEP; n += WORD_STEP)
    {
      const guint8 *at = bytes + n * QCOW2_ENTRY_LENGTH;
      guint64 others = 0;
      gsize set = 0;

      for (gsize i = 0; i < WORD_STEP; i++)
        {
          const guint64 word = qcow2_load_word (at + i * QCOW2_ENTRY_LENGTH);

          others |= word & ~plain;
          set += word != 0;
        }
      if (others != 0)
        break;
      *n_set += set;
    }

  for (; n < n_words; n++)
    {
      const guint64 word = qcow2_load_word (bytes + n * QCOW2_ENTRY_LENGTH);

      if ((word & ~plain) != 0)
        break;
      *n_set += word != 0;
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
qcow2_table_count_uniform (const Qcow2Table *table, ByteWindow *window,
                           guint64 start, guint64 n_entries, guint64 *n_zeroes,
                           guint64 *n_ones, GError **error)
{
  const guint64 all_ones
      = GUINT64_SWAP_LE_BE (qcow2_field_get_mask (&fields[ALL_ONES]));
  const guint64 plain = n_ones != NULL ? all_ones : 0;
  guint64 done = 0;
  guint64 ones = 0;

  byte_window_set_end (
      window,
      table->offset + qcow2_table_get_n_readable (table) * QCOW2_ENTRY_LENGTH);
  while (done < n_entries)
    {
      const gsize wanted = (gsize) MIN (n_entries - done,
                                        BYTE_WINDOW_SIZE / QCOW2_ENTRY_LENGTH);
      gsize n;
      gsize n_set;
      const guint8 *bytes = byte_window_get_available (
          window, table->offset + (start + done) * QCOW2_ENTRY_LENGTH,
          QCOW2_ENTRY_LENGTH, wanted * QCOW2_ENTRY_LENGTH, &n, WHAT,
          done == 0 ? error : NULL);

      if (bytes == NULL && done == 0)
        return FALSE;
      if (bytes == NULL)
        break;

      const gsize n_words = n / QCOW2_ENTRY_LENGTH;
      const gsize counted
          = count_uniform_words (bytes, n_words, plain, &n_set);
      done += counted;
      ones += n_set;
      if (counted < n_words)
        break;
    }

  *n_zeroes = done - ones;
  if (n_ones != NULL)
    *n_ones = ones;
  return TRUE;
}

/* Reads up to N_ENTRIES entries of TABLE through WINDOW, from entry START on.
 * Returns the number of entries read, as qcow2_table_read () does, and stores
 * in *BYTES where they are until the next read from WINDOW. */
static gsize
read_bytes (const Qcow2Table *table, ByteWindow *window, guint64 start,
            gsize n_entries, const guint8 **bytes, GError **error)
{
  const guint64 n_readable = qcow2_table_get_n_readable (table);
  const guint64 left = n_readable - MIN (start, n_readable);
  const gsize room = MIN (n_entries, BYTE_WINDOW_SIZE / QCOW2_ENTRY_LENGTH);
  const gsize n = (gsize) MIN (left, room);

  if (n == 0)
    return 0;

  byte_window_set_end (window,
                       table->offset + n_readable * QCOW2_ENTRY_LENGTH);
  *bytes = byte_window_get (window, table->offset + start * QCOW2_ENTRY_LENGTH,
                            n * QCOW2_ENTRY_LENGTH, WHAT, error);
  return *bytes != NULL ? n : 0;
}

/* Decodes up to N_ENTRIES entries of TABLE into ENTRIES, from entry START on,
 * reading through WINDOW.  Returns the number of entries decoded: 0 after the
 * last readable entry, and 0 with QCOW2_ERROR_READ when a read fails. */
gsize
qcow2_table_read (const Qcow2Table *table, ByteWindow *window, guint64 start,
                  Qcow2TableEntry *entries, gsize n_entries, GError **error)
{
  const guint8 *bytes;
  const gsize n = read_bytes (table, window, start, n_entries, &bytes, error);
  const GuestRanges ranges = get_guest_ranges (table);

  for (gsize i = 0; i < n; i++)
    {
      Qcow2TableEntry *entry = &entries[i];

      decode (qcow2_load_be64 (bytes + i * QCOW2_ENTRY_LENGTH), entry);
      derive (entry);
      entry->index = start + i;
      entry->size = table->header->cluster_size;
      locate_guest_range (&ranges, entry);
    }

  return n;
}

/* Stores in OFFSETS the host offsets of the data of entries, and 0 for entries
 * without data, with reserved bits, or with an offset that is not at the start
 * of a cluster.  Otherwise like qcow2_table_read ().  The cluster size must be
 * a power of 2. */
gsize
qcow2_table_read_offsets (const Qcow2Table *table, ByteWindow *window,
                          guint64 start, guint64 *offsets, gsize n_entries,
                          GError **error)
{
  const guint64 allowed = qcow2_field_get_mask (&fields[OFFSET])
                          & ~(table->header->cluster_size - 1);
  const guint8 *bytes;
  const gsize n = read_bytes (table, window, start, n_entries, &bytes, error);

  for (gsize i = 0; i < n; i++)
    {
      const guint64 raw = qcow2_load_be64 (bytes + i * QCOW2_ENTRY_LENGTH);

      offsets[i] = (raw & ~allowed) == 0 ? raw : 0;
    }

  return n;
}
