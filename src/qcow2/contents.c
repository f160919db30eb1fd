/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/contents.h"

#include <string.h>

#include "qcow2/compiler.h"
#include "qcow2/error.h"
#include "qcow2/table.h"

#define WHAT "bitmap data"

/* Table entries decoded at a time. */
#define BLOCK 512

#define WORD_BITS 64

typedef struct Walk Walk;

/* Callbacks that receive the bits of a bitmap in order.  on_run receives the
 * bits from FIRST to before END, all of TYPE.  on_bits receives them as they
 * are in memory: bit FIRST is bit FIRST % 64 of the 8 bytes at BYTES. */
typedef struct
{
  gboolean (*on_run) (Walk *walk, guint64 first, guint64 end,
                      Qcow2ExtentType type, GError **error);
  /* If NULL, no data is read. */
  gboolean (*on_bits) (Walk *walk, guint64 first, guint64 end,
                       const guint8 *bytes, GError **error);
} BitSink;

struct Walk
{
  const Qcow2ExtentQuery *query;
  const BitSink *sink;
  Qcow2Table table;
  guint64 n_bits;     /* of the whole bitmap */
  guint64 first;      /* first requested bit */
  guint64 end;        /* bit after the last requested one */
  guint64 entry_bits; /* bits per table entry */
  ByteWindow *entries;
  ByteWindow *data;
  Qcow2ExtentType clear; /* type of a granule whose bit is clear */
  guint64 data_left;     /* remaining bytes of QCOW2_MAX_DATA_BYTES */

  /* For a walk over extents; START and TYPE are of the current extent. */
  Qcow2ExtentFunc func;
  gpointer func_data;
  guint64 start; /* guest offset */
  Qcow2ExtentType type;

  Qcow2ExtentTotals *totals; /* for a walk that counts */
};

/* Sets the range of QUERY to the MAX_LENGTH bytes at guest offset START,
 * clipped to the disk of the image. */
void
qcow2_extent_query_set_range (Qcow2ExtentQuery *query, guint64 start,
                              guint64 max_length)
{
  const guint64 size = query->image->header.size;

  query->start = MIN (start, size);
  query->length = MIN (max_length, size - query->start);
}

static guint64
get_end (const Qcow2ExtentQuery *query)
{
  return query->start + query->length;
}

/* Returns the guest offset of granule BIT, clamped to the requested range.
 * The granule after the last one is at the end of the disk. */
static guint64
to_guest (const Walk *walk, guint64 bit)
{
  const Qcow2ExtentQuery *query = walk->query;
  const guint64 offset = bit >= walk->n_bits
                             ? query->image->header.size
                             : bit * query->bitmap->granularity;

  return CLAMP (offset, query->start, get_end (query));
}

/* Returns the 8 bytes at BYTES as a number in which bit n of the bitmap is bit
 * n % 64.  If LEFT is less than 8, only LEFT bytes are readable and the others
 * count as 0. */
static guint64
load_word (const guint8 *bytes, guint64 left)
{
  guint8 padded[8] = { 0 };

  if (left >= sizeof padded)
    return qcow2_load_word (bytes);

  memcpy (padded, bytes, (gsize) left);
  return qcow2_load_word (padded);
}

/* Returns the number of bytes that hold the bits from FIRST to before END,
 * counted from the 8-byte word with bit FIRST. */
static guint64
get_n_bytes (guint64 first, guint64 end)
{
  return (end - first + first % WORD_BITS + 7) / 8;
}

/* ---- Extents ---- */

/* Ends the current extent at bit AT, and starts one of TYPE there. */
static gboolean
change (Walk *walk, guint64 at, Qcow2ExtentType type, GError **error)
{
  const guint64 end = to_guest (walk, at);
  const Qcow2Extent extent = { .offset = walk->start,
                               .length = end - walk->start,
                               .type = walk->type };

  walk->start = end;
  walk->type = type;
  return extent.length == 0 || walk->func (&extent, walk->func_data, error);
}

static gboolean
extents_on_run (Walk *walk, guint64 first, guint64 end G_GNUC_UNUSED,
                Qcow2ExtentType type, GError **error)
{
  return type == walk->type || change (walk, first, type, error);
}

/* Returns the index of the first of the words I to N - 1 at BYTES that differs
 * from EQUAL, or N if there is none.  A word has 8 bytes. */
static guint64
skip_equal (const guint8 *bytes, guint64 i, guint64 n, guint64 equal)
{
  for (; i < n; i++)
    {
      guint64 word;

      memcpy (&word, bytes + i * 8, sizeof word);
      if (word != equal)
        break;
    }

  return i;
}

/* Ends the current extent at bit AT, and starts one of the other type there:
 * dirty, or that of a clear bit. */
static gboolean
flip (Walk *walk, guint64 at, GError **error)
{
  return change (walk, at,
                 walk->type == QCOW2_EXTENT_DIRTY ? walk->clear
                                                  : QCOW2_EXTENT_DIRTY,
                 error);
}

static gboolean
extents_on_bits (Walk *walk, guint64 first, guint64 end, const guint8 *bytes,
                 GError **error)
{
  const guint64 base = first - first % WORD_BITS;
  const guint64 n_bytes = get_n_bytes (first, end);
  const guint64 n_words = (n_bytes + 7) / 8;
  guint64 mask = ~(((guint64) 1 << first % WORD_BITS) - 1);

  /* If the first bit is set, the loop flips the type again; empty extents are
   * dropped. */
  if (walk->type != QCOW2_EXTENT_DIRTY && walk->type != walk->clear
      && !change (walk, first, walk->clear, error))
    return FALSE;

  for (guint64 i = 0; i < n_words; i++)
    {
      const guint64 same = walk->type == QCOW2_EXTENT_DIRTY ? G_MAXUINT64 : 0;
      const guint64 word = load_word (bytes + i * 8, n_bytes - i * 8);

      if (word == same)
        {
          i = skip_equal (bytes, i + 1, n_bytes / 8, same) - 1;
          mask = G_MAXUINT64;
          continue;
        }

      /* A bit of FLIPS is set where the bitmap's bit differs from the one
       * before it.  Bits outside MASK, which precede FIRST, count as equal to
       * the current extent. */
      const guint64 counted = (word & mask) | (same & ~mask);
      guint64 flips = counted ^ ((counted & G_MAXINT64) << 1 | (same & 1));

      for (; flips != 0; flips &= flips - 1)
        {
          const guint64 at
              = base + i * WORD_BITS + (guint64) __builtin_ctzll (flips);

          if (at >= end)
            return TRUE;
          if (!flip (walk, at, error))
            return FALSE;
        }
      mask = G_MAXUINT64;
    }

  return TRUE;
}

/* ---- Totals ---- */

static void
add_total (Walk *walk, Qcow2ExtentType type, guint64 length)
{
  switch (type)
    {
    case QCOW2_EXTENT_CLEAN:
      walk->totals->clean += length;
      return;
    case QCOW2_EXTENT_DIRTY:
      walk->totals->dirty += length;
      return;
    case QCOW2_EXTENT_UNKNOWN:
      walk->totals->unknown += length;
      return;
    }
}

static gboolean
totals_on_run (Walk *walk, guint64 first, guint64 end, Qcow2ExtentType type,
               GError **error G_GNUC_UNUSED)
{
  add_total (walk, type, to_guest (walk, end) - to_guest (walk, first));
  return TRUE;
}

#define COUNT_WORD(at) ((guint64) __builtin_popcountll (qcow2_load_word (at)))

/* Returns the number of set bits in the N_WORDS 8-byte words at BYTES. */
QCOW2_CLONES static guint64
count_words (const guint8 *bytes, guint64 n_words)
{
  guint64 n = 0;

  /* Unrolled by four, so that the processor counts words in parallel. */
  for (; n_words >= 4; n_words -= 4, bytes += 32)
    n += COUNT_WORD (bytes) + COUNT_WORD (bytes + 8) + COUNT_WORD (bytes + 16)
         + COUNT_WORD (bytes + 24);
  for (; n_words > 0; n_words--, bytes += 8)
    n += COUNT_WORD (bytes);

  return n;
}

/* Returns the number of set bits from FIRST to before END.  Bit FIRST is in
 * the 8-byte word at BYTES. */
static guint64
count_set (guint64 first, guint64 end, const guint8 *bytes)
{
  const guint64 before = first % WORD_BITS;
  const guint64 n_bytes = get_n_bytes (first, end);
  const guint64 n_words = (before + (end - first)) / WORD_BITS;
  const guint64 tail = (before + (end - first)) % WORD_BITS;
  guint64 n = count_words (bytes, n_words);

  if (tail != 0)
    {
      const guint64 last
          = load_word (bytes + n_words * 8, n_bytes - n_words * 8);
      const guint64 mask = G_MAXUINT64 >> (WORD_BITS - tail);

      n += (guint64) __builtin_popcountll (last & mask);
    }

  const guint64 unwanted
      = load_word (bytes, n_bytes) & (((guint64) 1 << before) - 1);

  return n - (guint64) __builtin_popcountll (unwanted);
}

/* Counts the first and the last granule separately: the requested range may
 * only cover part of them. */
static gboolean
totals_on_bits (Walk *walk, guint64 first, guint64 end, const guint8 *bytes,
                GError **error)
{
  const guint64 base = first - first % WORD_BITS;
  guint64 whole_first = first;
  guint64 whole_end = end;

  for (guint i = 0; i < 2; i++)
    {
      const guint64 bit = i == 0 ? walk->first : walk->end - 1;

      if (bit < whole_first || bit >= whole_end)
        continue;

      const gboolean set
          = (bytes[(bit - base) / 8] >> (bit - base) % 8 & 1) != 0;
      totals_on_run (walk, bit, bit + 1,
                     set ? QCOW2_EXTENT_DIRTY : walk->clear, error);
      if (i == 0)
        whole_first = bit + 1;
      else
        whole_end = bit;
    }

  const guint64 skipped = (whole_first - base) / WORD_BITS * 8;
  const guint64 n = count_set (whole_first, whole_end, bytes + skipped);
  const guint64 granularity = walk->query->bitmap->granularity;
  add_total (walk, QCOW2_EXTENT_DIRTY, n * granularity);
  add_total (walk, walk->clear, (whole_end - whole_first - n) * granularity);
  return TRUE;
}

/* ---- Walking the table and the data ---- */

/* Passes the bits from FIRST to before END, which may be none and are all of
 * TYPE, to the sink.  They may exceed the requested range: to_guest () clamps
 * them. */
static gboolean
send_run (Walk *walk, guint64 first, guint64 end, Qcow2ExtentType type,
          GError **error)
{
  return first >= end || walk->sink->on_run (walk, first, end, type, error);
}

static gboolean
is_lenient (const Walk *walk)
{
  return walk->query->first_error != NULL;
}

/* Takes ownership of READ_ERROR and returns whether the walk continues, that
 * is, whether it is lenient.  If so, keeps the first error in first_error of
 * the query; otherwise, stores READ_ERROR in *ERROR. */
static gboolean
go_on_after (const Walk *walk, GError *read_error, GError **error)
{
  GError **to = is_lenient (walk) ? walk->query->first_error : error;

  if (is_lenient (walk) && *to != NULL)
    g_error_free (read_error);
  else
    g_propagate_error (to, read_error);
  return is_lenient (walk);
}

/* Fails with QCOW2_ERROR_READ: entry INDEX of TABLE, which was sound when it
 * was examined, is not any more. */
static gboolean
has_changed (const Qcow2Table *table, guint64 index, GError **error)
{
  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ,
               QCOW2_HEX_FORMAT ": bitmap table: entry " QCOW2_U64_FORMAT
                                " changed while it was read",
               table->offset + index * QCOW2_ENTRY_LENGTH, index);
  return FALSE;
}

/* Passes the bits from FIRST to before END to the sink.  Their data lies in
 * the file: it starts with bit BASE at host offset OFFSET. */
static gboolean
send_data_in_file (Walk *walk, guint64 offset, guint64 base, guint64 first,
                   guint64 end, GError **error)
{
  const guint64 last = (end - base + 7) / 8;
  guint64 at = (first - base) / WORD_BITS * 8;

  byte_window_set_end (walk->data, offset + last);
  while (at < last)
    {
      const gsize unit = (gsize) MIN (
          BYTE_SOURCE_SECTOR_SIZE - (offset + at) % BYTE_SOURCE_SECTOR_SIZE,
          last - at);
      gsize n = unit;
      GError *read_error = NULL;
      const guint8 *bytes = byte_window_get_available (walk->data, offset + at,
                                                       unit, BYTE_WINDOW_SIZE,
                                                       &n, WHAT, &read_error);
      const guint64 from = MAX (first, base + at * 8);
      const guint64 to = MIN (end, base + (at + n) * 8);

      if (bytes == NULL && !go_on_after (walk, read_error, error))
        return FALSE;

      const gboolean taken
          = bytes != NULL
                ? walk->sink->on_bits (walk, from, to, bytes, error)
                : send_run (walk, from, to, QCOW2_EXTENT_UNKNOWN, error);
      if (!taken)
        return FALSE;
      at += n;
    }

  return TRUE;
}

/* Passes the bits of N entries from ENTRY on, whose data is contiguous in the
 * file, to the sink.  Data after the end of the file is unknown if the walk
 * is lenient, and an error otherwise. */
static gboolean
send_data (Walk *walk, const Qcow2TableEntry *entry, gsize n, GError **error)
{
  const guint64 base = entry->index * walk->entry_bits;
  const guint64 first = MAX (base, walk->first);
  const guint64 end = MIN (base + n * walk->entry_bits, walk->end);
  const guint64 file_size = byte_source_get_size (walk->table.source);
  const guint64 in_file = file_size - MIN (entry->offset, file_size);
  const guint64 readable_end
      = in_file > (end - base) / 8 ? end : base + in_file * 8;

  if (readable_end < end && !is_lenient (walk))
    return has_changed (&walk->table, entry->index, error);

  if (walk->sink->on_bits == NULL)
    return TRUE;
  if (first < readable_end
      && !send_data_in_file (walk, entry->offset, base, first, readable_end,
                             error))
    return FALSE;

  return send_run (walk, readable_end, end, QCOW2_EXTENT_UNKNOWN, error);
}

/* Passes the bits of N entries from ENTRY on to the sink, as send_data ()
 * does.  Entries after QCOW2_MAX_DATA_BYTES of data are not read: they are
 * unknown if the walk is lenient, and an error otherwise. */
static gboolean
send_some_data (Walk *walk, const Qcow2TableEntry *entry, gsize n,
                GError **error)
{
  const gsize n_allowed = (gsize) MIN (n, walk->data_left / entry->size);
  const guint64 next = entry->index + n_allowed;
  const guint64 end = entry->index + n;

  walk->data_left -= n_allowed * entry->size;
  if (n_allowed > 0 && !send_data (walk, entry, n_allowed, error))
    return FALSE;
  if (n_allowed == n)
    return TRUE;

  GError *limit_error = g_error_new (
      QCOW2_ERROR, QCOW2_ERROR_LIMIT,
      QCOW2_HEX_FORMAT ": bitmap table: data from entry " QCOW2_U64_FORMAT
                       " on is not read: the limit is " QCOW2_U64_FORMAT
                       " bytes",
      walk->table.offset + next * QCOW2_ENTRY_LENGTH, next,
      QCOW2_MAX_DATA_BYTES);
  return go_on_after (walk, limit_error, error)
         && send_run (walk, next * walk->entry_bits, end * walk->entry_bits,
                      QCOW2_EXTENT_UNKNOWN, error);
}

/* Returns the number of entries at the start of ENTRIES, at least one, whose
 * data is contiguous in the file.  N_ENTRIES is the total number of entries.
 */
static gsize
count_adjacent (const Qcow2TableEntry *entries, gsize n_entries)
{
  gsize n = 1;

  while (n < n_entries && entries[n].reserved == 0
         && entries[n].offset == entries[n - 1].offset + entries[n].size)
    n++;

  return n;
}

static gboolean
is_sound (const Qcow2TableEntry *entry)
{
  return entry->reserved == 0 && entry->offset % entry->size == 0;
}

static gboolean
walk_entries (Walk *walk, const Qcow2TableEntry *entries, gsize n_entries,
              GError **error)
{
  for (gsize i = 0; i < n_entries;)
    {
      const Qcow2TableEntry *entry = &entries[i];
      const gboolean sound = is_sound (entry);
      const gboolean data = sound && entry->type == QCOW2_ENTRY_SERIALIZED;
      const gsize n = data ? count_adjacent (entry, n_entries - i) : 1;
      const guint64 first = entry->index * walk->entry_bits;
      gboolean given;

      if (!sound && !is_lenient (walk))
        return has_changed (&walk->table, entry->index, error);

      if (data)
        given = send_some_data (walk, entry, n, error);
      else
        given = send_run (walk, first, first + walk->entry_bits,
                          !sound ? QCOW2_EXTENT_UNKNOWN
                          : entry->type == QCOW2_ENTRY_ALL_ONES
                              ? QCOW2_EXTENT_DIRTY
                              : walk->clear,
                          error);
      if (!given)
        return FALSE;
      i += n;
    }

  return TRUE;
}

/* Passes the bits of some entries, from entry I to at most before entry END,
 * to the sink, and stores the number of entries in *N. */
static gboolean
walk_block (Walk *walk, guint64 i, guint64 end, guint64 *n, GError **error)
{
  Qcow2TableEntry entries[BLOCK];
  guint64 zeroes;
  GError *read_error = NULL;
  const gboolean counted = qcow2_table_count_uniform (
      &walk->table, walk->entries, i, end - i, &zeroes, NULL, &read_error);

  if (!counted && !go_on_after (walk, read_error, error))
    return FALSE;

  if (counted && zeroes > 0)
    {
      *n = zeroes;
      return send_run (walk, i * walk->entry_bits,
                       (i + zeroes) * walk->entry_bits, walk->clear, error);
    }

  const gsize wanted = (gsize) MIN (end - i, BLOCK);
  read_error = NULL;
  *n = qcow2_table_read (&walk->table, walk->entries, i, entries, wanted,
                         &read_error);
  if (*n > 0)
    return walk_entries (walk, entries, (gsize) *n, error);
  if (!go_on_after (walk, read_error, error))
    return FALSE;

  *n = wanted;
  return send_run (walk, i * walk->entry_bits, (i + wanted) * walk->entry_bits,
                   QCOW2_EXTENT_UNKNOWN, error);
}

/* Passes all requested bits to the sink, in order. */
static gboolean
walk_range (Walk *walk, GError **error)
{
  const guint64 n_needed = (walk->end - 1) / walk->entry_bits + 1;
  const guint64 n_readable = MIN (qcow2_table_get_n_readable (&walk->table),
                                  QCOW2_MAX_TABLE_ENTRIES);
  const guint64 end = MIN (n_needed, n_readable);
  guint64 i = walk->first / walk->entry_bits;

  while (i < end)
    {
      guint64 n;

      if (!walk_block (walk, i, end, &n, error))
        return FALSE;
      i += n;
    }

  if (end < n_needed && !is_lenient (walk))
    return has_changed (&walk->table, end, error);

  return send_run (walk, end * walk->entry_bits, walk->end,
                   QCOW2_EXTENT_UNKNOWN, error);
}

/* Returns whether BITMAP is a dirty tracking bitmap whose bits can be located.
 */
static gboolean
has_bits (const Qcow2Image *image, const Qcow2Bitmap *bitmap)
{
  return image->header.cluster_size != QCOW2_ABSENT
         && bitmap->granularity != QCOW2_ABSENT && bitmap->name != NULL
         && bitmap->type == QCOW2_BITMAP_DIRTY_TRACKING
         && bitmap->bitmap_table_offset != 0;
}

/* Walks the bits of the range of WALK, which must have at least one byte.  The
 * caller sets the query and the sink. */
static gboolean
run (Walk *walk, GError **error)
{
  const Qcow2ExtentQuery *query = walk->query;
  const Qcow2Image *image = query->image;
  const guint64 granularity = query->bitmap->granularity;

  walk->table = qcow2_image_get_table (image, query->bitmap);
  walk->n_bits = qcow2_bitmap_get_n_bits (query->bitmap, &image->header);
  walk->first = query->start / granularity;
  walk->end = (get_end (query) - 1) / granularity + 1;
  walk->start = to_guest (walk, walk->first);
  walk->entry_bits = image->header.cluster_size * 8;
  walk->clear = qcow2_bitmap_is_sound (query->bitmap) ? QCOW2_EXTENT_CLEAN
                                                      : QCOW2_EXTENT_UNKNOWN;
  walk->type = walk->clear;
  walk->data_left = QCOW2_MAX_DATA_BYTES;
  walk->entries = byte_window_new (image->source, 0);
  walk->data = byte_window_new (image->source, 0);

  const gboolean given = walk_range (walk, error);
  byte_window_free (walk->entries);
  byte_window_free (walk->data);
  return given;
}

static gboolean
skip_run (Walk *walk G_GNUC_UNUSED, guint64 first G_GNUC_UNUSED,
          guint64 end G_GNUC_UNUSED, Qcow2ExtentType type G_GNUC_UNUSED,
          GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

/* Checks, without reading any bitmap data, that QUERY has no more than
 * QCOW2_MAX_DATA_BYTES of it.  If there is more, or if the table is unreadable
 * or has changed since it was examined, handles that as a read error: fails
 * with QCOW2_ERROR_LIMIT or QCOW2_ERROR_READ, unless QUERY collects errors in
 * first_error. */
gboolean
qcow2_extent_query_verify_size (const Qcow2ExtentQuery *query, GError **error)
{
  static const BitSink sink = { .on_run = skip_run };
  const Qcow2Bitmap *bitmap = query->bitmap;
  const guint64 cluster_size = query->image->header.cluster_size;
  Walk walk = { .query = query, .sink = &sink };

  if (query->length == 0 || !has_bits (query->image, bitmap))
    return TRUE;

  /* All of the bitmap is within the limit: no need to read the table again. */
  if (bitmap->has_counts
      && bitmap->counts.serialized <= QCOW2_MAX_DATA_BYTES / cluster_size)
    return TRUE;

  return run (&walk, error);
}

/* Calls FUNC with DATA for each extent of QUERY, in order.  The extents are
 * contiguous, and adjacent ones differ in type.  Fails with QCOW2_ERROR_READ
 * or QCOW2_ERROR_LIMIT, or as FUNC does. */
gboolean
qcow2_extent_query_walk (const Qcow2ExtentQuery *query, Qcow2ExtentFunc func,
                         gpointer data, GError **error)
{
  static const BitSink sink
      = { .on_run = extents_on_run, .on_bits = extents_on_bits };
  Walk walk
      = { .query = query, .sink = &sink, .func = func, .func_data = data };

  if (query->length == 0)
    return TRUE;
  if (has_bits (query->image, query->bitmap))
    return run (&walk, error) && change (&walk, walk.end, walk.type, error);

  const Qcow2Extent all = { .offset = query->start,
                            .length = query->length,
                            .type = QCOW2_EXTENT_UNKNOWN };
  return func (&all, data, error);
}

/* Stores in *TOTALS the number of bytes of QUERY of each type.  Fails with
 * QCOW2_ERROR_READ or QCOW2_ERROR_LIMIT. */
gboolean
qcow2_extent_query_count (const Qcow2ExtentQuery *query,
                          Qcow2ExtentTotals *totals, GError **error)
{
  static const BitSink sink
      = { .on_run = totals_on_run, .on_bits = totals_on_bits };
  Walk walk = { .query = query, .sink = &sink, .totals = totals };

  memset (totals, 0, sizeof *totals);
  if (query->length == 0)
    return TRUE;
  if (has_bits (query->image, query->bitmap))
    return run (&walk, error);

  totals->unknown = query->length;
  return TRUE;
}
