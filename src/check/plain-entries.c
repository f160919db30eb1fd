/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/plain-entries.h"

#include <string.h>

#include "qcow2/l2-table.h"

/* The most bytes of entries that are examined one by one before trying to
 * count many at a time. */
#define MAX_SINGLE_BYTES 128

/* Notes N clusters of LENGTH bytes that follow each other from host offset
 * OFFSET on. */
void
qcow2_fragments_add (Qcow2Fragments *fragments, guint64 offset, guint64 n,
                     guint64 length)
{
  fragments->allocated += n;
  if (fragments->next != 0 && offset != fragments->next)
    fragments->fragmented++;
  fragments->next = offset + n * length;
}

/* Prepares PLAIN to count in the map of CENSUS. */
void
qcow2_plain_entries_init (Qcow2PlainEntries *plain, Qcow2Census *census)
{
  plain->census = census;
  plain->copied_bit = qcow2_field_get_mask (
      QCOW2_FIELD (qcow2_l2_entry_record, Qcow2L2Entry, copied));
  plain->odd_bits = ~plain->copied_bit
                    & ~(qcow2_field_get_mask (QCOW2_FIELD (
                            qcow2_l2_entry_record, Qcow2L2Entry, offset))
                        & ~(census->cluster_size - 1));
  plain->n = 0;
}

/* Prepares PLAIN for an L2 table with N references, of which one is from the
 * active L1 table if IS_ACTIVE.  A byte of the map becomes 0 if its count does
 * not fit, or if the COPIED flag is wrong, which it can be if the table is
 * active. */
void
qcow2_plain_entries_set_table (Qcow2PlainEntries *plain, guint64 n,
                               gboolean is_active)
{
  if (plain->n == n && plain->is_active == is_active)
    return;

  plain->n = n;
  plain->is_active = is_active;
  for (guint i = 0; i < G_N_ELEMENTS (plain->next[0]); i++)
    {
      const guint64 counted = (i & QCOW2_CENSUS_COUNT_MASK) + n;
      const gboolean is_single = i >> QCOW2_CENSUS_COUNT_BITS == 1;
      const gboolean fits = counted < QCOW2_CENSUS_COUNT_MASK;

      for (gint is_copied = 0; is_copied < 2; is_copied++)
        plain->next[is_copied][i]
            = fits && (is_single == is_copied || !is_active) ? (guint8) (i + n)
                                                             : 0;
    }
}

/* The bits in which entry I of those at BYTES is not WANTED + I * STEP. */
#define DIFFERENCE(i)                                                         \
  (qcow2_load_be64 (bytes + QCOW2_ENTRY_LENGTH * (i)) ^ (wanted + step * (i)))

/* Counts entries from the start of the N entries at BYTES, eight at a time, as
 * long as their clusters follow each other: the entries are WANTED, WANTED +
 * STEP and so on.  The bytes of the map for these clusters begin at MAP.  They
 * are replaced by those of NEXT, as long as they are like the first one.
 * Returns the number of entries. */
static gsize
count_consecutive_entries (guint8 *map, const guint8 *next,
                           const guint8 *bytes, gsize n, guint64 wanted,
                           guint64 step)
{
  const guint64 from = QCOW2_CENSUS_ONES * map[0];
  const guint64 to = QCOW2_CENSUS_ONES * next[map[0]];
  gsize n_left = n;

  /* The last one first: short runs end here.  Then there are no branches, so
   * that the processor compares in parallel. */
  while (n_left >= 8 && to != 0 && DIFFERENCE (7) == 0
         && (DIFFERENCE (0) | DIFFERENCE (1) | DIFFERENCE (2) | DIFFERENCE (3)
             | DIFFERENCE (4) | DIFFERENCE (5) | DIFFERENCE (6))
                == 0
         && memcmp (map, &from, sizeof from) == 0)
    {
      memcpy (map, &to, sizeof to);
      map += 8;
      bytes += 8 * QCOW2_ENTRY_LENGTH;
      wanted += 8 * step;
      n_left -= 8;
    }

  return n - n_left;
}

/* Counts the entries from the start of the LEN bytes at BYTES that are plain,
 * one by one.  Returns the number of their bytes.  There may be 2^29 entries:
 * variables are local because a store to the map could change anything else in
 * memory. */
static gsize
count_single_entries (const Qcow2PlainEntries *plain,
                      Qcow2Fragments *fragments, const guint8 *bytes,
                      gsize len)
{
  const guint copied_bit
      = QCOW2_FIELD (qcow2_l2_entry_record, Qcow2L2Entry, copied)->first_bit;
  const Qcow2Census *census = plain->census;
  const guint64 cluster_size = census->cluster_size;
  const guint64 odd = plain->odd_bits;
  const guint64 aligned = ~(odd | plain->copied_bit);
  const guint bits = census->cluster_bits;
  const guint64 n_clusters = census->n_clusters;
  /* Cluster 0 is never one of the disk's. */
  const guint64 first = MAX (census->low, 1);
  const guint64 n = MIN (census->low + census->n, census->n_clusters) - first;
  guint8 *map = census->map + (first - census->low);
  const guint8 *next[2] = { plain->next[0], plain->next[1] };
  guint64 expected = fragments->next;
  guint64 n_allocated = 0;
  guint64 n_fragmented = 0;
  gsize at = 0;

  for (; at < len; at += QCOW2_ENTRY_LENGTH)
    {
      const guint64 raw = qcow2_load_be64 (bytes + at);
      const guint64 offset = raw & aligned;
      const guint64 cluster = offset >> bits;

      if (raw == 0)
        continue;
      if ((raw & odd) != 0)
        break;
      if (cluster >= first && cluster - first < n)
        {
          guint8 *byte = &map[cluster - first];

          if (next[raw >> copied_bit][*byte] == 0)
            break;
          *byte = next[raw >> copied_bit][*byte];
        }
      else if (cluster == 0 || cluster >= n_clusters)
        break;

      n_allocated++;
      n_fragmented += offset != expected;
      expected = offset + cluster_size;
    }

  /* The first cluster continues nothing. */
  if (fragments->next == 0 && n_allocated > 0)
    n_fragmented--;
  fragments->next = expected;
  fragments->allocated += n_allocated;
  fragments->fragmented += n_fragmented;
  return at;
}

/* Counts the entries from the start of the LEN bytes at BYTES that are plain,
 * as long as they are all 0 or their clusters follow each other, as those of
 * most disks do.  Returns the number of their bytes. */
static gsize
count_run (const Qcow2PlainEntries *plain, Qcow2Fragments *fragments,
           const guint8 *bytes, gsize len)
{
  const Qcow2Census *census = plain->census;
  const guint64 raw = qcow2_load_be64 (bytes);
  const guint64 offset = raw & ~plain->odd_bits & ~plain->copied_bit;
  const guint64 cluster = offset >> census->cluster_bits;
  const guint64 end = MIN (census->low + census->n, census->n_clusters);

  if (raw == 0)
    return qcow2_count_zeroes (bytes, len) / QCOW2_ENTRY_LENGTH
           * QCOW2_ENTRY_LENGTH;
  if ((raw & plain->odd_bits) != 0 || cluster < MAX (census->low, 1)
      || cluster >= end)
    return 0;

  const gsize n = count_consecutive_entries (
      census->map + (cluster - census->low),
      plain->next[(raw & plain->copied_bit) != 0], bytes,
      (gsize) MIN (len / QCOW2_ENTRY_LENGTH, end - cluster), raw,
      census->cluster_size);
  if (n > 0)
    qcow2_fragments_add (fragments, offset, n, census->cluster_size);
  return n * QCOW2_ENTRY_LENGTH;
}

/* Counts the entries of an L2 table, of 8 bytes each, from the start of the
 * LEN bytes at BYTES as long as they are plain: 0, or a cluster in the file
 * whose COPIED flag agrees with the refcount, and whose count fits into the
 * map.  Only clusters that the census covers are counted there; FRAGMENTS gets
 * all.  Returns the number of bytes of these entries. */
gsize
qcow2_plain_entries_count (const Qcow2PlainEntries *plain,
                           Qcow2Fragments *fragments, const guint8 *bytes,
                           gsize len)
{
  gsize at = 0;

  while (at < len)
    {
      at += count_run (plain, fragments, bytes + at, len - at);

      const gsize some = MIN (len - at, MAX_SINGLE_BYTES);
      const gsize n
          = count_single_entries (plain, fragments, bytes + at, some);

      at += n;
      if (n < some)
        break;
    }

  return at;
}
