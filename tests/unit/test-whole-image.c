/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The check of the disk: the numbers of qemu-img check 7.2 about the same
 * images, and the limits of the census. */

#include "config.h"

#include "check/whole-image.h"

#include "check/census.h"

#include "check-util.h"

/* In cluster-512, the refcounts of the clusters begin at 0x400, with two bytes
 * each, and the L1 table of 32 entries at 0x600.  The L2 table of all of them
 * is made to be at 0x1000, which is cluster 8. */
#define L1_ENTRY "0000000000001000"
#define L2_REFCOUNT "0x410:"
#define WITH_L2_TABLE " size=0x2000"

typedef struct
{
  const char *path;
  const char *image;
  const char *patch;
  guint n_entries; /* of the L1 table that point to the L2 table */
  Qcow2CheckNumbers numbers;
} NumbersRow;

/* clang-format off */
static const NumbersRow rows[] = {
  { "sound", "two-bitmaps", "", 0, { 2949120, 1024, 36, 0, 0, 0, 0, 0, FALSE } },
  { "compressed", "l2-entry-compressed", "", 0,
    { 2949120, 1024, 36, 1, 1, 0, 0, 0, FALSE } },
  { "overlap", "l2-entry-on-l1", "", 0,
    { 2949120, 1024, 36, 1, 0, 1, 1, 0, FALSE } },
  { "leak", "refcount-guest-2", "", 0,
    { 2949120, 1024, 36, 0, 0, 0, 1, 0, FALSE } },
  { "unreadable-block", "refcount-block-unaligned", "", 0,
    { 65536, 1024, 36, 0, 0, 1, 0, 45, FALSE } },

  /* Counts of 31 and more do not fit into the byte of a cluster. */
  { "references/30", "cluster-512", L2_REFCOUNT "001e" WITH_L2_TABLE, 30,
    { 4608, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "references/31", "cluster-512", L2_REFCOUNT "001f" WITH_L2_TABLE, 31,
    { 4608, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "references/32", "cluster-512", L2_REFCOUNT "0020" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "references/32-of-0", "cluster-512", L2_REFCOUNT "0000" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 1, 0, 0, FALSE } },
  { "references/32-of-31", "cluster-512", L2_REFCOUNT "001f" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 1, 0, 0, FALSE } },
  { "references/32-of-33", "cluster-512", L2_REFCOUNT "0021" WITH_L2_TABLE, 32,
    { 4608, 2048, 0, 0, 0, 0, 1, 0, FALSE } },

  /* Zeroes after the last cluster in use change nothing.  16 rounds of 2^25
   * clusters cover 2^29: those of the file, and the one after it. */
  { "clusters/several-rounds", "cluster-512", "size=0xc00000000", 0,
    { 3584, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
  { "clusters/all-rounds", "cluster-512", "size=0x3ffffffe00", 0,
    { 3584, 2048, 0, 0, 0, 0, 0, 0, FALSE } },
};
/* clang-format on */

/* Returns a check of IMAGE with PATCH, and with N_ENTRIES references to an L2
 * table. */
static void
check_patched (Checked *c, const char *image, const char *patch,
               guint n_entries)
{
  g_autoptr (GString) patches = g_string_new (patch);

  for (guint i = 0; i < n_entries; i++)
    g_string_append_printf (patches, " 0x%x:" L1_ENTRY, 0x600 + 8 * i);
  checked_open_source (
      c, open_source (image, patches->len > 0 ? patches->str : NULL));
  c->with_disk = TRUE;
  checked_run (c);
}

static void
assert_numbers (const Checked *c, const Qcow2CheckNumbers *want)
{
  for (const Qcow2Field *it = qcow2_check_number_fields; it->name != NULL;
       it++)
    {
      g_test_message ("%s", it->name);
      g_assert_cmpuint (qcow2_field_get_number (it, &c->numbers), ==,
                        qcow2_field_get_number (it, want));
    }
  g_assert_false (c->numbers.is_incomplete);
}

static void
test_numbers (gconstpointer data)
{
  const NumbersRow *row = data;
  g_auto (Checked) c = { 0 };

  check_patched (&c, row->image, row->patch, row->n_entries);
  assert_numbers (&c, &row->numbers);
}

/* A table whose 64 entries refer to the clusters after it, in order, except
 * for entry or cluster I, and what that changes. */
typedef struct
{
  const char *path;
  guint64 entry;           /* instead of 0; PREVIOUS: that of I - 1 */
  guint64 flipped;         /* bits of the entry */
  guint refcount;          /* of the cluster */
  Qcow2CheckNumbers delta; /* between the first entry and the last one */
} RunRow;

#define N_RUN 64
#define PREVIOUS 1
#define COPIED (G_GUINT64_CONSTANT (1) << 63)

/* clang-format off */
static const RunRow run_rows[] = {
  { "sound", 0, 0, 1, { 0, 0, 0, 0, 0, 0, 0, 0, FALSE } },
  { "no-flag", 0, COPIED, 1, { 0, 0, 0, 0, 0, 1, 0, 0, FALSE } },
  { "refcount-0", 0, 0, 0, { 0, 0, 0, 0, 0, 2, 0, 0, FALSE } },
  { "refcount-2", 0, 0, 2, { 0, 0, 0, 0, 0, 1, 1, 0, FALSE } },
  { "refcount-2-no-flag", 0, COPIED, 2, { 0, 0, 0, 0, 0, 0, 1, 0, FALSE } },
  { "refcount-300", 0, COPIED, 300, { 0, 0, 0, 0, 0, 0, 1, 0, FALSE } },
  { "reserved", 0, 2, 1, { 0, 0, 0, 0, 0, 1, 0, 0, FALSE } },
  { "previous", PREVIOUS, 0, 1, { 0, 0, 0, 2, 0, 1, 1, 0, FALSE } },
};
/* clang-format on */

static void
test_run (gconstpointer data)
{
  const RunRow *row = data;

  for (guint i = 1; i < N_RUN - 1; i++)
    {
      g_autoptr (GString) patch
          = g_string_new ("size=0x9200 0x600:8000000000001000 0x410:0001");
      Qcow2CheckNumbers want = { 0x9200, 2048, N_RUN, 0, 0, 0, 0, 0, FALSE };
      g_auto (Checked) c = { 0 };

      for (guint k = 0; k < N_RUN; k++)
        {
          const gboolean is_odd = k == i;
          const guint cluster
              = 9 + k - (is_odd && row->entry == PREVIOUS ? 1 : 0);

          g_string_append_printf (
              patch, " 0x%x:%016" G_GINT64_MODIFIER "x 0x%x:%04x",
              0x1000 + 8 * k,
              (COPIED | (guint64) cluster << 9) ^ (is_odd ? row->flipped : 0),
              0x400 + 2 * (9 + k), is_odd ? row->refcount : 1);
        }
      want.fragmented_clusters += row->delta.fragmented_clusters;
      want.corruptions += row->delta.corruptions;
      want.leaks += row->delta.leaks;
      check_patched (&c, "cluster-512", patch->str, 0);
      assert_numbers (&c, &want);
    }
}

/* The last N clusters of the same run are after the end of the file. */
static void
test_run_after_end (void)
{
  for (guint n = 1; n < 17; n++)
    {
      const guint64 size = 0x9200 - n * 512;
      const Qcow2CheckNumbers want
          = { size, 2048, N_RUN, 0, 0, n, 0, 0, FALSE };
      g_autoptr (GString) patch = g_string_new (NULL);
      g_auto (Checked) c = { 0 };

      g_string_printf (patch,
                       "size=0x%" G_GINT64_MODIFIER
                       "x 0x600:8000000000001000 0x410:0001",
                       size);
      for (guint k = 0; k < N_RUN; k++)
        g_string_append_printf (
            patch, " 0x%x:%016" G_GINT64_MODIFIER "x 0x%x:0001",
            0x1000 + 8 * k, COPIED | (9 + k) * 512, 0x400 + 2 * (9 + k));
      check_patched (&c, "cluster-512", patch->str, 0);
      assert_numbers (&c, &want);
    }
}

/* Refcounts of clusters that nothing refers to, at the borders of what is
 * compared at a time. */
static void
test_leak (void)
{
  static const guint clusters[] = { 7, 8, 126, 127, 128, 129, 191, 254, 255 };

  for (guint i = 0; i < G_N_ELEMENTS (clusters); i++)
    {
      const Qcow2CheckNumbers want
          = { (clusters[i] + 1) * 512, 2048, 0, 0, 0, 0, 1, 0, FALSE };
      g_autofree char *patch = g_strdup_printf ("size=0x20000 0x%x:0001",
                                                0x400 + 2 * clusters[i]);
      g_auto (Checked) c = { 0 };

      check_patched (&c, "cluster-512", patch, 0);
      assert_numbers (&c, &want);
    }
}

/* Every second refcount of the clusters 128 to 255 is 1, in bytes that are
 * equal. */
static void
test_leak_in_byte (void)
{
  static const struct
  {
    guint order;      /* of the refcounts */
    const char *used; /* refcounts of the clusters 0 to 6 */
    const char *leak; /* byte of the others */
  } widths[]
      = { { 0, "7f", "55" }, { 1, "5515", "11" }, { 2, "11111101", "01" } };

  for (guint i = 0; i < G_N_ELEMENTS (widths); i++)
    {
      const guint n_bytes = 16u << widths[i].order; /* of 128 refcounts */
      const Qcow2CheckNumbers want
          = { 255 * 512, 2048, 0, 0, 0, 0, 64, 0, FALSE };
      g_autoptr (GString) patch = g_string_new (NULL);
      g_auto (Checked) c = { 0 };

      g_string_printf (patch, "size=0x20000 0x60:%08x 0x400:%s",
                       widths[i].order, widths[i].used);
      for (guint k = (guint) strlen (widths[i].used) / 2; k < 2 * n_bytes; k++)
        g_string_append (patch, k < n_bytes ? "00" : widths[i].leak);
      check_patched (&c, "cluster-512", patch->str, 0);
      assert_numbers (&c, &want);
    }
}

/* Clusters of L2 tables that guest data shares, in cluster-512.  The tables
 * are at 0x1000 and 0x1200; each covers 0x8000 bytes. */
#define TWO_L2_TABLES "0x600:80000000000010000000000000001200" WITH_L2_TABLE

typedef struct
{
  const char *path;
  const char *patch;
  const char *want[3]; /* messages of OVL-03 and RC-01 */
  guint64 corruptions; /* as qemu-img counts them */
} OverlapRow;

/* clang-format off */
static const OverlapRow overlap_rows[] = {
  { "guest-first", TWO_L2_TABLES " 0x410:00010002 0x1000:0000000000001200",
    { "0x200 bytes at 0x1200 belong to the L2 table of guest offset 0x8000"
      " (by 0x608) as well as to guest offset 0x0 (by 0x1000)" }, 0 },
  { "guest-last", "0x600:00000000000010008000000000001200" WITH_L2_TABLE
    " 0x410:00020001 0x1200:0000000000001000",
    { "0x200 bytes at 0x1000 belong to the L2 table of guest offset 0x0"
      " (by 0x600) as well as to guest offset 0x8000 (by 0x1200)" }, 0 },
  { "guest-first/refcount-1",
    TWO_L2_TABLES " 0x410:00010001 0x1000:0000000000001200",
    { "0x200 bytes at 0x1200 belong to the L2 table of guest offset 0x8000"
      " (by 0x608) as well as to guest offset 0x0 (by 0x1000)" }, 3 },
  { "two-guests-first", TWO_L2_TABLES
    " 0x410:00010003 0x1000:00000000000012000000000000001200",
    { "0x200 bytes at 0x1200 belong to the L2 table of guest offset 0x8000"
      " (by 0x608) as well as to guest offset 0x0 (by 0x1000)" }, 0 },

  /* Clusters in a row with the refcount 1 and two references each. */
  { "run/two-tables", "0x600:80000000000010008000000000001200" WITH_L2_TABLE
    " 0x410:00010001 0x1000:80000000000010008000000000001200",
    { "0x200 bytes at 0x1000 belong to the L2 table of guest offset 0x0"
      " (by 0x600) as well as to guest offset 0x0 (by 0x1000)",
      "0x200 bytes at 0x1200 belong to the L2 table of guest offset 0x8000"
      " (by 0x608) as well as to guest offset 0x200 (by 0x1008)" }, 2 },
  { "run/table-last", "0x600:8000000000001000" WITH_L2_TABLE
    " 0x40e:00010001 0x1000:8000000000000e008000000000000e00"
    "8000000000001000",
    { "the refcount of 0x200 bytes at 0xe00 is 1, the number of references 2:"
      " guest offset 0x0 (by 0x1000), guest offset 0x200 (by 0x1008)",
      "0x200 bytes at 0x1000 belong to the L2 table of guest offset 0x0"
      " (by 0x600) as well as to guest offset 0x400 (by 0x1010)" }, 2 },
  { "run/table-between", "0x600:8000000000001000" WITH_L2_TABLE
    " 0x40e:000100010001 0x1000:8000000000000e008000000000000e00"
    "800000000000100080000000000012008000000000001200",
    { "the refcount of 0x200 bytes at 0xe00 is 1, the number of references 2:"
      " guest offset 0x0 (by 0x1000), guest offset 0x200 (by 0x1008)",
      "0x200 bytes at 0x1000 belong to the L2 table of guest offset 0x0"
      " (by 0x600) as well as to guest offset 0x400 (by 0x1010)",
      "the refcount of 0x200 bytes at 0x1200 is 1, the number of references 2:"
      " guest offset 0x600 (by 0x1018), guest offset 0x800 (by 0x1020)" }, 3 },
};
/* clang-format on */

static void
test_overlap (gconstpointer data)
{
  const OverlapRow *row = data;
  g_auto (Checked) c = { 0 };
  guint n = 0;

  check_patched (&c, "cluster-512", row->patch, 0);
  g_assert_cmpuint (c.numbers.corruptions, ==, row->corruptions);
  g_assert_cmpuint (c.numbers.leaks, ==, 0);
  for (guint i = 0; i < qcow2_findings_get_n (c.findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c.findings, i);

      if (!g_str_equal (finding->rule, "OVL-03")
          && !g_str_equal (finding->rule, "RC-01"))
        continue;
      g_assert_cmpuint (n, <, G_N_ELEMENTS (row->want));
      g_assert_cmpstr (finding->message, ==, row->want[n]);
      n++;
    }
  g_assert_true (n == G_N_ELEMENTS (row->want) || row->want[n] == NULL);
  g_assert_cmpuint (n, >, 0);
}

/* An overlap after more runs of leaks than the owners of which are looked for:
 * guest data is in the L1 table, cluster 3.  Refcounts have 2 bits. */
static void
test_overlap_after_leaks (void)
{
  const Qcow2CheckNumbers want
      = { 2047 * 512, 2048, 1, 0, 0, 0, 1019, 0, FALSE };
  g_autoptr (GString) patch = g_string_new (NULL);
  g_auto (Checked) c = { 0 };

  /* The clusters 10, 12 and so on to 2046 are leaked. */
  g_string_assign (patch, "size=0x100000 0x60:00000001 0x600:8000000000001000"
                          " 0x1000:0000000000000600 0x400:9515");
  for (guint i = 8; i < 2048; i += 4)
    g_string_append (patch, "11");
  check_patched (&c, "cluster-512", patch->str, 0);
  assert_numbers (&c, &want);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_OVL_03)->n, ==,
                    1);
}

/* Guest data is in each of the 1100 clusters of the L1 table, from cluster 26
 * on.  The owners of 1000 are looked for; one finding is about the others. */
static void
test_many_overlaps (void)
{
  const guint n_overlaps = 1100;
  const guint n_tables = 18; /* of 64 entries, from cluster 8 on */
  g_autoptr (GString) patch = g_string_new (NULL);
  g_auto (Checked) c = { 0 };

  g_string_printf (patch, "size=0x100000 0x60:00000001 0x24:%08x%016x 0x3400:",
                   n_overlaps * 64, 26 * 512);
  for (guint i = 0; i < n_tables; i++)
    g_string_append_printf (patch, "80000000%08x", (8 + i) * 512);
  g_string_append (patch, " 0x1000:");
  for (guint i = 0; i < n_overlaps; i++)
    g_string_append_printf (patch, "%016x", (26 + i) * 512);
  g_string_append (patch, " 0x400:151555555555a5");
  for (guint i = 28; i < 26 + n_overlaps; i += 4)
    g_string_append (patch, i + 4 <= 26 + n_overlaps ? "aa" : "0a");
  check_patched (&c, "cluster-512", patch->str, 0);
  g_assert_cmpuint (c.numbers.corruptions, ==, 0);
  g_assert_cmpuint (c.numbers.leaks, ==, 0);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_OVL_03)->n, ==,
                    1001);
}

/* A cluster that 2560 entries of the refcount table call a refcount block: it
 * is one overlap. */
static void
test_repeated_overlap (void)
{
  g_auto (Checked) c = { 0 };

  check_patched (&c, "cluster-512",
                 "size=0x20000 0x30:0000000000010000 0x38:00000028"
                 " 0x10000:0000000000000400*2560",
                 0);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_OVL_01)->n, >,
                    0);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_OVL_03)->n, ==,
                    0);
}

/* RES-08: one cluster more than 16 rounds cover, the one after the end of the
 * file, which need not be that of a cluster. */
static void
test_too_many_clusters (void)
{
  g_auto (Checked) c = { 0 };

  check_patched (&c, "cluster-512", "size=0x3fffffffff", 0);
  const guint n = qcow2_findings_get_n (c.findings);
  g_assert_cmphex (qcow2_findings_get (c.findings, n - 1)->offset, ==,
                   0x3fffffffff);
  g_assert_true (c.numbers.is_incomplete);
  g_assert_cmpuint (c.numbers.leaks, ==, QCOW2_ABSENT);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_RES_08)->n, ==,
                    1);
}

/* The L1 tables of 129 snapshots, which are the same 32 MiB, are not read.  A
 * cluster with a refcount may belong to them. */
static void
test_too_many_snapshots (void)
{
  g_auto (Checked) c = { 0 };

  check_patched (
      &c, "cluster-512",
      "size=0x10000000 0x420:0001"
      " 0x3c:00000081 0x40:0000000000010000"
      " 0x10000:000000000800000000400000"
      "00000000000000000000000000000000000000000000000000000000*129",
      0);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_RES_08)->n, ==,
                    1);
  g_assert_cmpuint (qcow2_findings_get_use (c.findings, QCOW2_RC_02)->n, ==,
                    0);
  g_assert_cmpuint (c.numbers.leaks, ==, QCOW2_ABSENT);
  g_assert_cmpuint (checked_get_source (&c)->n_bytes, <, 1 << 20);
}

/* A table that cannot be read is reported, and leaves no numbers. */
static void
test_unreadable (void)
{
  FakeSource *source = open_source ("two-bitmaps", NULL);
  g_auto (Checked) c = { 0 };

  source->bad_start = 0x40000;
  source->bad_end = 0x50000;
  checked_open_source (&c, source);
  c.with_disk = TRUE;
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 1);
  g_assert_nonnull (strstr (g_ptr_array_index (c.failed, 0), "0x40000"));
  g_assert_cmpuint (c.numbers.corruptions, ==, QCOW2_ABSENT);
  g_assert_true (c.numbers.is_incomplete);
}

/* The snapshot table is read once, and its error reported once. */
static void
test_unreadable_snapshots (void)
{
  FakeSource *source = open_source ("two-snapshots", NULL);
  g_auto (Checked) c = { 0 };

  checked_open_source (&c, source);
  const guint64 start = c.image->header.snapshot_offset;
  checked_set_bad (&c, start, start + 512);
  c.with_disk = TRUE;
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 1);
  g_assert_nonnull (strstr (g_ptr_array_index (c.failed, 0), "snapshot"));
  g_assert_cmpuint (c.numbers.corruptions, ==, QCOW2_ABSENT);
}

/* The file ends before the size of the extra data of the first snapshot. */
static void
test_truncated_snapshot (void)
{
  const guint64 end = 0x60000 + 32;
  FakeSource *source = open_source ("two-snapshots", NULL);
  g_auto (Checked) c = { 0 };
  guint n = 0;

  source->base.size = end;
  checked_open_source (&c, source);
  g_assert_cmphex (c.image->header.snapshot_offset, ==, 0x60000);
  c.with_disk = TRUE;
  checked_run (&c);
  for (guint i = 0; i < qcow2_findings_get_n (c.findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c.findings, i);

      g_assert_cmphex (finding->offset, <=, end);
      n += g_str_equal (finding->rule, "SNAP-01");
    }
  g_assert_cmpuint (n, ==, 1);
}

#define N_CENSUS 600
#define CENSUS_LOW 5

/* Counts in a plain array. */
typedef struct
{
  guint64 counts[N_CENSUS];
  guint64 too_low;
  guint64 too_high;
  guint64 end;
} Naive;

/* Adds references to some clusters of CENSUS and of NAIVE.  They may begin
 * before the part that the census covers, and end after it. */
static void
add_references (Qcow2Census *census, Naive *naive)
{
  static const guint numbers[] = { 1, 1, 1, 2, 28, 29, 30, 31, 32, 100 };
  const guint n = numbers[g_test_rand_int_range (0, G_N_ELEMENTS (numbers))];
  const guint first = (guint) g_test_rand_int_range (0, N_CENSUS);
  const guint end
      = (guint) g_test_rand_int_range ((gint32) first, N_CENSUS + 20);

  g_assert_true (qcow2_census_add (census, first * census->cluster_size,
                                   (end - first) * census->cluster_size, n));
  for (guint i = first; i < MIN (end, N_CENSUS); i++)
    naive->counts[i] += n;
}

static void
on_wrong_run (const Qcow2CensusRun *run, gpointer data)
{
  Naive *naive = data;

  for (guint64 i = run->start; i < run->start + run->n; i++)
    {
      g_assert_cmpuint (run->references, ==, naive->counts[i]);
      naive->counts[i] = G_MAXUINT64; /* seen */
    }
}

/* Many clusters are counted, searched and compared at a time. */
static void
test_census (void)
{
  g_auto (Checked) c = { 0 };
  Naive naive = { { 0 } };
  Qcow2CensusTotals totals = { 0 };
  GError *error = NULL;

  checked_open (&c, "cluster-512", "size=0x80000");
  g_autoptr (Qcow2Refcounts) refcounts = qcow2_refcounts_new (c.image);
  g_autoptr (Qcow2Census) census = qcow2_census_new (c.image, refcounts);
  qcow2_census_start (census, CENSUS_LOW, N_CENSUS - CENSUS_LOW, &error);
  g_assert_no_error (error);
  for (gint i = g_test_rand_int_range (0, 40); i >= 0; i--)
    add_references (census, &naive);

  for (guint i = CENSUS_LOW; i < N_CENSUS; i++)
    g_assert_cmpuint (qcow2_census_get_references (census, i), ==,
                      naive.counts[i]);
  for (guint k = 0; k < 100; k++)
    {
      const guint n = (guint) g_test_rand_int_range (0, 64);
      guint i = (guint) g_test_rand_int_range (CENSUS_LOW, N_CENSUS);
      const guint64 found = qcow2_census_find_more (census, i, N_CENSUS, n);

      while (i < N_CENSUS && naive.counts[i] <= n)
        i++;
      g_assert_cmpuint (found, ==, i);
    }

  for (guint i = CENSUS_LOW; i < N_CENSUS; i++)
    {
      guint64 refcount;
      gboolean unreadable;

      qcow2_census_get_refcount (census, i, &refcount, &unreadable, &error);
      g_assert_no_error (error);
      naive.too_low += refcount < naive.counts[i];
      naive.too_high += refcount > naive.counts[i];
      if (refcount > 0 || naive.counts[i] > 0)
        naive.end = i + 1;
    }
  qcow2_census_compare (census, on_wrong_run, &naive, &totals, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (totals.too_low, ==, naive.too_low);
  g_assert_cmpuint (totals.too_high, ==, naive.too_high);
  g_assert_cmpuint (totals.end, ==, naive.end);
  for (guint i = CENSUS_LOW; i < N_CENSUS; i++)
    naive.too_low -= naive.counts[i] == G_MAXUINT64;
  g_assert_cmpuint (naive.too_low + naive.too_high, ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/whole-image/%s", rows[i].path);

      if (!RUNNING_SLOWLY || !g_str_has_prefix (rows[i].path, "clusters/"))
        g_test_add_data_func (path, &rows[i], test_numbers);
    }
  for (guint i = 0; i < G_N_ELEMENTS (run_rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/whole-image/run/%s", run_rows[i].path);

      g_test_add_data_func (path, &run_rows[i], test_run);
    }
  for (guint i = 0; i < G_N_ELEMENTS (overlap_rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/whole-image/overlap/%s", overlap_rows[i].path);

      g_test_add_data_func (path, &overlap_rows[i], test_overlap);
    }
  for (guint i = 0; i < 20; i++)
    {
      g_autofree char *path = g_strdup_printf ("/whole-image/census/%u", i);

      g_test_add_func (path, test_census);
    }
  g_test_add_func ("/whole-image/overlap/after-leaks",
                   test_overlap_after_leaks);
  g_test_add_func ("/whole-image/overlap/many", test_many_overlaps);
  g_test_add_func ("/whole-image/overlap/repeated", test_repeated_overlap);
  g_test_add_func ("/whole-image/run/after-end", test_run_after_end);
  g_test_add_func ("/whole-image/leak-in-block", test_leak);
  g_test_add_func ("/whole-image/leak-in-byte", test_leak_in_byte);
  if (!RUNNING_SLOWLY)
    g_test_add_func ("/whole-image/too-many-clusters", test_too_many_clusters);
  g_test_add_func ("/whole-image/too-many-snapshots", test_too_many_snapshots);
  g_test_add_func ("/whole-image/unreadable", test_unreadable);
  g_test_add_func ("/whole-image/unreadable-snapshots",
                   test_unreadable_snapshots);
  g_test_add_func ("/whole-image/truncated-snapshot", test_truncated_snapshot);
  return g_test_run ();
}
