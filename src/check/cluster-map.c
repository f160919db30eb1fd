/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/cluster-map.h"

#include "qcow2/record.h"

struct Qcow2ClusterMap
{
  GArray *runs; /* of Qcow2Run */
  guint64 low;  /* clusters before this one are left out */
  guint64 high; /* clusters from this one on are left out */
  gboolean crowded;
};

Qcow2ClusterMap *
qcow2_cluster_map_new (void)
{
  Qcow2ClusterMap *map = g_new0 (Qcow2ClusterMap, 1);

  map->runs = g_array_new (FALSE, FALSE, sizeof (Qcow2Run));
  qcow2_cluster_map_start (map, 0);
  return map;
}

/* Removes all runs from MAP, and makes it cover the clusters from LOW on. */
void
qcow2_cluster_map_start (Qcow2ClusterMap *map, guint64 low)
{
  g_array_set_size (map->runs, 0);
  map->low = low;
  map->high = G_MAXUINT64;
  map->crowded = FALSE;
}

static guint64
end_of (const Qcow2Run *run)
{
  return run->start + run->n;
}

/* Compares runs by start, then by kind, then by pointer.  Of runs with the
 * same start, the first one counts as the owner. */
static gint
compare_runs (gconstpointer a, gconstpointer b)
{
  const Qcow2Run *left = a;
  const Qcow2Run *right = b;

  if (left->start != right->start)
    return left->start < right->start ? -1 : 1;
  if (left->kind != right->kind)
    return left->kind < right->kind ? -1 : 1;

  return left->pointer < right->pointer ? -1 : left->pointer > right->pointer;
}

/* Removes the clusters from HIGH on from RUN. */
static void
clip (Qcow2Run *run, guint64 high)
{
  if (end_of (run) > high)
    run->n = (guint32) (high - run->start);
}

/* Lowers the high of MAP so as to drop the upper half of the runs or more,
 * which are left to a later round.  Does nothing if MAP covers only one
 * cluster. */
static void
make_room (Qcow2ClusterMap *map)
{
  guint kept = 0;

  if (map->high == map->low + 1)
    return;

  qcow2_cluster_map_sort (map);
  const guint64 middle
      = g_array_index (map->runs, Qcow2Run, map->runs->len / 2).start;
  map->high = MAX (middle, map->low + 1);

  for (; kept < map->runs->len; kept++)
    {
      Qcow2Run *run = &g_array_index (map->runs, Qcow2Run, kept);

      if (run->start >= map->high)
        break;
      clip (run, map->high);
    }
  g_array_set_size (map->runs, kept);
}

/* Returns whether RUN continues LAST: both are data of the same bitmap, and
 * their clusters as well as the references to them are contiguous. */
static gboolean
continues (const Qcow2Run *last, const Qcow2Run *run)
{
  return run->kind == QCOW2_OWNER_BITS && last->kind == QCOW2_OWNER_BITS
         && run->bitmap == last->bitmap && run->start == end_of (last)
         && run->pointer
                == last->pointer + (guint64) last->n * QCOW2_ENTRY_LENGTH
         && run->n <= G_MAXUINT32 - last->n;
}

/* Adds the clusters of RUN that MAP covers.  If there are too many runs, MAP
 * is reduced to fewer clusters: see qcow2_cluster_map_get_high ().  If there
 * are too many in a single cluster, the last ones are left out: see
 * qcow2_cluster_map_is_crowded (). */
void
qcow2_cluster_map_add (Qcow2ClusterMap *map, Qcow2Run run)
{
  if (run.n == 0 || run.start >= map->high || end_of (&run) <= map->low)
    return;

  if (run.start < map->low)
    {
      const guint64 cut = map->low - run.start;

      run.pointer
          += run.kind == QCOW2_OWNER_BITS ? cut * QCOW2_ENTRY_LENGTH : 0;
      run.n -= (guint32) cut;
      run.start = map->low;
      run.clipped = 1;
    }
  clip (&run, map->high);

  if (map->runs->len > 0)
    {
      Qcow2Run *last
          = &g_array_index (map->runs, Qcow2Run, map->runs->len - 1);

      if (continues (last, &run))
        {
          last->n += run.n;
          return;
        }
    }

  if (map->runs->len == QCOW2_CLUSTER_MAP_RUNS)
    make_room (map);
  map->crowded |= map->runs->len == QCOW2_CLUSTER_MAP_RUNS;
  if (run.start >= map->high || map->crowded)
    return;

  clip (&run, map->high);
  g_array_append_val (map->runs, run);
}

/* Sorts the runs of MAP by their start.  More runs may be added afterwards. */
void
qcow2_cluster_map_sort (Qcow2ClusterMap *map)
{
  g_array_sort (map->runs, compare_runs);
}

/* Returns the number of the first cluster that MAP covers. */
guint64
qcow2_cluster_map_get_low (const Qcow2ClusterMap *map)
{
  return map->low;
}

/* Returns the number of the first cluster after those that MAP covers, or
 * G_MAXUINT64 if MAP covers the rest of the file.  MAP covers less when there
 * were too many runs. */
guint64
qcow2_cluster_map_get_high (const Qcow2ClusterMap *map)
{
  return map->high;
}

/* Returns whether MAP lacks runs because there were too many in a single
 * cluster. */
gboolean
qcow2_cluster_map_is_crowded (const Qcow2ClusterMap *map)
{
  return map->crowded;
}

guint
qcow2_cluster_map_get_n (const Qcow2ClusterMap *map)
{
  return map->runs->len;
}

const Qcow2Run *
qcow2_cluster_map_get (const Qcow2ClusterMap *map, guint index)
{
  g_assert (index < map->runs->len);

  return &g_array_index (map->runs, Qcow2Run, index);
}

void
qcow2_cluster_map_free (Qcow2ClusterMap *map)
{
  if (map == NULL)
    return;

  g_array_unref (map->runs);
  g_free (map);
}
