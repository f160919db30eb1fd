/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overlaps between structures, and the refcounts of bitmaps: each pair of
 * structures, random images compared with a second opinion, and images that
 * are too large to be examined in one go. */

#include "config.h"

#include "check/check-clusters.h"

#include "check-util.h"
#include "check/cluster-list.h"

#define KIB G_GUINT64_CONSTANT (1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define CLUSTER 512

#define BITMAPS_EXTENSION 0x23852875u
#define CRYPTO_EXTENSION 0x0537be77u

static gboolean
is_about_clusters (const Qcow2Finding *finding)
{
  return g_str_has_prefix (finding->rule, "OVL-")
         || g_str_equal (finding->rule, "REF-01")
         || g_str_equal (finding->rule, "RES-06");
}

/* Asserts that the findings of C about clusters are those in EXPECTED. */
static void
assert_clusters (const Checked *c, const char *expected)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c->findings, i);

      if (is_about_clusters (finding))
        g_ptr_array_add (found,
                         finding_text ("EWI"[finding->severity],
                                       finding -> rule, finding -> offset));
    }

  g_autofree char *text = join_findings (found);
  g_assert_cmpstr (text, ==, expected);
}

/* Each pair of structures, in an image that has all of them.  Clusters of 64
 * KiB hold, from 0 on, the header, refcount table, refcount block, L1 table,
 * L1 table of the snapshot, snapshot table, 32 clusters of LUKS, data and
 * table of bm0, table of bm1, and the directory.  The data of the crypto
 * extension is at 0x78, the data of the bitmaps extension at 0x90. */

static const guint8 some_data[] = { 0x0f };

static const BitmapSpec two_bitmaps[] = {
  { .name = "bm0",
    .flags = 2,
    .type = 1,
    .granularity_bits = 16,
    .data = some_data,
    .data_size = sizeof some_data },
  { .name = "bm1", .flags = 2, .type = 1, .granularity_bits = 15 },
};

static FakeSource *
open_everything (const char *patch)
{
  const ImageSpec spec = { .size = 64 * MIB,
                           .crypt_method = 2,
                           .n_snapshots = 1,
                           .bitmaps = two_bitmaps,
                           .n_bitmaps = G_N_ELEMENTS (two_bitmaps) };
  g_autoptr (Image) image = image_build_spec (&spec);

  /* Data that overlaps the directory needs a whole cluster in the file. */
  image_truncate (image, 0x2a0000);
  image_patch (image, patch);
  return fake_source_new (image->bytes, image->size);
}

#define L1 "the L1 table (by 0x28)"
#define REFCOUNTS "the refcount table (by 0x30)"
#define BLOCK "the refcount block (by 0x10000)"
#define BLOCK_2 "the refcount block (by 0x10008)"
#define SNAPSHOT_L1 "the L1 table of a snapshot (by 0x50000)"
#define SNAPSHOTS "the snapshot table (by 0x40)"
#define CRYPTO "the crypto header (by 0x78)"
#define DIRECTORY "the bitmap directory (by 0xa0)"
#define TABLE_0 "the table of bitmap 0 (by 0x290000)"
#define TABLE_1 "the table of bitmap 1 (by 0x290020)"
#define DATA_0 "the data of bitmap 0 (by 0x270000)"
#define DATA_1 "the data of bitmap 1 (by 0x280000)"

/* Moves the shortest LUKS header to OFFSET. */
#define CRYPTO_AT(offset) "0x80:0000000000000250 0x78:" offset

typedef struct
{
  const char *path;
  const char *patch;
  guint64 offset; /* of the shared cluster */
  const char *first;
  const char *second;
  guint64 at; /* of the finding; 0: same as offset */
} PairRow;

/* clang-format off */
static const PairRow pairs[] = {
  { "l1/refcount-table", "0x28:0000000000010000", 0x10000, L1, REFCOUNTS, 0 },
  { "l1/refcount-block", "0x28:0000000000020000", 0x20000, L1, BLOCK, 0 },
  { "l1/snapshots", "0x28:0000000000050000", 0x50000, L1, SNAPSHOTS, 0 },
  { "l1/snapshot-l1", "0x24:00004000", 0x40000, L1, SNAPSHOT_L1, 0 },
  { "l1/snapshot-l1-start", "0x50000:0000000000030000", 0x30000, L1,
    SNAPSHOT_L1, 0 },
  { "snapshot-l1/refcount-block", "0x50000:0000000000020000", 0x20000, BLOCK,
    SNAPSHOT_L1, 0 },
  { "snapshot-l1/refcount-table", "0x50000:0000000000010000", 0x10000,
    REFCOUNTS, SNAPSHOT_L1, 0 },
  { "snapshot-l1/table", "0x50000:0000000000270000", 0x270000, SNAPSHOT_L1,
    TABLE_0, 0 },
  { "l1/snapshots-inside", "0x24:00004001", 0x50000, L1, SNAPSHOTS, 0 },
  { "l1/crypto", "0x28:0000000000060000", 0x60000, L1, CRYPTO, 0 },
  { "l1/in-crypto", "0x28:0000000000250000", 0x250000, CRYPTO, L1, 0 },
  { "l1/directory", "0x28:0000000000290000", 0x290000, L1, DIRECTORY, 0 },
  { "l1/table", "0x28:0000000000270000", 0x270000, L1, TABLE_0, 0 },
  { "l1/data", "0x28:0000000000260000", 0x260000, L1, DATA_0, 0 },

  { "block/refcount-table", "0x10008:0000000000010000", 0x10000, REFCOUNTS,
    BLOCK_2, 0 },
  { "block/block", "0x10008:0000000000020000", 0x20000, BLOCK, BLOCK_2, 0 },
  { "block/snapshots", "0x10008:0000000000050000", 0x50000, BLOCK_2,
    SNAPSHOTS, 0 },
  { "block/crypto", "0x10008:0000000000060000", 0x60000, BLOCK_2, CRYPTO, 0 },
  { "block/directory", "0x10008:0000000000290000", 0x290000, BLOCK_2,
    DIRECTORY, 0 },
  { "block/table", "0x10008:0000000000280000", 0x280000, BLOCK_2, TABLE_1,
    0 },
  { "block/data", "0x10008:0000000000260000", 0x260000, BLOCK_2, DATA_0, 0 },

  { "crypto/refcount-table", CRYPTO_AT ("0000000000010000"), 0x10000,
    REFCOUNTS, CRYPTO, 0 },
  { "crypto/snapshots", CRYPTO_AT ("0000000000050000"), 0x50000, SNAPSHOTS,
    CRYPTO, 0 },
  { "crypto/directory", CRYPTO_AT ("0000000000290000"), 0x290000, CRYPTO,
    DIRECTORY, 0 },
  { "crypto/table", CRYPTO_AT ("0000000000270000"), 0x270000, CRYPTO,
    TABLE_0, 0 },
  { "crypto/data", CRYPTO_AT ("0000000000260000"), 0x260000, CRYPTO, DATA_0,
    0 },

  { "snapshots/refcount-table", "0x40:0000000000010000", 0x10000, REFCOUNTS,
    SNAPSHOTS, 0 },
  { "snapshots/directory", "0x40:0000000000290000", 0x290000, SNAPSHOTS,
    DIRECTORY, 0 },
  { "snapshots/table", "0x40:0000000000270000", 0x270000, SNAPSHOTS, TABLE_0,
    0 },

  { "directory/refcount-table", "0xa0:0000000000010000", 0x10000, REFCOUNTS,
    DIRECTORY, 0 },
  { "directory/table", "0x290020:0000000000290000", 0x290000, DIRECTORY,
    TABLE_1, 0 },
  { "table/refcount-table", "0x290020:0000000000010000", 0x10000, REFCOUNTS,
    TABLE_1, 0 },
  { "table/table", "0x290020:0000000000270000", 0x270000, TABLE_0, TABLE_1,
    0x290020 },
  { "table/table-inside", "0x290008:00002001", 0x280000, TABLE_0, TABLE_1,
    0 },
  /* When two structures extend equally far, the finding is about the first. */
  { "table/l1/table-inside", "0x290008:00002001 0x28:0000000000280000",
    0x280000, TABLE_0, TABLE_1, 0 },

  { "data/refcount-table", "0x270000:0000000000010000", 0x10000, REFCOUNTS,
    DATA_0, 0 },
  { "data/snapshots", "0x270000:0000000000050000", 0x50000, SNAPSHOTS, DATA_0,
    0 },
  { "data/in-crypto", "0x270000:0000000000070000", 0x70000, CRYPTO, DATA_0,
    0 },
  { "data/directory", "0x270000:0000000000290000", 0x290000, DIRECTORY,
    DATA_0, 0 },
  { "data/own-table", "0x270000:0000000000270000", 0x270000, TABLE_0, DATA_0,
    0 },
  { "data/other-table", "0x270000:0000000000280000", 0x280000, TABLE_1,
    DATA_0, 0 },
  { "data/data", "0x280000:0000000000260000", 0x260000, DATA_0, DATA_1, 0 },
  { "data/data-of-one", "0x290008:00000002 0x270008:0000000000260000",
    0x260000, DATA_0, "the data of bitmap 0 (by 0x270008)", 0 },
};
/* clang-format on */

static guint64
get_bitmap (const char *owner)
{
  const char *number = strstr (owner, "of bitmap ");

  return number != NULL
             ? g_ascii_strtoull (number + strlen ("of bitmap "), NULL, 10)
             : QCOW2_NO_INDEX;
}

/* Returns the kind of structure in OWNER, a text as in messages that is not
 * about a bitmap. */
static char *
get_structure (const char *owner)
{
  const char *name = owner + strlen ("the ");
  return g_strndup (name, (gsize) (strstr (name, " (by ") - name));
}

static const char *
get_rule (const char *first, const char *second)
{
  const gboolean tables = g_str_has_prefix (first, "the table")
                          && g_str_has_prefix (second, "the table");
  const gboolean data = g_str_has_prefix (first, "the data")
                        && g_str_has_prefix (second, "the data");

  return tables || (data && get_bitmap (first) != get_bitmap (second))
             ? "OVL-02"
             : "OVL-01";
}

static const Qcow2Finding *
find_message (const Checked *c, const char *message)
{
  const Qcow2Finding *found = NULL;

  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c->findings, i);

      if (g_str_equal (finding->message, message))
        {
          g_assert_null (found);
          found = finding;
        }
    }

  if (found == NULL)
    g_error ("nothing says: %s", message);
  return found;
}

static void
test_pair (gconstpointer data)
{
  const PairRow *row = data;
  const gboolean inside = g_str_has_suffix (row->path, "table-inside");
  const guint64 bitmap = get_bitmap (row->second) != QCOW2_NO_INDEX
                             ? get_bitmap (row->second)
                             : get_bitmap (row->first);
  const gboolean is_bitmap = bitmap != QCOW2_NO_INDEX;
  const gboolean is_directory = g_str_equal (row->second, DIRECTORY);
  g_autofree char *structure
      = is_bitmap ? g_strdup ("bitmap") : get_structure (row->second);
  g_autofree char *message
      = g_strdup_printf ("0x10000 bytes at 0x%" G_GINT64_MODIFIER
                         "x belong to %s as well as to %s",
                         row->offset, row->first, row->second);
  g_auto (Checked) c = { 0 };

  checked_open_source (&c, open_everything (row->patch));
  checked_run (&c);

  const Qcow2Finding *finding = find_message (&c, message);
  g_assert_cmpstr (finding->rule, ==,
                   inside ? "OVL-01" : get_rule (row->first, row->second));
  g_assert_cmpint (finding->severity, ==, QCOW2_SEVERITY_ERROR);
  g_assert_cmphex (finding->offset, ==, row->at != 0 ? row->at : row->offset);
  g_assert_cmpuint (finding->subject.bitmap, ==, bitmap);
  g_assert_cmpuint (finding->subject.extension, ==, QCOW2_NO_INDEX);
  g_assert_cmpstr (finding->subject.structure, ==, structure);
  g_assert_cmpint (finding->subject.parts, ==,
                   is_bitmap || is_directory ? QCOW2_PART_BITMAPS
                                             : QCOW2_PART_HEADER);
  if (is_bitmap)
    assert_string (finding->subject.name, bitmap == 0 ? "bm0" : "bm1");
  else
    g_assert_null (finding->subject.name);
}

/* Patches without an overlap: the structure is absent, is not in the file, or
 * is not aligned to a cluster. */
static const char *const no_pairs[] = {
  "",
  "0x24:00002000",                               /* an L1 of one cluster */
  "0x24:00000000 0x28:0000000000010000",         /* an L1 without entries */
  "0x24:00400001 0x28:0000000000040000",         /* more than 32 MiB */
  "0x28:00000000002a0000",                       /* at the end of the file */
  "0x28:0000000000010200",                       /* not cluster-aligned */
  "0x3c:00000000 0x40:0000000000010000",         /* no snapshots */
  "0x80:0000000000200000",                       /* 32 clusters of LUKS */
  "0x90:00000000 0x98:0000000000000000",         /* an empty directory */
  "0x290028:00002000",                           /* a table of one cluster */
  "0x270000:0000000000000000",                   /* no data */
  "0x270000:0000000000010001",                   /* invalid data entry */
  "0x270000:8000000000010000",                   /* invalid data entry */
  "0x270000:0000000000010200",                   /* invalid data entry */
  "0x290028:00000000 0x290020:0000000000010000", /* a table of no entries */
  "0x10008:0000000000010200",                    /* half a block */
  "0x38:00000000",                               /* no refcounts */
  "0x8c:00000010 0x98:0000000000200000",         /* no directory offset */
  /* An absent L1 table, directory and LUKS header. */
  "0x28:0000000000000000 0x98:0000000000000000 0x78:0000000000000000",
  /* The table of an entry that extends past the directory. */
  "0x290020:0000000000270000 0x290032:ffff",
};

static void
test_no_pair (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (no_pairs); i++)
    {
      g_auto (Checked) c = { 0 };

      checked_open_source (&c, open_everything (no_pairs[i]));
      checked_run (&c);
      g_test_message ("%s", no_pairs[i]);
      assert_clusters (&c, "");
    }
}

/* A finding belongs to the selected bitmap.  Findings about other bitmaps are
 * not reported, but findings about other structures are. */
static void
test_wants (void)
{
  static const struct
  {
    const char *patch;
    const char *findings[3]; /* when bitmap 0, 1 or none is selected */
    guint64 bitmaps[3];
  } rows[] = {
    { "0x280000:0000000000260000",
      { "E OVL-02@0x260000", "E OVL-02@0x260000", "" },
      { 0, 1, 9 } },
    { "0x290020:0000000000270000 0x290031:10",
      { "E OVL-02@0x290020", "E OVL-02@0x290020", "" },
      { 0, 1, 9 } },
    { "0x270000:0000000000280000",
      { "E OVL-01@0x280000", "E OVL-01@0x280000", "" },
      { 0, 1, 9 } },
    { "0x270000:0000000000050000",
      { "E OVL-01@0x50000", "", "" },
      { 0, 9, 9 } },
    { "0x270000:0000000000290000",
      { "E OVL-01@0x290000", "E OVL-01@0x290000", "E OVL-01@0x290000" },
      { 0, QCOW2_NO_INDEX, QCOW2_NO_INDEX } },
    { "0x28:0000000000050000",
      { "E OVL-01@0x50000", "E OVL-01@0x50000", "E OVL-01@0x50000" },
      { QCOW2_NO_INDEX, QCOW2_NO_INDEX, QCOW2_NO_INDEX } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    for (guint only = 0; only < 3; only++)
      {
        g_auto (Checked) c = { 0 };

        checked_open_source (&c, open_everything (rows[i].patch));
        c.only = only;
        checked_run (&c);
        assert_clusters (&c, rows[i].findings[only]);
        for (guint k = 0; k < qcow2_findings_get_n (c.findings); k++)
          {
            const Qcow2Finding *finding = qcow2_findings_get (c.findings, k);

            if (g_str_has_prefix (finding->rule, "OVL-"))
              g_assert_cmpuint (finding->subject.bitmap, ==,
                                rows[i].bitmaps[only]);
          }
      }
}

/* Makes bm1 share the table of bm0, with one entry, or with so many entries
 * that the table takes two clusters. */
#define SHARED "0x290020:0000000000270000 0x290031:10"
#define SHARED_LONG SHARED " 0x290008:00002001 0x290028:00002001"

#define SHARED_DATA "the data of bitmap 1 (by 0x270000)"

typedef struct
{
  const char *path;
  const char *patch;
  guint64 offset; /* of the shared cluster */
  const char *first;
  const char *second;
} SharedRow;

/* clang-format off */
static const SharedRow shared_rows[] = {
  { "data/l1", "0x28:0000000000260000 " SHARED, 0x260000, L1, SHARED_DATA },
  { "data/directory", "0x270000:0000000000290000 " SHARED, 0x290000, DIRECTORY,
    SHARED_DATA },
  { "data/snapshots", "0x270000:0000000000050000 " SHARED, 0x50000, SNAPSHOTS,
    SHARED_DATA },
  { "table/l1", "0x28:0000000000270000 " SHARED, 0x270000, L1, TABLE_1 },
  { "table/l1-at-start", "0x28:0000000000270000 " SHARED_LONG, 0x270000, L1,
    TABLE_1 },
  { "table/l1-at-end", "0x28:0000000000280000 " SHARED_LONG, 0x280000, TABLE_1,
    L1 },
  { "table/own-data", "0x270000:0000000000270000 " SHARED, 0x270000, TABLE_1,
    SHARED_DATA },
};
/* clang-format on */

/* When two bitmaps share a table, its overlaps with other structures are
 * reported for the selected bitmap, or for the first one when both are
 * selected. */
static void
test_wants_shared (gconstpointer data)
{
  const SharedRow *row = data;
  g_autofree char *message
      = g_strdup_printf ("0x10000 bytes at 0x%" G_GINT64_MODIFIER
                         "x belong to %s as well as to %s",
                         row->offset, row->first, row->second);
  g_auto (Checked) c = { 0 };

  checked_open_source (&c, open_everything (row->patch));
  c.only = 1;
  checked_run (&c);

  const Qcow2Finding *finding = find_message (&c, message);
  g_assert_cmpstr (finding->rule, ==, "OVL-01");
  g_assert_cmphex (finding->offset, ==, row->offset);
  g_assert_cmpuint (finding->subject.bitmap, ==, 1);
  assert_string (finding->subject.name, "bm1");
}

/* The two-byte refcount of cluster 0x26 in the block at 0x20000. */
static void
test_wants_shared_refcount (void)
{
  static const struct
  {
    guint64 only;
    guint64 bitmap;
  } rows[] = { { QCOW2_NO_INDEX, 0 }, { 0, 0 }, { 1, 1 } };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *message = g_strdup_printf (
          "the refcount of 0x10000 bytes at 0x260000, which belong to the "
          "data of bitmap %u (by 0x270000), is 0",
          (guint) rows[i].bitmap);
      g_auto (Checked) c = { 0 };

      checked_open_source (&c, open_everything ("0x2004c:0000 " SHARED));
      c.only = rows[i].only;
      checked_run (&c);
      g_assert_cmpuint (find_message (&c, message)->subject.bitmap, ==,
                        rows[i].bitmap);
    }
}

/* The finding about a refcount names the bitmap and the structure. */
static void
test_refcount_message (void)
{
  g_auto (Checked) c = { 0 };

  checked_open (&c, "refcount-data-0", NULL);
  checked_run (&c);

  const Qcow2Finding *finding = find_message (
      &c, "the refcount of 0x10000 bytes at 0x290000, which belong to the "
          "data of bitmap 0 (by 0x2a0000), is 0");
  g_assert_cmpstr (finding->rule, ==, "REF-01");
  assert_string (finding->subject.name, "bm0");
  g_assert_cmpstr (finding->subject.structure, ==, "bitmap");
}

#define N_FINDINGS 2000

/* Returns an image whose bitmap has N_FINDINGS entries, the first at cluster
 * FIRST and the others STEP clusters apart.  The name and the bytes before it
 * in the directory do not fit in a single read. */
static FakeSource *
open_with_entries (guint64 first, guint64 step, gboolean has_refcounts)
{
  const BitmapSpec bitmap = { .name = "b",
                              .flags = 6,
                              .type = 1,
                              .granularity_bits = 9,
                              .extra_data_size = 256 * KIB,
                              .table_size = N_FINDINGS };
  const ImageSpec spec = { .cluster_bits = 9,
                           .size = N_FINDINGS * 2 * MIB,
                           .bitmaps = &bitmap,
                           .n_bitmaps = 1 };
  g_autoptr (Image) image = image_build_spec (&spec);
  const guint64 directory = image_get_be (image, 0x70 + 24, 8);
  const guint64 table = image_get_be (image, directory, 8);

  for (guint64 i = 0; i < N_FINDINGS; i++)
    image_put_be (image, table + i * 8, 8, (first + i * step) * CLUSTER);
  for (guint64 i = 0; i < CLUSTER && !has_refcounts; i += 8)
    image_put_be (image, image_get_be (image, 0x30, 8) + i, 8, 0);
  image_truncate (image, (first + N_FINDINGS * step + 1) * CLUSTER);
  return fake_source_new (image->bytes, image->size);
}

/* No names are read for findings that are not kept: with two or three reads
 * each there would be at least 4000 reads. */
static void
test_work_of_overlaps (void)
{
  g_auto (Checked) c = { 0 };

  checked_open_source (&c, open_with_entries (5000, 0, TRUE));
  checked_run (&c);
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (c.findings, "OVL-01",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, N_FINDINGS - 1 - 100);
  g_assert_cmpuint (checked_get_source (&c)->n_reads, <, 1000);
}

static void
test_work_of_refcounts (void)
{
  g_auto (Checked) c = { 0 };

  checked_open_source (&c, open_with_entries (5000, 2, FALSE));
  checked_run (&c);
  /* Findings about the data, the table and the directory. */
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (c.findings, "REF-01",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, N_FINDINGS + 2 - 100);
  g_assert_cmpuint (checked_get_source (&c)->n_reads, <, 1000);
}

/* Random images.  The second opinion records for each cluster which structures
 * claim it, and reads refcounts bit by bit. */

#define MAX_CLUSTERS 200
#define N_BITMAPS 4

/* Offsets in the image that make_random () changes. */
#define AT_CRYPTO 0x70
#define AT_BITMAPS 0x88

typedef struct
{
  guint64 start; /* start of the structure, as a cluster */
  char *name;    /* name of this cluster, as in messages */
  gint bitmap;   /* -1: not of a bitmap */
} Claim;

typedef struct
{
  const Image *image;
  GArray *claims[MAX_CLUSTERS]; /* of Claim */
} Opinion;

static void
claim_clear (gpointer data)
{
  g_free (((Claim *) data)->name);
}

static guint64
get (const Opinion *o, guint64 offset, guint width)
{
  return image_get_be (o->image, offset, width);
}

/* Claims the SIZE bytes at host offset OFFSET for structure NAME.  POINTER is
 * the host offset of the reference; each cluster of data has its own. */
static void
claim (Opinion *o, const char *name, gint bitmap, guint64 offset, guint64 size,
       guint64 pointer)
{
  if (offset % CLUSTER != 0)
    return;

  for (guint64 at = offset; at < o->image->size && at - offset < size;
       at += CLUSTER)
    {
      g_autoptr (GString) full = g_string_new ("the ");

      g_string_append (full, name);
      if (bitmap >= 0)
        g_string_append_printf (full, " of bitmap %d", bitmap);
      g_string_append_printf (full, " (by 0x%" G_GINT64_MODIFIER "x)",
                              pointer);

      const Claim c = { .start = offset / CLUSTER,
                        .name = g_strdup (full->str),
                        .bitmap = bitmap };
      g_array_append_val (o->claims[at / CLUSTER], c);
    }
}

static gboolean
has_refcounts (const Opinion *o)
{
  const guint64 table = get (o, 0x30, 8);

  return table != 0 && table % CLUSTER == 0 && table < o->image->size;
}

static guint64
get_block (const Opinion *o, guint64 index)
{
  const guint64 at = get (o, 0x30, 8) + index * 8;

  if (at + 8 > o->image->size)
    return 0;

  const guint64 block = get (o, at, 8) & ~(guint64) 0x1ff;
  return block <= o->image->size && o->image->size - block >= CLUSTER ? block
                                                                      : 0;
}

/* Returns the number of WIDTH bytes at OFFSET.  Bytes after the end of the
 * file are zeroes. */
static guint64
get_padded (const Opinion *o, guint64 offset, guint width)
{
  guint64 value = 0;

  for (guint64 at = offset; at < offset + width; at++)
    value = value << 8 | (at < o->image->size ? get (o, at, 1) : 0);
  return value;
}

/* The block counts even if the file truncates it. */
static guint64
get_refcount (const Opinion *o, guint64 cluster)
{
  const guint64 bits = G_GUINT64_CONSTANT (1) << get (o, 0x60, 4);
  const guint64 per_block = CLUSTER * 8 / bits;
  const guint64 at = cluster % per_block * bits;
  guint64 value = 0;

  if (cluster / per_block >= CLUSTER / 8)
    return 0;

  const guint64 entry = get (o, 0x30, 8) + cluster / per_block * 8;
  const guint64 block = get_padded (o, entry, 8) & ~(guint64) 0x1ff;
  if (block == 0)
    return 0;
  if (bits >= 8)
    return get_padded (o, block + at / 8, (guint) bits / 8);

  for (guint i = 0; i < bits; i++)
    value |= (get_padded (o, block + (at + i) / 8, 1) >> ((at + i) % 8) & 1)
             << i;
  return value;
}

static void
claim_refcounts (Opinion *o)
{
  const guint64 table = get (o, 0x30, 8);

  if (!has_refcounts (o))
    return;

  claim (o, "refcount table", -1, table, CLUSTER, 0x30);
  for (guint i = 0; i < CLUSTER / 8; i++)
    {
      if (get_block (o, i) != 0)
        claim (o, "refcount block", -1, get_block (o, i), CLUSTER,
               table + i * 8);
    }
}

static void
claim_snapshots (Opinion *o)
{
  const guint64 start = get (o, 0x40, 8);
  guint64 at = start;

  /* A table at offset 0 does not count, because nothing can be in its way.
   * But QEMU takes the header for a table. */
  if (start % CLUSTER != 0 || start >= o->image->size)
    return;

  for (guint64 i = 0; i < get (o, 0x3c, 4) && at < o->image->size; i++)
    {
      /* Bytes past the end of the file are zeroes.  QEMU only reports an L1
       * table of more than 32 MiB as too large. */
      if (get (o, at, 8) != 0 && get (o, at + 8, 4) <= 32 * MIB / 8)
        claim (o, "L1 table of a snapshot", -1, get (o, at, 8),
               get (o, at + 8, 4) * 8, at);
      at += 40 + get (o, at + 36, 4) + get (o, at + 12, 2)
            + get (o, at + 14, 2) + 7;
      at -= at % 8;
    }
  if (start != 0)
    claim (o, "snapshot table", -1, start, MIN (at, o->image->size) - start,
           0x40);
}

/* Returns the number of data bytes of the bitmap whose entry is at AT. */
static guint64
get_data_size (const Opinion *o, guint64 at)
{
  const guint64 granularity = G_GUINT64_CONSTANT (1) << get (o, at + 17, 1);
  const guint64 n_bits = (get (o, 0x18, 8) + granularity - 1) / granularity;

  return (n_bits + 7) / 8;
}

static void
claim_data (Opinion *o, gint bitmap, guint64 at)
{
  const guint64 table = get (o, at, 8);
  const guint64 data_size = get_data_size (o, at);

  for (guint64 i = 0; i < get (o, at + 8, 4); i++)
    {
      if (table + i * 8 + 8 > o->image->size)
        return;

      const guint64 entry = get (o, table + i * 8, 8);
      const guint64 begin = i * CLUSTER;
      const guint64 used
          = begin < data_size ? MIN (data_size - begin, CLUSTER) : 0;

      /* The offset is in bits 9 to 55; all other bits must be clear. */
      if (entry != 0 && (entry & G_GUINT64_CONSTANT (0xff000000000001ff)) == 0
          && entry + used <= o->image->size)
        claim (o, "data", bitmap, entry, CLUSTER, table + i * 8);
    }
}

static gboolean
have_one_table (const Opinion *o, guint64 at, guint64 other)
{
  return get (o, other, 8) == get (o, at, 8)
         && get (o, other + 8, 4) == get (o, at + 8, 4)
         && get (o, other + 17, 1) == get (o, at + 17, 1);
}

/* Returns whether the data of BITMAP's table belongs to BITMAP.  A table that
 * several bitmaps share belongs to ONLY if ONLY is one of them, otherwise to
 * the first.  Directory entries have 32 bytes here. */
static gboolean
owns_data (const Opinion *o, guint64 directory, gint bitmap, gint only)
{
  const guint64 at = directory + (guint64) bitmap * 32;

  if (bitmap == only)
    return TRUE;

  for (gint i = 0; i < N_BITMAPS; i++)
    {
      if ((i < bitmap || i == only)
          && have_one_table (o, at, directory + (guint64) i * 32))
        return FALSE;
    }

  return TRUE;
}

static void
claim_bitmaps (Opinion *o, gint only)
{
  const guint64 directory = get (o, AT_BITMAPS + 24, 8);

  claim (o, "bitmap directory", -1, directory, get (o, AT_BITMAPS + 16, 8),
         AT_BITMAPS + 24);
  for (gint i = 0; i < N_BITMAPS; i++)
    {
      const guint64 at = directory + (guint64) i * 32;

      claim (o, "table", i, get (o, at, 8), get (o, at + 8, 4) * 8, at);
      if (owns_data (o, directory, i, only))
        claim_data (o, i, at);
    }
}

static void
opinion_form (Opinion *o, const Image *image, gint only)
{
  o->image = image;
  for (guint i = 0; i < MAX_CLUSTERS; i++)
    {
      o->claims[i] = g_array_new (FALSE, FALSE, sizeof (Claim));
      g_array_set_clear_func (o->claims[i], claim_clear);
    }

  claim (o, "header", -1, 0, 1, 0);
  if (get (o, 0x28, 8) != 0)
    claim (o, "L1 table", -1, get (o, 0x28, 8), get (o, 0x24, 4) * 8, 0x28);
  if (get (o, AT_CRYPTO + 8, 8) != 0)
    claim (o, "crypto header", -1, get (o, AT_CRYPTO + 8, 8),
           get (o, AT_CRYPTO + 16, 8), AT_CRYPTO + 8);
  claim_refcounts (o);
  claim_snapshots (o);
  claim_bitmaps (o, only);
}

static void
opinion_clear (Opinion *o)
{
  for (guint i = 0; i < MAX_CLUSTERS; i++)
    g_array_unref (o->claims[i]);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Opinion, opinion_clear)

/* Returns whether one of the claims to CLUSTER is named NAME, and stores
 * the start of the structure in *START. */
static gboolean
find_claim (const Opinion *o, guint64 cluster, const char *name,
            guint64 *start)
{
  for (guint i = 0; i < o->claims[cluster]->len; i++)
    {
      const Claim *c = &g_array_index (o->claims[cluster], Claim, i);

      if (g_str_equal (c->name, name))
        {
          *start = c->start;
          return TRUE;
        }
    }

  return FALSE;
}

/* Reads "0x200 bytes at 0x400" at the start of TEXT.  Returns the rest. */
static const char *
scan_range (const char *text, guint64 *first, guint64 *n)
{
  char *end;

  const guint64 size = g_ascii_strtoull (text, &end, 0);
  g_assert_true (g_str_has_prefix (end, " bytes at 0x"));
  const guint64 offset = g_ascii_strtoull (end + 10, &end, 0);

  g_assert_cmpuint (offset % CLUSTER, ==, 0);
  g_assert_cmpuint (size % CLUSTER, ==, 0);
  g_assert_cmpuint (size, >, 0);
  *first = offset / CLUSTER;
  *n = size / CLUSTER;
  g_assert_cmpuint (*first + *n, <=, MAX_CLUSTERS);
  return end;
}

/* Asserts that FINDING describes an overlap correctly, and marks its clusters
 * in TOLD. */
static void
take_overlap (const Opinion *o, const Qcow2Finding *finding, gboolean *told)
{
  guint64 first;
  guint64 n;
  guint64 start_1 = 0;
  guint64 start_2 = 0;

  const char *text = scan_range (finding->message, &first, &n);
  g_assert_true (g_str_has_prefix (text, " belong to "));
  g_auto (GStrv) owners
      = g_strsplit (text + strlen (" belong to "), " as well as to ", -1);

  g_assert_cmpuint (g_strv_length (owners), ==, 2);
  g_assert_true (find_claim (o, first, owners[0], &start_1));
  g_assert_true (find_claim (o, first, owners[1], &start_2));

  const gboolean tables = g_str_has_prefix (owners[0], "the table")
                          && g_str_has_prefix (owners[1], "the table");
  g_assert_cmpstr (finding->rule, ==,
                   tables && start_1 != start_2
                       ? "OVL-01"
                       : get_rule (owners[0], owners[1]));
  /* Two tables at the same start are reported at the second reference. */
  if (!tables || start_1 != start_2)
    g_assert_cmpuint (finding->offset, ==, first * CLUSTER);
  for (guint64 i = 0; i < n; i++)
    told[first + i] = TRUE;
}

/* Returns whether the SIZE bytes at OFFSET share a cluster with the
 * directory. */
static gboolean
meets_directory (const Opinion *o, guint64 offset, guint64 size)
{
  const guint64 directory = get (o, AT_BITMAPS + 24, 8) / CLUSTER;
  const guint64 n = (get (o, AT_BITMAPS + 16, 8) + CLUSTER - 1) / CLUSTER;

  return size > 0 && offset / CLUSTER < directory + n
         && (offset + size - 1) / CLUSTER >= directory;
}

/* Returns whether an entry, masked with MASK, of the table of SIZE bytes at
 * TABLE is the host offset of a cluster of the directory. */
static gboolean
leads_to_directory (const Opinion *o, guint64 table, guint64 size,
                    guint64 mask)
{
  for (guint64 at = table; at < table + size && at + 8 <= o->image->size;
       at += 8)
    {
      const guint64 offset = get (o, at, 8) & mask;

      if (offset != 0 && offset < o->image->size
          && meets_directory (o, offset, CLUSTER))
        return TRUE;
    }

  return FALSE;
}

/* Asserts that MESSAGE has the right reason why QEMU does not write the
 * directory.  Structures in the cluster list are reported as overlaps. */
static void
take_guard (const Opinion *o, const char *message)
{
  const char *what = strstr (message, " with ");

  g_assert_nonnull (what);
  if (g_str_equal (what, " with an L2 table"))
    g_assert_true (leads_to_directory (o, get (o, 0x28, 8),
                                       get (o, 0x24, 4) * 8,
                                       G_GUINT64_CONSTANT (0xfffffffffffe00)));
  else if (g_str_equal (what, " with a refcount block"))
    g_assert_true (leads_to_directory (o, get (o, 0x30, 8), CLUSTER,
                                       ~G_GUINT64_CONSTANT (0x1ff)));
  else if (g_str_equal (what, " with the L1 table"))
    g_assert_true (
        meets_directory (o, get (o, 0x28, 8), get (o, 0x24, 4) * 8));
  else if (g_str_equal (what, " with the refcount table"))
    g_assert_true (meets_directory (o, get (o, 0x30, 8), CLUSTER));
  else
    g_assert_true (g_str_equal (what, " with the snapshot table")
                   || g_str_equal (what, " with the L1 table of a snapshot"));
}

static void
take_refcount (const Opinion *o, const Qcow2Finding *finding, gboolean *told)
{
  const char *const begin = "the refcount of ";
  guint64 first;
  guint64 n;

  g_assert_true (g_str_has_prefix (finding->message, begin));
  scan_range (finding->message + strlen (begin), &first, &n);
  const guint64 refcount
      = g_ascii_strtoull (strrchr (finding->message, ' '), NULL, 10);

  g_assert_cmpuint (finding->offset, ==, first * CLUSTER);
  /* The number at the offset is the cluster's, not the refcount. */
  g_assert_false (finding->has_value);
  g_assert_cmpint (finding->severity, ==,
                   refcount == 0 ? QCOW2_SEVERITY_ERROR
                                 : QCOW2_SEVERITY_WARNING);
  for (guint64 i = first; i < first + n; i++)
    {
      g_assert_false (told[i]);
      g_assert_cmpuint (get_refcount (o, i), ==, refcount);
      told[i] = TRUE;
    }
}

/* Returns whether bitmap ONLY, or any bitmap if ONLY is negative, claims
 * CLUSTER.  WITH_OTHERS includes the structures that belong to no bitmap. */
static gboolean
is_claimed (const Opinion *o, guint cluster, gint only, gboolean with_others)
{
  for (guint i = 0; i < o->claims[cluster]->len; i++)
    {
      const Claim *c = &g_array_index (o->claims[cluster], Claim, i);

      if (only < 0 || c->bitmap == only || (with_others && c->bitmap < 0))
        return TRUE;
    }

  return FALSE;
}

static gboolean
has_too_many (const Checked *c)
{
  const Qcow2Findings *findings = c->findings;
  static const char *const rules[] = { "OVL-01", "OVL-02", "REF-01" };

  for (guint i = 0; i < G_N_ELEMENTS (rules); i++)
    for (gint s = QCOW2_SEVERITY_ERROR; s <= QCOW2_SEVERITY_NOTE; s++)
      {
        if (qcow2_findings_get_n_suppressed (findings, rules[i],
                                             (Qcow2Severity) s, QCOW2_PART_ALL)
            > 0)
          return TRUE;
      }

  return FALSE;
}

/* Compares the findings of C with the opinion on IMAGE.  Returns whether they
 * could be compared. */
static gboolean
compare (const Checked *c, const Image *image, gint only)
{
  gboolean shared[MAX_CLUSTERS] = { FALSE };
  gboolean miscounted[MAX_CLUSTERS] = { FALSE };
  g_auto (Opinion) o = { 0 };

  if (has_too_many (c))
    return FALSE;

  opinion_form (&o, image, only);
  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c->findings, i);

      g_assert_cmpstr (finding->rule, !=, "RES-06");
      if (g_str_has_prefix (finding->message, "QEMU does not write "))
        take_guard (&o, finding->message);
      else if (g_str_has_prefix (finding->rule, "OVL-")
               && (only < 0 || finding->subject.bitmap == (guint64) only))
        take_overlap (&o, finding, shared);
      else if (g_str_equal (finding->rule, "REF-01"))
        take_refcount (&o, finding, miscounted);
    }

  for (guint i = 0; i < MAX_CLUSTERS; i++)
    {
      const gboolean counts = is_claimed (&o, i, only, TRUE);

      g_assert_cmpint (shared[i], ==,
                       o.claims[i]->len > 1
                           && is_claimed (&o, i, only, FALSE));
      g_assert_cmpint (miscounted[i], ==,
                       counts && has_refcounts (&o)
                           && get_refcount (&o, i) != 1);
    }
  return TRUE;
}

static gboolean
chance (gint percent)
{
  return g_test_rand_int_range (0, 100) < percent;
}

/* Returns the start of a random cluster, or, rarely, an unaligned offset. */
static guint64
random_offset (const Image *image)
{
  const gint32 n = (gint32) (image->size / CLUSTER) + 3;
  const guint64 offset = (guint64) g_test_rand_int_range (1, n) * CLUSTER;

  return chance (4) ? offset + 8 : offset;
}

static void
change_tables (Image *image, guint64 directory)
{
  for (gint i = 0; i < N_BITMAPS; i++)
    {
      const guint64 at = directory + (guint64) i * 32;
      const guint64 table = image_get_be (image, at, 8);

      for (guint k = 0; k < 100; k++)
        {
          if (chance (7))
            image_put_be (image, table + k * 8, 8,
                          random_offset (image)
                              | (chance (5) ? (guint64) 1 : 0)
                              | (chance (5) ? (guint64) 1 << 60 : 0));
        }
      image_put_be (image, at + 8, 4,
                    (guint64) g_test_rand_int_range (1, 130));
      image_put_be (image, at + 17, 1,
                    (guint64) g_test_rand_int_range (9, 12));
      if (chance (20))
        image_put_be (image, at, 8, random_offset (image));
    }

  /* One bitmap has another's table, with or without the same other fields. */
  if (chance (15))
    {
      image_put_be (image, directory + 64, 8,
                    image_get_be (image, directory, 8));
      image_put_be (image, directory + 72, 4,
                    image_get_be (image, directory + 8, 4));
    }
}

static void
change_structures (Image *image)
{
  const guint64 refcounts = image_get_be (image, 0x30, 8);

  image_put_be (image, 0x60, 4, (guint64) g_test_rand_int_range (0, 7));
  for (guint i = 0; i < 64; i++)
    {
      if (chance (3))
        image_put_be (image, refcounts + i * 8, 8, random_offset (image));
    }
  if (chance (30))
    image_put_be (image, 0x28, 8, random_offset (image));
  if (chance (30))
    image_put_be (image, 0x24, 4, (guint64) g_test_rand_int_range (0, 400));
  if (chance (10))
    image_put_be (image, 0x30, 8, random_offset (image));
  if (chance (30))
    image_put_be (image, 0x40, 8, random_offset (image));
  image_put_be (image, 0x3c, 4, (guint64) g_test_rand_int_range (0, 4));
  image_put_be (image, AT_CRYPTO + 8, 8,
                chance (50) ? 0 : random_offset (image));
  image_put_be (image, AT_CRYPTO + 16, 8,
                (guint64) g_test_rand_int_range (0, 3000));
}

/* Returns an image of 512-byte clusters with randomly changed pointers, except
 * for the pointers that lead to the directory's entries. */
static Image *
make_random (void)
{
  static const ExtensionSpec crypto[] = { { CRYPTO_EXTENSION, 16, NULL } };
  static const BitmapSpec bitmaps[N_BITMAPS] = {
    { .name = "b0", .type = 1, .granularity_bits = 9, .table_size = 100 },
    { .name = "b1", .type = 1, .granularity_bits = 9, .table_size = 100 },
    { .name = "b2", .type = 1, .granularity_bits = 9, .table_size = 100 },
    { .name = "b3", .type = 1, .granularity_bits = 9, .table_size = 100 },
  };
  const ImageSpec spec = { .cluster_bits = 9,
                           .size = MIB,
                           .n_snapshots = 1,
                           .bitmaps = bitmaps,
                           .n_bitmaps = N_BITMAPS,
                           .extensions = crypto,
                           .n_extensions = 1 };
  Image *image = image_build_spec (&spec);
  const guint64 directory = image_get_be (image, 0x70 + 24, 8);

  /* The builder puts the crypto extension last; both have fixed lengths. */
  image_put_be (image, AT_CRYPTO, 4, CRYPTO_EXTENSION);
  image_put_be (image, AT_CRYPTO + 4, 4, 16);
  image_put_be (image, AT_BITMAPS, 4, BITMAPS_EXTENSION);
  image_put_be (image, AT_BITMAPS + 4, 4, 24);
  image_put_be (image, AT_BITMAPS + 8, 8, (guint64) N_BITMAPS << 32);
  image_put_be (image, AT_BITMAPS + 16, 8, N_BITMAPS * 32);
  image_put_be (image, AT_BITMAPS + 24, 8, directory);

  image_truncate (
      image,
      image->size + (guint64) g_test_rand_int_range (CLUSTER, 20 * CLUSTER));
  change_tables (image, directory);
  change_structures (image);
  return image;
}

static void
test_random (void)
{
  const guint n_images = RUNNING_SLOWLY ? 50 : 3000;
  guint n_compared = 0;

  for (guint i = 0; i < n_images; i++)
    {
      g_autoptr (Image) image = make_random ();
      const gint only = chance (30) ? g_test_rand_int_range (0, 4) : -1;
      g_auto (Checked) c = { 0 };

      g_assert_cmpuint (image->size, <, MAX_CLUSTERS * CLUSTER);
      checked_open_source (&c, fake_source_new (image->bytes, image->size));
      g_assert_cmpuint (qcow2_directory_get_n (c.directory), ==, N_BITMAPS);
      if (only >= 0)
        c.only = (guint64) only;
      checked_run (&c);
      n_compared += compare (&c, image, only);
    }

  g_test_message ("%u of %u images were compared", n_compared, n_images);
  g_assert_cmpuint (n_compared, >=, n_images / 2);
}

/* Large images with clusters of 512 bytes and refcounts of one bit.  Their
 * structures, in this order, are the header, refcount table, refcount blocks,
 * L1 table, directory, and then anything else. */

#define N_LARGE 500000u
#define FIRST_BLOCK 6
#define N_LARGE_BLOCKS 320
#define LARGE_L1 (FIRST_BLOCK + N_LARGE_BLOCKS)
#define LARGE_DIRECTORY (LARGE_L1 + 1)
#define LARGE_TABLE (LARGE_DIRECTORY + 1)
#define LARGE_DATA (LARGE_TABLE + N_LARGE * 8 / CLUSTER + 10)

static void
put_large_bitmap (Image *image, guint index, guint64 cluster, guint64 size)
{
  const guint64 at = LARGE_DIRECTORY * CLUSTER + (guint64) index * 32;

  image_put_be (image, at, 8, cluster * CLUSTER);
  image_put_be (image, at + 8, 4, size);
  image_put_be (image, at + 16, 4, 0x01090001);
  image_put_be (image, at + 24, 1, 'a' + index);
  image_put_be (image, at + 31, 1, 0);
}

/* Returns an image for a disk of SIZE bytes with N_BITMAPS bitmaps, whose
 * entries must still be stored, and N_BLOCKS refcount blocks in which all
 * refcounts are 1. */
static Image *
build_large (guint64 size, guint n_bitmaps, guint n_blocks)
{
  Image *image = image_new ();

  image_put_bytes (image, 0, "QFI\xfb", 4);
  image_put_be (image, 4, 4, 3);
  image_put_be (image, 20, 4, 9);
  image_put_be (image, 24, 8, size);
  image_put_be (image, 36, 4, 1);
  image_put_be (image, 40, 8, LARGE_L1 * CLUSTER);
  image_put_be (image, 48, 8, CLUSTER);
  image_put_be (image, 56, 4, FIRST_BLOCK - 1);
  image_put_be (image, 88, 8, 1);
  image_put_be (image, 100, 4, 104);
  image_put_be (image, 104, 4, BITMAPS_EXTENSION);
  image_put_be (image, 108, 4, 24);
  image_put_be (image, 112, 4, n_bitmaps);
  image_put_be (image, 120, 8, n_bitmaps * 32);
  image_put_be (image, 128, 8, LARGE_DIRECTORY * CLUSTER);
  for (guint i = 0; i < n_blocks; i++)
    {
      const guint64 block = (FIRST_BLOCK + (guint64) i) * CLUSTER;

      image_put_be (image, CLUSTER + i * 8, 8, block);
      for (guint64 at = block; at < block + CLUSTER; at += 8)
        image_put_be (image, at, 8, G_MAXUINT64);
    }

  return image;
}

static void
put_entry (Image *image, guint64 table, guint64 index, guint64 cluster)
{
  image_put_be (image, table * CLUSTER + index * 8, 8, cluster * CLUSTER);
}

static void
free_cluster (Image *image, guint64 cluster)
{
  const guint64 at = FIRST_BLOCK * CLUSTER + cluster / 8;
  const guint64 byte = image_get_be (image, at, 1);

  image_put_be (image, at, 1, byte & ~(G_GUINT64_CONSTANT (1) << cluster % 8));
}

static void
check_large (Checked *c, const Image *image)
{
  checked_open_source (c, fake_source_new (image->bytes, image->size));
  checked_run (c);
  g_assert_cmpuint (c->failed->len, ==, 0);
}

/* Very many runs in random order, none next to another.  Three pairs of
 * entries share a cluster, and three refcounts are 0. */
static void
test_many (void)
{
  g_autoptr (Image) image = build_large (N_LARGE * 2 * MIB, 1, N_LARGE_BLOCKS);
  g_autofree guint32 *order = g_new (guint32, N_LARGE);
  g_auto (Checked) c = { 0 };
  const guint64 last = LARGE_DATA + 2 * (guint64) (N_LARGE - 1);

  put_large_bitmap (image, 0, LARGE_TABLE, N_LARGE);
  for (guint32 i = 0; i < N_LARGE; i++)
    order[i] = i;
  for (guint32 i = N_LARGE - 1; i > 0; i--)
    {
      const guint32 other
          = (guint32) g_test_rand_int_range (0, (gint32) i + 1);
      const guint32 swapped = order[i];

      order[i] = order[other];
      order[other] = swapped;
    }
  for (guint32 i = 0; i < N_LARGE; i++)
    {
      guint64 k = order[i];

      k = k == 1 ? 0 : k == 300001 ? 300000 : k == N_LARGE - 2 ? k + 1 : k;
      put_entry (image, LARGE_TABLE, i, LARGE_DATA + 2 * k);
    }
  free_cluster (image, LARGE_DATA + 4);
  free_cluster (image, LARGE_DATA + 2 * 300002);
  free_cluster (image, last);
  image_truncate (image, (last + 1) * CLUSTER);

  check_large (&c, image);
  g_autofree char *expected = g_strdup_printf (
      "E OVL-01@0x%x; E OVL-01@0x%x; E OVL-01@0x%x; "
      "E REF-01@0x%x; E REF-01@0x%x; E REF-01@0x%x",
      LARGE_DATA * CLUSTER, (guint) last * CLUSTER,
      (LARGE_DATA + 2 * 300000) * CLUSTER, (guint) last * CLUSTER,
      (LARGE_DATA + 4) * CLUSTER, (LARGE_DATA + 2 * 300002) * CLUSTER);
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) split = g_strsplit (expected, "; ", -1);
  for (guint i = 0; split[i] != NULL; i++)
    g_ptr_array_add (words, g_strdup (split[i]));
  g_autofree char *sorted = join_findings (words);
  assert_clusters (&c, sorted);

  g_assert_cmpuint (c.summary.enabled + c.summary.disabled, ==, 1);
  /* The table was read once. */
  g_assert_cmpuint (checked_get_source (&c)->n_bytes, <, N_LARGE * 8 * 3 / 2);
}

static guint
count_rule (const Checked *c, const char *prefix)
{
  guint n = 0;

  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c->findings, i);

      n += g_str_has_prefix (finding->rule, prefix);
    }

  return n;
}

/* Data whose refcounts are in two blocks is one structure with one finding.
 * There are no blocks; each would have 4096 refcounts. */
static void
test_refcounts_of_two_blocks (void)
{
  const guint64 data = 4096 - 2;
  g_autoptr (Image) image = build_large (3 * 2 * MIB, 1, 0);
  g_auto (Checked) c = { 0 };

  put_large_bitmap (image, 0, LARGE_TABLE, 3);
  for (guint i = 0; i < 3; i++)
    put_entry (image, LARGE_TABLE, i, data + i);
  image_truncate (image, (data + 3) * CLUSTER);

  check_large (&c, image);
  find_message (&c, "the refcount of 0x600 bytes at 0x1ffc00, which belong to "
                    "the data of bitmap 0 (by 0x29000), is 0");
}

static guint
count_unexamined (const Checked *c, guint64 *offset)
{
  guint n = 0;

  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c->findings, i);

      if (!g_str_equal (finding->rule, "RES-06"))
        continue;

      n++;
      *offset = finding->offset;
    }

  return n;
}

/* Half of the list is kept for structures: the runs of data that do not fit
 * are reported, those before them and the structures are examined.  Neither
 * the overlaps nor the refcount of the data that is left out are reported. */
static void
test_too_many (void)
{
  const guint64 n = QCOW2_CLUSTER_LIST_DATA_RUNS + 10;
  const guint64 second = LARGE_TABLE + n * 8 / CLUSTER + 1;
  const guint64 data = second + 1;
  g_autoptr (Image) image = build_large (n * 2 * MIB, 2, N_LARGE_BLOCKS);
  g_auto (Checked) c = { 0 };

  put_large_bitmap (image, 0, LARGE_TABLE, n);
  put_large_bitmap (image, 1, second, 1);
  for (guint64 i = 0; i < n; i++)
    put_entry (image, LARGE_TABLE, i, data + 2 * i);
  put_entry (image, LARGE_TABLE, 7, data);
  put_entry (image, LARGE_TABLE, QCOW2_CLUSTER_LIST_DATA_RUNS, data);
  put_entry (image, second, 0, LARGE_DIRECTORY);
  free_cluster (image, data + 2);
  free_cluster (image, data + 2 * QCOW2_CLUSTER_LIST_DATA_RUNS + 2);
  image_put_be (image, 40, 8, LARGE_DIRECTORY * CLUSTER);
  image_truncate (image, (data + 2 * n) * CLUSTER);

  check_large (&c, image);
  g_autofree char *expected = g_strdup_printf (
      "E OVL-01@0x%x; E OVL-01@0x%x; E REF-01@0x%x; W RES-06@0x%x",
      LARGE_DIRECTORY * CLUSTER, (guint) data * CLUSTER,
      (guint) (data + 2) * CLUSTER,
      LARGE_TABLE * CLUSTER + QCOW2_CLUSTER_LIST_DATA_RUNS * 8);
  assert_clusters (&c, expected);
  find_message (&c, "overlaps and refcounts of 11 runs of clusters, the first "
                    "of which 0x429000 refers to, were not examined: there "
                    "are too many");
}

/* A run that does not fit may be a refcount block, but no other structure.
 * All entries of the refcount table refer to the same block, and the L1 table
 * is where the directory is. */
static void
test_too_many_structures (void)
{
  const guint64 n_blocks = QCOW2_CLUSTER_LIST_RUNS;
  const guint64 table = LARGE_TABLE + 1;
  g_autoptr (Image) image = build_large (2 * MIB, 1, 1);
  g_auto (Checked) c = { 0 };
  guint64 offset = 0;

  put_large_bitmap (image, 0, LARGE_TABLE, 1);
  image_put_be (image, 40, 8, LARGE_DIRECTORY * CLUSTER);
  image_put_be (image, 48, 8, table * CLUSTER);
  image_put_be (image, 56, 4, n_blocks * 8 / CLUSTER);
  for (guint64 i = 0; i < n_blocks; i++)
    put_entry (image, table, i, FIRST_BLOCK);
  image_truncate (image, table * CLUSTER + n_blocks * 8);

  check_large (&c, image);
  g_assert_cmpuint (count_unexamined (&c, &offset), ==, 1);
  /* The table of the bitmap, the header, the L1 table, the refcount table and
   * the directory are in the list as well. */
  g_assert_cmpuint (offset, ==, table * CLUSTER + (n_blocks - 5) * 8);
  find_message (&c, "0x200 bytes at 0x28e00 belong to the L1 table (by 0x28) "
                    "as well as to the bitmap directory (by 0x80)");
}

/* At most 2^26 refcounts are examined: as many as the first table has
 * clusters.  All refcount table entries refer to the same block. */
static void
test_budget_of_refcounts (void)
{
  const guint64 n_entries = G_MAXUINT32;
  const guint64 n_clusters = 1 << 26;
  const guint64 first = 2048;
  const guint64 n_blocks = (2 * n_clusters + first) / 4096 + 1;
  g_autoptr (Image) image = build_large (MIB, 2, 1);
  g_auto (Checked) c = { 0 };
  guint64 offset = 0;

  put_large_bitmap (image, 0, first, n_entries);
  put_large_bitmap (image, 1, first + n_clusters, n_entries);
  /* The refcount table follows the directory. */
  image_put_be (image, 48, 8, LARGE_TABLE * CLUSTER);
  image_put_be (image, 56, 4, (n_blocks * 8 + CLUSTER - 1) / CLUSTER);
  for (guint64 i = 0; i < n_blocks; i++)
    image_put_be (image, LARGE_TABLE * CLUSTER + i * 8, 8,
                  FIRST_BLOCK * CLUSTER);
  image_truncate (image, (first + 2 * n_clusters) * CLUSTER);

  check_large (&c, image);
  g_assert_cmpuint (count_unexamined (&c, &offset), ==, 1);
  g_assert_cmpuint (offset / CLUSTER, ==, first + n_clusters);
}

/* The last of the eight clusters of the refcount table is where the L1 table
 * starts; no further cluster belongs to the refcount table. */
static void
test_long_refcount_table (void)
{
  for (guint64 i = 7; i <= 8; i++)
    {
      g_autoptr (Image) image = build_large (MIB, 1, 0);
      g_auto (Checked) c = { 0 };

      put_large_bitmap (image, 0, LARGE_TABLE + 20, 1);
      image_put_be (image, 40, 8, (LARGE_TABLE + i) * CLUSTER);
      image_put_be (image, 48, 8, LARGE_TABLE * CLUSTER);
      image_put_be (image, 56, 4, 8);
      image_truncate (image, (LARGE_TABLE + 30) * CLUSTER);

      check_large (&c, image);
      g_assert_cmpuint (count_rule (&c, "OVL-"), ==, i == 7 ? 1 : 0);
    }
}

/* The refcount table and the L1 table share the last cluster of the file,
 * which is so short that it holds no entry or just one. */
static void
test_short_refcount_table (void)
{
  for (guint64 n_bytes = 1; n_bytes <= 9; n_bytes += 4)
    {
      g_autoptr (Image) image = build_large (MIB, 1, 0);
      g_auto (Checked) c = { 0 };

      put_large_bitmap (image, 0, LARGE_TABLE, 1);
      image_put_be (image, 40, 8, LARGE_DATA * CLUSTER);
      image_put_be (image, 48, 8, LARGE_DATA * CLUSTER);
      image_truncate (image, LARGE_DATA * CLUSTER + n_bytes);

      check_large (&c, image);
      find_message (&c, "0x200 bytes at 0x3fac00 belong to the L1 table "
                        "(by 0x28) as well as to the refcount table "
                        "(by 0x30)");
    }
}

/* The L1 table is in the third of four adjacent clusters of data. */
static void
test_inside_data (void)
{
  const guint64 data = LARGE_TABLE + 10;
  g_autoptr (Image) image = build_large (4 * 2 * MIB, 1, N_LARGE_BLOCKS);
  g_auto (Checked) c = { 0 };

  put_large_bitmap (image, 0, LARGE_TABLE, 4);
  for (guint i = 0; i < 4; i++)
    put_entry (image, LARGE_TABLE, i, data + i);
  image_put_be (image, 40, 8, (data + 2) * CLUSTER);
  image_truncate (image, (data + 4) * CLUSTER);

  check_large (&c, image);
  find_message (&c, "0x200 bytes at 0x2a800 belong to the data of bitmap 0 "
                    "(by 0x29010) as well as to the L1 table (by 0x28)");
}

static void
test_free_null (void)
{
  qcow2_cluster_check_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (gsize i = 0; i < G_N_ELEMENTS (pairs); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/check-clusters/pair/%s", pairs[i].path);

      g_test_add_data_func (path, &pairs[i], test_pair);
    }
  g_test_add_func ("/check-clusters/no-pair", test_no_pair);
  g_test_add_func ("/check-clusters/wants", test_wants);
  for (gsize i = 0; i < G_N_ELEMENTS (shared_rows); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/check-clusters/wants/%s", shared_rows[i].path);

      g_test_add_data_func (path, &shared_rows[i], test_wants_shared);
    }
  g_test_add_func ("/check-clusters/wants/shared-refcount",
                   test_wants_shared_refcount);
  g_test_add_func ("/check-clusters/refcount/message", test_refcount_message);
  g_test_add_func ("/check-clusters/refcount/two-blocks",
                   test_refcounts_of_two_blocks);
  g_test_add_func ("/check-clusters/work/overlaps", test_work_of_overlaps);
  g_test_add_func ("/check-clusters/work/refcounts", test_work_of_refcounts);
  g_test_add_func ("/check-clusters/random", test_random);
  g_test_add_func ("/check-clusters/long-refcount-table",
                   test_long_refcount_table);
  g_test_add_func ("/check-clusters/short-refcount-table",
                   test_short_refcount_table);
  g_test_add_func ("/check-clusters/inside-data", test_inside_data);
  g_test_add_func ("/check-clusters/free-null", test_free_null);
  if (RUNNING_SLOWLY)
    return g_test_run ();

  g_test_add_func ("/check-clusters/many", test_many);
  g_test_add_func ("/check-clusters/too-many", test_too_many);
  g_test_add_func ("/check-clusters/too-many/structures",
                   test_too_many_structures);
  g_test_add_func ("/check-clusters/budget/refcounts",
                   test_budget_of_refcounts);
  return g_test_run ();
}
