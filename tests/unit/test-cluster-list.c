/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs of clusters: their order, merging, and how many there may be. */

#include "config.h"

#include "check/cluster-list.h"

#include "test-util.h"

static Qcow2Run
make_run (Qcow2Owner kind, guint32 bitmap, guint64 start, guint32 n,
          guint64 pointer)
{
  const Qcow2Run run = { .start = start,
                         .pointer = pointer,
                         .n = n,
                         .bitmap = bitmap & 0xffffff,
                         .kind = kind & 0xff };

  return run;
}

static void
add (Qcow2ClusterList *list, Qcow2Owner kind, guint32 bitmap, guint64 start,
     guint32 n, guint64 pointer)
{
  const Qcow2Run run = make_run (kind, bitmap, start, n, pointer);

  g_assert_true (qcow2_cluster_list_add (list, &run));
}

/* Sorts LIST and returns its runs as START+N@POINTER. */
static char *
show (Qcow2ClusterList *list)
{
  g_autoptr (GString) text = g_string_new (NULL);

  qcow2_cluster_list_sort (list);
  for (guint i = 0; i < qcow2_cluster_list_get_n (list); i++)
    {
      const Qcow2Run *run = qcow2_cluster_list_get (list, i);

      g_string_append_printf (
          text, "%s%" G_GUINT64_FORMAT "+%u@%" G_GUINT64_FORMAT,
          i > 0 ? " " : "", run->start, run->n, run->pointer);
    }

  return g_strdup (text->str);
}

static void
assert_runs (Qcow2ClusterList *list, const char *expected)
{
  g_autofree char *text = show (list);

  g_assert_cmpstr (text, ==, expected);
}

static void
test_empty (void)
{
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();

  assert_runs (list, "");

  /* A range of no clusters adds no run. */
  add (list, QCOW2_OWNER_TABLE, 0, 5, 0, 1);
  assert_runs (list, "");
}

/* Runs are sorted by start, then by kind, then by pointer. */
static void
test_order (void)
{
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();

  add (list, QCOW2_OWNER_BITS, 1, 7, 1, 900);
  add (list, QCOW2_OWNER_BITS, 0, 7, 1, 800);
  add (list, QCOW2_OWNER_TABLE, 0, 7, 2, 1000);
  add (list, QCOW2_OWNER_L1_TABLE, QCOW2_RUN_NO_BITMAP, 7, 3, 2000);
  add (list, QCOW2_OWNER_BITS, 5, 3, 9, 70);
  add (list, QCOW2_OWNER_L1_TABLE, QCOW2_RUN_NO_BITMAP,
       G_GUINT64_CONSTANT (0x100000001), 1, 5);
  add (list, QCOW2_OWNER_BITS, 2, 1, 1, 5000);
  assert_runs (list, "1+1@5000 3+9@70 7+3@2000 7+2@1000 7+1@800 7+1@900 "
                     "4294967297+1@5");

  /* A run that is added later is sorted in, too. */
  add (list, QCOW2_OWNER_TABLE, 3, 2, 1, 4);
  assert_runs (list, "1+1@5000 2+1@4 3+9@70 7+3@2000 7+2@1000 7+1@800 "
                     "7+1@900 4294967297+1@5");
}

static void
test_fields (void)
{
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();

  add (list, QCOW2_OWNER_BITS, 65534, 2, 1, 8);
  add (list, QCOW2_OWNER_DIRECTORY, QCOW2_RUN_NO_BITMAP, 3, 4, 9);
  qcow2_cluster_list_sort (list);
  g_assert_cmpuint (qcow2_cluster_list_get (list, 0)->bitmap, ==, 65534);
  g_assert_cmpuint (qcow2_cluster_list_get (list, 0)->kind, ==,
                    QCOW2_OWNER_BITS);
  g_assert_cmpuint (qcow2_cluster_list_get (list, 1)->bitmap, ==,
                    QCOW2_RUN_NO_BITMAP);
  g_assert_cmpuint (qcow2_cluster_list_get (list, 1)->kind, ==,
                    QCOW2_OWNER_DIRECTORY);
}

/* Data runs are merged when the table entries are adjacent and the clusters
 * are, too. */
static void
test_merge (void)
{
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();

  add (list, QCOW2_OWNER_BITS, 4, 10, 1, 800);
  add (list, QCOW2_OWNER_BITS, 4, 11, 1, 808);
  add (list, QCOW2_OWNER_BITS, 4, 12, 3, 816);
  add (list, QCOW2_OWNER_BITS, 4, 15, 1, 840);
  assert_runs (list, "10+6@800");
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
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();

  add (list, QCOW2_OWNER_BITS, 4, 10, 2, 800);
  add (list, row->kind, row->bitmap, row->start, row->n, row->pointer);
  assert_runs (list, row->runs);
}

/* A table has a single pointer, so that two adjacent tables are not merged. */
static void
test_merge_no_tables (void)
{
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();

  add (list, QCOW2_OWNER_TABLE, 4, 10, 1, 800);
  add (list, QCOW2_OWNER_TABLE, 4, 11, 1, 808);
  add (list, QCOW2_OWNER_BITS, 4, 12, 1, 816);
  assert_runs (list, "10+1@800 11+1@808 12+1@816");
}

/* Half of the runs are for structures.  A run that continues the one before
 * needs no room. */
static void
test_full (void)
{
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();
  const Qcow2Run data = make_run (QCOW2_OWNER_BITS, 0, 5, 1, 8);
  const Qcow2Run table = make_run (QCOW2_OWNER_TABLE, 0, 5, 1, 8);
  const Qcow2Run none = make_run (QCOW2_OWNER_BITS, 0, 5, 0, 8);
  guint64 i = 0;

  for (; i < QCOW2_CLUSTER_LIST_DATA_RUNS; i++)
    add (list, QCOW2_OWNER_BITS, 1, 2 * i, 1, 8 * i);
  g_assert_false (qcow2_cluster_list_add (list, &data));
  add (list, QCOW2_OWNER_BITS, 1, 2 * i - 1, 1, 8 * i);
  g_assert_cmpuint (qcow2_cluster_list_get_n (list), ==,
                    QCOW2_CLUSTER_LIST_DATA_RUNS);
  g_assert_cmpuint (qcow2_cluster_list_get (list, (guint) i - 1)->n, ==, 2);

  for (; i < QCOW2_CLUSTER_LIST_RUNS; i++)
    add (list, QCOW2_OWNER_TABLE, 0, i, 1, i);
  g_assert_false (qcow2_cluster_list_add (list, &table));
  g_assert_false (qcow2_cluster_list_add (list, &data));
  g_assert_true (qcow2_cluster_list_add (list, &none));
  g_assert_cmpuint (qcow2_cluster_list_get_n (list), ==,
                    QCOW2_CLUSTER_LIST_RUNS);
}

/* Adds many runs in random order.  Compares the number of runs in each
 * cluster, and a checksum over them. */

#define N_CLUSTERS 2000000u
#define N_RANDOM 1000000u

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

static void
test_random (void)
{
  g_autoptr (Qcow2ClusterList) list = qcow2_cluster_list_new ();
  g_autofree Cluster *wanted = g_new0 (Cluster, N_CLUSTERS);
  g_autofree Cluster *found = g_new0 (Cluster, N_CLUSTERS);
  g_autofree Qcow2Run *runs = make_random_runs (wanted);
  guint64 last = 0;

  for (guint i = 0; i < N_RANDOM; i++)
    g_assert_true (qcow2_cluster_list_add (list, &runs[i]));
  qcow2_cluster_list_sort (list);

  g_assert_cmpuint (qcow2_cluster_list_get_n (list), ==, N_RANDOM);
  for (guint i = 0; i < N_RANDOM; i++)
    {
      const Qcow2Run *run = qcow2_cluster_list_get (list, i);

      g_assert_cmpuint (run->start, >=, last);
      last = run->start;
      count_run (found, run);
    }
  for (guint i = 0; i < N_CLUSTERS; i++)
    {
      g_assert_cmpuint (found[i].n, ==, wanted[i].n);
      g_assert_cmpuint (found[i].sum, ==, wanted[i].sum);
    }
}

static void
test_free_null (void)
{
  qcow2_cluster_list_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/cluster-list/empty", test_empty);
  g_test_add_func ("/cluster-list/order", test_order);
  g_test_add_func ("/cluster-list/fields", test_fields);
  g_test_add_func ("/cluster-list/merge/several", test_merge);
  for (gsize i = 0; i < G_N_ELEMENTS (merge_rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/cluster-list/merge/%s", merge_rows[i].path);

      g_test_add_data_func (path, &merge_rows[i], test_merge_row);
    }
  g_test_add_func ("/cluster-list/merge/no-tables", test_merge_no_tables);
  g_test_add_func ("/cluster-list/full", test_full);
  if (!RUNNING_SLOWLY)
    g_test_add_func ("/cluster-list/random", test_random);
  g_test_add_func ("/cluster-list/free-null", test_free_null);
  return g_test_run ();
}
