/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "naive-extents.h"

/* A failed read loses an aligned unit of this many bytes of data, or this many
 * entries of the table. */
#define DATA_UNIT 4096
#define TABLE_UNIT 512

/* The kinds of entries in the wanted range. */
typedef enum
{
  ENTRY_ZEROES,
  ENTRY_ONES,
  ENTRY_DATA,
  ENTRY_WRONG,
  ENTRY_UNREAD
} EntryKind;

typedef struct
{
  EntryKind kind;
  guint64 offset; /* host offset of the data */
  guint64 block;  /* first entry of the block that was read in one go */
} Entry;

typedef struct
{
  const NaiveBitmap *bitmap;
  NaiveAnswer *answer;
  guint64 start;       /* guest offset */
  guint64 end;         /* guest offset */
  guint64 first_bit;   /* first bit in the range */
  guint64 last_bit;    /* last bit in the range */
  guint64 bits;        /* bits per entry */
  guint64 first_entry; /* first entry in the range */
  guint64 n_entries;   /* entries of the range that are in the file */
  Entry *entries;
} Reader;

static guint8
get_byte (const NaiveBitmap *bitmap, guint64 offset)
{
  return offset < bitmap->bytes->len ? bitmap->bytes->data[offset] : 0;
}

static gboolean
is_bad (const NaiveBitmap *bitmap, guint64 start, guint64 end)
{
  return start < bitmap->bad_end && end > bitmap->bad_start;
}

/* Returns the guest offset of granule BIT, or the end of the disk when BIT is
 * past the end. */
static guint64
get_guest_offset (const NaiveBitmap *bitmap, guint64 bit)
{
  if (bit > G_MAXUINT64 >> bitmap->granularity_bits)
    return bitmap->virtual_size;

  return MIN (bit << bitmap->granularity_bits, bitmap->virtual_size);
}

/* Adds the granules from FIRST to LAST to the extents, as TYPE. */
static void
say (Reader *reader, guint64 first, guint64 last, guint64 type)
{
  const guint64 from
      = MAX (get_guest_offset (reader->bitmap, first), reader->start);
  const guint64 to
      = MIN (last == G_MAXUINT64 ? reader->bitmap->virtual_size
                                 : get_guest_offset (reader->bitmap, last + 1),
             reader->end);
  GArray *extents = reader->answer->extents;
  const NaiveExtent extent = { from, to - from, type };

  reader->answer->totals[type] += to - from;
  if (extents->len > 0)
    {
      NaiveExtent *before
          = &g_array_index (extents, NaiveExtent, extents->len - 1);

      if (before->type == type)
        {
          before->length += to - from;
          return;
        }
    }

  g_array_append_val (extents, extent);
}

/* ---- The table ---- */

static guint64
get_entry_offset (const Reader *reader, guint64 i)
{
  return reader->bitmap->table_offset + (reader->first_entry + i) * 8;
}

static gboolean
entry_is_bad (const Reader *reader, guint64 i)
{
  const guint64 offset = get_entry_offset (reader, i);

  return is_bad (reader->bitmap, offset, offset + 8);
}

static guint64
get_raw (const Reader *reader, guint64 i)
{
  guint64 raw = 0;

  for (guint64 at = 0; at < 8; at++)
    raw = raw << 8
          | get_byte (reader->bitmap, get_entry_offset (reader, i) + at);
  return raw;
}

/* The specification's bit fields are 0, 1 to 8, 9 to 55 and 56 to 63. */
static void
decode_entry (const Reader *reader, guint64 i)
{
  const guint64 raw = get_raw (reader, i);
  const guint64 low = raw % 512;
  const guint64 high = raw >> 56;
  Entry *entry = &reader->entries[i];

  entry->offset = raw - low - (high << 56);
  if (high != 0 || low / 2 != 0 || (entry->offset != 0 && low != 0)
      || entry->offset % reader->bitmap->cluster_size != 0)
    entry->kind = ENTRY_WRONG;
  else if (entry->offset != 0)
    entry->kind = ENTRY_DATA;
  else
    entry->kind = low == 1 ? ENTRY_ONES : ENTRY_ZEROES;
}

/* Returns the number of zero entries from entry I on. */
static guint64
count_zeroes (const Reader *reader, guint64 i)
{
  guint64 n = 0;

  for (; i + n < reader->n_entries; n++)
    {
      if (entry_is_bad (reader, i + n) || get_raw (reader, i + n) != 0)
        break;
    }

  return n;
}

static void
read_block (Reader *reader, guint64 start, guint64 n)
{
  gboolean bad = FALSE;

  for (guint64 i = start; i < start + n; i++)
    bad = bad || entry_is_bad (reader, i);

  for (guint64 i = start; i < start + n; i++)
    {
      decode_entry (reader, i);
      reader->entries[i].block = start;
      if (bad)
        reader->entries[i].kind = ENTRY_UNREAD;
    }

  reader->answer->read_failed = reader->answer->read_failed || bad;
}

/* Skips zero entries and reads the others in blocks, as the program does. */
static void
read_table (Reader *reader)
{
  const NaiveBitmap *bitmap = reader->bitmap;
  const guint64 last_entry = reader->last_bit / reader->bits;
  guint64 n_there = 0;

  if (bitmap->table_offset < bitmap->file_size)
    n_there = (bitmap->file_size - bitmap->table_offset) / 8;
  n_there = MIN (n_there, bitmap->n_entries);
  reader->first_entry = reader->first_bit / reader->bits;
  if (n_there > reader->first_entry)
    reader->n_entries
        = MIN (n_there - 1, last_entry) - reader->first_entry + 1;

  reader->entries = g_new0 (Entry, reader->n_entries);
  for (guint64 i = 0; i < reader->n_entries;)
    {
      const guint64 zeroes = count_zeroes (reader, i);
      const guint64 n = MIN (TABLE_UNIT, reader->n_entries - i);

      if (zeroes == 0)
        read_block (reader, i, n);
      i += zeroes > 0 ? zeroes : n;
    }
}

/* ---- The data ---- */

/* Returns whether the data of entries I and I + 1 is read in one go. */
static gboolean
are_together (const Reader *reader, guint64 i)
{
  const Entry *entry = &reader->entries[i];

  return entry[0].kind == ENTRY_DATA && entry[1].kind == ENTRY_DATA
         && entry[0].block == entry[1].block
         && entry[0].offset + reader->bitmap->cluster_size == entry[1].offset;
}

/* Stores in *START and *END the range of the file that is read for entry I and
 * the entries whose data adjoins.  The range begins at a word of 64 bits and
 * ends at a byte. */
static void
get_piece (const Reader *reader, guint64 i, guint64 *start, guint64 *end)
{
  guint64 first = i;
  guint64 last = i;

  while (first > 0 && are_together (reader, first - 1))
    first--;
  while (last + 1 < reader->n_entries && are_together (reader, last))
    last++;

  const guint64 bit = (reader->first_entry + first) * reader->bits;
  const guint64 n_bytes = (last - first + 1) * reader->bitmap->cluster_size;
  const guint64 n_wanted = (reader->last_bit - bit) / 8 + 1;
  const guint64 left_out
      = reader->first_bit > bit ? (reader->first_bit - bit) / 64 * 8 : 0;

  *start = reader->entries[first].offset + left_out;
  *end = reader->entries[first].offset + MIN (n_bytes, n_wanted);
  *end = MIN (*end, reader->bitmap->file_size);
}

static guint64
get_bit (Reader *reader, guint64 i, guint64 bit, guint64 start, guint64 end)
{
  const guint64 offset = reader->entries[i].offset + bit % reader->bits / 8;
  const guint64 unit = offset - offset % DATA_UNIT;

  if (offset >= reader->bitmap->file_size)
    {
      reader->answer->lacks_bits = TRUE;
      return NAIVE_UNKNOWN;
    }
  if (is_bad (reader->bitmap, MAX (unit, start), MIN (unit + DATA_UNIT, end)))
    {
      reader->answer->read_failed = TRUE;
      return NAIVE_UNKNOWN;
    }

  return get_byte (reader->bitmap, offset) >> bit % 8 & 1
             ? NAIVE_DIRTY
             : reader->bitmap->clear;
}

static void
read_entry (Reader *reader, guint64 i)
{
  const guint64 base = (reader->first_entry + i) * reader->bits;
  const guint64 first = MAX (base, reader->first_bit);
  const guint64 last = MIN (base + reader->bits - 1, reader->last_bit);
  guint64 start = 0;
  guint64 end = 0;

  switch (reader->entries[i].kind)
    {
    case ENTRY_ZEROES:
      say (reader, first, last, reader->bitmap->clear);
      return;
    case ENTRY_ONES:
      say (reader, first, last, NAIVE_DIRTY);
      return;
    case ENTRY_WRONG:
    case ENTRY_UNREAD:
      reader->answer->lacks_bits = TRUE;
      say (reader, first, last, NAIVE_UNKNOWN);
      return;
    case ENTRY_DATA:
      get_piece (reader, i, &start, &end);
      for (guint64 bit = first; bit <= last; bit++)
        say (reader, bit, bit, get_bit (reader, i, bit, start, end));
      return;
    }
}

static void
read_bits (Reader *reader)
{
  const guint granularity_bits = reader->bitmap->granularity_bits;

  reader->first_bit = reader->start >> granularity_bits;
  reader->last_bit = (reader->end - 1) >> granularity_bits;
  reader->bits = reader->bitmap->cluster_size * 8;
  read_table (reader);
  for (guint64 i = 0; i < reader->n_entries; i++)
    read_entry (reader, i);

  const guint64 rest
      = (reader->first_entry + reader->n_entries) * reader->bits;
  if (rest <= reader->last_bit)
    {
      reader->answer->lacks_bits = TRUE;
      say (reader, MAX (rest, reader->first_bit), reader->last_bit,
           NAIVE_UNKNOWN);
    }
  g_free (reader->entries);
}

/* Fills in ANSWER with the extents of BITMAP for the LENGTH bytes of the disk
 * from guest offset START on. */
void
naive_answer_init (NaiveAnswer *answer, const NaiveBitmap *bitmap,
                   guint64 start, guint64 length)
{
  const NaiveExtent all = { start, length, NAIVE_UNKNOWN };
  Reader reader = {
    .bitmap = bitmap, .answer = answer, .start = start, .end = start + length
  };

  answer->extents = g_array_new (FALSE, FALSE, sizeof (NaiveExtent));
  answer->has_bits = bitmap->granularity_bits < 64 && bitmap->type == 1
                     && bitmap->table_offset != 0;
  if (length == 0)
    return;
  if (answer->has_bits)
    {
      read_bits (&reader);
      return;
    }

  answer->totals[NAIVE_UNKNOWN] = length;
  g_array_append_val (answer->extents, all);
}

void
naive_answer_clear (NaiveAnswer *answer)
{
  if (answer->extents != NULL)
    g_array_unref (answer->extents);
}
