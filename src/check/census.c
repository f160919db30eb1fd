/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/census.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/memory.h"
#include "qcow2/refcount.h"

/* The number of clusters whose larger counts are kept together, and the most
 * such pages: 16 MiB. */
#define PAGE_CLUSTERS 4096
#define MAX_PAGES (QCOW2_CENSUS_FEW_CLUSTERS / PAGE_CLUSTERS)

/* The number of clusters that are compared at a time. */
#define CLUSTERS_AT_A_TIME 128

/* In eight bytes of the map: the bits of each count, and the bit after them.
 */
#define COUNTS (QCOW2_CENSUS_ONES * QCOW2_CENSUS_COUNT_MASK)
#define CARRIES (QCOW2_CENSUS_ONES * (QCOW2_CENSUS_COUNT_MASK + 1))

/* Returns the largest refcount in an image with HEADER, as QEMU has it. */
guint64
qcow2_census_get_refcount_max (const Qcow2Header *header)
{
  return header->refcount_bits == 64
             ? G_MAXINT64
             : (G_GUINT64_CONSTANT (1) << header->refcount_bits) - 1;
}

/* Returns a new census of IMAGE, which has REFCOUNTS, or NULL if QEMU does not
 * open the image because of its cluster size, refcount width or refcount
 * table.  Both must outlive the census. */
Qcow2Census *
qcow2_census_new (const Qcow2Image *image, Qcow2Refcounts *refcounts)
{
  const Qcow2Header *h = &image->header;

  if (h->cluster_bits > QCOW2_QEMU_MAX_CLUSTER_BITS
      || !qcow2_refcounts_are_usable (image))
    return NULL;

  Qcow2Census *census = g_new0 (Qcow2Census, 1);
  census->image = image;
  census->cluster_size = h->cluster_size;
  census->cluster_bits = h->cluster_bits;
  census->size = byte_source_get_size (image->source);
  census->file_size = byte_source_get_qemu_size (image->source);
  census->n_clusters
      = qcow2_divide_up (census->file_size, census->cluster_size);
  census->refcounts = refcounts;
  census->refcount_max = qcow2_census_get_refcount_max (h);
  return census;
}

static void
clear_pages (Qcow2Census *census)
{
  const guint64 n = qcow2_divide_up (census->n, PAGE_CLUSTERS);

  for (guint64 i = 0; census->pages != NULL && i < n; i++)
    g_free (census->pages[i]);
  g_clear_pointer (&census->pages, g_free);
  census->n_pages = 0;
}

/* Makes CENSUS cover up to N clusters from LOW on, none of them counted yet,
 * and reads their refcounts.  N is reduced to what can be covered.  The census
 * ends one cluster after the file.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_census_start (Qcow2Census *census, guint64 low, guint64 n,
                    GError **error)
{
  clear_pages (census);
  g_clear_pointer (&census->used, g_free);
  census->is_crowded = FALSE;
  census->low = low;
  census->n
      = MIN (MIN (n, QCOW2_CENSUS_CLUSTERS), census->n_clusters + 1 - low);
  /* The first part is the largest one.  Pages of memory that are there already
   * are cleared faster than new ones appear. */
  if (census->map == NULL)
    census->map = qcow2_memory_new0 (census->n, &census->map_block);
  else
    memset (census->map, 0, census->n);
  census->pages
      = g_new0 (guint32 *, qcow2_divide_up (census->n, PAGE_CLUSTERS));

  for (guint64 i = 0; i < census->n;)
    {
      guint64 refcount;
      guint64 some;
      gboolean is_readable;

      if (!qcow2_refcounts_get (census->refcounts, low + i, census->n - i,
                                &refcount, &some, &is_readable, error))
        return FALSE;

      /* Pages of memory for which there is nothing are not touched. */
      if (!is_readable || refcount > 0)
        memset (census->map + i,
                (gint) (is_readable ? MIN (refcount, QCOW2_CENSUS_MANY)
                                    : QCOW2_CENSUS_UNREADABLE)
                    << QCOW2_CENSUS_COUNT_BITS,
                some);
      i += some;
    }

  return TRUE;
}

/* Returns the page with the larger count of cluster INDEX of the map.  Returns
 * NULL if there would be too many pages. */
static guint32 *
get_page (Qcow2Census *census, guint64 index)
{
  guint32 **page = &census->pages[index / PAGE_CLUSTERS];

  if (*page == NULL && census->n_pages == MAX_PAGES)
    {
      census->is_crowded = TRUE;
      return NULL;
    }
  if (*page == NULL)
    {
      *page = g_new0 (guint32, PAGE_CLUSTERS);
      census->n_pages++;
    }

  return *page;
}

/* Counts N more references to cluster INDEX of the map. */
static void
count (Qcow2Census *census, guint64 index, guint64 n)
{
  guint8 *byte = &census->map[index];
  const guint64 room
      = QCOW2_CENSUS_COUNT_MASK - (*byte & QCOW2_CENSUS_COUNT_MASK);

  /* The largest count in the map means that a page has the rest. */
  if (n < room)
    {
      *byte = (guint8) (*byte + n);
      return;
    }

  guint32 *page = get_page (census, index);
  if (page == NULL)
    return;

  guint32 *more = &page[index % PAGE_CLUSTERS];
  const guint64 rest = n - room;
  *byte |= QCOW2_CENSUS_COUNT_MASK;
  if (rest > G_MAXUINT32 - *more)
    {
      census->is_overflown = TRUE;
      *more = G_MAXUINT32;
    }
  else
    *more += (guint32) rest;
}

/* Returns whether the counts in WORD are at most MOST, which is less than the
 * largest count in the map. */
static inline gboolean
are_at_most (guint64 word, guint64 most)
{
  return (((word & COUNTS)
           + QCOW2_CENSUS_ONES * (QCOW2_CENSUS_COUNT_MASK - most))
          & CARRIES)
         == 0;
}

/* Counts N references to each of the clusters from index I of the map to
 * before END.  A structure may claim to have all clusters of a large file:
 * eight are counted at a time where the counts fit. */
static void
count_range (Qcow2Census *census, guint64 i, guint64 end, guint64 n)
{
  while (i < end)
    {
      guint64 word = 0;
      const gboolean is_word
          = end - i >= sizeof word && n < QCOW2_CENSUS_COUNT_MASK;

      if (is_word)
        memcpy (&word, census->map + i, sizeof word);
      if (is_word && are_at_most (word, QCOW2_CENSUS_COUNT_MASK - 1 - n))
        {
          word += n * QCOW2_CENSUS_ONES;
          memcpy (census->map + i, &word, sizeof word);
          i += sizeof word;
        }
      else
        count (census, i++, n);
    }
}

/* Counts N references to each cluster that CENSUS covers of the SIZE bytes at
 * host offset OFFSET.  Returns FALSE, and counts none, if QEMU does not count
 * them because they end too far after the end of the file. */
gboolean
qcow2_census_add (Qcow2Census *census, guint64 offset, guint64 size, guint64 n)
{
  if (size == 0)
    return TRUE;
  if (!qcow2_census_is_inside (census, offset, size))
    return FALSE;

  const guint64 first = offset >> census->cluster_bits;
  const guint64 last = (offset + size - 1) >> census->cluster_bits;

  census->is_extended |= last >= census->n_clusters;
  if (last >= census->low)
    count_range (census, MAX (first, census->low) - census->low,
                 MIN (last - census->low + 1, census->n), n);
  return TRUE;
}

/* Marks each cluster that CENSUS covers of the SIZE bytes at host offset
 * OFFSET, at least one, as one that QEMU reads although it does not count the
 * reference.  The bytes may end after the end of the file. */
void
qcow2_census_mark_used (Qcow2Census *census, guint64 offset, guint64 size)
{
  const guint64 first = offset >> census->cluster_bits;
  const guint64 last = (offset + (size - 1)) >> census->cluster_bits;

  for (guint64 i = MAX (first, census->low);
       i <= last && qcow2_census_covers (census, i); i++)
    {
      const guint64 index = i - census->low;

      if (census->used == NULL)
        census->used = g_malloc0 (qcow2_divide_up (census->n, 8));
      census->used[index / 8] |= (guint8) (1 << index % 8);
    }
}

static gboolean
is_used (const Qcow2Census *census, guint64 cluster)
{
  const guint64 index = cluster - census->low;

  return census->used != NULL
         && (census->used[index / 8] & 1 << index % 8) != 0;
}

/* Returns the number of references to CLUSTER, which CENSUS covers. */
guint64
qcow2_census_get_references (const Qcow2Census *census, guint64 cluster)
{
  const guint64 index = cluster - census->low;
  const guint64 counted = census->map[index] & QCOW2_CENSUS_COUNT_MASK;
  const guint32 *page = census->pages[index / PAGE_CLUSTERS];

  return counted == QCOW2_CENSUS_COUNT_MASK && page != NULL
             ? counted + page[index % PAGE_CLUSTERS]
             : counted;
}

/* Returns the first cluster from START to before END that has more than N
 * references, or END if there is none.  CENSUS covers them. */
guint64
qcow2_census_find_more (const Qcow2Census *census, guint64 start, guint64 end,
                        guint64 n)
{
  guint64 i = start;

  while (i < end)
    {
      guint64 word = 0;
      const gboolean is_word
          = end - i >= sizeof word && n < QCOW2_CENSUS_COUNT_MASK;

      if (is_word)
        memcpy (&word, census->map + (i - census->low), sizeof word);
      if (is_word && are_at_most (word, n))
        i += sizeof word;
      else if (qcow2_census_get_references (census, i) > n)
        return i;
      else
        i++;
    }

  return end;
}

/* Stores in *REFCOUNT the refcount of any CLUSTER, and in *UNREADABLE whether
 * QEMU does not read its block.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_census_get_refcount (Qcow2Census *census, guint64 cluster,
                           guint64 *refcount, gboolean *unreadable,
                           GError **error)
{
  guint64 n_alike;
  gboolean is_readable;

  if (qcow2_census_covers (census, cluster))
    {
      const guint known
          = census->map[cluster - census->low] >> QCOW2_CENSUS_COUNT_BITS;

      *refcount = known;
      *unreadable = known == QCOW2_CENSUS_UNREADABLE;
      if (known != QCOW2_CENSUS_MANY)
        return TRUE;
    }
  if (!qcow2_refcounts_get (census->refcounts, cluster, 1, refcount, &n_alike,
                            &is_readable, error))
    return FALSE;

  *unreadable = !is_readable;
  return TRUE;
}

/* The state of a comparison. */
typedef struct
{
  Qcow2Census *census;
  Qcow2CensusFunc func;
  gpointer data;
  Qcow2CensusTotals *totals;
  Qcow2CensusRun run; /* N is 0 if there is none */
} Comparison;

static void
end_run (Comparison *comparison)
{
  if (comparison->run.n > 0)
    comparison->func (&comparison->run, comparison->data);
  comparison->run.n = 0;
}

/* Adds N clusters from CLUSTER on.  If some were marked, N is 1. */
static void
add_to_run (Comparison *comparison, guint64 cluster, guint64 n,
            guint64 refcount, guint64 references)
{
  Qcow2CensusRun *run = &comparison->run;
  const gboolean is_used_more
      = refcount > references && is_used (comparison->census, cluster);

  if (run->n == 0 || run->start + run->n != cluster
      || run->refcount != refcount || run->references != references
      || run->is_used != is_used_more)
    {
      end_run (comparison);
      *run = (Qcow2CensusRun){ .start = cluster,
                               .refcount = refcount,
                               .references = references,
                               .is_used = is_used_more };
    }
  run->n += n;
}

/* Compares the references to the N clusters from CLUSTER on with their
 * refcounts.  The bytes of the map are equal, and say all if N is not 1. */
static gboolean
compare_clusters (Comparison *comparison, guint64 cluster, guint64 n,
                  GError **error)
{
  const guint64 max = comparison->census->refcount_max;
  const guint64 references
      = qcow2_census_get_references (comparison->census, cluster);
  Qcow2CensusTotals *totals = comparison->totals;
  guint64 refcount;
  gboolean unreadable;

  if (!qcow2_census_get_refcount (comparison->census, cluster, &refcount,
                                  &unreadable, error))
    return FALSE;

  if (references > max)
    totals->overflows += n * (references - max);
  if (unreadable)
    {
      totals->unreadable += n;
      return TRUE;
    }

  if (refcount > 0 || references > 0)
    totals->end = MAX (totals->end, cluster + n);
  if (refcount < MIN (references, max))
    totals->too_low += n;
  else if (refcount > references)
    totals->too_high += n;
  if (refcount != references)
    add_to_run (comparison, cluster, n, refcount, references);
  return TRUE;
}

/* Returns whether BYTE of the map has the refcount and the number of
 * references. */
static gboolean
is_exact (guint8 byte)
{
  return byte >> QCOW2_CENSUS_COUNT_BITS != QCOW2_CENSUS_MANY
         && (byte & QCOW2_CENSUS_COUNT_MASK) != QCOW2_CENSUS_COUNT_MASK;
}

/* Returns whether BYTE of the map says that the refcount equals the number of
 * references. */
static gboolean
is_right (guint8 byte)
{
  const guint refcount = byte >> QCOW2_CENSUS_COUNT_BITS;

  return refcount < QCOW2_CENSUS_MANY
         && refcount == (byte & QCOW2_CENSUS_COUNT_MASK);
}

/* Compares the references to the clusters that CENSUS covers with their
 * refcounts.  Adds to TOTALS, and passes each run of wrong refcounts to FUNC
 * along with DATA.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_census_compare (Qcow2Census *census, Qcow2CensusFunc func, gpointer data,
                      Qcow2CensusTotals *totals, GError **error)
{
  const guint64 end = qcow2_census_get_end (census);
  const guint64 n = MIN (census->n, end - MIN (end, census->low));
  Comparison comparison
      = { .census = census, .func = func, .data = data, .totals = totals };

  for (guint64 i = 0; i < n;)
    {
      const guint8 *bytes = census->map + i;
      const gboolean is_run
          = i % CLUSTERS_AT_A_TIME == 0 && n - i >= CLUSTERS_AT_A_TIME
            && memcmp (bytes, bytes + 1, CLUSTERS_AT_A_TIME - 1) == 0;
      const gboolean is_enough
          = is_right (*bytes) || (is_exact (*bytes) && census->used == NULL);
      const guint64 some = is_run && is_enough ? CLUSTERS_AT_A_TIME : 1;

      if (is_right (*bytes))
        totals->end = *bytes != 0 ? census->low + i + some : totals->end;
      else if (!compare_clusters (&comparison, census->low + i, some, error))
        return FALSE;
      i += some;
    }

  end_run (&comparison);
  return TRUE;
}

void
qcow2_census_free (Qcow2Census *census)
{
  if (census == NULL)
    return;

  clear_pages (census);
  g_free (census->used);
  g_free (census->map_block);
  g_free (census);
}
