/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The state of a bitmap, what makes it damaged, and how much is read to
 * examine it. */

#include "config.h"

#include "check/bitmap-checker.h"

#include "test-util.h"

/* An image whose bitmaps are examined one after another. */
typedef struct
{
  Qcow2Image *image;
  Qcow2Findings *findings;
  Qcow2Directory *directory;
  Qcow2BitmapChecker *checker;
} Fixture;

static void
fixture_open (Fixture *f, const char *name, const char *patch)
{
  g_autoptr (GError) error = NULL;

  f->findings = qcow2_findings_new ();
  f->image = open_checked (name, patch, f->findings);
  f->directory = qcow2_directory_open_checked (f->image, f->findings, &error);
  g_assert_no_error (error);
  f->checker = qcow2_bitmap_checker_new (f->directory, f->findings);
}

static void
fixture_clear (Fixture *f)
{
  qcow2_bitmap_checker_free (f->checker);
  qcow2_directory_free (f->directory);
  qcow2_image_free (f->image);
  qcow2_findings_free (f->findings);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

/* Examines the next bitmap.  Returns FALSE at the end. */
static gboolean
examine_next (Fixture *f, Qcow2Bitmap *bitmap)
{
  g_autoptr (GError) error = NULL;
  const Qcow2Next next = qcow2_directory_next (f->directory, bitmap, &error);

  g_assert_no_error (error);
  if (next == QCOW2_NEXT_END)
    return FALSE;

  g_assert_true (qcow2_bitmap_checker_check (f->checker, bitmap, &error));
  g_assert_no_error (error);
  return TRUE;
}

/* Returns the states of all bitmaps, one letter each: damaged, stale, in-use,
 * off (disabled), enabled. */
static char *
get_states (Fixture *f)
{
  static const char letters[] = "?dsioe";
  g_autoptr (GString) states = g_string_new (NULL);
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  while (examine_next (f, &bitmap))
    g_string_append_c (states, letters[bitmap.result.state]);

  return g_strdup (states->str);
}

/* clang-format off */
/* Here, .findings holds the states of the bitmaps. */
static const FindingRow states[] = {
  { "sound", "two-bitmaps", NULL, "ee" },
  { "every", "every-state", NULL, "eoii" },
  { "none", "no-bitmaps", NULL, "" },

  /* The first of damaged, stale, in-use, disabled and enabled that applies. */
  { "stale", "two-bitmaps", "0x58:0000000000000000", "ss" },
  { "stale-version-2", "version-2-bitmaps", NULL, "ss" },
  { "stale-before-in-use", "every-state", "0x58:0000000000000000", "ssss" },
  { "in-use-before-disabled", "in-use", NULL, "i" },
  { "disabled", "disabled", NULL, "o" },
  { "disabled-but-for-a-flag", "two-bitmaps", "0x2c000c:00000004", "oe" },
  { "damaged-before-stale", "two-bitmaps", "0x58:00*8 0x2c0010:02", "ds" },
  { "damaged-before-in-use", "in-use-damaged", NULL, "d" },

  /* The autoclear bit of another feature does not vouch for the bitmaps. */
  { "autoclear-bit-1", "external-data-file-raw", "0x58:0000000000000002",
    "ss" },

  { "damaged-by/unknown-feature", "two-bitmaps", "0x48:0000000000000020",
    "dd" },
  { "damaged-by/nb-bitmaps", "two-bitmaps", "0x200:00000003", "dd" },
  { "damaged-by/reserved32", "two-bitmaps", "0x204:00000001", "dd" },
  { "damaged-by/directory-size", "two-bitmaps",
    "0x208:0000000000000048 size=0x2d0000", "dd" },
  { "damaged-by/directory-offset", "two-bitmaps", "0x210:00000000002c0020"
    " 0x200:00000001 0x208:0000000000000020", "d" },
  { "damaged-by/second-extension", "bitmaps-twice-equal", NULL, "dd" },
  { "damaged-by/extension-length", "two-bitmaps", "0x1fc:00000020", "dd" },

  { "damaged-by/table-offset", "two-bitmaps", "0x2c0000:0000000000000000",
    "de" },
  { "damaged-by/table-after-file", "two-bitmaps", "0x2c0020:00000007f0000000",
    "ed" },
  { "damaged-by/table-size", "two-bitmaps", "0x2c0008:00000002", "de" },
  { "damaged-by/flags", "two-bitmaps", "0x2c000c:0000000a", "de" },
  { "damaged-by/type", "two-bitmaps", "0x2c0030:00", "ed" },
  { "damaged-by/granularity", "two-bitmaps", "0x2c0011:40", "de" },
  { "damaged-by/name-size", "name-size-0", NULL, "do" },
  { "damaged-by/extra-data", "extra-data-incompatible", NULL, "do" },
  { "damaged-by/same-name", "two-bitmaps-one-name", NULL, "ed" },
  /* The walk ends at the truncated entry: no more is known of the second
   * bitmap. */
  { "damaged-by/cut-entry", "two-bitmaps", "0x2c0032:ffff", "ed" },
  { "damaged-by/cut-first-entry", "two-bitmaps", "0x2c0012:ffff", "d" },

  { "damaged-by/reserved-bit", "two-bitmaps", "0x2a0000:0000000000290002",
    "de" },
  { "damaged-by/ones-and-offset", "two-bitmaps", "0x2a0000:0000000000290001",
    "de" },
  { "damaged-by/unaligned-data", "two-bitmaps", "0x2a0000:0000000000290200",
    "de" },
  { "damaged-by/data-after-file", "two-bitmaps", "0x2a0000:000000007f000000",
    "de" },
  { "damaged-by/middle-entry", "one-bad-entry-of-three", NULL, "d" },
  { "damaged-by/shared-table", "two-bitmaps",
    "0x2a0000:8000000000000000 0x2c0020:00000000002a0000", "dd" },

  /* The sound entry after the bad one does not hide it.  A cluster of bits
   * covers 32 GiB of disk. */
  { "damaged-by/shared-table-of-two", "two-bitmaps", "0x18:0000001000000000"
    " 0x2c0008:00000002 0x2c0020:00000000002a000000000002 0x2c0031:10"
    " 0x2a0000:80000000000000000000000000290000", "dd" },

  /* The second bitmap has the same table with one more entry, a bad one. */
  { "damaged-by/longer-shared-table", "two-bitmaps",
    "0x2c0020:00000000002a0000" "00000002" "00000003"
    " 0x2a0008:8000000000000000", "ed" },

  /* Errors outside a bitmap do not make it damaged. */
  { "not-damaged-by/size", "two-bitmaps",
    "0x18:8000000000000000 0x2c0011:1f 0x2c0031:1f"
    " 0x2c0008:00002000 0x2c0028:00002000", "ee" },
  { "not-damaged-by/compression", "two-bitmaps", "0x68:ff", "ee" },
  { "not-damaged-by/refcount-order", "two-bitmaps", "0x60:00000007", "ee" },
  { "not-damaged-by/refcount-table", "two-bitmaps", "0x30:0000000000000000",
    "ee" },
  { "not-damaged-by/backing-name", "backing-file", "0x10:ffffffff", "ee" },
  { "not-damaged-by/later-extension", "two-bitmaps", "0x218:12345678ffffffff",
    "ee" },
  { "not-damaged-by/terminator", "two-bitmaps", "0x218:00000000ffffffff",
    "ee" },
  { "not-damaged-by/crypto-extension", "luks-pointer",
    "0x80:ffffffffffffffff", "ee" },
  { "not-damaged-by/warnings", "two-bitmaps", "0x2c0011:08 0x2c0008:00000001"
    " 0x18:0000000000800000 0x2c001b:01 0x2c000c:00000006", "ee" },
  { "not-damaged-by/in-use-table-size", "table-size-2-in-use", NULL, "ie" },
  { "not-damaged-by/missing-padding", "two-bitmaps", "size=0x2c003b", "ee" },
};
/* clang-format on */

static void
test_states (gconstpointer data)
{
  const FindingRow *row = data;
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, row->base, row->patch);
  g_autofree char *found = get_states (&f);
  g_assert_cmpstr (found, ==, row->findings);
}

static void
test_usable (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  const gboolean usable[] = { TRUE, TRUE, FALSE, FALSE };

  fixture_open (&f, "every-state", NULL);
  for (guint i = 0; i < 4; i++)
    {
      g_assert_true (examine_next (&f, &bitmap));
      g_assert_cmpint (bitmap.result.usable != 0, ==, usable[i]);
    }
}

/* The order of examination does not affect the state of a bitmap. */
static void
test_out_of_order (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) first = { 0 };
  g_auto (Qcow2Bitmap) second = { 0 };

  fixture_open (&f, "two-bitmaps", "0x2a0000:0000000000290001");
  g_assert_cmpint (qcow2_directory_next (f.directory, &first, NULL), ==,
                   QCOW2_NEXT_ITEM);
  g_assert_cmpint (qcow2_directory_next (f.directory, &second, NULL), ==,
                   QCOW2_NEXT_ITEM);
  g_assert_true (qcow2_bitmap_checker_check (f.checker, &second, NULL));
  g_assert_true (qcow2_bitmap_checker_check (f.checker, &first, NULL));
  g_assert_cmpint (second.result.state, ==, QCOW2_BITMAP_STATE_ENABLED);
  g_assert_cmpint (first.result.state, ==, QCOW2_BITMAP_STATE_DAMAGED);
}

/* The 101st error of a rule is not kept, but its bitmap is damaged all the
 * same. */
static void
test_beyond_cap (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  guint64 n = 0;

  fixture_open (&f, "many-same-name", NULL);
  while (n < 300 && examine_next (&f, &bitmap))
    g_assert_cmpint (bitmap.result.state, ==,
                     n++ == 0 ? QCOW2_BITMAP_STATE_DISABLED
                              : QCOW2_BITMAP_STATE_DAMAGED);
  g_assert_cmpuint (n, ==, 300);
}

static void
test_judge_entry_alone (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "two-bitmaps", "0x2a0000:0000000000290001 0x2c0010:02");
  const guint n_reads = ((FakeSource *) f.image->source)->n_reads;
  g_assert_cmpint (qcow2_directory_next (f.directory, &bitmap, NULL), ==,
                   QCOW2_NEXT_ITEM);
  qcow2_bitmap_checker_check_entry (f.checker, &bitmap);
  assert_findings (f.findings, "E BDIR-11@0x2c0010");
  g_assert_cmpint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_UNKNOWN);
  g_assert_cmpuint (((FakeSource *) f.image->source)->n_reads, <=,
                    n_reads + 1);
}

static void
test_table_findings (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "reserved-bits-in-entries", NULL);
  g_autofree char *found = get_states (&f);
  g_assert_cmpstr (found, ==, "d");
  assert_findings (f.findings, "E BTAB-01@0x12600; E BTAB-01@0x12608; "
                               "E BTAB-01@0x12610; E BTAB-01@0x12618");
}

/* The second bitmap that uses a table has a finding about the error, too. */
static void
test_shared_table_findings (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "two-bitmaps",
                "0x2a0000:8000000000000000 0x2c0020:00000000002a0000"
                " 0x2c0031:10");
  g_autofree char *found = get_states (&f);
  const Qcow2Finding *second = qcow2_findings_get (f.findings, 1);

  g_assert_cmpstr (found, ==, "dd");
  g_assert_cmpuint (qcow2_findings_get_n (f.findings), ==, 2);
  g_assert_cmpstr (second->rule, ==, "BTAB-01");
  g_assert_cmphex (second->offset, ==, 0x2a0000);
  g_assert_cmphex (second->value, ==, G_GUINT64_CONSTANT (1) << 63);
  g_assert_cmpuint (second->subject.bitmap, ==, 1);
  assert_string (second->subject.name, "bm1");
}

/* The second bitmap's finding is about the worst error of the table.  The
 * third of four entries points past the end of the file, where QEMU reads
 * zeroes; the fourth has reserved bits, for which QEMU refuses the image. */
static void
test_shared_table_worst_error (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "four-entries",
                "0x78:00000002 0x80:0000000000000040"
                " 0x12610:0000000000100200 0x12618:8000000000000000"
                " 0x12820:00000000000126000000000400000002"
                "0109000400000000"
                "636f617200000000 size=0x12a00");
  g_autofree char *found = get_states (&f);
  const Qcow2Finding *second = qcow2_findings_get (f.findings, 2);

  g_assert_cmpstr (found, ==, "dd");
  g_assert_cmpuint (qcow2_findings_get_n (f.findings), ==, 3);
  g_assert_cmpstr (second->rule, ==, "BTAB-01");
  g_assert_cmphex (second->offset, ==, 0x12618);
  g_assert_cmphex (second->value, ==, 0x8000000000000000);
  g_assert_cmpuint (second->subject.bitmap, ==, 1);
}

/* Data that is long enough for a coarse bitmap may be too short for a fine
 * one: the verdict on a table depends on the granularity. */
static void
test_shared_table_granularity (void)
{
  g_auto (Fixture) f = { 0 };

  /* The data cluster is truncated after 128 bytes.  These hold all of 1024
   * bits of 64 KiB, but not all of 2048 bits of 32 KiB. */
  fixture_open (&f, "two-bitmaps",
                "0x2a0000:00000000002d0000 0x2d0000:ff*128"
                " 0x2c0020:00000000002a0000");
  g_autofree char *found = get_states (&f);
  g_assert_cmpstr (found, ==, "ed");
}

static guint64
count_bytes (Fixture *f)
{
  return ((const FakeSource *) f->image->source)->n_bytes;
}

/* 65535 bitmaps share a table of 64 KiB: reading it for each of them would
 * take 4 GiB. */
static void
test_shared_table_is_read_once (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "many-share-long-table", NULL);
  const guint64 before = count_bytes (&f);
  g_autofree char *found = get_states (&f);

  /* The directory's 2 MiB and the table are read. */
  g_assert_cmpuint (strlen (found), ==, 65535);
  g_assert_cmpuint (count_bytes (&f) - before, <, 4 * 1024 * 1024);
}

/* QEMU refuses a table for more than 512 MiB of data, which is 8192 entries
 * here.  Entries after these are not read unless the disk needs them. */
static void
test_limit_of_unneeded (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_open (&f, "sparse-table-32-gib", NULL);
  const guint64 before = count_bytes (&f);
  g_autofree char *found = get_states (&f);

  g_assert_cmpstr (found, ==, "de");
  assert_findings (f.findings, "E BDIR-06@0x2c0008; E BDIR-18@0x2c0008; "
                               "W RES-02@0x2b0008");
  g_assert_cmpuint (count_bytes (&f) - before, <, 1024 * 1024);
}

/* Counts that cover only part of a table are not reported. */
static void
test_counts_of_a_part (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "sparse-table-32-gib", NULL);
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_false (bitmap.result.has_counts);
  g_assert_cmpuint (bitmap.result.disk_bytes, ==, QCOW2_ABSENT);
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_true (bitmap.result.has_counts);
  g_assert_cmpuint (bitmap.result.disk_bytes, ==, 65536);
}

/* Entries that the disk needs are read to the last one while the budget lasts.
 */
static void
test_needed_is_read (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "sparse-table-needed", NULL);
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_ENABLED);
  g_assert_cmpuint (count_bytes (&f), >=, 128 * 1024 * 1024);
}

/* The disk needs two tables of 2^27 entries, 1 GiB each.  The second exceeds
 * the budget, and an unexamined table cannot be trusted. */
static void
test_budget (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  /* 2^62 bytes in granules of 2^16 are 2^43 bytes of bitmap, or 2^27 clusters.
   */
  fixture_open (&f, "two-bitmaps",
                "0x18:4000000000000000 0x2c0011:10 0x2c0031:10"
                " 0x2c0000:0000001000000000 0x2c0008:08000000"
                " 0x2c0020:0000002000000000 0x2c0028:08000000"
                " size=0x10000000000");
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_ENABLED);
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_DAMAGED);
  g_assert_cmpuint (count_bytes (&f), <, (1024 + 8) * 1024 * 1024);
}

/* Three bitmaps whose tables have 2^27 needed entries each.  The first table
 * cannot be read; the second and the third are the same table.  Both bitmaps
 * that use it are damaged, as it is not examined. */
static void
test_budget_shared (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "two-bitmaps",
                "0x200:00000003 0x208:0000000000000060"
                " 0x18:4000000000000000 0x2c0011:10 0x2c0031:10"
                " 0x2c0000:0000001000000000 0x2c0008:08000000"
                " 0x2c0020:0000002000000000 0x2c0028:08000000"
                " 0x2c0040:0000002000000000080000000000000201100003"
                "00000000626d320000000000"
                " size=0x10000000000");
  ((FakeSource *) f.image->source)->bad_start = 0x1000000000;
  ((FakeSource *) f.image->source)->bad_end = 0x1000000001;
  g_assert_cmpint (qcow2_directory_next (f.directory, &bitmap, NULL), ==,
                   QCOW2_NEXT_ITEM);
  g_assert_false (qcow2_bitmap_checker_check (f.checker, &bitmap, NULL));
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_DAMAGED);
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_DAMAGED);
  g_assert_cmpuint (bitmap.index, ==, 2);
  assert_findings (f.findings, "E HDR-15@0x18; E RES-02@0x2000000000; "
                               "W BDIR-06@0x2c0008; W BDIR-06@0x2c0028; "
                               "W BDIR-06@0x2c0048");
}

/* The budget leaves 64 bytes for the second table, which is eight entries. */
static void
test_rest_of_budget (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "two-bitmaps",
                "0x18:4000000000000000 0x2c0011:10 0x2c0031:10"
                " 0x2c0000:0000001000000000 0x2c0008:07fffff8"
                " 0x2c0020:0000002000000000 0x2c0028:08000000"
                " size=0x10000000000");
  ((FakeSource *) f.image->source)->bad_start = 0x1000000000;
  ((FakeSource *) f.image->source)->bad_end = 0x1000000001;
  g_assert_cmpint (qcow2_directory_next (f.directory, &bitmap, NULL), ==,
                   QCOW2_NEXT_ITEM);
  g_assert_false (qcow2_bitmap_checker_check (f.checker, &bitmap, NULL));
  g_assert_true (examine_next (&f, &bitmap));
  assert_findings (f.findings,
                   "E HDR-15@0x18; W BDIR-06@0x2c0008; W BDIR-06@0x2c0028; "
                   "E BDIR-18@0x2c0008; E RES-02@0x2000000040");
}

/* A table of 512 entries takes eight clusters of 512 bytes. */
static void
test_disk_bytes_of_table (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "four-entries",
                "0x12800:000000000002000000000200 0x20018:0000000000012000"
                " size=0x30000");
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_true (bitmap.result.has_counts);
  g_assert_cmpuint (bitmap.result.counts.all_zeroes, ==, 511);
  g_assert_cmpuint (bitmap.result.disk_bytes, ==, 9 * 512);
}

/* A table that cannot be read cannot be trusted. */
static void
test_read_error (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  g_autoptr (GError) error = NULL;

  fixture_open (&f, "two-bitmaps", NULL);
  ((FakeSource *) f.image->source)->bad_start = 0x2a0000;
  ((FakeSource *) f.image->source)->bad_end = 0x2a0001;
  g_assert_cmpint (qcow2_directory_next (f.directory, &bitmap, &error), ==,
                   QCOW2_NEXT_ITEM);
  g_assert_false (qcow2_bitmap_checker_check (f.checker, &bitmap, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x2a0000", "FILE-04");
  g_assert_cmpint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_DAMAGED);
}

static void
test_get_table (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "four-entries", NULL);
  g_assert_true (examine_next (&f, &bitmap));
  const Qcow2Table table = qcow2_image_get_table (f.image, &bitmap);

  g_assert_true (table.source == f.image->source);
  g_assert_true (table.header == &f.image->header);
  g_assert_cmphex (table.offset, ==, 0x12600);
  g_assert_cmpuint (table.n_entries, ==, 4);
  g_assert_cmpuint (table.granularity, ==, 512);
}

/* Only bitmaps that are in use are marked as having a writer. */
static void
test_writer (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  const gboolean in_use[] = { FALSE, FALSE, TRUE, TRUE };

  fixture_open (&f, "every-state", NULL);
  fake_source_lock ((FakeSource *) f.image->source);
  for (guint i = 0; i < 4; i++)
    {
      g_assert_true (examine_next (&f, &bitmap));
      g_assert_cmpint (bitmap.result.has_writer != 0, ==, in_use[i]);
    }
  /* One probe serves all bitmaps, so that they agree about a writer that comes
   * and goes. */
  g_assert_cmpuint (((FakeSource *) f.image->source)->n_probes, ==, 1);
}

static void
test_count_reserved (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "two-bitmaps", "0x2a0000:8000000000290000");
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpuint (bitmap.result.counts.reserved, ==, 1);
  g_assert_cmpuint (bitmap.result.counts.serialized, ==, 1);
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpuint (bitmap.result.counts.reserved, ==, 0);
}

/* Where writers cannot be detected, none is reported. */
static void
test_no_writer (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  fixture_open (&f, "in-use", NULL);
  g_assert_true (examine_next (&f, &bitmap));
  g_assert_cmpuint (bitmap.result.state, ==, QCOW2_BITMAP_STATE_IN_USE);
  g_assert_false (bitmap.result.has_writer);
}

/* ---- Dirty bytes ---- */

/* Examines both bitmaps of an image with two bitmaps. */
static void
examine_both (Fixture *f, Qcow2Bitmap *first, Qcow2Bitmap *second)
{
  g_assert_true (examine_next (f, first));
  g_assert_true (examine_next (f, second));
}

static void
count_dirty (Fixture *f, Qcow2Bitmap *bitmap)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (
      qcow2_bitmap_checker_count_dirty (f->checker, bitmap, &error));
  g_assert_no_error (error);
}

/* 36 granules of 64 KiB are dirty in the first bitmap, none in the second. */
static void
test_count_dirty (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) first = { 0 };
  g_auto (Qcow2Bitmap) second = { 0 };

  fixture_open (&f, "two-bitmaps", NULL);
  examine_both (&f, &first, &second);
  g_assert_cmpuint (first.result.dirty_bytes, ==, QCOW2_ABSENT);
  count_dirty (&f, &first);
  count_dirty (&f, &second);
  g_assert_cmpuint (first.result.dirty_bytes, ==, 36 * 65536);
  g_assert_cmpuint (second.result.dirty_bytes, ==, 0);
}

/* The dirty bytes of an unusable bitmap are unknown, and its data is not read.
 */
static void
test_count_dirty_unusable (void)
{
  const char *const rows[][2]
      = { { "every-state", NULL },
          { "two-bitmaps", "0x58:0000000000000000" },
          { "two-bitmaps", "0x2a0000:0000000000290002 0x2c0030:00" } };

  for (gsize i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_auto (Fixture) f = { 0 };
      g_auto (Qcow2Bitmap) bitmap = { 0 };
      guint n = 0;

      fixture_open (&f, rows[i][0], rows[i][1]);
      while (examine_next (&f, &bitmap))
        {
          const FakeSource *source = (const FakeSource *) f.image->source;
          const guint n_reads = source->n_reads;

          if (bitmap.result.usable)
            continue;

          count_dirty (&f, &bitmap);
          g_assert_cmpuint (bitmap.result.dirty_bytes, ==, QCOW2_ABSENT);
          g_assert_cmpuint (source->n_reads, ==, n_reads);
          n++;
        }
      g_assert_cmpuint (n, ==, 2);
    }
}

/* The data of a table that two bitmaps share is read once. */
static void
test_count_dirty_shared (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) first = { 0 };
  g_auto (Qcow2Bitmap) second = { 0 };

  fixture_open (&f, "two-bitmaps", "0x2c0020:00000000002a0000 0x2c0031:10");
  examine_both (&f, &first, &second);
  const guint64 before = count_bytes (&f);
  count_dirty (&f, &first);
  const guint64 now = count_bytes (&f);
  count_dirty (&f, &second);
  g_assert_cmpuint (now, >, before);
  g_assert_cmpuint (count_bytes (&f), ==, now);
  g_assert_cmpuint (first.result.dirty_bytes, ==, 36 * 65536);
  g_assert_cmpuint (second.result.dirty_bytes, ==, 36 * 65536);
}

/* With another granularity, the same bits cover a different number of bytes.
 */
static void
test_count_dirty_granularity (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) first = { 0 };
  g_auto (Qcow2Bitmap) second = { 0 };

  fixture_open (&f, "two-bitmaps", "0x2c0020:00000000002a0000");
  examine_both (&f, &first, &second);
  count_dirty (&f, &second);
  count_dirty (&f, &first);
  g_assert_cmpuint (first.result.dirty_bytes, ==, 36 * 65536);
  g_assert_cmpuint (second.result.dirty_bytes, ==, 36 * 32768);
}

static void
test_count_dirty_read_error (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) first = { 0 };
  g_auto (Qcow2Bitmap) second = { 0 };
  g_autoptr (GError) error = NULL;

  fixture_open (&f, "two-bitmaps", NULL);
  examine_both (&f, &first, &second);
  ((FakeSource *) f.image->source)->bad_start = 0x290000;
  ((FakeSource *) f.image->source)->bad_end = 0x290001;
  g_assert_false (
      qcow2_bitmap_checker_count_dirty (f.checker, &first, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x290000", "FILE-04");
  g_assert_cmpuint (first.result.dirty_bytes, ==, QCOW2_ABSENT);
  count_dirty (&f, &second);
  g_assert_cmpuint (second.result.dirty_bytes, ==, 0);
}

/* Asserts that counting the dirty bytes of BITMAP, whose data cannot be read,
 * fails: before any read if REFUSED, at the read if not. */
static void
check_budget (Fixture *f, Qcow2Bitmap *bitmap, gboolean refused)
{
  FakeSource *source = (FakeSource *) f->image->source;
  const gint code = refused ? QCOW2_ERROR_LIMIT : QCOW2_ERROR_READ;
  g_autoptr (GError) error = NULL;

  source->bad_start = 0x290000;
  source->bad_end = 0x2a0000;
  g_assert_false (
      qcow2_bitmap_checker_count_dirty (f->checker, bitmap, &error));
  g_assert_error (error, QCOW2_ERROR, code);
  g_assert_cmpint (strstr (error->message, "FILE-04") == NULL, ==, refused);
  g_assert_cmpint (strstr (error->message, " 4294967296 bytes") != NULL, ==,
                   refused);
  g_assert_cmpuint (bitmap->result.dirty_bytes, ==, QCOW2_ABSENT);
  source->bad_end = 0x290000;
}

/* With granules of 512 bytes, a disk of 2^44 bytes needs 65536 clusters of
 * bits.  Either all of these have data, or all but one.  The other bitmap
 * needs 512 clusters, of which one has data. */
#define SECOND_TABLE                                                          \
  "0x18:0000100000000000 0x2c0008:00000200"                                   \
  " 0x2c0020:0000000000300000 0x2c0028:00010000 0x2c0031:09"                  \
  " 0x300000:0000000000290000*65536"

static void
test_count_dirty_budget (void)
{
  const char *const patches[]
      = { SECOND_TABLE, SECOND_TABLE " 0x300000:0000000000000000" };

  for (guint i = 0; i < 2; i++)
    {
      g_auto (Fixture) f = { 0 };
      g_auto (Qcow2Bitmap) first = { 0 };
      g_auto (Qcow2Bitmap) second = { 0 };

      fixture_open (&f, "two-bitmaps", patches[i]);
      examine_both (&f, &first, &second);
      g_assert_true (first.result.usable && second.result.usable);
      count_dirty (&f, &first);
      check_budget (&f, &second, i == 0);
      g_assert_cmpuint (first.result.dirty_bytes, ==, 36 * 65536);
    }
}

/* A refused bitmap, here one with 65537 clusters of bits, takes nothing from
 * the budget of the others. */
static void
test_count_dirty_refused_first (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) first = { 0 };
  g_auto (Qcow2Bitmap) second = { 0 };

  fixture_open (&f, "two-bitmaps",
                SECOND_TABLE " 0x18:0000100010000000 0x2c0008:00000201"
                             " 0x2c0028:00010001"
                             " 0x380000:0000000000290000");
  examine_both (&f, &first, &second);
  g_assert_true (first.result.usable && second.result.usable);
  check_budget (&f, &second, TRUE);
  count_dirty (&f, &first);
  g_assert_cmpuint (first.result.dirty_bytes, ==, 36 * 65536);
}

static void
test_free_null (void)
{
  qcow2_bitmap_checker_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_rows ("/examine/state", states, G_N_ELEMENTS (states), test_states);
  g_test_add_func ("/examine/usable", test_usable);
  g_test_add_func ("/examine/out-of-order", test_out_of_order);
  g_test_add_func ("/examine/beyond-cap", test_beyond_cap);
  g_test_add_func ("/examine/entry-alone", test_judge_entry_alone);
  g_test_add_func ("/examine/findings/table", test_table_findings);
  g_test_add_func ("/examine/findings/shared-table",
                   test_shared_table_findings);
  g_test_add_func ("/examine/findings/shared-table/worst-error",
                   test_shared_table_worst_error);
  g_test_add_func ("/examine/shared-table/granularity",
                   test_shared_table_granularity);
  g_test_add_func ("/examine/shared-table/read-once",
                   test_shared_table_is_read_once);
  g_test_add_func ("/examine/limit/unneeded", test_limit_of_unneeded);
  g_test_add_func ("/examine/limit/counts", test_counts_of_a_part);
  g_test_add_func ("/examine/limit/shared-table", test_budget_shared);
  g_test_add_func ("/examine/limit/rest", test_rest_of_budget);
  g_test_add_func ("/examine/disk-bytes/table", test_disk_bytes_of_table);
  if (!RUNNING_SLOWLY)
    {
      g_test_add_func ("/examine/limit/needed", test_needed_is_read);
      g_test_add_func ("/examine/limit/budget", test_budget);
    }
  g_test_add_func ("/examine/read-error", test_read_error);
  g_test_add_func ("/examine/table", test_get_table);
  g_test_add_func ("/examine/count/reserved", test_count_reserved);
  g_test_add_func ("/examine/writer", test_writer);
  g_test_add_func ("/examine/no-writer", test_no_writer);
  g_test_add_func ("/examine/dirty/count", test_count_dirty);
  g_test_add_func ("/examine/dirty/unusable", test_count_dirty_unusable);
  g_test_add_func ("/examine/dirty/shared-table", test_count_dirty_shared);
  g_test_add_func ("/examine/dirty/granularity", test_count_dirty_granularity);
  g_test_add_func ("/examine/dirty/read-error", test_count_dirty_read_error);
  g_test_add_func ("/examine/dirty/budget", test_count_dirty_budget);
  g_test_add_func ("/examine/dirty/refused-first",
                   test_count_dirty_refused_first);
  g_test_add_func ("/examine/free-null", test_free_null);
  return g_test_run ();
}
