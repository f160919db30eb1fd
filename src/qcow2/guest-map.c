/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/guest-map.h"

#include "qcow2/arithmetic.h"
#include "qcow2/error.h"
#include "qcow2/guest-cluster.h"
#include "qcow2/l1-table.h"

#define L1_TABLE "L1 table"
#define L2_TABLE "L2 table"

/* The most bytes of L2 tables to read, or the size of the file if that is
 * larger.  Only an image in which L1 entries share an L2 table needs more. */
#define MAX_L2_BYTES (G_GUINT64_CONSTANT (256) * 1024 * 1024)

struct Qcow2GuestMap
{
  const Qcow2Image *image;
  GError **first_error; /* NULL: a read error ends the walk */
  guint64 file_size;

  ByteWindow *l1;
  guint64 n_l1;          /* L1 entries that can be read */
  Qcow2MapDamage l1_end; /* why there are no more */
  ByteWindow *l2;
  guint64 per_table;  /* entries of an L2 table */
  gsize step;         /* bytes of an L2 entry */
  guint64 bytes_left; /* of L2 tables that may be read */
  guint64 last_table; /* L1 index of the table that was counted last */

  guint64 n_damaged;
  Qcow2MapExtent damaged[QCOW2_MAP_MAX_NOTES];
};

/* A walk over some of the disk, and the extent that may still grow. */
typedef struct
{
  Qcow2GuestMap *map;
  guint64 start; /* guest offsets: the requested range */
  guint64 end;
  guint64 end_cluster; /* after the last cluster of the range */
  Qcow2MapFunc func;
  gpointer data;
  Qcow2MapExtent last; /* length 0: there is none yet */
  Qcow2Next next;      /* last result of FUNC */
} Walk;

static const Qcow2Field *
get_l1_offset_field (void)
{
  return QCOW2_FIELD (qcow2_l1_entry_record, Qcow2L1Entry, offset);
}

/* Determines how many L1 entries of MAP can be read. */
static void
measure_l1_table (Qcow2GuestMap *map)
{
  const Qcow2Header *h = &map->image->header;
  const guint64 in_file
      = map->file_size - MIN (h->l1_table_offset, map->file_size);
  const guint64 n_in_file = MIN (h->l1_size, in_file / QCOW2_ENTRY_LENGTH);
  const guint64 n_allowed = QCOW2_MAX_L1_BYTES / QCOW2_ENTRY_LENGTH;

  /* At offset 0 there is the header. */
  if (h->l1_table_offset % h->cluster_size != 0)
    map->l1_end = QCOW2_MAP_L1_UNALIGNED;
  else if (h->l1_table_offset == 0)
    map->l1_end = QCOW2_MAP_L1_ENDS;
  else
    {
      map->n_l1 = MIN (n_in_file, n_allowed);
      map->l1_end
          = n_in_file > n_allowed ? QCOW2_MAP_L1_LARGE : QCOW2_MAP_L1_ENDS;
    }
  byte_window_set_end (map->l1,
                       h->l1_table_offset + map->n_l1 * QCOW2_ENTRY_LENGTH);
}

/* Returns a map of the disk of IMAGE, which must outlive the map.  If
 * FIRST_ERROR is NULL, a read error ends a walk.  Otherwise, what cannot be
 * read is damaged, and the first error is stored in *FIRST_ERROR. */
Qcow2GuestMap *
qcow2_guest_map_new (const Qcow2Image *image, GError **first_error)
{
  const Qcow2Header *h = &image->header;
  Qcow2GuestMap *map = g_new0 (Qcow2GuestMap, 1);

  map->image = image;
  map->first_error = first_error;
  map->file_size = byte_source_get_size (image->source);
  map->l1 = byte_window_new (image->source, 0);
  map->l2 = byte_window_new_streaming (image->source, 0);
  map->bytes_left = MAX (map->file_size, MAX_L2_BYTES);
  map->last_table = QCOW2_NO_INDEX;
  if (h->cluster_size != QCOW2_ABSENT)
    {
      map->step = qcow2_l2_get_entry_size (h);
      map->per_table = qcow2_l2_get_n_entries (h);
      measure_l1_table (map);
    }

  return map;
}

void
qcow2_guest_map_free (Qcow2GuestMap *map)
{
  if (map == NULL)
    return;

  byte_window_free (map->l1);
  byte_window_free (map->l2);
  g_free (map);
}

/* Returns the number of damaged extents in all walks over MAP. */
guint64
qcow2_guest_map_get_n_damaged (const Qcow2GuestMap *map)
{
  return map->n_damaged;
}

/* Returns damaged extent INDEX, which is less than their number and
 * QCOW2_MAP_MAX_NOTES. */
const Qcow2MapExtent *
qcow2_guest_map_get_damaged (const Qcow2GuestMap *map, guint index)
{
  g_assert (index < MIN (map->n_damaged, QCOW2_MAP_MAX_NOTES));

  return &map->damaged[index];
}

/* Passes on the extent that cannot grow any more, if there is one. */
static gboolean
finish_extent (Walk *walk, GError **error)
{
  Qcow2GuestMap *map = walk->map;

  if (walk->last.length == 0)
    return TRUE;

  if (walk->last.damage != QCOW2_MAP_SOUND)
    {
      if (map->n_damaged < QCOW2_MAP_MAX_NOTES)
        map->damaged[map->n_damaged] = walk->last;
      map->n_damaged++;
    }
  walk->next = walk->func (&walk->last, walk->data, error);
  return walk->next == QCOW2_NEXT_ITEM;
}

static gboolean
can_merge (const Qcow2MapExtent *last, const Qcow2MapExtent *extent)
{
  return last->length > 0 && last->flags == extent->flags
         && last->damage == extent->damage
         && ((last->flags & QCOW2_MAP_OFFSET) == 0
             || (extent->offset >= last->offset
                 && extent->offset - last->offset == last->length));
}

/* Adds EXTENT, which starts before the end of the requested range, or where
 * the extent before it ends.  Only its part in the requested range counts. */
static gboolean
add_extent (Walk *walk, Qcow2MapExtent extent, GError **error)
{
  const guint64 skipped = walk->start - MIN (walk->start, extent.start);

  if (skipped >= extent.length || extent.start >= walk->end)
    return TRUE;

  extent.start += skipped;
  extent.length = MIN (extent.length - skipped, walk->end - extent.start);
  if ((extent.flags & QCOW2_MAP_OFFSET) != 0)
    extent.offset += skipped;
  if (can_merge (&walk->last, &extent))
    {
      walk->last.length += extent.length;
      return TRUE;
    }

  if (!finish_extent (walk, error))
    return FALSE;

  walk->last = extent;
  return TRUE;
}

/* Adds the clusters from FIRST to before END, which all are like EXTENT. */
static gboolean
add_clusters (Walk *walk, guint64 first, guint64 end, Qcow2MapExtent extent,
              GError **error)
{
  const guint64 cluster_size = walk->map->image->header.cluster_size;

  /* The last cluster may end after 2^64. */
  extent.start = first * cluster_size;
  extent.length = end >= walk->end_cluster ? walk->end - extent.start
                                           : (end - first) * cluster_size;
  return add_extent (walk, extent, error);
}

static gboolean
add_damage (Walk *walk, guint64 first, guint64 end, Qcow2MapDamage damage,
            guint64 offset, guint64 pointer, GError **error)
{
  return add_clusters (
      walk, first, end,
      qcow2_guest_cluster_get_damage (damage, offset, pointer), error);
}

/* Adds the clusters from FIRST to before END as damaged because of READ_ERROR,
 * of which it takes ownership.  Fails with READ_ERROR if errors end the walk.
 * POINTER is the host offset that was to be read. */
static gboolean
add_unread (Walk *walk, guint64 first, guint64 end, guint64 pointer,
            GError *read_error, GError **error)
{
  GError **first_error = walk->map->first_error;

  if (first_error == NULL)
    {
      g_propagate_error (error, read_error);
      return FALSE;
    }

  if (*first_error == NULL)
    *first_error = read_error;
  else
    g_error_free (read_error);
  return add_damage (walk, first, end, QCOW2_MAP_UNREAD, 0, pointer, error);
}

/* Returns the entries at host offset OFFSET of a table that ends at END, and
 * stores their size in bytes in *LEN.  On failure, *LEN is the size of those
 * that cannot be read. */
static const guint8 *
read_entries (ByteWindow *window, guint64 offset, guint64 end, gsize *len,
              const char *what, GError **error)
{
  const gsize unit = (gsize) MIN (BYTE_SOURCE_SECTOR_SIZE
                                      - offset % BYTE_SOURCE_SECTOR_SIZE,
                                  end - offset);
  const gsize most = (gsize) MIN (BYTE_WINDOW_SIZE, end - offset);

  *len = unit;
  return byte_window_get_available (window, offset, unit, most, len, what,
                                    error);
}

/* Adds the clusters of the L2 entries in the LEN bytes at BYTES, which are at
 * host offset OFFSET.  The first of them is CLUSTER. */
static gboolean
add_entries (Walk *walk, guint64 cluster, const guint8 *bytes, gsize len,
             guint64 offset, GError **error)
{
  const Qcow2GuestMap *map = walk->map;
  const gsize step = map->step;
  Qcow2MapExtent extents[QCOW2_N_SUBCLUSTERS];

  for (gsize at = 0; at < len;)
    {
      const gsize zeroes = qcow2_count_zeroes (bytes + at, len - at) / step;
      guint n;

      if (zeroes > 0)
        {
          if (!add_clusters (
                  walk, cluster, cluster + zeroes,
                  qcow2_guest_cluster_get_unallocated (&map->image->header),
                  error))
            return FALSE;
          cluster += zeroes;
          at += zeroes * step;
          continue;
        }

      n = qcow2_guest_cluster_describe (map->image, cluster, bytes + at,
                                        offset + at, extents);
      for (guint i = 0; i < n; i++)
        {
          if (!add_extent (walk, extents[i], error))
            return FALSE;
        }
      cluster++;
      at += step;
    }

  return TRUE;
}

/* Counts the bytes of the L2 table of L1 entry INDEX.  Fails with
 * QCOW2_ERROR_LIMIT after too many bytes. */
static gboolean
count_table (Qcow2GuestMap *map, guint64 index, guint64 offset, guint64 bytes,
             GError **error)
{
  if (map->last_table == index)
    return TRUE;
  if (bytes > map->bytes_left)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_LIMIT,
                   QCOW2_HEX_FORMAT
                   ": L2 table: not read: the limit for all tables "
                   "is " QCOW2_U64_FORMAT " bytes",
                   offset, MAX (map->file_size, MAX_L2_BYTES));
      return FALSE;
    }

  map->last_table = index;
  map->bytes_left -= bytes;
  return TRUE;
}

/* Adds the clusters from FIRST to before END, which the L2 table of L1 entry
 * INDEX at host offset OFFSET maps.  The table begins inside the file. */
static gboolean
walk_l2_table (Walk *walk, guint64 index, guint64 offset, guint64 first,
               guint64 end, GError **error)
{
  Qcow2GuestMap *map = walk->map;
  const guint64 n
      = MIN (map->per_table, (map->file_size - offset) / map->step);
  const guint64 base = index * map->per_table;
  const guint64 end_in_file = MIN (end, base + n);
  GError *read_error = NULL;

  if (!count_table (map, index, offset, n * map->step, &read_error))
    return add_unread (walk, first, end, offset, read_error, error);

  byte_window_set_end (map->l2, offset + n * map->step);
  while (first < end_in_file)
    {
      const guint64 at = offset + (first - base) * map->step;
      gsize len;
      const guint8 *bytes
          = read_entries (map->l2, at, at + (end_in_file - first) * map->step,
                          &len, L2_TABLE, &read_error);
      const guint64 next = first + len / map->step;

      if (bytes == NULL
              ? !add_unread (walk, first, next, at, read_error, error)
              : !add_entries (walk, first, bytes, len, at, error))
        return FALSE;

      read_error = NULL;
      first = next;
    }

  if (first == end)
    return TRUE;

  return add_damage (walk, first, end, QCOW2_MAP_L2_ENDS, offset,
                     offset + (first - base) * map->step, error);
}

/* Adds the clusters from FIRST to before END, which L1 entry INDEX maps.  The
 * entry points to the L2 table at host offset OFFSET, or OFFSET is 0. */
static gboolean
walk_l1_entry (Walk *walk, guint64 index, guint64 offset, guint64 first,
               guint64 end, GError **error)
{
  const Qcow2GuestMap *map = walk->map;
  const Qcow2Header *h = &map->image->header;
  const guint64 pointer = h->l1_table_offset + index * QCOW2_ENTRY_LENGTH;

  if (offset == 0)
    return add_clusters (walk, first, end,
                         qcow2_guest_cluster_get_unallocated (h), error);
  if (offset % h->cluster_size != 0)
    return add_damage (walk, first, end, QCOW2_MAP_L2_UNALIGNED, offset,
                       pointer, error);
  if (offset >= map->file_size)
    return add_damage (walk, first, end, QCOW2_MAP_L2_OUTSIDE, offset, pointer,
                       error);

  return walk_l2_table (walk, index, offset, first, end, error);
}

/* Adds the clusters from *CLUSTER on that L1 entries in a block map.  Moves
 * *CLUSTER to the cluster after them. */
static gboolean
walk_l1_block (Walk *walk, guint64 *cluster, GError **error)
{
  const Qcow2GuestMap *map = walk->map;
  const Qcow2Header *h = &map->image->header;
  const guint64 per = map->per_table;
  const guint64 n = MIN (map->n_l1, (walk->end_cluster - 1) / per + 1);
  guint64 index = *cluster / per;
  const guint64 at = h->l1_table_offset + index * QCOW2_ENTRY_LENGTH;
  gsize len;
  GError *read_error = NULL;
  const guint8 *bytes
      = read_entries (map->l1, at, h->l1_table_offset + n * QCOW2_ENTRY_LENGTH,
                      &len, L1_TABLE, &read_error);
  const guint64 end = index + len / QCOW2_ENTRY_LENGTH;

  while (bytes != NULL && index < end)
    {
      const guint8 *entry
          = bytes + (index * QCOW2_ENTRY_LENGTH - (at - h->l1_table_offset));
      const gsize zeroes
          = qcow2_count_zeroes (entry, (end - index) * QCOW2_ENTRY_LENGTH)
            / QCOW2_ENTRY_LENGTH;
      const guint64 offset = qcow2_field_unpack (get_l1_offset_field (),
                                                 qcow2_load_be64 (entry));
      const guint64 next = index + MAX (zeroes, 1);
      const guint64 next_cluster = MIN (next * per, walk->end_cluster);

      if (!walk_l1_entry (walk, index, offset, *cluster, next_cluster, error))
        return FALSE;

      *cluster = next_cluster;
      index = next;
    }

  if (bytes != NULL)
    return TRUE;

  const guint64 first = *cluster;
  *cluster = MIN (end * per, walk->end_cluster);
  return add_unread (walk, first, *cluster, at, read_error, error);
}

/* Adds all clusters of the requested range. */
static gboolean
walk_range (Walk *walk, GError **error)
{
  const Qcow2GuestMap *map = walk->map;
  const Qcow2Header *h = &map->image->header;
  guint64 cluster = walk->start / h->cluster_size;

  while (cluster < walk->end_cluster && cluster / map->per_table < map->n_l1)
    {
      if (!walk_l1_block (walk, &cluster, error))
        return FALSE;
    }

  if (cluster == walk->end_cluster)
    return TRUE;

  return add_damage (
      walk, cluster, walk->end_cluster, map->l1_end, h->l1_table_offset,
      QCOW2_AT (qcow2_header_record, Qcow2Header, l1_table_offset), error);
}

/* Adds the requested range as damaged: no cluster can be located. */
static gboolean
add_all (Walk *walk, GError **error)
{
  Qcow2MapExtent extent = qcow2_guest_cluster_get_damage (
      QCOW2_MAP_NO_CLUSTERS, 0,
      QCOW2_AT (qcow2_header_record, Qcow2Header, cluster_bits));

  extent.start = walk->start;
  extent.length = walk->end - walk->start;
  return add_extent (walk, extent, error);
}

/* Calls FUNC with DATA for each extent of the LENGTH bytes at guest offset
 * START of MAP, in order.  The extents are contiguous.  Adjacent ones differ
 * in their flags or in their damage, or their host offsets are not contiguous.
 * The range must lie inside the disk.  Fails with QCOW2_ERROR_READ or
 * QCOW2_ERROR_LIMIT, or as FUNC does. */
gboolean
qcow2_guest_map_walk (Qcow2GuestMap *map, guint64 start, guint64 length,
                      Qcow2MapFunc func, gpointer data, GError **error)
{
  const Qcow2Header *h = &map->image->header;
  Walk walk = { .map = map,
                .start = start,
                .end = start + length,
                .func = func,
                .data = data,
                .next = QCOW2_NEXT_ITEM };

  g_assert (start <= h->size && length <= h->size - start);

  if (length == 0)
    return TRUE;

  gboolean added;
  if (h->cluster_size == QCOW2_ABSENT)
    added = add_all (&walk, error);
  else
    {
      walk.end_cluster = (walk.end - 1) / h->cluster_size + 1;
      added = walk_range (&walk, error);
    }

  return (added && finish_extent (&walk, error))
         || walk.next == QCOW2_NEXT_END;
}

/* Adds the bytes of EXTENT to TOTALS. */
void
qcow2_map_totals_add (Qcow2MapTotals *totals, const Qcow2MapExtent *extent)
{
  if (extent->damage != QCOW2_MAP_SOUND)
    totals->damaged += extent->length;
  else if ((extent->flags & QCOW2_MAP_PRESENT) == 0)
    totals->unallocated += extent->length;
  else if ((extent->flags & QCOW2_MAP_ZERO) != 0)
    totals->zero += extent->length;
  else
    totals->data += extent->length;

  if ((extent->flags & QCOW2_MAP_COMPRESSED) != 0)
    totals->compressed += extent->length;
}
