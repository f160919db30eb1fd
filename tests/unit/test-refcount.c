/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Refcounts of every width, and clusters that have none. */

#include "config.h"

#include "qcow2/refcount.h"

#include "test-util.h"

/* Base four-entries has clusters of 512 bytes.  Its refcount table, at 0x200,
 * takes one cluster and so has 64 entries.  A refcount block is at 0x400, and
 * the file ends at 0x12820. */
#define TABLE 0x200
#define N_BLOCKS 64
#define BLOCK 512

typedef struct
{
  Qcow2Image *image;
  Qcow2Refcounts *refcounts;
} Fixture;

static void
fixture_open (Fixture *f, const char *name, const char *patch)
{
  f->image = open_image (name, patch);
  g_assert_true (qcow2_refcounts_are_usable (f->image));
  f->refcounts = qcow2_refcounts_new (f->image);
}

static void
fixture_clear (Fixture *f)
{
  qcow2_refcounts_free (f->refcounts);
  qcow2_image_free (f->image);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

/* Asserts that CLUSTER has REFCOUNT, and that the first N_ALIKE of the N
 * clusters from there on are known to have the same refcount. */
static void
assert_get (Fixture *f, guint64 cluster, guint64 n, guint64 refcount,
            guint64 n_alike)
{
  g_autoptr (GError) error = NULL;
  guint64 found = 77;
  guint64 found_alike = 77;

  g_assert_true (qcow2_refcounts_get (f->refcounts, cluster, n, &found,
                                      &found_alike, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (found, ==, refcount);
  g_assert_cmpuint (found_alike, ==, n_alike);
}

typedef struct
{
  const char *path;
  const char *patch; /* of four-entries: refcount_order, start of the block */
  guint64 refcounts[9];
  guint per_block;
} WidthRow;

/* Refcounts of less than a byte: the lower bits belong to the lower cluster.
 * Larger refcounts are big-endian. */
static const WidthRow widths[] = {
  { "1", "0x60:00000000 0x400:0d01", { 1, 0, 1, 1, 0, 0, 0, 0, 1 }, 4096 },
  { "2", "0x60:00000001 0x400:e41b02", { 0, 1, 2, 3, 3, 2, 1, 0, 2 }, 2048 },
  { "4",
    "0x60:00000002 0x400:21f0438765",
    { 1, 2, 0, 15, 3, 4, 7, 8, 5 },
    1024 },
  { "8",
    "0x60:00000003 0x400:0102ff00800504fe03",
    { 1, 2, 255, 0, 128, 5, 4, 254, 3 },
    512 },
  { "16",
    "0x60:00000004 0x400:00010002ffff0000800001020004fffe0003",
    { 1, 2, 65535, 0, 32768, 258, 4, 65534, 3 },
    256 },
  { "32",
    "0x60:00000005 0x400:00000001ffffffff00000000800000000102030400000005"
    "000000060000000700000008",
    { 1, 4294967295, 0, 2147483648, 16909060, 5, 6, 7, 8 },
    128 },
  { "64",
    "0x60:00000006 0x400:0000000000000001ffffffffffffffff0000000000000000"
    "8000000000000000010203040506070800000000000000050000000000000006"
    "00000000000000070000000000000008",
    { 1, G_MAXUINT64, 0, G_GUINT64_CONSTANT (0x8000000000000000),
      G_GUINT64_CONSTANT (0x0102030405060708), 5, 6, 7, 8 },
    64 },
};

static void
test_width (gconstpointer data)
{
  const WidthRow *row = data;
  g_auto (Fixture) f = { 0 };
  g_autofree char *patch = g_strdup_printf ("0x400:00*512 %s", row->patch);

  fixture_open (&f, "four-entries", patch);
  for (guint i = 0; i < G_N_ELEMENTS (row->refcounts); i++)
    assert_get (&f, i, 1, row->refcounts[i], 1);

  /* The last refcount of the block, and the first one after it: there is no
   * second block. */
  assert_get (&f, row->per_block - 1, 1, 0, 1);
  assert_get (&f, row->per_block, 1, 0, 1);
}

/* The last refcount of a block of 16-bit refcounts, at 0x5fe. */
static void
test_last (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries", "0x5fe:0203");
  assert_get (&f, 255, 1, 0x203, 1);
  assert_get (&f, 255, 9, 0x203, 1);
}

static void
test_runs (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries",
                "0x400:0000*256 0x400:0001*10 0x414:0002*5");
  assert_get (&f, 0, 1, 1, 1);
  assert_get (&f, 0, 10, 1, 10);
  assert_get (&f, 0, 11, 1, 10);
  assert_get (&f, 3, 1000, 1, 7);
  assert_get (&f, 9, 2, 1, 1);
  assert_get (&f, 10, 1000, 2, 5);
  /* A run ends with its block, as the next refcount is in another block. */
  assert_get (&f, 15, 1000, 0, 241);
  assert_get (&f, 256, 1000, 0, 256);
}

/* Runs of the widest refcounts, which differ in their first byte. */
static void
test_wide_runs (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries",
                "0x60:00000006 0x400:00*512 0x408:01 0x41f:07 0x427:07");
  assert_get (&f, 0, 64, 0, 1);
  assert_get (&f, 1, 64, G_GUINT64_CONSTANT (0x0100000000000000), 1);
  assert_get (&f, 2, 64, 0, 1);
  assert_get (&f, 3, 64, 7, 2);
  assert_get (&f, 5, 64, 0, 59);
}

/* Adjacent blocks, a missing one, and one outside the file. */
static void
test_blocks (void)
{
  static const guint64 blocks[]
      = { 0x400, 0x600, 0, 0x800, 0, 0x12a00, 0x12600 };
  static const guint64 expected[] = { 1, 2, 0, 3, 0, 0, 4 };
  g_auto (Fixture) f = { 0 };
  guint64 offset = 77;

  fixture_open (&f, "four-entries",
                "0x200:0000000000000400 0x208:0000000000000600"
                " 0x210:0000000000000000 0x218:0000000000000800"
                " 0x228:0000000000012a00"
                " 0x230:0000000000012600"
                " 0x400:0001*256 0x600:0002*256 0x800:0003*256"
                " 0x12600:0004*256");
  for (guint i = 0; i < G_N_ELEMENTS (blocks); i++)
    {
      assert_get (&f, i * 256, 1, expected[i], 1);
      assert_get (&f, i * 256 + 255, 1000, expected[i], 1);
      assert_get (&f, i * 256 + 3, 1000, expected[i], 253);
      g_assert_true (
          qcow2_refcounts_get_block (f.refcounts, i, &offset, NULL, NULL));
      g_assert_cmphex (offset, ==, expected[i] != 0 ? blocks[i] : 0);
    }
}

/* The file ends inside a block, after 16 refcounts and a byte: the other bytes
 * are zeroes. */
static void
test_truncated_block (void)
{
  g_auto (Fixture) f = { 0 };
  guint64 offset = 77;

  fixture_open (&f, "four-entries",
                "size=0x12821 0x208:0000000000012800 0x12800:0506*16"
                " 0x12820:07");
  assert_get (&f, 256, 1000, 0x506, 16);
  assert_get (&f, 256 + 15, 1000, 0x506, 1);
  assert_get (&f, 256 + 16, 1000, 0x700, 1);
  assert_get (&f, 256 + 17, 1000, 0, 239);
  g_assert_true (
      qcow2_refcounts_get_block (f.refcounts, 1, &offset, NULL, NULL));
  g_assert_cmphex (offset, ==, 0);
}

/* The file ends inside an entry of the table, after its first 7 bytes. */
static void
test_truncated_entry (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries",
                "size=0x1280f 0x30:0000000000012800"
                " 0x12800:000000000000060000000000000006 0x600:0009*256");
  g_assert_cmpuint (qcow2_refcounts_get_n_blocks (f.refcounts), ==, 1);
  assert_get (&f, 256, 1, 9, 1);
  assert_get (&f, 512, 1, 0, 1);
}

/* QEMU does not read a block that is not at the start of a cluster. */
static void
test_unreadable_block (void)
{
  g_auto (Fixture) f = { 0 };
  guint64 refcount;
  guint64 n_alike;
  gboolean is_readable;

  fixture_open (&f, "four-entries",
                "0x14:0000000a 0x30:0000000000000400 0x400:0000000000000600"
                " 0x408:0000000000000800");
  g_assert_true (qcow2_refcounts_get (f.refcounts, 5, 1000, &refcount,
                                      &n_alike, &is_readable, NULL));
  g_assert_false (is_readable);
  g_assert_cmpuint (refcount, ==, 0);
  g_assert_cmpuint (n_alike, ==, 507);
  g_assert_true (qcow2_refcounts_get (f.refcounts, 512, 1, &refcount, &n_alike,
                                      &is_readable, NULL));
  g_assert_true (is_readable);
}

/* An entry is in use if any of its bits is set. */
static void
test_skip_unused (void)
{
  static const guint64 next[] = { 2, 2, 2, 3, 5, 5, 40, 64 };
  static const guint64 from[] = { 0, 1, 2, 3, 4, 5, 6, 41 };
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries",
                "0x200:0000*256 0x217:01 0x218:80 0x22c:04 0x340:0001");
  for (guint i = 0; i < G_N_ELEMENTS (from); i++)
    {
      guint64 index = from[i];

      g_assert_true (qcow2_refcounts_skip_unused (f.refcounts, &index, NULL));
      g_assert_cmpuint (index, ==, next[i]);
    }
}

typedef struct
{
  const char *path;
  const char *patch; /* of four-entries */
  guint64 block;     /* host offset of the first block */
} BlockRow;

/* clang-format off */
static const BlockRow block_rows[] = {
  /* Bits 0 to 8 are reserved. */
  { "reserved-bits", "0x200:00000000000005ff", 0x400 },
  { "high", "0x200:0000000100000400", 0 },
  { "high-byte", "0x200:0100000000000400", 0 },
  { "all-ones", "0x200:ffffffffffffffff", 0 },
  { "last", "0x200:fffffffffffffe00", 0 },
  { "at-end", "0x200:0000000000012a00 size=0x12a00", 0 },
  { "whole-at-end", "0x200:0000000000012800 size=0x12a00", 0x12800 },
  { "byte-missing", "0x200:0000000000012800 size=0x129ff", 0 },
  { "on-header", "0x200:0000000000000000", 0 },
  /* With larger clusters, not every multiple of 512 is cluster-aligned. */
  { "unaligned", "0x14:0000000a 0x30:0000000000000400 0x400:0000000000000600",
    0 },
  { "aligned", "0x14:0000000a 0x30:0000000000000400 0x400:0000000000000800",
    0x800 },
};
/* clang-format on */

static void
test_block (gconstpointer data)
{
  const BlockRow *row = data;
  g_auto (Fixture) f = { 0 };
  guint64 offset = 77;

  fixture_open (&f, "four-entries", row->patch);
  g_assert_true (
      qcow2_refcounts_get_block (f.refcounts, 0, &offset, NULL, NULL));
  g_assert_cmphex (offset, ==, row->block);
}

/* Clusters that the refcount table does not cover have no refcount. */
static void
test_after_table (void)
{
  g_auto (Fixture) f = { 0 };
  const guint64 end = N_BLOCKS * 256;

  fixture_open (&f, "four-entries", "0x3f8:0000000000000400 0x400:0001*256");
  g_assert_cmpuint (qcow2_refcounts_get_n_blocks (f.refcounts), ==, N_BLOCKS);
  assert_get (&f, end - 1, 1000, 1, 1);
  assert_get (&f, end, 1000, 0, 1000);
  assert_get (&f, G_GUINT64_CONSTANT (0x007fffffffffffff), 5, 0, 5);
}

/* In a table of two clusters, the 65th entry is in the second one. */
static void
test_two_clusters (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries",
                "0x30:0000000000000600 0x38:00000002 0x600:00*1024"
                " 0x800:0000000000000a00 0xa00:0009*256");
  g_assert_cmpuint (qcow2_refcounts_get_n_blocks (f.refcounts), ==, 128);
  assert_get (&f, 64 * 256, 256, 9, 256);
  assert_get (&f, 63 * 256, 256, 0, 256);
}

typedef struct
{
  const char *path;
  const char *patch; /* of two-bitmaps, which has 45 clusters of 64 KiB */
  guint64 n_blocks;  /* NONE: no refcounts */
} PlaceRow;

#define NONE G_MAXUINT64

static const PlaceRow places[] = {
  { "sound", "", 8192 },
  { "offset-0", "0x30:0000000000000000", 8192 },
  { "unaligned", "0x30:0000000000010200", NONE },
  { "no-clusters", "0x38:00000000", 0 },
  { "last-cluster", "0x30:0000000000020000 size=0x30000", 8192 },
  { "byte-missing", "0x30:0000000000020000 size=0x2ffff", 8191 },
  { "byte-of-entry", "0x30:0000000000020000 size=0x20009", 1 },
  { "at-end", "0x30:0000000000030000 size=0x30000", 0 },
  { "after-end", "0x30:0000000000040000 size=0x30000", 0 },
  { "wraps", "0x30:ffffffffffff0000 0x38:00000002", 0 },
  { "8-mib", "0x38:00000080 size=0x10000000", 1 << 20 },
  { "more-than-8-mib", "0x38:00000081 size=0x10000000", NONE },
  { "all-ones", "0x38:ffffffff size=0x10000000", NONE },
  { "order-7", "0x60:00000007", NONE },
  { "order-all-ones", "0x60:ffffffff", NONE },
  { "cluster-bits-8", "0x14:00000008", NONE },
  { "cluster-bits-63", "0x14:0000003f", NONE },
};

static void
test_place (gconstpointer data)
{
  const PlaceRow *row = data;
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", row->patch);

  g_assert_cmpint (qcow2_refcounts_are_usable (image), ==,
                   row->n_blocks != NONE);
  if (row->n_blocks == NONE)
    return;

  g_autoptr (Qcow2Refcounts) refcounts = qcow2_refcounts_new (image);
  g_assert_cmpuint (qcow2_refcounts_get_n_blocks (refcounts), ==,
                    row->n_blocks);
}

/* In version 2, refcounts have 16 bits. */
static void
test_version_2 (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "version-2", "0x20002:0102");
  assert_get (&f, 1, 1, 0x102, 1);
}

/* A block of 2 MiB with 1-bit refcounts is read in parts, which may start at
 * any bit. */
static void
test_large_block (void)
{
  g_auto (Fixture) f = { 0 };
  const guint64 covered = G_GUINT64_CONSTANT (16) * 1024 * 1024;
  guint64 done = 3;

  fixture_open (&f, "cluster-2m",
                "0x60:00000000 0x400000:ff*2097152 0x5fffff:7f");
  while (done < covered - 1)
    {
      guint64 refcount;
      guint64 n;

      g_assert_true (qcow2_refcounts_get (f.refcounts, done, covered,
                                          &refcount, &n, NULL, NULL));
      g_assert_cmpuint (refcount, ==, 1);
      g_assert_cmpuint (n, >, 10000);
      done += n;
    }

  g_assert_cmpuint (done, ==, covered - 1);
  assert_get (&f, done, covered, 0, 1);
}

/* Random refcounts, compared with a decoder that goes bit by bit. */

static guint64
get_naive (const Image *image, guint order, guint64 cluster)
{
  const guint bits = 1u << order;
  const guint64 per_block = BLOCK * 8 / bits;
  const guint64 entry = cluster / per_block;
  guint64 value = 0;

  if (entry >= N_BLOCKS)
    return 0;

  const guint64 block = image_get_be (image, TABLE + entry * 8, 8);
  const guint64 first = cluster % per_block * bits;
  if (block == 0)
    return 0;
  if (bits >= 8)
    return image_get_be (image, block + first / 8, bits / 8);

  for (guint i = 0; i < bits; i++)
    {
      const guint64 byte = image_get_be (image, block + (first + i) / 8, 1);

      value |= (byte >> ((first + i) % 8) & 1) << i;
    }

  return value;
}

/* Builds base four-entries with three blocks of random bytes, in long runs of
 * equal ones.
 */
static Image *
build_random (guint order)
{
  Image *image
      = build_patched ("four-entries", "0x200:00*512 0x200:0000000000000400"
                                       " 0x210:0000000000000600"
                                       " 0x218:0000000000000800");
  guint8 byte = 0;

  image_put_be (image, 0x60, 4, order);
  for (guint64 at = 0x400; at < 0xa00; at++)
    {
      if (g_test_rand_int_range (0, 20) == 0)
        byte = (guint8) g_test_rand_int_range (0, 256);
      image_put_be (image, at, 1, byte);
    }

  return image;
}

static void
test_random (void)
{
  for (guint order = 0; order <= 6; order++)
    {
      g_autoptr (Image) bytes = build_random (order);
      FakeSource *source = fake_source_new (bytes->bytes, bytes->size);
      g_autoptr (Qcow2Image) image = qcow2_image_open (&source->base, NULL);
      g_autoptr (Qcow2Refcounts) refcounts = qcow2_refcounts_new (image);
      const guint64 end = 6 * BLOCK * 8 / (1u << order);

      for (guint64 i = 0; i < end;)
        {
          const guint64 wanted = (guint64) g_test_rand_int_range (1, 2000);
          guint64 refcount;
          guint64 n;

          g_assert_true (qcow2_refcounts_get (refcounts, i, wanted, &refcount,
                                              &n, NULL, NULL));
          g_assert_cmpuint (n, >=, 1);
          g_assert_cmpuint (n, <=, wanted);
          for (guint64 k = 0; k < n; k++)
            g_assert_cmpuint (get_naive (bytes, order, i + k), ==, refcount);
          i += (guint64) g_test_rand_int_range (1, 1 + (gint32) n);
        }
    }
}

/* Each refcount counts as some work, and each change of block as more. */
static void
test_work (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries",
                "0x208:0000000000000600 0x400:0001*256 0x600:0001*256");
  g_assert_cmpuint (qcow2_refcounts_get_work (f.refcounts), ==, 0);
  assert_get (&f, 0, 100, 1, 100);
  const guint64 one = qcow2_refcounts_get_work (f.refcounts);
  g_assert_cmpuint (one, >, 1000);
  assert_get (&f, 100, 50, 1, 50);
  g_assert_cmpuint (qcow2_refcounts_get_work (f.refcounts), ==, one + 50);
  assert_get (&f, 256, 50, 1, 50);
  g_assert_cmpuint (qcow2_refcounts_get_work (f.refcounts), >, one + 1000);
}

/* Bytes that were read together serve all of their clusters: no cluster takes
 * a read of its own. */
static void
test_few_reads (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries", NULL);
  const guint before = ((FakeSource *) f.image->source)->n_reads;
  for (guint64 i = 0; i < 256; i++)
    {
      guint64 refcount;
      guint64 n;

      g_assert_true (
          qcow2_refcounts_get (f.refcounts, i, 1, &refcount, &n, NULL, NULL));
    }
  g_assert_cmpuint (((FakeSource *) f.image->source)->n_reads - before, <=, 4);
}

static void
set_bad (Fixture *f, guint64 start, guint64 end)
{
  ((FakeSource *) f->image->source)->bad_start = start;
  ((FakeSource *) f->image->source)->bad_end = end;
}

static void
test_bad_table (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  guint64 refcount = 77;
  guint64 n = 77;

  fixture_open (&f, "four-entries", NULL);
  set_bad (&f, 0x208, 0x209);
  g_assert_false (
      qcow2_refcounts_get (f.refcounts, 256, 1, &refcount, &n, NULL, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x208", "FILE-04");
  g_assert_cmpuint (refcount, ==, 77);
  g_assert_cmpuint (n, ==, 77);

  /* Other entries remain readable. */
  assert_get (&f, 0, 1, 1, 1);
  assert_get (&f, 512, 1, 0, 1);
}

static void
test_bad_block (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  guint64 refcount = 77;
  guint64 n = 77;

  fixture_open (&f, "four-entries", "0x208:0000000000000600 0x600:0007*256");
  set_bad (&f, 0x500, 0x501);
  g_assert_false (
      qcow2_refcounts_get (f.refcounts, 128, 1, &refcount, &n, NULL, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x500", "FILE-04");
  g_assert_cmpuint (refcount, ==, 77);
  assert_get (&f, 127, 1, 1, 1);
  assert_get (&f, 256, 1, 7, 1);
  assert_get (&f, 127, 1, 1, 1);
}

/* A block of zeroes of which only a sector can be read.  The memory after
 * these bytes must not be counted as zeroes. */
static void
test_bad_rest (void)
{
  const guint64 sector = BYTE_SOURCE_SECTOR_SIZE;
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "cluster-2m", "0x60:00000000 0x400000:00*2097152");
  set_bad (&f, 0x400000 + sector, 0x400000 + sector + 1);
  assert_get (&f, 0, 8 * sector + 1000, 0, 8 * sector);
  assert_get (&f, 5, 3, 0, 3);
}

static void
test_free_null (void)
{
  qcow2_refcounts_free (NULL);
}

#define ADD_ROWS(prefix, rows, test)                                          \
  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)                             \
    {                                                                         \
      g_autofree char *path                                                   \
          = g_strdup_printf ("/refcount/%s/%s", prefix, (rows)[i].path);      \
                                                                              \
      g_test_add_data_func (path, &(rows)[i], test);                          \
    }

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD_ROWS ("width", widths, test_width);
  g_test_add_func ("/refcount/last", test_last);
  g_test_add_func ("/refcount/runs", test_runs);
  g_test_add_func ("/refcount/runs/wide", test_wide_runs);
  g_test_add_func ("/refcount/blocks", test_blocks);
  ADD_ROWS ("block", block_rows, test_block);
  g_test_add_func ("/refcount/truncated-block", test_truncated_block);
  g_test_add_func ("/refcount/truncated-entry", test_truncated_entry);
  g_test_add_func ("/refcount/unreadable-block", test_unreadable_block);
  g_test_add_func ("/refcount/skip-unused", test_skip_unused);
  g_test_add_func ("/refcount/after-table", test_after_table);
  g_test_add_func ("/refcount/two-clusters", test_two_clusters);
  ADD_ROWS ("place", places, test_place);
  g_test_add_func ("/refcount/version-2", test_version_2);
  g_test_add_func ("/refcount/large-block", test_large_block);
  g_test_add_func ("/refcount/random", test_random);
  g_test_add_func ("/refcount/work", test_work);
  g_test_add_func ("/refcount/few-reads", test_few_reads);
  g_test_add_func ("/refcount/read-error/table", test_bad_table);
  g_test_add_func ("/refcount/read-error/block", test_bad_block);
  g_test_add_func ("/refcount/read-error/rest", test_bad_rest);
  g_test_add_func ("/refcount/free-null", test_free_null);
  return g_test_run ();
}
