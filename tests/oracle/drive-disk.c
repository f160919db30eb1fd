/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Invariants of the readers of the disk's tables:
 *
 * - The extents of the map cover the requested range without a gap, adjacent
 *   ones differ, and the totals are the sums of the extents.
 * - The first, middle and last byte of an extent are mapped as the entry for
 *   that byte alone says.
 * - An entry of a table has the index, the value and the offset of its bytes.
 * - Either all numbers of the check are known or none of them is; they fit the
 *   disk, the file and the refcounts; and what is counted as wrong has a
 *   finding. */

#include "config.h"

#include "drive-disk.h"

#include "naive-disk.h"
#include "qcow2/cluster-table.h"
#include "qcow2/guest-map.h"

/* The most extents of a map that are examined, rows of a table, and clusters
 * whose refcounts are compared. */
#define MAX_EXTENTS 200
#define MAX_ROWS 32
#define MAX_CLUSTERS 512

/* The most L2 tables or refcount blocks that are read. */
#define MAX_TABLES 3

/* The walk over a map. */
typedef struct
{
  guint64 size;          /* of the disk */
  const NaiveDisk *disk; /* NULL if the file may change: bytes are not
                            compared */
  guint64 end;           /* guest offset of the end of the last extent */
  guint n;               /* extents */
  Qcow2MapExtent last;
  Qcow2MapTotals totals;
} MapWalk;

/* Asserts that the byte at guest offset AT is mapped as EXTENT says. */
static void
check_byte (const NaiveDisk *disk, const Qcow2MapExtent *extent, guint64 at)
{
  const NaiveByte byte = naive_disk_find (disk, at);

  g_assert_true (byte.is_damaged == (extent->damage != QCOW2_MAP_SOUND));
  if (byte.is_damaged)
    return;

  g_assert_cmphex (byte.flags, ==, extent->flags);
  if ((byte.flags & QCOW2_MAP_OFFSET) != 0)
    g_assert_cmphex (byte.offset, ==, extent->offset + (at - extent->start));
}

/* Asserts that EXTENT does not continue LAST. */
static void
check_neighbours (const Qcow2MapExtent *last, const Qcow2MapExtent *extent)
{
  const gboolean has_offset = (extent->flags & QCOW2_MAP_OFFSET) != 0;

  g_assert_true (
      last->flags != extent->flags || last->damage != extent->damage
      || extent->damage != QCOW2_MAP_SOUND
      || (has_offset && last->offset + last->length != extent->offset));
}

static Qcow2Next
take_extent (const Qcow2MapExtent *extent, gpointer data,
             GError **error G_GNUC_UNUSED)
{
  MapWalk *walk = data;

  g_assert_cmpuint (extent->start, ==, walk->end);
  g_assert_cmpuint (extent->length, >, 0);
  g_assert_cmpuint (extent->length, <=, walk->size - extent->start);
  if (walk->n > 0)
    check_neighbours (&walk->last, extent);
  if (walk->disk != NULL && extent->damage != QCOW2_MAP_UNREAD)
    {
      check_byte (walk->disk, extent, extent->start);
      check_byte (walk->disk, extent, extent->start + extent->length / 2);
      check_byte (walk->disk, extent, extent->start + (extent->length - 1));
    }

  qcow2_map_totals_add (&walk->totals, extent);
  walk->end += extent->length;
  walk->last = *extent;
  return ++walk->n < MAX_EXTENTS ? QCOW2_NEXT_ITEM : QCOW2_NEXT_END;
}

/* Reads the map of the LENGTH bytes at guest offset START. */
static gboolean
drive_range (const Qcow2Image *image, const NaiveDisk *disk, guint64 start,
             guint64 length, GError **error)
{
  g_autoptr (Qcow2GuestMap) map = qcow2_guest_map_new (image, NULL);
  MapWalk walk = { .size = image->header.size, .disk = disk, .end = start };
  const Qcow2MapTotals *totals = &walk.totals;

  if (!qcow2_guest_map_walk (map, start, length, take_extent, &walk, error))
    return FALSE;

  g_assert_true (walk.n == MAX_EXTENTS || walk.end == start + length);
  g_assert_cmpuint (totals->data + totals->zero + totals->unallocated
                        + totals->damaged,
                    ==, walk.end - start);
  g_assert_cmpuint (totals->compressed, <=, totals->data);
  return TRUE;
}

/* Reads the map of IMAGE: all of it, and a part that begins and ends inside
 * clusters.  The file may CHANGE while it is read.  Fails with
 * QCOW2_ERROR_READ. */
gboolean
drive_map (const Qcow2Image *image, gboolean changes, GError **error)
{
  const guint64 size = image->header.size;
  const guint64 start = size / 3;
  NaiveDisk disk = { 0 };

  if (!changes)
    naive_disk_init (&disk, image->source);
  return drive_range (image, changes ? NULL : &disk, 0, size, error)
         && drive_range (image, changes ? NULL : &disk, start,
                         (size - start) / 2, error);
}

/* Asserts that ROW, which was read from TABLE, has the bytes of an entry. */
static void
check_row (const NaiveDisk *disk, const Qcow2ClusterTable *table,
           const Qcow2ClusterRow *row)
{
  const gboolean is_long = table->kind == QCOW2_TABLE_L2 && disk->is_extended;
  const guint64 at = table->offset + row->index * (is_long ? 16 : 8);

  if (table->kind == QCOW2_TABLE_REFCOUNT_BLOCK)
    {
      const guint64 bit = row->index * disk->refcount_bits;
      const guint n = MAX (1, (guint) disk->refcount_bits / 8);
      const guint64 bytes = naive_disk_load (disk, table->offset + bit / 8, n);

      g_assert_cmphex (row->value, ==,
                       disk->refcount_bits >= 8
                           ? bytes
                           : bytes >> bit % 8
                                 & ((1u << disk->refcount_bits) - 1));
      return;
    }

  g_assert_cmphex (row->value, ==, naive_disk_load (disk, at, 8));
  if (is_long)
    g_assert_cmphex (row->subclusters_zeroes << 32
                         | row->subclusters_allocated,
                     ==, naive_disk_load (disk, at + 8, 8));
}

/* Reads rows of TABLE from entry START on. */
static gboolean
read_rows (const NaiveDisk *disk, const Qcow2ClusterTable *table,
           guint64 start, gboolean changes, GError **error)
{
  const guint64 n = qcow2_cluster_table_get_n_readable (table);
  g_autoptr (ByteWindow) window = byte_window_new (table->image->source, 0);
  Qcow2ClusterRow rows[MAX_ROWS];

  g_assert_cmpuint (n, <=, table->n_entries);
  if (start >= n)
    return TRUE;

  const gsize wanted = (gsize) MIN (n - start, MAX_ROWS);
  const gsize got
      = qcow2_cluster_table_read (table, window, start, rows, wanted, error);

  g_assert_cmpuint (got, <=, wanted);
  for (gsize i = 0; i < got; i++)
    {
      g_assert_cmpuint (rows[i].index, ==, start + i);
      if (!changes)
        check_row (disk, table, &rows[i]);
    }
  return got > 0;
}

/* Reads the first and the last rows of table INDEX of KIND. */
static gboolean
drive_table (const Qcow2Image *image, const NaiveDisk *disk,
             Qcow2TableKind kind, guint64 index, gboolean changes,
             GError **error)
{
  Qcow2ClusterTable table;
  GError *none = NULL;

  /* There may be no such table. */
  if (!qcow2_cluster_table_find (image, kind, index, &table, &none))
    {
      if (g_error_matches (none, QCOW2_ERROR, QCOW2_ERROR_READ))
        {
          g_propagate_error (error, none);
          return FALSE;
        }
      g_error_free (none);
      return TRUE;
    }

  const guint64 n = qcow2_cluster_table_get_n_readable (&table);
  return read_rows (disk, &table, 0, changes, error)
         && read_rows (disk, &table, n - MIN (n, MAX_ROWS / 2), changes,
                       error);
}

/* Reads tables of each kind of IMAGE, as drive_map () does. */
gboolean
drive_tables (const Qcow2Image *image, gboolean changes, GError **error)
{
  const Qcow2Header *h = &image->header;
  NaiveDisk disk = { 0 };

  if (!changes)
    naive_disk_init (&disk, image->source);
  if (h->cluster_size == QCOW2_ABSENT)
    return TRUE;

  for (guint i = 0; i < MAX_TABLES; i++)
    {
      if (!drive_table (image, &disk, QCOW2_TABLE_L2, i, changes, error)
          || (h->refcount_bits != QCOW2_ABSENT
              && !drive_table (image, &disk, QCOW2_TABLE_REFCOUNT_BLOCK, i,
                               changes, error)))
        return FALSE;
    }

  return drive_table (image, &disk, QCOW2_TABLE_L1, 0, changes, error)
         && drive_table (image, &disk, QCOW2_TABLE_REFCOUNTS, 0, changes,
                         error);
}

/* Returns the number of findings that are errors or warnings. */
static guint
count_severe (const Qcow2Findings *findings)
{
  guint n = 0;

  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    n += qcow2_findings_get (findings, i)->severity != QCOW2_SEVERITY_NOTE;
  return n;
}

/* Asserts that NUMBERS, which a check of IMAGE with FINDINGS counted, fit the
 * image.  No read failed, and the file does not change. */
void
drive_numbers (const Qcow2Image *image, const Qcow2Findings *findings,
               const Qcow2CheckNumbers *numbers)
{
  const guint64 all[] = { numbers->image_end_offset,
                          numbers->total_clusters,
                          numbers->allocated_clusters,
                          numbers->fragmented_clusters,
                          numbers->compressed_clusters,
                          numbers->corruptions,
                          numbers->leaks,
                          numbers->check_errors };
  NaiveDisk disk = { 0 };

  for (guint i = 1; i < G_N_ELEMENTS (all); i++)
    g_assert_true ((all[i] == QCOW2_ABSENT) == (all[0] == QCOW2_ABSENT));
  if (all[0] == QCOW2_ABSENT)
    return;

  naive_disk_init (&disk, image->source);
  const guint64 size = disk.cluster_size;
  const guint64 sectors = disk.size / 512;
  const guint64 n_clusters = (disk.file_size - 1) / size + 1;
  const guint64 n_used = numbers->image_end_offset / size;

  g_assert_cmpuint (numbers->total_clusters, ==,
                    (sectors + size / 512 - 1) / (size / 512));
  g_assert_cmpuint (numbers->compressed_clusters, <=,
                    numbers->fragmented_clusters);
  g_assert_cmpuint (numbers->fragmented_clusters, <=,
                    numbers->allocated_clusters);
  g_assert_cmpuint (numbers->image_end_offset % size, ==, 0);
  g_assert_cmpuint (n_used, >=, 1);
  g_assert_cmpuint (n_used, <=, n_clusters + 1);
  g_assert_cmpuint (numbers->leaks, <=, n_clusters + 1);
  if (numbers->corruptions > 0 || numbers->leaks > 0)
    g_assert_cmpuint (count_severe (findings), >, 0);
  for (guint64 i = n_used; i < MIN (n_clusters, n_used + MAX_CLUSTERS)
                           && numbers->check_errors == 0;
       i++)
    g_assert_cmpuint (naive_disk_get_refcount (&disk, i), ==, 0);
}
