/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/census.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/memory.h"
#include "qcow2/refcount.h"

#define BLOCK "refcount block"

/* The number of clusters whose larger counts are kept together, and the most
 * such pages: 16 MiB. */
#define PAGE_CLUSTERS 4096
#define MAX_PAGES (QCOW2_CENSUS_FEW_CLUSTERS / PAGE_CLUSTERS)

/* QEMU, block/qcow2.h: MAX_CLUSTER_BITS. */
#define MAX_CLUSTER_BITS 21

/* QEMU rounds the size of a file up to sectors. */
#define SECTOR_SIZE 512

/* The largest size of a refcount, in bytes. */
#define MAX_REFCOUNT_SIZE 8

/* The number of clusters that are examined at a time while they are alike, a
 * multiple of 8. */
#define CLUSTERS_AT_A_TIME 128

/* Returns a new census of IMAGE, which must outlive it, or NULL if QEMU does
 * not open the image because of its cluster size, refcount width or refcount
 * table. */
Qcow2Census *
qcow2_census_new (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;

  if (h->cluster_size == QCOW2_ABSENT || h->cluster_bits > MAX_CLUSTER_BITS
      || h->refcount_bits == QCOW2_ABSENT)
    return NULL;

  const guint64 bytes = h->refcount_table_clusters * h->cluster_size;
  if (h->refcount_table_offset % h->cluster_size != 0
      || bytes > QCOW2_MAX_REFTABLE_BYTES)
    return NULL;

  Qcow2Census *census = g_new0 (Qcow2Census, 1);
  census->image = image;
  census->cluster_size = h->cluster_size;
  census->cluster_bits = h->cluster_bits;
  census->size = byte_source_get_size (image->source);
  census->file_size = qcow2_round_up (census->size, SECTOR_SIZE);
  census->n_clusters
      = qcow2_divide_up (census->file_size, census->cluster_size);
  census->refcount_bits = (guint) h->refcount_bits;
  census->refcount_max
      = h->refcount_bits == 64
            ? G_MAXINT64
            : (G_GUINT64_CONSTANT (1) << h->refcount_bits) - 1;
  census->table = h->refcount_table_offset;

  const guint64 left = census->size - MIN (census->table, census->size);
  census->n_entries = qcow2_divide_up (MIN (bytes, left), QCOW2_ENTRY_LENGTH);
  census->on_table = byte_window_new (image->source, census->size);
  census->on_block = byte_window_new (image->source, census->size);
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

/* The number of clusters whose refcounts a block holds. */
static guint64
get_block_clusters (const Qcow2Census *census)
{
  return census->cluster_size * 8 / census->refcount_bits;
}

/* Stores in *OFFSET the host offset of refcount block INDEX, or 0 if there is
 * none.  Reserved bits are ignored, as in QEMU. */
static gboolean
get_block (Qcow2Census *census, guint64 index, guint64 *offset, GError **error)
{
  *offset = 0;
  if (index >= census->n_entries)
    return TRUE;

  guint8 entry[QCOW2_ENTRY_LENGTH];
  if (!byte_window_copy (
          census->on_table, census->table + index * QCOW2_ENTRY_LENGTH, entry,
          sizeof entry, qcow2_refcount_entry_record.name, error))
    return FALSE;

  *offset = qcow2_load_be64 (entry)
            & qcow2_field_get_mask (QCOW2_FIELD (qcow2_refcount_entry_record,
                                                 Qcow2RefcountEntry, offset));
  return TRUE;
}

/* Returns the byte of the map for REFCOUNT and no references. */
static guint8
get_byte (guint64 refcount)
{
  return (guint8) (MIN (refcount, QCOW2_CENSUS_MANY)
                   << QCOW2_CENSUS_COUNT_BITS);
}

/* Returns whether the CLUSTERS_AT_A_TIME refcounts at BYTES, of BITS bits
 * each, are equal. */
static gboolean
are_equal (const guint8 *bytes, guint bits)
{
  const gsize unit = MAX (bits / 8, 1);
  const gsize len = (gsize) CLUSTERS_AT_A_TIME * bits / 8;

  for (guint i = 1; i < 8 / bits; i++)
    {
      if (qcow2_refcount_load (bytes, i, bits)
          != qcow2_refcount_load (bytes, 0, bits))
        return FALSE;
    }

  return memcmp (bytes, bytes + unit, len - unit) == 0;
}

/* Notes in MAP the N refcounts of BITS bits each from refcount FIRST of BYTES
 * on.  Long runs of refcounts are equal. */
static void
note_refcounts (guint8 *map, const guint8 *bytes, guint64 first, guint64 n,
                guint bits)
{
  for (guint64 i = 0; i < n;)
    {
      const guint64 at = first + i;
      const gboolean is_run = at % CLUSTERS_AT_A_TIME == 0
                              && n - i >= CLUSTERS_AT_A_TIME
                              && are_equal (bytes + at * bits / 8, bits);
      const gsize some = is_run ? CLUSTERS_AT_A_TIME : 1;

      memset (map + i, get_byte (qcow2_refcount_load (bytes, at, bits)), some);
      i += some;
    }
}

/* Notes refcount INDEX of the block at host offset BLOCK if the file truncates
 * it, and it is one of those from FIRST to before END, which are in MAP. */
static gboolean
load_truncated (Qcow2Census *census, guint64 block, guint64 index,
                guint64 first, guint64 end, guint8 *map, GError **error)
{
  const guint bits = census->refcount_bits;
  guint8 number[MAX_REFCOUNT_SIZE];

  if (index < first || index >= end || bits <= 8)
    return TRUE;
  if (!byte_window_copy (census->on_block, block + index * (bits / 8), number,
                         bits / 8, BLOCK, error))
    return FALSE;

  note_refcounts (map + (index - first), number, 0, 1, bits);
  return TRUE;
}

/* Notes the refcounts of the N clusters from CLUSTER on, all of which are in
 * the block at host offset BLOCK.  Bytes after the end of the file are
 * zeroes. */
static gboolean
load_block (Qcow2Census *census, guint64 block, guint64 cluster, guint64 n,
            GError **error)
{
  const guint bits = census->refcount_bits;
  guint8 *map = census->map + (cluster - census->low);
  const guint64 left = census->size - MIN (block, census->size);
  const guint64 n_readable = MIN (census->cluster_size, left) * 8 / bits;
  const guint64 first = cluster % get_block_clusters (census);
  const guint64 end = MIN (first + n, n_readable);

  for (guint64 at = first; at < end;)
    {
      /* From a whole byte on. */
      const guint64 byte = at * bits / 8;
      const guint64 in_byte = at - byte * 8 / bits;
      const guint64 per_read = (guint64) BYTE_WINDOW_SIZE / 8 * 8 * 8 / bits;
      const guint64 some = MIN (end - at, per_read - in_byte);
      const gsize len = (gsize) (qcow2_divide_up ((in_byte + some) * bits, 8));
      const guint8 *bytes = byte_window_get (census->on_block, block + byte,
                                             len, BLOCK, error);

      if (bytes == NULL)
        return FALSE;

      note_refcounts (map + (at - first), bytes, in_byte, some, bits);
      at += some;
    }

  return load_truncated (census, block, n_readable, first, first + n, map,
                         error);
}

/* Makes CENSUS cover up to N clusters from LOW on, none of them counted yet,
 * and reads their refcounts.  N is reduced to what can be covered.  The census
 * ends one cluster after the file.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_census_start (Qcow2Census *census, guint64 low, guint64 n,
                    GError **error)
{
  const guint64 per_block = get_block_clusters (census);

  clear_pages (census);
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

  for (guint64 at = low; at < low + census->n;)
    {
      const guint64 some
          = MIN (low + census->n - at, per_block - at % per_block);
      guint64 block;

      if (!get_block (census, at / per_block, &block, error))
        return FALSE;
      if (block % census->cluster_size != 0)
        memset (census->map + (at - low),
                QCOW2_CENSUS_UNREADABLE << QCOW2_CENSUS_COUNT_BITS, some);
      else if (block != 0 && !load_block (census, block, at, some, error))
        return FALSE;
      at += some;
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
  for (guint64 i = MAX (first, census->low);
       i <= last && qcow2_census_covers (census, i); i++)
    count (census, i - census->low, n);
  return TRUE;
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

/* Stores in *REFCOUNT the refcount of any CLUSTER, and in *UNREADABLE whether
 * QEMU does not read its block.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_census_get_refcount (Qcow2Census *census, guint64 cluster,
                           guint64 *refcount, gboolean *unreadable,
                           GError **error)
{
  const guint64 per_block = get_block_clusters (census);
  const guint bits = census->refcount_bits;
  guint64 block;

  *refcount = 0;
  *unreadable = FALSE;
  if (qcow2_census_covers (census, cluster))
    {
      const guint known
          = census->map[cluster - census->low] >> QCOW2_CENSUS_COUNT_BITS;

      *refcount = known;
      *unreadable = known == QCOW2_CENSUS_UNREADABLE;
      if (known != QCOW2_CENSUS_MANY)
        return TRUE;
    }
  if (!get_block (census, cluster / per_block, &block, error))
    return FALSE;

  *refcount = 0;
  *unreadable = block % census->cluster_size != 0;
  if (block == 0 || *unreadable)
    return TRUE;

  const guint64 index = cluster % per_block;
  guint8 number[MAX_REFCOUNT_SIZE];
  if (!byte_window_copy (census->on_block, block + index * bits / 8, number,
                         MAX (bits / 8, 1), BLOCK, error))
    return FALSE;

  *refcount
      = qcow2_refcount_load (number, bits < 8 ? index % (8 / bits) : 0, bits);
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

static void
add_to_run (Comparison *comparison, guint64 cluster, guint64 refcount,
            guint64 references)
{
  Qcow2CensusRun *run = &comparison->run;

  if (run->n == 0 || run->start + run->n != cluster
      || run->refcount != refcount || run->references != references)
    {
      end_run (comparison);
      *run = (Qcow2CensusRun){ .start = cluster,
                               .refcount = refcount,
                               .references = references };
    }
  run->n++;
}

/* Compares the references to CLUSTER with its refcount. */
static gboolean
compare_cluster (Comparison *comparison, guint64 cluster, GError **error)
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
    totals->overflows += references - max;
  if (unreadable)
    {
      totals->unreadable++;
      return TRUE;
    }

  if (refcount > 0 || references > 0)
    totals->end = MAX (totals->end, cluster + 1);
  if (refcount < MIN (references, max))
    totals->too_low++;
  else if (refcount > references)
    totals->too_high++;
  if (refcount != references)
    add_to_run (comparison, cluster, refcount, references);
  return TRUE;
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
      guint64 some = 1;

      if (!is_right (*bytes))
        {
          if (!compare_cluster (&comparison, census->low + i, error))
            return FALSE;
        }
      else
        {
          some = is_run ? CLUSTERS_AT_A_TIME : 1;
          totals->end = *bytes != 0 ? census->low + i + some : totals->end;
        }
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
  g_free (census->map_block);
  byte_window_free (census->on_table);
  byte_window_free (census->on_block);
  g_free (census);
}
