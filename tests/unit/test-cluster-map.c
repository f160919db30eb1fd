/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of clusters: their order, merging and clipping, and that no run is lost
 * when there are too many. */

#include "config.h"

#include "check/cluster-map.h"

#include "test-util.h"

static Qcow2Run
make_run (Qcow2Owner kind, guint32 bitmap, guint64 start, guint32 n,
          guint64 pointer)
{
  const Qcow2Run run = { .start = start,
                         .pointer = pointer,
                         .n = n,
                         .bitmap = bitmap & 0xffffff,
                         .kind = kind & 0x7f };

  return run;
}

static void
add (Qcow2ClusterMap *map, Qcow2Owner kind, guint32 bitmap, guint64 start,
     guint32 n, guint64 pointer)
{
  qcow2_cluster_map_add (map, make_run (kind, bitmap, start, n, pointer));
}

/* Sorts MAP and returns its runs as START+N@POINTER, with a "<" before each
 * clipped run. */
static char *
show (Qcow2ClusterMap *map)
{
  g_autoptr (GString) text = g_string_new (NULL);

  qcow2_cluster_map_sort (map);
  for (guint i = 0; i < qcow2_cluster_map_get_n (map); i++)
    {
      const Qcow2Run *run = qcow2_cluster_map_get (map, i);

      g_string_append_printf (
          text, "%s%s%" G_GUINT64_FORMAT "+%u@%" G_GUINT64_FORMAT,
          i > 0 ? " " : "", run->clipped ? "<" : "", run->start, run->n,
          run->pointer);
    }

  return g_strdup (text->str);
}

static void
assert_runs (Qcow2ClusterMap *map, const char *expected)
{
  g_autofree char *text = show (map);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_empty (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  assert_runs (map, "");
  g_assert_cmpuint (qcow2_cluster_map_get_low (map), ==, 0);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, G_MAXUINT64);
  g_assert_false (qcow2_cluster_map_is_crowded (map));

  /* A range of no clusters adds no run. */
  add (map, QCOW2_OWNER_TABLE, 0, 5, 0, 1);
  assert_runs (map, "");
}

/* Runs are sorted by start, then by kind, then by pointer. */
static void
test_order (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  add (map, QCOW2_OWNER_BITS, 1, 7, 1, 900);
  add (map, QCOW2_OWNER_BITS, 0, 7, 1, 800);
  add (map, QCOW2_OWNER_TABLE, 0, 7, 2, 1000);
  add (map, QCOW2_OWNER_L1_TABLE, QCOW2_RUN_NO_BITMAP, 7, 3, 2000);
  add (map, QCOW2_OWNER_BITS, 5, 3, 9, 70);
  add (map, QCOW2_OWNER_L1_TABLE, QCOW2_RUN_NO_BITMAP,
       G_GUINT64_CONSTANT (0x100000001), 1, 5);
  add (map, QCOW2_OWNER_BITS, 2, 1, 1, 5000);
  assert_runs (map, "1+1@5000 3+9@70 7+3@2000 7+2@1000 7+1@800 7+1@900 "
                    "4294967297+1@5");

  /* A run that is added later is sorted in, too. */
  add (map, QCOW2_OWNER_TABLE, 3, 2, 1, 4);
  assert_runs (map, "1+1@5000 2+1@4 3+9@70 7+3@2000 7+2@1000 7+1@800 "
                    "7+1@900 4294967297+1@5");
}

static void
test_fields (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  add (map, QCOW2_OWNER_BITS, 65534, 2, 1, 8);
  add (map, QCOW2_OWNER_DIRECTORY, QCOW2_RUN_NO_BITMAP, 3, 4, 9);
  qcow2_cluster_map_sort (map);
  g_assert_cmpuint (qcow2_cluster_map_get (map, 0)->bitmap, ==, 65534);
  g_assert_cmpuint (qcow2_cluster_map_get (map, 0)->kind, ==,
                    QCOW2_OWNER_BITS);
  g_assert_cmpuint (qcow2_cluster_map_get (map, 1)->bitmap, ==,
                    QCOW2_RUN_NO_BITMAP);
  g_assert_cmpuint (qcow2_cluster_map_get (map, 1)->kind, ==,
                    QCOW2_OWNER_DIRECTORY);
}

/* Data runs are merged when the table entries are adjacent and the clusters
 * are, too. */
static void
test_merge (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  add (map, QCOW2_OWNER_BITS, 4, 10, 1, 800);
  add (map, QCOW2_OWNER_BITS, 4, 11, 1, 808);
  add (map, QCOW2_OWNER_BITS, 4, 12, 3, 816);
  add (map, QCOW2_OWNER_BITS, 4, 15, 1, 840);
  assert_runs (map, "10+6@800");
}

typedef struct
{
  const char *path;
  Qcow2Owner kind;
  guint32 bitmap;
  guint64 start;
  guint32 n;
  guint64 pointer;
  const char *runs;
} MergeRow;

/* A second run, added after two data clusters of bitmap 4 from 10 on, whose
 * pointer is 800. */
static const MergeRow merge_rows[] = {
  { "same", QCOW2_OWNER_BITS, 4, 12, 1, 816, "10+3@800" },
  { "other-bitmap", QCOW2_OWNER_BITS, 5, 12, 1, 816, "10+2@800 12+1@816" },
  { "table", QCOW2_OWNER_TABLE, 4, 12, 1, 816, "10+2@800 12+1@816" },
  { "gap", QCOW2_OWNER_BITS, 4, 13, 1, 816, "10+2@800 13+1@816" },
  { "inside", QCOW2_OWNER_BITS, 4, 11, 1, 816, "10+2@800 11+1@816" },
  { "same-cluster", QCOW2_OWNER_BITS, 4, 10, 1, 816, "10+2@800 10+1@816" },
  { "before", QCOW2_OWNER_BITS, 4, 9, 1, 792, "9+1@792 10+2@800" },
  { "gap-in-table", QCOW2_OWNER_BITS, 4, 12, 1, 824, "10+2@800 12+1@824" },
  { "same-entry", QCOW2_OWNER_BITS, 4, 12, 1, 800, "10+2@800 12+1@800" },
  { "long", QCOW2_OWNER_BITS, 4, 12, G_MAXUINT32 - 2, 816,
    "10+4294967295@800" },
  { "too-long", QCOW2_OWNER_BITS, 4, 12, G_MAXUINT32 - 1, 816,
    "10+2@800 12+4294967294@816" },
};

static void
test_merge_row (gconstpointer data)
{
  const MergeRow *row = data;
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  add (map, QCOW2_OWNER_BITS, 4, 10, 2, 800);
  add (map, row->kind, row->bitmap, row->start, row->n, row->pointer);
  assert_runs (map, row->runs);
}

/* A table has a single pointer, so that two adjacent tables are not merged. */
static void
test_merge_no_tables (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  add (map, QCOW2_OWNER_TABLE, 4, 10, 1, 800);
  add (map, QCOW2_OWNER_TABLE, 4, 11, 1, 808);
  add (map, QCOW2_OWNER_BITS, 4, 12, 1, 816);
  assert_runs (map, "10+1@800 11+1@808 12+1@816");
}

static void
test_clip_low (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  add (map, QCOW2_OWNER_TABLE, 0, 1, 1, 1);
  qcow2_cluster_map_start (map, 100);
  g_assert_cmpuint (qcow2_cluster_map_get_low (map), ==, 100);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, G_MAXUINT64);
  assert_runs (map, "");

  add (map, QCOW2_OWNER_TABLE, 0, 90, 10, 1); /* ends before the map */
  add (map, QCOW2_OWNER_TABLE, 0, 90, 11, 2); /* extends into the map */
  add (map, QCOW2_OWNER_BITS, 0, 95, 7, 1000);
  add (map, QCOW2_OWNER_TABLE, 0, 100, 4, 3); /* begins with the map */
  assert_runs (map, "<100+1@2 100+4@3 <100+2@1040");
}

/* A clipped run is merged with the next one as usual. */
static void
test_clip_and_merge (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  qcow2_cluster_map_start (map, 100);
  add (map, QCOW2_OWNER_BITS, 0, 99, 1, 992);
  add (map, QCOW2_OWNER_BITS, 0, 98, 3, 984);
  add (map, QCOW2_OWNER_BITS, 0, 101, 1, 1008);
  assert_runs (map, "<100+2@1000");
}

/* Fills MAP with as many runs of one cluster as it can hold, from START on,
 * STEP clusters apart. */
static void
fill (Qcow2ClusterMap *map, guint64 start, guint64 step)
{
  for (guint64 i = 0; i < QCOW2_CLUSTER_MAP_RUNS; i++)
    add (map, QCOW2_OWNER_TABLE, 0, start + i * step, 1, i);
}

static void
test_full (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  fill (map, 10, 1);
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==, QCOW2_CLUSTER_MAP_RUNS);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, G_MAXUINT64);

  /* One more run at the end: the map drops its upper half and that run. */
  add (map, QCOW2_OWNER_TABLE, 0, 1 << 20, 1, 0);
  const guint64 high = qcow2_cluster_map_get_high (map);
  g_assert_cmpuint (high, ==, 10 + QCOW2_CLUSTER_MAP_RUNS / 2);
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==,
                    QCOW2_CLUSTER_MAP_RUNS / 2);
  g_assert_false (qcow2_cluster_map_is_crowded (map));

  /* From now on the map ends at HIGH. */
  add (map, QCOW2_OWNER_TABLE, 1, high, 5, 1);
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==,
                    QCOW2_CLUSTER_MAP_RUNS / 2);
  add (map, QCOW2_OWNER_TABLE, 1, high - 2, 5, 1);
  qcow2_cluster_map_sort (map);
  for (guint i = 0; i < qcow2_cluster_map_get_n (map); i++)
    {
      const Qcow2Run *run = qcow2_cluster_map_get (map, i);

      g_assert_cmpuint (run->start + run->n, <=, high);
      if (run->bitmap == 1)
        g_assert_cmpuint (run->n, ==, 2);
    }
}

/* A run that was added before the map became smaller is shortened as well, but
 * it is not marked as clipped, because it begins here. */
static void
test_full_clips (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();
  const Qcow2Run *run;

  add (map, QCOW2_OWNER_BITS, 1, 0, 1 << 30, 80);
  fill (map, 1, 1);
  qcow2_cluster_map_sort (map);
  const guint64 high = qcow2_cluster_map_get_high (map);
  run = qcow2_cluster_map_get (map, 0);
  g_assert_cmpuint (high, <, G_MAXUINT64);
  g_assert_cmpuint (run->start, ==, 0);
  g_assert_cmpuint (run->n, ==, high);
  g_assert_false (run->clipped);

  /* The next collection has the rest of the run. */
  qcow2_cluster_map_start (map, high);
  add (map, QCOW2_OWNER_BITS, 1, 0, 1 << 30, 80);
  run = qcow2_cluster_map_get (map, 0);
  g_assert_cmpuint (run->start, ==, high);
  g_assert_cmpuint (run->n, ==, (1 << 30) - high);
  g_assert_cmpuint (run->pointer, ==, 80 + high * 8);
  g_assert_true (run->clipped);
}

/* The run that does not fit in the full map is shortened, too. */
static void
test_full_clips_last (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  fill (map, 10, 1);
  add (map, QCOW2_OWNER_TABLE, 1, 1, 1 << 30, 1);
  qcow2_cluster_map_sort (map);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==,
                    10 + QCOW2_CLUSTER_MAP_RUNS / 2);
  g_assert_cmpuint (qcow2_cluster_map_get (map, 0)->bitmap, ==, 1);
  g_assert_cmpuint (qcow2_cluster_map_get (map, 0)->n, ==,
                    9 + QCOW2_CLUSTER_MAP_RUNS / 2);
}

/* A run that extends the previous one needs no room. */
static void
test_full_merge (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  for (guint64 i = 1; i < QCOW2_CLUSTER_MAP_RUNS; i++)
    add (map, QCOW2_OWNER_TABLE, 0, i, 1, i);
  add (map, QCOW2_OWNER_BITS, 1, 1 << 20, 1, 80);
  add (map, QCOW2_OWNER_BITS, 1, (1 << 20) + 1, 1, 88);
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==, QCOW2_CLUSTER_MAP_RUNS);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, G_MAXUINT64);
}

/* Too many runs for a single cluster are left to a collection that begins at
 * that cluster.  There, the last ones are left out, and the map ends before
 * the next cluster. */
static void
test_crowd (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();

  add (map, QCOW2_OWNER_TABLE, 1, 3, 1, 1);
  fill (map, 7, 0);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, 7);
  g_assert_false (qcow2_cluster_map_is_crowded (map));
  assert_runs (map, "3+1@1");

  qcow2_cluster_map_start (map, 7);
  fill (map, 7, 0);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, G_MAXUINT64);
  g_assert_false (qcow2_cluster_map_is_crowded (map));
  add (map, QCOW2_OWNER_TABLE, 1, 3, 4, 1); /* ends before */
  g_assert_false (qcow2_cluster_map_is_crowded (map));
  add (map, QCOW2_OWNER_TABLE, 1, 3, 6, 1);
  g_assert_true (qcow2_cluster_map_is_crowded (map));
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==, QCOW2_CLUSTER_MAP_RUNS);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, 8);
  add (map, QCOW2_OWNER_TABLE, 1, 7, 1, 1);
  add (map, QCOW2_OWNER_TABLE, 1, 8, 1, 1);
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==, QCOW2_CLUSTER_MAP_RUNS);

  /* Adding a run that has no room takes no time. */
  for (guint i = 0; i < 1000000; i++)
    add (map, QCOW2_OWNER_TABLE, 1, 7, 1, i);
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==, QCOW2_CLUSTER_MAP_RUNS);

  qcow2_cluster_map_start (map, 8);
  g_assert_false (qcow2_cluster_map_is_crowded (map));
  add (map, QCOW2_OWNER_TABLE, 1, 3, 6, 1);
  assert_runs (map, "<8+1@1");
}

/* The first cluster has more than half of the runs, but not too many. */
static void
test_half_crowd (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();
  const guint half = QCOW2_CLUSTER_MAP_RUNS / 2 + 1;

  for (guint i = 0; i < half; i++)
    add (map, QCOW2_OWNER_TABLE, 0, 0, 1, i);
  for (guint i = 0; i < half; i++)
    add (map, QCOW2_OWNER_TABLE, 0, 5 + i, 1, i);
  g_assert_cmpuint (qcow2_cluster_map_get_high (map), ==, 1);
  g_assert_cmpuint (qcow2_cluster_map_get_n (map), ==, half);
  g_assert_false (qcow2_cluster_map_is_crowded (map));
}

/* Adds many runs in random order, over several collections.  Compares the
 * number of runs in each cluster, and a checksum over them. */

#define N_CLUSTERS 2000000u
#define N_RANDOM 1600000u

typedef struct
{
  guint32 n;
  guint64 sum;
} Cluster;

static guint64
mix (guint64 value)
{
  value ^= value >> 31;
  value *= G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  value ^= value >> 29;
  value *= G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  return value ^ value >> 32;
}

static void
count_run (Cluster *clusters, const Qcow2Run *run)
{
  for (guint32 i = 0; i < run->n; i++)
    {
      const guint64 step = run->kind == QCOW2_OWNER_BITS ? 8 : 0;
      Cluster *cluster = &clusters[run->start + i];

      cluster->n++;
      cluster->sum += mix (run->pointer + i * step)
                      ^ mix ((guint64) run->bitmap << 8 | run->kind);
    }
}

static Qcow2Run *
make_random_runs (Cluster *clusters)
{
  Qcow2Run *runs = g_new (Qcow2Run, N_RANDOM);

  for (guint i = 0; i < N_RANDOM; i++)
    {
      const guint32 n = 1 + (guint32) g_test_rand_int_range (0, 5);
      const guint32 longer = g_test_rand_int_range (0, 1000) == 0 ? 700 : 0;
      const Qcow2Owner kind
          = g_test_rand_bit () ? QCOW2_OWNER_BITS : QCOW2_OWNER_TABLE;

      /* The pointers are far apart, so that no runs are merged. */
      runs[i]
          = make_run (kind, (guint32) g_test_rand_int_range (0, 65535),
                      (guint64) g_test_rand_int_range (0, N_CLUSTERS - 800),
                      n + longer, (guint64) i << 20);
      count_run (clusters, &runs[i]);
    }

  return runs;
}

/* Asserts that the sorted MAP is in order and within its bounds, and adds its
 * contents to CLUSTERS.  Returns the number of runs that begin in MAP. */
static guint
take_round (Qcow2ClusterMap *map, Cluster *clusters)
{
  const guint64 low = qcow2_cluster_map_get_low (map);
  const guint64 high = qcow2_cluster_map_get_high (map);
  guint64 last = 0;
  guint n_begun = 0;

  for (guint i = 0; i < qcow2_cluster_map_get_n (map); i++)
    {
      const Qcow2Run *run = qcow2_cluster_map_get (map, i);

      g_assert_cmpuint (run->start, >=, MAX (low, last));
      g_assert_cmpuint (run->n, >, 0);
      g_assert_cmpuint (run->start + run->n, <=, high);
      if (run->clipped)
        g_assert_cmpuint (run->start, ==, low);
      n_begun += !run->clipped;
      last = run->start;
      count_run (clusters, run);
    }

  return n_begun;
}

static void
test_random (void)
{
  g_autoptr (Qcow2ClusterMap) map = qcow2_cluster_map_new ();
  g_autofree Cluster *wanted = g_new0 (Cluster, N_CLUSTERS);
  g_autofree Cluster *found = g_new0 (Cluster, N_CLUSTERS);
  g_autofree Qcow2Run *runs = make_random_runs (wanted);
  guint n_begun = 0;
  guint rounds = 0;

  while (TRUE)
    {
      /* Each round starts to add at another run. */
      const guint first = (guint) g_test_rand_int_range (0, N_RANDOM);

      for (guint i = 0; i < N_RANDOM; i++)
        qcow2_cluster_map_add (map, runs[(first + i) % N_RANDOM]);
      qcow2_cluster_map_sort (map);
      n_begun += take_round (map, found);
      rounds++;
      g_assert_false (qcow2_cluster_map_is_crowded (map));
      g_assert_cmpuint (qcow2_cluster_map_get_n (map), <=,
                        QCOW2_CLUSTER_MAP_RUNS);

      const guint64 high = qcow2_cluster_map_get_high (map);
      if (high == G_MAXUINT64)
        break;

      /* With small rounds this loop would never end. */
      g_assert_cmpuint (qcow2_cluster_map_get_n (map), >,
                        QCOW2_CLUSTER_MAP_RUNS / 3);
      qcow2_cluster_map_start (map, high);
    }

  g_assert_cmpuint (rounds, >=, 4);
  g_assert_cmpuint (n_begun, ==, N_RANDOM);
  for (guint i = 0; i < N_CLUSTERS; i++)
    {
      g_assert_cmpuint (found[i].n, ==, wanted[i].n);
      g_assert_cmpuint (found[i].sum, ==, wanted[i].sum);
    }
}

static void
test_free_null (void)
{
  qcow2_cluster_map_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cluster-map/empty", test_empty);
  g_test_add_func ("/cluster-map/order", test_order);
  g_test_add_func ("/cluster-map/fields", test_fields);
  g_test_add_func ("/cluster-map/merge/several", test_merge);
  for (gsize i = 0; i < G_N_ELEMENTS (merge_rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/cluster-map/merge/%s", merge_rows[i].path);

      g_test_add_data_func (path, &merge_rows[i], test_merge_row);
    }
  g_test_add_func ("/cluster-map/merge/no-tables", test_merge_no_tables);
  g_test_add_func ("/cluster-map/clip/low", test_clip_low);
  g_test_add_func ("/cluster-map/clip/merge", test_clip_and_merge);
  g_test_add_func ("/cluster-map/full", test_full);
  g_test_add_func ("/cluster-map/full/clips", test_full_clips);
  g_test_add_func ("/cluster-map/full/clips-last", test_full_clips_last);
  g_test_add_func ("/cluster-map/full/merge", test_full_merge);
  g_test_add_func ("/cluster-map/crowd", test_crowd);
  g_test_add_func ("/cluster-map/crowd/half", test_half_crowd);
  if (!RUNNING_SLOWLY)
    g_test_add_func ("/cluster-map/random", test_random);
  g_test_add_func ("/cluster-map/free-null", test_free_null);
  return g_test_run ();
}
