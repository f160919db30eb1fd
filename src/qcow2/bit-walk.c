/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/bit-walk.h"

#include <string.h>

#include "qcow2/error.h"

#define WHAT "bitmap data"

/* Table entries decoded at a time. */
#define BLOCK 512

static guint64
get_end (const Qcow2ExtentQuery *query)
{
  return query->start + query->length;
}

/* Returns the guest offset of granule BIT, clamped to the requested range.
 * The granule after the last one is at the end of the disk. */
guint64
qcow2_bit_walk_to_guest (const Qcow2BitWalk *walk, guint64 bit)
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
guint64
qcow2_bits_load_word (const guint8 *bytes, guint64 left)
{
  guint8 padded[8] = { 0 };

  if (left >= sizeof padded)
    return qcow2_load_word (bytes);

  memcpy (padded, bytes, (gsize) left);
  return qcow2_load_word (padded);
}

/* Passes the bits from FIRST to before END, which may be none and are all of
 * TYPE, to the sink.  They may exceed the requested range:
 * qcow2_bit_walk_to_guest () clamps them. */
static gboolean
send_run (Qcow2BitWalk *walk, guint64 first, guint64 end, Qcow2ExtentType type,
          GError **error)
{
  return first >= end || walk->sink->on_run (walk, first, end, type, error);
}

static gboolean
is_lenient (const Qcow2BitWalk *walk)
{
  return walk->query->first_error != NULL;
}

/* Takes ownership of READ_ERROR and returns whether the walk continues, that
 * is, whether it is lenient.  If so, keeps the first error in first_error of
 * the query; otherwise, stores READ_ERROR in *ERROR. */
static gboolean
go_on_after (const Qcow2BitWalk *walk, GError *read_error, GError **error)
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
send_data_in_file (Qcow2BitWalk *walk, guint64 offset, guint64 base,
                   guint64 first, guint64 end, GError **error)
{
  const guint64 last = (end - base + 7) / 8;
  guint64 at = (first - base) / QCOW2_WORD_BITS * 8;

  byte_window_set_end (walk->bytes, offset + last);
  while (at < last)
    {
      const gsize unit = (gsize) MIN (
          BYTE_SOURCE_SECTOR_SIZE - (offset + at) % BYTE_SOURCE_SECTOR_SIZE,
          last - at);
      gsize n = unit;
      GError *read_error = NULL;
      const guint8 *bytes = byte_window_get_available (
          walk->bytes, offset + at, unit, BYTE_WINDOW_SIZE, &n, WHAT,
          &read_error);
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
send_data (Qcow2BitWalk *walk, const Qcow2TableEntry *entry, gsize n,
           GError **error)
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
send_some_data (Qcow2BitWalk *walk, const Qcow2TableEntry *entry, gsize n,
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
walk_entries (Qcow2BitWalk *walk, const Qcow2TableEntry *entries,
              gsize n_entries, GError **error)
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
walk_block (Qcow2BitWalk *walk, guint64 i, guint64 end, guint64 *n,
            GError **error)
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
walk_range (Qcow2BitWalk *walk, GError **error)
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

/* Returns whether the bits of the bitmap of QUERY can be located: it is a
 * dirty tracking bitmap, and all sizes are known. */
gboolean
qcow2_bit_walk_is_possible (const Qcow2ExtentQuery *query)
{
  const Qcow2Bitmap *bitmap = query->bitmap;

  return query->image->header.cluster_size != QCOW2_ABSENT
         && bitmap->granularity != QCOW2_ABSENT && bitmap->name != NULL
         && bitmap->type == QCOW2_BITMAP_DIRTY_TRACKING
         && bitmap->bitmap_table_offset != 0;
}

/* Sets up WALK, of which the caller has set the query and the sink.  The range
 * of the query must have at least one byte, and the walk must be possible. */
void
qcow2_bit_walk_begin (Qcow2BitWalk *walk)
{
  const Qcow2ExtentQuery *query = walk->query;
  const Qcow2Image *image = query->image;
  const guint64 granularity = query->bitmap->granularity;

  walk->table = qcow2_image_get_table (image, query->bitmap);
  walk->n_bits = qcow2_bitmap_get_n_bits (query->bitmap, &image->header);
  walk->first = query->start / granularity;
  walk->end = (get_end (query) - 1) / granularity + 1;
  walk->entry_bits = image->header.cluster_size * 8;
  walk->clear = qcow2_bitmap_is_sound (query->bitmap) ? QCOW2_EXTENT_CLEAN
                                                      : QCOW2_EXTENT_UNKNOWN;
  walk->data_left = QCOW2_MAX_DATA_BYTES;
}

/* Passes all requested bits of WALK, which was set up, to its sink, in order.
 * Fails with QCOW2_ERROR_READ or QCOW2_ERROR_LIMIT, or as the sink does. */
gboolean
qcow2_bit_walk_run (Qcow2BitWalk *walk, GError **error)
{
  walk->entries = byte_window_new (walk->query->image->source, 0);
  walk->bytes = byte_window_new_streaming (walk->query->image->source, 0);

  const gboolean walked = walk_range (walk, error);
  byte_window_free (walk->entries);
  byte_window_free (walk->bytes);
  return walked;
}
