/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counts the bits of a bitmap. */

#include "config.h"

#include "qcow2/contents.h"

#include <string.h>

#include "qcow2/bit-walk.h"
#include "qcow2/compiler.h"

/* Adds an extent of TYPE with LENGTH bytes to TOTALS. */
void
qcow2_extent_totals_add (Qcow2ExtentTotals *totals, Qcow2ExtentType type,
                         guint64 length)
{
  switch (type)
    {
    case QCOW2_EXTENT_CLEAN:
      totals->clean += length;
      return;
    case QCOW2_EXTENT_DIRTY:
      totals->dirty += length;
      return;
    case QCOW2_EXTENT_UNKNOWN:
      totals->unknown += length;
      return;
    case QCOW2_EXTENT_DIRTY_ZERO:
      totals->dirty_zero += length;
      return;
    case QCOW2_EXTENT_DIRTY_UNALLOCATED:
      totals->dirty_unallocated += length;
      return;
    case QCOW2_EXTENT_DIRTY_UNALLOCATED_ZERO:
      totals->dirty_unallocated_zero += length;
      return;
    }
}

static gboolean
on_run (Qcow2BitWalk *walk, guint64 first, guint64 end, Qcow2ExtentType type,
        GError **error G_GNUC_UNUSED)
{
  qcow2_extent_totals_add (walk->data, type,
                           qcow2_bit_walk_to_guest (walk, end)
                               - qcow2_bit_walk_to_guest (walk, first));
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
  const guint64 before = first % QCOW2_WORD_BITS;
  const guint64 n_bytes = qcow2_bits_get_n_bytes (first, end);
  const guint64 n_words = (before + (end - first)) / QCOW2_WORD_BITS;
  const guint64 tail = (before + (end - first)) % QCOW2_WORD_BITS;
  guint64 n = count_words (bytes, n_words);

  if (tail != 0)
    {
      const guint64 last
          = qcow2_bits_load_word (bytes + n_words * 8, n_bytes - n_words * 8);
      const guint64 mask = G_MAXUINT64 >> (QCOW2_WORD_BITS - tail);

      n += (guint64) __builtin_popcountll (last & mask);
    }

  const guint64 unwanted
      = qcow2_bits_load_word (bytes, n_bytes) & (((guint64) 1 << before) - 1);

  return n - (guint64) __builtin_popcountll (unwanted);
}

/* Counts the first and the last granule separately: the requested range may
 * only cover part of them. */
static gboolean
on_bits (Qcow2BitWalk *walk, guint64 first, guint64 end, const guint8 *bytes,
         GError **error)
{
  const guint64 base = first - first % QCOW2_WORD_BITS;
  guint64 whole_first = first;
  guint64 whole_end = end;

  for (guint i = 0; i < 2; i++)
    {
      const guint64 bit = i == 0 ? walk->first : walk->end - 1;

      if (bit < whole_first || bit >= whole_end)
        continue;

      const gboolean set
          = (bytes[(bit - base) / 8] >> (bit - base) % 8 & 1) != 0;
      on_run (walk, bit, bit + 1, set ? QCOW2_EXTENT_DIRTY : walk->clear,
              error);
      if (i == 0)
        whole_first = bit + 1;
      else
        whole_end = bit;
    }

  const guint64 skipped = (whole_first - base) / QCOW2_WORD_BITS * 8;
  const guint64 n = count_set (whole_first, whole_end, bytes + skipped);
  const guint64 granularity = walk->query->bitmap->granularity;
  qcow2_extent_totals_add (walk->data, QCOW2_EXTENT_DIRTY, n * granularity);
  qcow2_extent_totals_add (walk->data, walk->clear,
                           (whole_end - whole_first - n) * granularity);
  return TRUE;
}

/* Stores in *TOTALS the number of bytes of QUERY of each type.  Fails with
 * QCOW2_ERROR_READ or QCOW2_ERROR_LIMIT. */
gboolean
qcow2_extent_query_count (const Qcow2ExtentQuery *query,
                          Qcow2ExtentTotals *totals, GError **error)
{
  static const Qcow2BitSink sink = { .on_run = on_run, .on_bits = on_bits };
  Qcow2BitWalk walk = { .query = query, .sink = &sink, .data = totals };

  memset (totals, 0, sizeof *totals);
  if (query->length == 0)
    return TRUE;
  if (!qcow2_bit_walk_is_possible (query))
    {
      totals->unknown = query->length;
      return TRUE;
    }

  qcow2_bit_walk_begin (&walk);
  return qcow2_bit_walk_run (&walk, error);
}
