/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bitmap directory: decoding entries, where the walk ends, duplicate
 * names, findings about an entry. */

#include "config.h"

#include "check/bitmap-rules.h"
#include "qcow2/directory.h"

#include "test-util.h"

/* The tests put their own directories into image two-bitmaps at NEW, a cluster
 * after the end of the file, which grows. */
#define NEW 0x300000u
#define BITMAPS_DATA 0x200u

/* An image and the walk over its bitmap directory. */
typedef struct
{
  Image *built;
  Qcow2Image *image;
  Qcow2Findings *findings;
  Qcow2Directory *directory;
} Fixture;

static void
fixture_open (Fixture *fixture)
{
  g_autoptr (GError) error = NULL;
  FakeSource *source
      = fake_source_new (fixture->built->bytes, fixture->built->size);

  fixture->findings = qcow2_findings_new ();
  fixture->image
      = qcow2_image_open_checked (&source->base, fixture->findings, &error);
  g_assert_no_error (error);
  fixture->directory = qcow2_directory_open_checked (
      fixture->image, fixture->findings, &error);
  g_assert_no_error (error);
}

static void
fixture_build (Fixture *fixture, const char *name, const char *patch)
{
  fixture->built = build_patched (name, patch);
  fixture_open (fixture);
}

static void
fixture_clear (Fixture *fixture)
{
  qcow2_directory_free (fixture->directory);
  qcow2_image_free (fixture->image);
  qcow2_findings_free (fixture->findings);
  image_free (fixture->built);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

/* Returns FALSE at the end. */
static gboolean
next (Fixture *fixture, Qcow2Bitmap *bitmap)
{
  g_autoptr (GError) error = NULL;
  const Qcow2Next got
      = qcow2_directory_next (fixture->directory, bitmap, &error);

  g_assert_no_error (error);
  g_assert_cmpint (got, !=, QCOW2_NEXT_FAILED);
  return got == QCOW2_NEXT_ITEM;
}

static guint64
count_entries (Fixture *fixture)
{
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  guint64 n = 0;

  while (next (fixture, &bitmap))
    g_assert_cmpuint (bitmap.index, ==, n++);

  return n;
}

/* Writes an entry as the specification lays it out, and returns the offset at
 * which the next one starts. */
static guint64
put_entry (Image *image, guint64 at, guint32 extra_data_size,
           guint16 name_size, char letter)
{
  image_put_be (image, at, 8, 0x2a0000);
  image_put_be (image, at + 8, 4, 1);
  image_put_be (image, at + 12, 4, extra_data_size > 0 ? 6 : 2);
  image_put_be (image, at + 16, 1, 1);
  image_put_be (image, at + 17, 1, 16);
  image_put_be (image, at + 18, 2, name_size);
  image_put_be (image, at + 20, 4, extra_data_size);
  at += 24;
  for (guint32 i = 0; i < extra_data_size; i++)
    image_put_be (image, at + i, 1, 0xe0 + i % 16);
  at += extra_data_size;
  for (guint i = 0; i < name_size; i++)
    image_put_be (image, at + i, 1, (guint8) letter);
  at += name_size;
  while (at % 8 != 0)
    image_put_be (image, at++, 1, 0);

  return at;
}

static void
put_extension (Image *image, guint32 nb_bitmaps, guint64 size, guint64 offset)
{
  image_put_be (image, BITMAPS_DATA, 4, nb_bitmaps);
  image_put_be (image, BITMAPS_DATA + 8, 8, size);
  image_put_be (image, BITMAPS_DATA + 16, 8, offset);
}

static void
test_fields (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, "two-bitmaps",
                 "0x2c0000:0102030405060708"
                 "11121314"
                 "21222324"
                 "31"
                 "32"
                 "0003"
                 "00000000");
  g_assert_true (next (&f, &b));
  g_assert_cmphex (b.bitmap_table_offset, ==,
                   G_GUINT64_CONSTANT (0x0102030405060708));
  g_assert_cmphex (b.bitmap_table_size, ==, 0x11121314);
  g_assert_cmphex (b.flags, ==, 0x21222324);
  g_assert_cmphex (b.type, ==, 0x31);
  g_assert_cmphex (b.granularity_bits, ==, 0x32);
  g_assert_cmphex (b.granularity, ==, G_GUINT64_CONSTANT (0x4000000000000));
  g_assert_cmpuint (b.name_size, ==, 3);
  g_assert_cmpuint (b.extra_data_size, ==, 0);
  g_assert_cmpint (b.result.state, ==, QCOW2_BITMAP_STATE_UNKNOWN);
}

static void
test_entries (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, "two-bitmaps", NULL);
  g_assert_true (next (&f, &b));
  g_assert_cmpuint (b.index, ==, 0);
  g_assert_cmphex (b.file_offset, ==, 0x2c0000);
  g_assert_cmphex (b.name_offset, ==, 0x2c0018);
  assert_string (b.name, "bm0");
  g_assert_true (next (&f, &b));
  g_assert_cmpuint (b.index, ==, 1);
  g_assert_cmphex (b.file_offset, ==, 0x2c0020);
  g_assert_cmphex (b.name_offset, ==, 0x2c0038);
  assert_string (b.name, "bm1");
  g_assert_false (next (&f, &b));
  g_assert_false (next (&f, &b));
  assert_findings (f.findings, "");
}

static void
test_rewind (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, "two-bitmaps", NULL);
  g_assert_cmpuint (count_entries (&f), ==, 2);
  g_assert_cmpuint (count_entries (&f), ==, 0);
  qcow2_directory_rewind (f.directory);
  g_assert_cmpuint (count_entries (&f), ==, 2);
}

static void
test_granularity (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, "two-bitmaps", "0x2c0011:3f 0x2c0031:40");
  g_assert_true (next (&f, &b));
  g_assert_cmphex (b.granularity, ==, G_GUINT64_CONSTANT (1) << 63);
  g_assert_true (next (&f, &b));
  g_assert_cmphex (b.granularity, ==, QCOW2_ABSENT);
}

/* Every number of padding bytes, with extra data before the name. */
static void
test_framing (void)
{
  g_auto (Fixture) f = { .built = image_build ("two-bitmaps") };
  guint64 at = NEW;

  for (guint i = 0; i < 64; i++)
    at = put_entry (f.built, at, i / 8, (guint16) (1 + i % 8),
                    (char) ('0' + i));
  put_extension (f.built, 64, at - NEW, NEW);
  fixture_open (&f);

  guint64 expected = NEW;
  for (guint i = 0; i < 64; i++)
    {
      g_auto (Qcow2Bitmap) b = { 0 };
      g_autofree char *name = g_strnfill (1 + i % 8, (char) ('0' + i));

      g_assert_true (next (&f, &b));
      g_assert_cmphex (b.file_offset, ==, expected);
      g_assert_cmpuint (b.extra_data_size, ==, i / 8);
      assert_string (b.name, name);
      g_assert_false (b.padding_truncated);
      g_assert_cmpuint (b.bad_padding, ==, 0);
      expected += (24 + i / 8 + 1 + i % 8 + 7) / 8 * 8;
    }
  assert_findings (f.findings, "");
}

/* The preview of extra data holds the first 32 bytes. */
static void
test_extra_data (void)
{
  g_auto (Fixture) f = { .built = image_build ("two-bitmaps") };
  g_auto (Qcow2Bitmap) b = { 0 };
  guint64 at = put_entry (f.built, NEW, 200001, 3, 'x');

  at = put_entry (f.built, at, 0, 3, 'y');
  put_extension (f.built, 2, at - NEW, NEW);
  fixture_open (&f);

  g_assert_true (next (&f, &b));
  for (guint i = 0; i < 32; i++)
    g_assert_cmphex (b.extra_data[i], ==, 0xe0 + i % 16);
  g_assert_cmphex (b.name_offset, ==, NEW + 24 + 200001);
  assert_string (b.name, "xxx");
  g_assert_true (next (&f, &b));
  assert_string (b.name, "yyy");
  assert_findings (f.findings, "");
}

static void
assert_name_size (guint size, guint extra_data_size)
{
  g_auto (Fixture) f = { .built = image_build ("two-bitmaps") };
  g_auto (Qcow2Bitmap) b = { 0 };
  guint64 at = put_entry (f.built, NEW, extra_data_size, (guint16) size, 'n');

  at = put_entry (f.built, at, 0, 1, 'z');
  put_extension (f.built, 2, at - NEW, NEW);
  fixture_open (&f);

  g_assert_true (next (&f, &b));
  g_assert_cmpuint (b.name_size, ==, size);
  g_assert_cmpuint (g_bytes_get_size (b.name), ==, size);
  const char *name = g_bytes_get_data (b.name, NULL);
  for (guint i = 0; i < size; i++)
    g_assert_cmpint (name[i], ==, 'n');
  g_assert_true (next (&f, &b));
  assert_string (b.name, "z");
  assert_findings (f.findings, "");
}

static void
test_name_sizes (void)
{
  const guint sizes[] = { 0, 1, 7, 8, 9, 1023, 1024, 65534, 65535 };

  for (guint i = 0; i < G_N_ELEMENTS (sizes); i++)
    assert_name_size (sizes[i], 0);
}

/* Every number of padding bytes, from none to 7. */
static void
test_padding_of_longest_name (void)
{
  for (guint i = 0; i < 8; i++)
    assert_name_size (G_MAXUINT16, i);
}

/* A name is a string of bytes, with no encoding. */
static void
test_name_bytes (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, "two-bitmaps", "0x2c0012:0005 0x2c0018:00ff0a1b00");
  g_assert_true (next (&f, &b));
  assert_bytes (b.name, "\0\xff\n\x1b\0", 5);
}

/* The number of entries in an image, and the findings about its directory. */
typedef struct
{
  FindingRow row;
  guint64 n_entries;
} EndRow;

/* clang-format off */
static const EndRow ends[] = {
  { { "none", "no-bitmaps", NULL, "" }, 0 },
  { { "sound", "two-bitmaps", NULL, "" }, 2 },

  { { "BDIR-01/23-bytes", "two-bitmaps", "size=0x2c0037",
      "E BEXT-06@0x210; E BDIR-01@0x2c0020" }, 1 },
  { { "BDIR-01/1-byte", "two-bitmaps", "size=0x2c0021",
      "E BEXT-06@0x210; E BDIR-01@0x2c0020" }, 1 },
  { { "BDIR-01/first", "two-bitmaps", "0x208:0000000000000008",
      "E BEXT-04@0x208; E BDIR-01@0x2c0000" }, 0 },

  { { "BDIR-02/name", "two-bitmaps", "0x208:0000000000000038",
      "E BDIR-02@0x2c0032" }, 2 },
  { { "BDIR-02/name-in-file", "two-bitmaps", "size=0x2c003a",
      "W BEXT-06@0x210; E BDIR-02@0x2c0032" }, 2 },
  /* The last entry also ends after the directory, which QEMU notices. */
  { { "BDIR-02/name-in-neither", "two-bitmaps", "0x2c0032:0009 size=0x2c003c",
      "E BEXT-06@0x210; E BDIR-02@0x2c0032" }, 2 },
  { { "BDIR-02/name-size", "two-bitmaps", "0x2c0032:0009",
      "E BDIR-02@0x2c0032" }, 2 },
  { { "BDIR-02/extra-data", "two-bitmaps", "0x2c0034:00000006",
      "E BDIR-02@0x2c0032" }, 2 },
  { { "BDIR-02/extra-data-all-ones", "two-bitmaps", "0x2c0014:ffffffff",
      "E BDIR-02@0x2c0012" }, 1 },
  { { "BDIR-02/extra-data-wraps-to-0", "two-bitmaps", "0x2c0014:ffffffe5",
      "E BDIR-02@0x2c0012" }, 1 },
  /* The last of the 65535 entries that are read at most. */
  { { "BDIR-02/last-of-65535", "many-same-name", "0x4fffd2:ffff",
      "E BDIR-02@0x4fffd2" }, 65535 },
  { { "BDIR-02/fits", "two-bitmaps", "0x2c0034:00000005", "" }, 2 },

  { { "BDIR-03/more", "two-bitmaps", "0x200:00000001",
      "E BDIR-03@0x200" }, 2 },
  { { "BDIR-03/less", "two-bitmaps", "0x208:0000000000000020",
      "E BEXT-04@0x208; E BDIR-03@0x200" }, 1 },
  { { "BDIR-03/file-ends", "two-bitmaps", "size=0x2c0020",
      "E BEXT-06@0x210; E BDIR-03@0x200" }, 1 },
  { { "BDIR-03/none-said", "two-bitmaps", "0x200:00000000",
      "E BEXT-01@0x200; E BDIR-03@0x200" }, 2 },

  /* One entry fills the 0x3fffc00 bytes of a directory that are examined. */
  { { "BDIR-03/longest", "two-bitmaps",
      "0x208:0000000003fffc08 0x2c000c:00000006 0x2c0012:000803fffbe0"
      " size=0x8000000",
      "E BEXT-04@0x208; E BDIR-03@0x200" }, 1 },

  /* The directory lies after the end of the file, but it has no entries to
   * miss. */
  { { "BDIR-04/empty-after-file", "two-bitmaps",
      "0x200:00000000 0x210:00000000002d0000 size=0x2d0000",
      "E BEXT-01@0x200; E BEXT-06@0x210" }, 0 },
  /* The directory would end after 2^64. */
  { { "after-2^64", "two-bitmaps",
      "0x210:ffffffffffff0000 0x208:0000000000020000",
      "E BEXT-06@0x210" }, 0 },
  /* The remaining bytes are too few for an entry. */
  { { "BDIR-04/8-bytes", "two-bitmaps", "0x208:0000000000000048 size=0x2d0000",
      "E BDIR-04@0x2c0040" }, 2 },
  { { "BDIR-04/16-bytes", "two-bitmaps",
      "0x208:0000000000000050 size=0x2d0000", "E BDIR-04@0x2c0040" }, 2 },
  /* The 24 remaining zero bytes are an entry without a name. */
  { { "BDIR-04/24-bytes", "two-bitmaps",
      "0x208:0000000000000058 size=0x2d0000", "E BDIR-03@0x200" }, 3 },
  { { "BDIR-04/file-ends", "two-bitmaps", "0x208:0000000000000048",
      "E BEXT-06@0x210; E BDIR-04@0x2c0040" }, 2 },
  { { "BDIR-04/file-ends-in-padding", "four-entries",
      "0x80:0000000000000028 size=0x1281c",
      "E BEXT-06@0x88; E BDIR-04@0x1281c" }, 1 },

  /* These directories are not walked at all. */
  { { "offset-0", "two-bitmaps", "0x210:0000000000000000",
      "E BEXT-05@0x210" }, 0 },
  { { "after-file", "two-bitmaps", "0x210:00000007f0000000",
      "E BEXT-06@0x210" }, 0 },
  { { "wraps", "two-bitmaps", "0x210:ffffffffffff0000",
      "E BEXT-06@0x210" }, 0 },
  { { "at-file-end", "directory-offset-at-eof", NULL,
      "E BEXT-06@0x210" }, 0 },
  { { "size-0", "two-bitmaps", "0x208:0000000000000000",
      "E BEXT-04@0x208" }, 0 },
  { { "cut-extension", "two-bitmaps", "0x1fc:00000017",
      "E EXT-12@0x1fc" }, 0 },
  /* A directory that does not start a cluster is walked nevertheless. */
  { { "unaligned", "two-bitmaps",
      "0x210:00000000002c0020 0x208:0000000000000020 "
      "0x200:00000001", "E BEXT-05@0x210" }, 1 },
};
/* clang-format on */

static void
test_end (gconstpointer data)
{
  const EndRow *row = data;
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, row->row.base, row->row.patch);
  g_assert_cmpuint (count_entries (&f), ==, row->n_entries);
  assert_findings (f.findings, row->row.findings);
}

/* A truncated entry has its fields, but no name. */
static void
test_cut_entry (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, "two-bitmaps", "0x2c0012:ffff");
  g_assert_true (next (&f, &b));
  g_assert_cmphex (b.bitmap_table_offset, ==, 0x2a0000);
  g_assert_cmpuint (b.name_size, ==, 65535);
  g_assert_null (b.name);
  g_assert_false (next (&f, &b));
}

static void
test_cut_padding (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, "two-bitmaps", "size=0x2c003f");
  g_assert_true (next (&f, &b));
  g_assert_false (b.padding_truncated);
  g_assert_true (next (&f, &b));
  g_assert_true (b.padding_truncated);
  assert_string (b.name, "bm1");
}

static void
test_bad_padding (void)
{
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, "two-bitmaps", "0x2c001d:01 0x2c001f:01");
  g_assert_true (next (&f, &b));
  g_assert_cmphex (b.bad_padding, ==, 0x2c001d);
}

/* Findings about the whole directory have no bitmap index.  Findings about one
 * bitmap have its index, even when the bitmap is missing. */
static void
assert_bitmap_of_finding (const char *patch, const char *rule, guint64 bitmap)
{
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, "two-bitmaps", patch);
  for (guint i = 0; i < qcow2_findings_get_n (f.findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (f.findings, i);

      if (!g_str_equal (finding->rule, rule))
        continue;

      g_assert_cmpuint (finding->subject.bitmap, ==, bitmap);
      g_assert_cmpuint (finding->subject.parts, ==, QCOW2_PART_BITMAPS);
      return;
    }
  g_error ("there is no %s", rule);
}

static void
test_subjects (void)
{
  assert_bitmap_of_finding ("size=0x2c0030", "BDIR-01", 1);
  assert_bitmap_of_finding ("0x2c0012:ffff", "BDIR-02", 0);
  assert_bitmap_of_finding ("0x200:00000003", "BDIR-03", QCOW2_NO_INDEX);
  assert_bitmap_of_finding ("0x208:0000000000000048 size=0x2d0000", "BDIR-04",
                            QCOW2_NO_INDEX);
}

/* A sparse directory reads as zeroes, which are entries of 24 bytes each.  The
 * walk ends after 65535 of them. */
static void
test_bounded (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, "sparse-directory-1-tib", NULL);
  g_assert_cmpuint (count_entries (&f), ==, 65535);
}

/* 65535 entries of the smallest size fill only part of the largest directory
 * that QEMU accepts, so only that part is read. */
static void
test_bounded_reads (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, "sparse-directory-1-tib", NULL);
  g_assert_cmpuint (((FakeSource *) f.image->source)->n_bytes, <, 4000000);
}

static void
test_many (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, "many-bitmaps", "size=0x10000000");
  g_assert_cmpuint (count_entries (&f), ==, 1000);
  assert_findings (f.findings, "");
}

static void
test_namesakes (void)
{
  static const char letters[] = "abacbaZa";
  static const guint64 expected[] = { 0, 1, 0, 3, 1, 0, 6, 0 };
  g_auto (Fixture) f = { .built = image_build ("two-bitmaps") };
  guint64 at = NEW;

  for (guint i = 0; i < 8; i++)
    at = put_entry (f.built, at, 0, 5, letters[i]);
  put_extension (f.built, 8, at - NEW, NEW);
  fixture_open (&f);

  for (guint64 i = 0; i < 8; i++)
    g_assert_cmpuint (qcow2_directory_get_first_with_name (f.directory, i), ==,
                      expected[i]);
}

/* Asserts that INDEX is the index of the next bitmap. */
static void
assert_next (Fixture *fixture, guint64 index)
{
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  g_assert_true (next (fixture, &bitmap));
  g_assert_cmpuint (bitmap.index, ==, index);
}

static gboolean
skip_to_name (Fixture *fixture, const char *name)
{
  return qcow2_directory_skip_to_name (fixture->directory, name,
                                       strlen (name));
}

static void
test_skip (void)
{
  static const char letters[] = "abacb";
  g_auto (Fixture) f = { .built = image_build ("two-bitmaps") };
  guint64 at = NEW;

  for (guint i = 0; i < 5; i++)
    at = put_entry (f.built, at, 0, 5, letters[i]);
  put_extension (f.built, 5, at - NEW, NEW);
  fixture_open (&f);

  g_assert_true (skip_to_name (&f, "bbbbb"));
  assert_next (&f, 1);
  g_assert_true (skip_to_name (&f, "bbbbb"));
  assert_next (&f, 4);
  g_assert_false (skip_to_name (&f, "bbbbb"));
  qcow2_directory_rewind (f.directory);
  g_assert_false (skip_to_name (&f, "bbbb"));
  g_assert_false (skip_to_name (&f, ""));
  assert_next (&f, 0);

  g_assert_true (qcow2_directory_skip_to_index (f.directory, 3));
  assert_next (&f, 3);
  assert_next (&f, 4);
  g_assert_false (qcow2_directory_skip_to_index (f.directory, 4));
  qcow2_directory_rewind (f.directory);
  g_assert_true (qcow2_directory_skip_to_index (f.directory, 0));
  g_assert_false (qcow2_directory_skip_to_index (f.directory, 5));
  assert_next (&f, 0);
}

/* The offset of an entry without a name is not recorded, but a walk reaches
 * the entry. */
static void
test_skip_to_nameless (void)
{
  g_auto (Fixture) f = { .built = image_build ("two-bitmaps") };
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  guint64 at = NEW;

  for (guint i = 0; i < 3; i++)
    at = put_entry (f.built, at, 0, 5, 'a');
  put_extension (f.built, 3, at - NEW - 8, NEW);
  fixture_open (&f);

  g_assert_true (qcow2_directory_skip_to_index (f.directory, 2));
  assert_next (&f, 0);
  assert_next (&f, 1);
  g_assert_true (next (&f, &bitmap));
  g_assert_null (bitmap.name);
  g_assert_false (next (&f, &bitmap));
}

/* The name of each of N_NAMES bitmaps is a letter, a NUL byte and a letter. */
#define N_NAMES 120

static guint64
find_first (const char (*names)[3], guint64 index, gsize len)
{
  guint64 i = 0;

  while (memcmp (names[i], names[index], len) != 0)
    i++;
  return i;
}

/* Names in no order, equal up to a NUL byte or as a whole. */
static void
check_cut_namesakes (guint n_names)
{
  g_auto (Fixture) f = { .built = image_build ("two-bitmaps") };
  char names[N_NAMES][3];
  guint64 at = NEW;

  for (guint i = 0; i < n_names; i++)
    {
      const guint64 name = at + 24;

      names[i][0] = (char) ('a' + i * 7 % 11);
      names[i][1] = '\0';
      names[i][2] = (char) ('a' + i * i % 5);
      at = put_entry (f.built, at, 0, 3, names[i][0]);
      memcpy (f.built->bytes->data + name, names[i], 3);
    }
  put_extension (f.built, n_names, at - NEW, NEW);
  fixture_open (&f);

  for (guint64 i = 0; i < n_names; i++)
    {
      g_assert_cmpuint (qcow2_directory_get_first_with_name (f.directory, i),
                        ==, find_first (names, i, 3));
      g_assert_cmpuint (qcow2_directory_get_first_with_c_name (f.directory, i),
                        ==, find_first (names, i, 1));
    }
}

static void
test_cut_namesakes (void)
{
  for (guint n = 1; n < 20; n++)
    check_cut_namesakes (n);
  check_cut_namesakes (N_NAMES);
}

/* Names must be equal byte for byte: a common prefix is not enough, nor are
 * equal bytes up to a NUL. */
static void
test_no_namesakes (void)
{
  g_auto (Fixture) prefix = { 0 };
  g_auto (Fixture) nul = { 0 };

  fixture_build (&prefix, "name-lengths", NULL);
  for (guint64 i = 0; i < 9; i++)
    g_assert_cmpuint (
        qcow2_directory_get_first_with_name (prefix.directory, i), ==, i);

  fixture_build (&nul, "name-equal-to-nul", NULL);
  g_assert_cmpuint (qcow2_directory_get_first_with_name (nul.directory, 1), ==,
                    1);
}

static void
test_namesake_of_cut_entry (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, "two-bitmaps", "0x2c0032:ffff");
  g_assert_cmpuint (count_entries (&f), ==, 2);
  g_assert_cmpuint (qcow2_directory_get_first_with_name (f.directory, 1), ==,
                    1);
}

/* 65535 entries of 32 bytes are read twice.  The second pass also reads
 * windows of 64 KiB, although it looks at each name again.  The test
 * cli-instructions.sh counts the work per name. */
static void
test_many_namesakes (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_build (&f, "many-same-name", NULL);
  g_assert_cmpuint (qcow2_directory_get_first_with_name (f.directory, 65534),
                    ==, 0);

  const FakeSource *source = (FakeSource *) f.image->source;
  g_assert_cmpuint (source->n_bytes, <=, 2 * 65535 * 32 + 256 * 1024);
  g_assert_cmpuint (source->n_reads, <=, 70);
}

static void
test_read_error (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image = open_checked ("two-bitmaps", NULL, findings);
  g_autoptr (GError) error = NULL;

  ((FakeSource *) image->source)->bad_start = 0x2c0030;
  ((FakeSource *) image->source)->bad_end = 0x2c0031;
  g_assert_null (qcow2_directory_open_checked (image, findings, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x2c0020", "FILE-04");
  /* Findings about the whole directory need a walk to its end. */
  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 0);
}

/* QEMU rewrites the header with the directory.  Without the backing file name
 * its size is unknown, and with it whether QEMU can write. */
static void
test_read_error_in_written_header (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image
      = open_checked ("two-bitmaps",
                      "header.backing_file_offset:0000000000000300 "
                      "header.backing_file_size:00000001 0x300:62",
                      findings);
  g_autoptr (GError) error = NULL;

  ((FakeSource *) image->source)->bad_start = 0x300;
  ((FakeSource *) image->source)->bad_end = 0x301;
  g_assert_null (qcow2_directory_open_checked (image, findings, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x300", "FILE-04");
}

static void
test_read_error_in_name (void)
{
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);
  g_autoptr (GError) error = NULL;

  ((FakeSource *) image->source)->bad_start = 0x2c0039;
  ((FakeSource *) image->source)->bad_end = 0x2c003a;
  g_assert_null (qcow2_directory_open (image, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x2c0038", "FILE-04");
}

static void
test_read_error_in_extra_data (void)
{
  g_autoptr (Qcow2Image) image = open_image ("extra-data-compatible", NULL);
  g_autoptr (GError) error = NULL;

  ((FakeSource *) image->source)->bad_start = 0x70018;
  ((FakeSource *) image->source)->bad_end = 0x70019;
  g_assert_null (qcow2_directory_open (image, &error));
  assert_fatal (error, QCOW2_ERROR_READ, "0x70018", "FILE-04");
}

/* A read error in extra data during the first walk over a directory. */
static void
test_read_error_in_first_walk (void)
{
  g_autoptr (Qcow2Image) image = open_image ("extra-data-compatible", NULL);
  g_autoptr (GError) error = NULL;
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  ((FakeSource *) image->source)->bad_start = 0x70018;
  ((FakeSource *) image->source)->bad_end = 0x70019;
  Qcow2Directory *directory
      = qcow2_directory_open_counted (image, &image->bitmaps);
  g_assert_cmpint (qcow2_directory_next (directory, &bitmap, &error), ==,
                   QCOW2_NEXT_FAILED);
  assert_fatal (error, QCOW2_ERROR_READ, "0x70018", "FILE-04");
  qcow2_directory_free (directory);
}

/* An entry that the walk has not met has no first_with_name.  Such entries
 * appear when another process writes to the image; here, no entry has been
 * met. */
static void
test_namesake_of_unknown (void)
{
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", NULL);
  Qcow2Directory *directory
      = qcow2_directory_open_counted (image, &image->bitmaps);

  g_assert_cmpuint (qcow2_directory_get_n (directory), ==, 0);
  g_assert_cmpuint (qcow2_directory_get_first_with_name (directory, 0), ==, 0);
  g_assert_cmpuint (qcow2_directory_get_first_with_name (directory, 65534), ==,
                    65534);
  g_assert_cmpuint (qcow2_directory_get_first_with_c_name (directory, 0), ==,
                    0);
  g_assert_cmpuint (qcow2_directory_get_first_with_c_name (directory, 65534),
                    ==, 65534);
  qcow2_directory_free (directory);
}

/* At most 65535 entries are returned, whatever nb_bitmaps is.  These are all
 * zeroes. */
static void
test_counted_limit (void)
{
  g_autoptr (Qcow2Image) image = open_image ("two-bitmaps", "size=0x2000000");
  const Qcow2BitmapsExtension extension
      = { .nb_bitmaps = 65536, .bitmap_directory_offset = 0x1000000 };
  Qcow2Directory *directory = qcow2_directory_open_counted (image, &extension);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  g_autoptr (GError) error = NULL;
  Qcow2Next got;
  guint n = 0;

  while ((got = qcow2_directory_next (directory, &bitmap, &error))
         == QCOW2_NEXT_ITEM)
    n++;

  g_assert_no_error (error);
  g_assert_cmpint (got, ==, QCOW2_NEXT_END);
  g_assert_cmpuint (n, ==, 65535);
  qcow2_directory_free (directory);
}

static void
test_free_null (void)
{
  qcow2_directory_free (NULL);
}

/* Findings about an entry, by bitmap-rules.c. */
/* clang-format off */
static const FindingRow rules[] = {
  { "two-bitmaps", "two-bitmaps", NULL, "" },
  { "four-entries", "four-entries", NULL, "" },

  { "BDIR-05/0", "two-bitmaps", "0x2c0000:0000000000000000",
    "E BDIR-05@0x2c0000" },
  { "BDIR-05/unaligned", "two-bitmaps", "0x2c0000:00000000002a0008",
    "E BDIR-05@0x2c0000" },
  { "BDIR-05/second", "two-bitmaps", "0x2c0020:00000000002a0200",
    "E BDIR-05@0x2c0020" },

  { "BDIR-06/0", "two-bitmaps", "0x2c0008:00000000",
    "E BDIR-06@0x2c0008; E BDIR-18@0x2c0008" },
  { "BDIR-06/512-mib", "two-bitmaps", "0x2c0008:00002000",
    "E BDIR-18@0x2c0008" },
  { "BDIR-06/over-512-mib", "two-bitmaps", "0x2c0008:00002001",
    "W BDIR-06@0x2c0008; E BDIR-18@0x2c0008" },
  { "BDIR-06/2-27", "two-bitmaps", "0x2c0008:08000000 size=0x10000000000",
    "W BDIR-06@0x2c0008; E BDIR-18@0x2c0008" },
  { "BDIR-06/over-2-27", "two-bitmaps", "0x2c0008:08000001 size=0x10000000000",
    "E BDIR-06@0x2c0008; E BDIR-18@0x2c0008" },

  { "BDIR-07/ends-with-file", "table-ends-at-eof", NULL, "" },
  { "BDIR-07/after-file", "table-one-byte-past-eof", NULL,
    "E BDIR-07@0x2c0020" },
  { "BDIR-07/empty-at-the-end", "two-bitmaps",
    "0x2c0000:00000000002d000000000000 size=0x2d0000",
    "E BDIR-06@0x2c0008; E BDIR-18@0x2c0008" },
  { "BDIR-07/wraps", "two-bitmaps", "0x2c0000:ffffffffffff0000",
    "E BDIR-07@0x2c0000" },

  { "BDIR-08/known", "two-bitmaps", "0x2c000c:00000002", "" },
  { "BDIR-08/bit-3", "two-bitmaps", "0x2c000c:00000008",
    "E BDIR-08@0x2c000c" },
  { "BDIR-08/bit-31", "two-bitmaps", "0x2c000c:80000000",
    "E BDIR-08@0x2c000c" },
  { "BDIR-08/no-extra-data", "two-bitmaps", "0x2c000c:00000004",
    "W BDIR-08@0x2c000c" },
  { "BDIR-09/in-use", "two-bitmaps", "0x2c000c:00000003",
    "W BDIR-09@0x2c000c" },

  { "BDIR-11/0", "two-bitmaps", "0x2c0010:00", "E BDIR-11@0x2c0010" },
  { "BDIR-11/2", "two-bitmaps", "0x2c0010:02", "E BDIR-11@0x2c0010" },
  { "BDIR-11/255", "two-bitmaps", "0x2c0010:ff", "E BDIR-11@0x2c0010" },

  /* 64 MiB in granules of 512 bytes are 131072 bits, which is one cluster. */
  { "BDIR-12/9", "two-bitmaps", "0x2c0011:09", "" },
  { "BDIR-12/8", "two-bitmaps", "0x2c0011:08", "W BDIR-12@0x2c0011" },
  { "BDIR-12/31", "two-bitmaps", "0x2c0011:1f", "" },
  { "BDIR-12/32", "two-bitmaps", "0x2c0011:20", "W BDIR-12@0x2c0011" },
  { "BDIR-12/63", "two-bitmaps", "0x2c0011:3f", "W BDIR-12@0x2c0011" },
  { "BDIR-12/64", "two-bitmaps", "0x2c0011:40", "E BDIR-12@0x2c0011" },
  { "BDIR-12/255", "two-bitmaps", "0x2c0011:ff", "E BDIR-12@0x2c0011" },

  { "BDIR-13/0", "name-size-0", NULL, "E BDIR-13@0x2c0012" },
  { "BDIR-13/1023", "name-1023-bytes", NULL, "" },
  { "BDIR-13/1024", "name-1024-bytes", NULL, "W BDIR-13@0x2c0012" },
  { "BDIR-13/65535", "name-65535-bytes", NULL, "W BDIR-13@0x300012" },

  { "BDIR-14/forbids", "extra-data-incompatible", NULL, "E BDIR-14@0x2c0014" },
  { "BDIR-14/auto-forbids", "extra-data-incompatible", "0x2c000c:00000002",
    "E BDIR-14@0x2c0014" },
  { "BDIR-14/compatible", "extra-data-incompatible", "0x2c000c:00000004",
    "W BDIR-14@0x2c0014" },

  { "BDIR-15/twice", "two-bitmaps-one-name", NULL, "E BDIR-15@0x2c0038" },

  { "BDIR-16/first", "two-bitmaps", "0x2c001b:01", "W BDIR-16@0x2c001b" },
  { "BDIR-16/last", "two-bitmaps", "0x2c003f:ff", "W BDIR-16@0x2c003b" },
  { "BDIR-02/padding", "two-bitmaps", "size=0x2c003b",
    "W BEXT-06@0x210; W BDIR-02@0x2c003b" },

  { "BDIR-17/newline", "name-newline", NULL, "I BDIR-17@0x2c0018" },
  { "BDIR-17/nul", "name-nul", NULL, "W BDIR-17@0x2c0018" },
  { "BDIR-17/not-utf-8", "name-non-utf8", NULL, "I BDIR-17@0x2c0018" },
  { "BDIR-17/direction", "name-right-to-left", NULL, "I BDIR-17@0x2c0018" },
  { "BDIR-17/letters", "name-utf8", NULL, "" },
  { "BDIR-17/backslash", "name-backslash-u", NULL, "" },

  /* Four clusters of 512 bytes hold 16384 bits, one for each sector. */
  { "BDIR-18/3", "four-entries", "0x12808:00000003", "E BDIR-18@0x12808" },
  { "BDIR-18/5", "four-entries", "0x12808:00000005", "E BDIR-18@0x12808" },
  { "BDIR-18/3-in-use", "four-entries", "0x12808:00000003" "00000003",
    "W BDIR-18@0x12808; W BDIR-09@0x1280c" },
  { "BDIR-18/one-sector-more", "four-entries", "0x18:0000000000800200",
    "E BDIR-18@0x12808; E HDR-15@0x24" },
  /* The disk has 8 MiB less one cluster's worth of bits, plus one byte.  QEMU
   * rounds the size down to sectors, and then needs one entry less. */
  { "BDIR-18/one-byte-of-bits", "four-entries", "0x18:0000000000600001",
    "W HDR-15@0x18; W BDIR-18@0x12808" },
  { "BDIR-18/one-cluster-of-bits-less", "four-entries",
    "0x18:0000000000600000", "E BDIR-18@0x12808" },
  { "BDIR-18/2-63-granules", "two-bitmaps",
    "0x18:ffffffffffffffff 0x2c0011:00",
    "E HDR-15@0x18; W BDIR-12@0x2c0011; E BDIR-18@0x2c0008; "
    "E BDIR-18@0x2c0028" },
  { "BDIR-18/empty-disk", "two-bitmaps", "0x18:0000000000000000",
    "E BDIR-18@0x2c0008; E BDIR-18@0x2c0028" },
};
/* clang-format on */

static void
test_rules (gconstpointer data)
{
  const FindingRow *row = data;
  g_auto (Fixture) f = { 0 };
  g_auto (Qcow2Bitmap) b = { 0 };

  fixture_build (&f, row->base, row->patch);
  while (next (&f, &b))
    qcow2_bitmap_check (
        &b, &f.image->header, f.built->size,
        qcow2_directory_get_first_with_name (f.directory, b.index),
        qcow2_directory_get_first_with_c_name (f.directory, b.index), FALSE,
        f.findings);
  assert_findings (f.findings, row->findings);
}

static void
assert_data_size (guint64 size, guint bits, guint64 cluster_size,
                  guint64 data_size, guint64 n_entries)
{
  const Qcow2Header header = { .size = size, .cluster_size = cluster_size };
  const Qcow2Bitmap bitmap = { .granularity = G_GUINT64_CONSTANT (1) << bits };
  guint64 found = 0;

  g_assert_true (qcow2_bitmap_get_data_size (&bitmap, &header, &found));
  g_assert_cmpuint (found, ==, data_size);
  g_assert_cmpuint (qcow2_header_size_to_clusters (&header, found), ==,
                    n_entries);
}

/* bits = ceil (size / 2^g), bytes = ceil (bits / 8), entries = ceil (bytes /
 * cluster size), computed without overflow. */
static void
test_data_size (void)
{
  assert_data_size (0, 16, 65536, 0, 0);
  assert_data_size (1, 16, 65536, 1, 1);
  assert_data_size (8 * 65536, 16, 65536, 1, 1);
  assert_data_size (8 * 65536 + 1, 16, 65536, 2, 1);
  assert_data_size (G_GUINT64_CONSTANT (1) << 35, 16, 65536, 65536, 1);
  assert_data_size ((G_GUINT64_CONSTANT (1) << 35) + 1, 16, 65536, 65537, 2);
  assert_data_size (G_MAXUINT64, 63, 65536, 1, 1);
  assert_data_size (G_MAXUINT64, 0, 512, G_GUINT64_CONSTANT (1) << 61,
                    G_GUINT64_CONSTANT (1) << 52);
}

static void
test_no_data_size (void)
{
  const Qcow2Header header = { .size = 512, .cluster_size = 512 };
  const Qcow2Bitmap bitmap = { .granularity = QCOW2_ABSENT };
  guint64 size = 4711;

  g_assert_false (qcow2_bitmap_get_data_size (&bitmap, &header, &size));
  g_assert_cmpuint (size, ==, 4711);
}

static void
test_usable (void)
{
  static const gboolean usable[] = {
    [QCOW2_BITMAP_STATE_DISABLED] = TRUE, [QCOW2_BITMAP_STATE_ENABLED] = TRUE
  };

  for (guint state = QCOW2_BITMAP_STATE_UNKNOWN;
       state <= QCOW2_BITMAP_STATE_ENABLED; state++)
    {
      Qcow2Bitmap bitmap = { .result.usable = 99 };

      qcow2_bitmap_set_state (&bitmap, (Qcow2BitmapState) state);
      g_assert_cmpuint (bitmap.result.state, ==, state);
      g_assert_cmpuint (bitmap.result.usable, ==, usable[state]);
    }
}

/* A writer is shown with the state "in-use" only. */
static void
test_shown_state (void)
{
  static const char *const words[][2] = {
    [QCOW2_BITMAP_STATE_DAMAGED] = { "damaged", "damaged" },
    [QCOW2_BITMAP_STATE_STALE] = { "stale", "stale" },
    [QCOW2_BITMAP_STATE_IN_USE] = { "in-use", "in-use+writer" },
    [QCOW2_BITMAP_STATE_DISABLED] = { "disabled", "disabled" },
    [QCOW2_BITMAP_STATE_ENABLED] = { "enabled", "enabled" },
  };

  for (guint state = 0; state < G_N_ELEMENTS (words); state++)
    {
      for (guint writer = 0; writer < 2 && words[state][0] != NULL; writer++)
        {
          const Qcow2Bitmap bitmap
              = { .result.state = state, .result.has_writer = writer != 0 };

          g_assert_cmpstr (qcow2_bitmap_get_state_word (&bitmap), ==,
                           words[state][writer]);
        }
    }
}

static void
add_entries (void)
{
  g_test_add_func ("/directory/fields", test_fields);
  g_test_add_func ("/directory/entries", test_entries);
  g_test_add_func ("/directory/rewind", test_rewind);
  g_test_add_func ("/directory/granularity", test_granularity);
  g_test_add_func ("/directory/framing", test_framing);
  g_test_add_func ("/directory/extra-data", test_extra_data);
  g_test_add_func ("/directory/name/sizes", test_name_sizes);
  g_test_add_func ("/directory/name/padding", test_padding_of_longest_name);
  g_test_add_func ("/directory/name/bytes", test_name_bytes);
  g_test_add_func ("/directory/cut/entry", test_cut_entry);
  g_test_add_func ("/directory/cut/padding", test_cut_padding);
  g_test_add_func ("/directory/bad-padding", test_bad_padding);
  g_test_add_func ("/directory/subjects", test_subjects);
  g_test_add_func ("/directory/bounded/entries", test_bounded);
  g_test_add_func ("/directory/bounded/reads", test_bounded_reads);
  g_test_add_func ("/directory/many", test_many);
  g_test_add_func ("/directory/read-error/head", test_read_error);
  g_test_add_func ("/directory/read-error/name", test_read_error_in_name);
  g_test_add_func ("/directory/read-error/written-header",
                   test_read_error_in_written_header);
  g_test_add_func ("/directory/read-error/first-walk",
                   test_read_error_in_first_walk);
  g_test_add_func ("/directory/read-error/extra-data",
                   test_read_error_in_extra_data);
  g_test_add_func ("/directory/free-null", test_free_null);
}

static void
add_namesakes (void)
{
  g_test_add_func ("/directory/namesake/some", test_namesakes);
  g_test_add_func ("/directory/namesake/cut", test_cut_namesakes);
  g_test_add_func ("/directory/namesake/none", test_no_namesakes);
  g_test_add_func ("/directory/namesake/cut-entry",
                   test_namesake_of_cut_entry);
  g_test_add_func ("/directory/namesake/many", test_many_namesakes);
  g_test_add_func ("/directory/namesake/unknown", test_namesake_of_unknown);
  g_test_add_func ("/directory/counted/limit", test_counted_limit);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  add_entries ();
  add_namesakes ();
  for (gsize i = 0; i < G_N_ELEMENTS (ends); i++)
    {
      g_autofree char *path
          = g_strdup_printf ("/directory/end/%s", ends[i].row.path);

      g_test_add_data_func (path, &ends[i], test_end);
    }
  g_test_add_func ("/bitmap/data-size", test_data_size);
  g_test_add_func ("/bitmap/no-data-size", test_no_data_size);
  g_test_add_func ("/bitmap/usable", test_usable);
  g_test_add_func ("/bitmap/shown-state", test_shown_state);
  add_rows ("/bitmap/findings", rules, G_N_ELEMENTS (rules), test_rules);
  g_test_add_func ("/directory/skip/names-and-indexes", test_skip);
  g_test_add_func ("/directory/skip/nameless", test_skip_to_nameless);
  return g_test_run ();
}
