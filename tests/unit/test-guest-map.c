/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The map of the guest's disk.  The images have clusters of 64 KiB, or of 512
 * bytes, and the expected extents were worked out by hand. */

#include "config.h"

#include "qcow2/guest-map.h"

#include "test-util.h"

#define X(n) G_GUINT64_CONSTANT (0x##n)

#define COPIED X (8000000000000000)
#define COMPRESSED X (4000000000000000)
#define ZERO 1

#define L1_TABLE 0x10000
#define L2_TABLE 0x20000
#define DATA 0x30000
#define FILE_SIZE 0x100000

/* A file, the image in it, and the walks over it. */
typedef struct
{
  GByteArray *bytes;
  guint64 file_size;
  FakeSource *source;
  Qcow2Image image;
  gboolean lenient;
  GString *list; /* extents as text */
  guint n_left;  /* extents until the callback ends the walk */
  gboolean fails;
} Fixture;

/* Sets up F with an L1 table of N_L1 entries and a disk of SIZE bytes.  Its
 * clusters have 2^CLUSTER_BITS bytes. */
static void
fixture_init (Fixture *f, guint cluster_bits, guint64 size, guint32 n_l1)
{
  *f = (Fixture){ .bytes = g_byte_array_new (),
                  .file_size = FILE_SIZE,
                  .list = g_string_new (NULL),
                  .n_left = G_MAXUINT };
  f->image.header.version = 3;
  f->image.header.cluster_bits = cluster_bits;
  f->image.header.cluster_size = G_GUINT64_CONSTANT (1) << cluster_bits;
  f->image.header.size = size;
  f->image.header.l1_size = n_l1;
  f->image.header.l1_table_offset = L1_TABLE;
}

static void
fixture_clear (Fixture *f)
{
  g_byte_array_unref (f->bytes);
  if (f->source != NULL)
    byte_source_free (&f->source->base);
  g_string_free (f->list, TRUE);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Fixture, fixture_clear)

static void
put (Fixture *f, guint64 offset, guint64 value)
{
  if (offset + 8 > f->bytes->len)
    {
      const guint len = f->bytes->len;

      g_byte_array_set_size (f->bytes, (guint) offset + 8);
      memset (f->bytes->data + len, 0, f->bytes->len - len);
    }
  for (guint i = 0; i < 8; i++)
    f->bytes->data[offset + i] = (guint8) (value >> (56 - 8 * i));
}

static void
put_l1 (Fixture *f, guint64 index, guint64 value)
{
  put (f, L1_TABLE + index * 8, value);
}

static void
put_l2 (Fixture *f, guint64 index, guint64 value)
{
  put (f, L2_TABLE + index * 8, value);
}

/* Stores an extended entry. */
static void
put_extended (Fixture *f, guint64 index, guint64 value, guint32 zeroes,
              guint32 allocated)
{
  put_l2 (f, index * 2, value);
  put_l2 (f, index * 2 + 1, (guint64) zeroes << 32 | allocated);
}

static Qcow2Next
list_extent (const Qcow2MapExtent *extent, gpointer data, GError **error)
{
  static const char letters[] = "PZDCO";
  static const char *const damages[]
      = { [QCOW2_MAP_NO_CLUSTERS] = "no-clusters",
          [QCOW2_MAP_L1_UNALIGNED] = "l1-unaligned",
          [QCOW2_MAP_L1_ENDS] = "l1-ends",
          [QCOW2_MAP_L1_LARGE] = "l1-large",
          [QCOW2_MAP_L2_UNALIGNED] = "l2-unaligned",
          [QCOW2_MAP_L2_OUTSIDE] = "l2-outside",
          [QCOW2_MAP_L2_ENDS] = "l2-ends",
          [QCOW2_MAP_UNALIGNED] = "unaligned",
          [QCOW2_MAP_OUTSIDE] = "outside",
          [QCOW2_MAP_ZERO_FLAG] = "zero-flag",
          [QCOW2_MAP_SUBCLUSTERS] = "subclusters",
          [QCOW2_MAP_NO_CLUSTER] = "no-cluster",
          [QCOW2_MAP_NO_COMPRESSED] = "no-compressed",
          [QCOW2_MAP_NOT_RAW] = "not-raw",
          [QCOW2_MAP_UNREAD] = "unread" };
  Fixture *f = data;

  g_string_append_printf (
      f->list, "%s0x%" G_GINT64_MODIFIER "x+0x%" G_GINT64_MODIFIER "x ",
      f->list->len > 0 ? "; " : "", extent->start, extent->length);
  for (guint i = 0; letters[i] != '\0'; i++)
    g_string_append_c (f->list,
                       (extent->flags >> i & 1) != 0 ? letters[i] : '-');
  if ((extent->flags & QCOW2_MAP_OFFSET) != 0)
    g_string_append_printf (f->list, " 0x%" G_GINT64_MODIFIER "x",
                            extent->offset);
  if (extent->damage != QCOW2_MAP_SOUND)
    g_string_append_printf (
        f->list,
        " %s at 0x%" G_GINT64_MODIFIER "x to 0x%" G_GINT64_MODIFIER "x",
        damages[extent->damage], extent->pointer, extent->offset);

  if (f->fails)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND, "no more");
      return QCOW2_NEXT_FAILED;
    }
  return --f->n_left > 0 ? QCOW2_NEXT_ITEM : QCOW2_NEXT_END;
}

static gboolean
walk (Fixture *f, guint64 start, guint64 length, GError **first_error,
      GError **error)
{
  if (f->source == NULL)
    {
      f->source = fake_source_new (f->bytes, f->file_size);
      f->image.source = &f->source->base;
    }

  g_autoptr (Qcow2GuestMap) map = qcow2_guest_map_new (&f->image, first_error);

  g_string_truncate (f->list, 0);
  return qcow2_guest_map_walk (map, start, length, list_extent, f, error);
}

/* Asserts that the LENGTH bytes at guest offset START have the extents
 * EXPECTED. */
static void
check_range (Fixture *f, guint64 start, guint64 length, const char *expected)
{
  g_autoptr (GError) error = NULL;

  g_assert_true (walk (f, start, length, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (f->list->str, ==, expected);
}

static void
check (Fixture *f, const char *expected)
{
  check_range (f, 0, f->image.header.size, expected);
}

/* ---- Sound images ---- */

static void
test_empty (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x400000, 1);
  check (&f, "0x0+0x400000 -Z---");
  f.image.header.backing_file_offset = 0x200;
  check (&f, "0x0+0x400000 -Z---");
  f.image.header.backing_file_size = 4;
  check (&f, "0x0+0x400000 -----");
  check_range (&f, 0x400000, 0, "");
  f.image.header.size = 0;
  check (&f, "");
}

static void
test_kinds (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x70000, 1);
  put_l1 (&f, 0, L2_TABLE | COPIED);
  put_l2 (&f, 0, 0x30000 | COPIED);
  put_l2 (&f, 1, 0x50000 | COPIED);
  put_l2 (&f, 3, ZERO);
  put_l2 (&f, 4, 0x70000 | COPIED | ZERO);
  put_l2 (&f, 5, COMPRESSED | 0x80123);
  put_l2 (&f, 6, 0x60000);
  check (&f, "0x0+0x10000 P-D-O 0x30000; 0x10000+0x10000 P-D-O 0x50000; "
             "0x20000+0x10000 -Z---; 0x30000+0x10000 PZ---; "
             "0x40000+0x10000 PZ--O 0x70000; 0x50000+0x10000 P-DC-; "
             "0x60000+0x10000 P-D-O 0x60000");
}

/* Extents grow over clusters, L2 tables and L1 entries, but only with host
 * offsets that follow each other. */
static void
test_merging (void)
{
  g_auto (Fixture) f = { 0 };

  /* An L2 table of 64 entries maps 32 KiB. */
  fixture_init (&f, 9, 0x18000, 3);
  put_l1 (&f, 0, L2_TABLE | COPIED);
  put_l1 (&f, 1, (L2_TABLE + 0x200) | COPIED);
  put_l2 (&f, 62, 0x30000 | COPIED);
  put_l2 (&f, 63, 0x30200);
  put_l2 (&f, 64, 0x30400 | COPIED);
  put_l2 (&f, 65, 0x30800 | COPIED);
  put_l2 (&f, 66, ZERO);
  put_l2 (&f, 67, ZERO | COPIED);
  put_l2 (&f, 68, COMPRESSED | 0x30200);
  put_l2 (&f, 69, COMPRESSED | 0x30100);
  check (&f, "0x0+0x7c00 -Z---; 0x7c00+0x600 P-D-O 0x30000; "
             "0x8200+0x200 P-D-O 0x30800; 0x8400+0x400 PZ---; "
             "0x8800+0x400 P-DC-; 0x8c00+0xf400 -Z---");
}

static void
test_ranges (void)
{
  g_auto (Fixture) f = { 0 };

  /* The disk ends inside a cluster. */
  fixture_init (&f, 16, 0x28001, 1);
  put_l1 (&f, 0, L2_TABLE | COPIED);
  put_l2 (&f, 0, 0x30000 | COPIED);
  put_l2 (&f, 1, 0x40000 | COPIED);
  put_l2 (&f, 2, 0x60000 | COPIED);
  check (&f, "0x0+0x20000 P-D-O 0x30000; 0x20000+0x8001 P-D-O 0x60000");
  check_range (&f, 0x1ffff, 2,
               "0x1ffff+0x1 P-D-O 0x4ffff; 0x20000+0x1 P-D-O 0x60000");
  check_range (&f, 0x28000, 1, "0x28000+0x1 P-D-O 0x68000");
  check_range (&f, 5, 7, "0x5+0x7 P-D-O 0x30005");
  check_range (&f, 0x10000, 0x10000, "0x10000+0x10000 P-D-O 0x40000");
}

static void
test_subclusters (void)
{
  g_auto (Fixture) f = { 0 };

  /* A subcluster has 2 KiB. */
  fixture_init (&f, 16, 0x50000, 1);
  f.image.header.incompatible_features = QCOW2_INCOMPATIBLE_EXTENDED_L2;
  put_l1 (&f, 0, L2_TABLE | COPIED);
  put_extended (&f, 0, 0x30000 | COPIED, 0x8, 0x3);
  put_extended (&f, 1, 0, 0x80000000, 0);
  put_extended (&f, 2, 0x40000 | COPIED, 0, 0xffffffff);
  put_extended (&f, 3, 0x50000 | COPIED, 0, 1);
  put_extended (&f, 4, COMPRESSED | 0x80123, 0, 0);
  check (&f, "0x0+0x1000 P-D-O 0x30000; 0x1000+0x800 -Z--O 0x31000; "
             "0x1800+0x800 PZ--O 0x31800; 0x2000+0xe000 -Z--O 0x32000; "
             "0x10000+0xf800 -Z---; 0x1f800+0x800 PZ---; "
             "0x20000+0x10800 P-D-O 0x40000; "
             "0x30800+0xf800 -Z--O 0x50800; 0x40000+0x10000 P-DC-");
  check_range (&f, 0x17ff, 2,
               "0x17ff+0x1 -Z--O 0x317ff; "
               "0x1800+0x1 PZ--O 0x31800");
}

/* QEMU does not tell the offset of encrypted data. */
static void
test_encrypted (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x20000, 1);
  f.image.header.crypt_method = QCOW2_CRYPT_LUKS;
  put_l1 (&f, 0, L2_TABLE | COPIED);
  put_l2 (&f, 0, 0x50000 | COPIED);
  put_l2 (&f, 1, 0x30000 | COPIED);
  check (&f, "0x0+0x20000 P-D--");
}

static void
test_data_file (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x40000, 1);
  f.image.header.incompatible_features = QCOW2_INCOMPATIBLE_DATA_FILE;
  put_l1 (&f, 0, L2_TABLE | COPIED);
  put_l2 (&f, 0, COPIED);
  put_l2 (&f, 1, 0x7ff0000 | COPIED);
  put_l2 (&f, 2, 0x20000 | COPIED);
  put_l2 (&f, 3, COMPRESSED | 0x80123);
  check (&f, "0x0+0x10000 P-D-O 0x0; 0x10000+0x10000 P-D-O 0x7ff0000; "
             "0x20000+0x10000 P-D-O 0x20000; "
             "0x30000+0x10000 P-D-- no-compressed at 0x20018 to 0x80123");
  f.image.header.autoclear_features = QCOW2_AUTOCLEAR_RAW_DATA;
  check (&f, "0x0+0x10000 P-D-O 0x0; "
             "0x10000+0x10000 P-D-- not-raw at 0x20008 to 0x7ff0000; "
             "0x20000+0x10000 P-D-O 0x20000; "
             "0x30000+0x10000 P-D-- no-compressed at 0x20018 to 0x80123");
}

/* A sparse image costs only the reads of its L1 table. */
static void
test_sparse (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, G_GUINT64_CONSTANT (1) << 50, 1 << 21);
  f.file_size = L1_TABLE + (8 << 21);
  check (&f, "0x0+0x4000000000000 -Z---");
  g_assert_cmpuint (f.source->n_bytes, <, (8 << 21) + 4 * BYTE_WINDOW_SIZE);
}

/* A disk that ends with the address space. */
static void
test_largest (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 30, G_MAXUINT64, 128);
  f.image.header.l1_table_offset = X (40000000);
  f.file_size = X (40000400);
  check (&f, "0x0+0xffffffffffffffff -Z---");
  f.image.header.l1_size = 127;
  check (&f, "0x0+0xfe00000000000000 -Z---; 0xfe00000000000000"
             "+0x1ffffffffffffff P-D-- l1-ends at 0x28 to 0x40000000");
}

/* ---- Damage ---- */

static void
test_l1_damage (void)
{
  g_auto (Fixture) f = { 0 };

  /* An L1 entry maps 512 MiB. */
  fixture_init (&f, 16, 0x80000000, 4);
  put_l1 (&f, 0, L2_TABLE + 0x200);
  put_l1 (&f, 1, FILE_SIZE);
  put_l1 (&f, 2, 0x1ff);
  check (&f, "0x0+0x20000000 P-D-- l2-unaligned at 0x10000 to 0x20200; "
             "0x20000000+0x20000000 P-D-- l2-outside at 0x10008 to 0x100000; "
             "0x40000000+0x40000000 -Z---");
  put_l1 (&f, 0, L2_TABLE);
  f.image.header.l1_size = 1;
  check (&f, "0x0+0x20000000 -Z---; "
             "0x20000000+0x60000000 P-D-- l1-ends at 0x28 to 0x10000");
  f.image.header.l1_size = 0;
  check (&f, "0x0+0x80000000 P-D-- l1-ends at 0x28 to 0x10000");
}

static void
test_l1_place (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 9, 0x20000, 4);
  f.image.header.l1_table_offset = 0;
  check (&f, "0x0+0x20000 P-D-- l1-ends at 0x28 to 0x0");
  f.image.header.l1_table_offset = 8;
  check (&f, "0x0+0x20000 P-D-- l1-unaligned at 0x28 to 0x8");
  f.image.header.l1_table_offset = X (fffffffffffffe00);
  check (&f, "0x0+0x20000 P-D-- l1-ends at 0x28 to 0xfffffffffffffe00");
  /* Only 64 of 80 entries are in the file. */
  f.image.header.l1_table_offset = FILE_SIZE - 0x200;
  f.image.header.l1_size = 80;
  f.image.header.size = 80 * 0x8000;
  check (&f, "0x0+0x200000 -Z---; "
             "0x200000+0x80000 P-D-- l1-ends at 0x28 to 0xffe00");
  f.image.header.cluster_size = QCOW2_ABSENT;
  check_range (&f, 1, 2, "0x1+0x2 P-D-- no-clusters at 0x14 to 0x0");
}

/* Entries after the first 32 MiB are not read. */
static void
test_l1_large (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 9, X (2000008000), (1 << 22) + 1);
  f.file_size = L1_TABLE + (32 << 20) + 8;
  check (&f, "0x0+0x2000000000 -Z---; "
             "0x2000000000+0x8000 P-D-- l1-large at 0x28 to 0x10000");
}

static void
test_l2_damage (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x60000, 1);
  put_l1 (&f, 0, L2_TABLE);
  put_l2 (&f, 0, 0x30200);
  put_l2 (&f, 1, FILE_SIZE);
  put_l2 (&f, 2, FILE_SIZE + 0x20000);
  put_l2 (&f, 3, FILE_SIZE - 0x10000);
  put_l2 (&f, 4, ZERO | 0x30400);
  put_l2 (&f, 5, ZERO | FILE_SIZE);
  check (&f, "0x0+0x10000 P-D-- unaligned at 0x20000 to 0x30200; "
             "0x10000+0x20000 P-D-- outside at 0x20008 to 0x100000; "
             "0x30000+0x10000 P-D-O 0xf0000; "
             "0x40000+0x10000 P-D-- unaligned at 0x20020 to 0x30400; "
             "0x50000+0x10000 P-D-- outside at 0x20028 to 0x100000");
}

/* The file ends inside the L2 table. */
static void
test_l2_ends (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x60000, 1);
  put_l1 (&f, 0, L2_TABLE);
  put_l2 (&f, 0, 0x10000);
  f.file_size = L2_TABLE + 0x17;
  check (&f, "0x0+0x10000 P-D-O 0x10000; 0x10000+0x10000 -Z---; "
             "0x20000+0x40000 P-D-- l2-ends at 0x20010 to 0x20000");
}

/* The last sector of compressed data may be incomplete, but must be there. */
static void
test_compressed_end (void)
{
  g_auto (Fixture) f = { 0 };
  /* Two sectors: the number of additional ones is in bits 54 to 61. */
  const guint64 two = COMPRESSED | (guint64) 1 << 54;

  fixture_init (&f, 16, 0x50000, 1);
  f.file_size = FILE_SIZE - 0x1ff;
  put_l1 (&f, 0, L2_TABLE);
  put_l2 (&f, 0, two | (FILE_SIZE - 0x400));
  put_l2 (&f, 1, two | (FILE_SIZE - 0x3ff));
  put_l2 (&f, 2, two | (FILE_SIZE - 0x200));
  put_l2 (&f, 3, COMPRESSED | (FILE_SIZE - 0x200));
  put_l2 (&f, 4, COMPRESSED | (FILE_SIZE - 0x1ff));
  check (&f, "0x0+0x20000 P-DC-; "
             "0x20000+0x10000 P-D-- outside at 0x20010 to 0xffe00; "
             "0x30000+0x10000 P-DC-; "
             "0x40000+0x10000 P-D-- outside at 0x20020 to 0xffe01");
}

static void
test_version_2 (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x30000, 1);
  f.image.header.version = 2;
  put_l1 (&f, 0, L2_TABLE);
  put_l2 (&f, 0, 0x30000);
  put_l2 (&f, 1, ZERO);
  put_l2 (&f, 2, 0x40000 | ZERO);
  check (&f, "0x0+0x10000 P-D-O 0x30000; "
             "0x10000+0x20000 P-D-- zero-flag at 0x20008 to 0x0");
}

static void
test_subcluster_damage (void)
{
  g_auto (Fixture) f = { 0 };

  fixture_init (&f, 16, 0x40000, 1);
  f.image.header.incompatible_features = QCOW2_INCOMPATIBLE_EXTENDED_L2;
  put_l1 (&f, 0, L2_TABLE);
  put_extended (&f, 0, 0x30000, 0x80000001, 0x80000000);
  put_extended (&f, 1, 0, 0, 0x10);
  put_extended (&f, 2, 0x30000, 0, 0x80000000);
  put_extended (&f, 3, 0x30200, 1, 0x80000000);
  check (&f, "0x0+0x10000 P-D-- subclusters at 0x20000 to 0x30000; "
             "0x10000+0x10000 P-D-- no-cluster at 0x20010 to 0x0; "
             "0x20000+0xf800 -Z--O 0x30000; 0x2f800+0x800 P-D-O 0x3f800; "
             "0x30000+0x10000 P-D-- unaligned at 0x20030 to 0x30200");
}

/* ---- Errors ---- */

static void
test_unread (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GError) first_error = NULL;

  /* Two sectors of the L2 table cannot be read. */
  fixture_init (&f, 16, 0x20000000, 1);
  put_l1 (&f, 0, L2_TABLE);
  put_l2 (&f, 0x1ff, 0x30000);
  put_l2 (&f, 0x600, 0x40000);
  f.source = fake_source_new (f.bytes, f.file_size);
  f.image.source = &f.source->base;
  f.source->bad_start = L2_TABLE + 0x1001;
  f.source->bad_end = L2_TABLE + 0x2001;

  g_assert_false (walk (&f, 0, 0x20000000, NULL, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_clear_error (&error);

  g_assert_true (walk (&f, 0, 0x20000000, &first_error, &error));
  g_assert_no_error (error);
  g_assert_error (first_error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpstr (f.list->str, ==,
                   "0x0+0x1ff0000 -Z---; 0x1ff0000+0x10000 P-D-O 0x30000; "
                   "0x2000000+0x4000000 P-D-- unread at 0x21000 to 0x0; "
                   "0x6000000+0x10000 P-D-O 0x40000; "
                   "0x6010000+0x19ff0000 -Z---");
}

static void
test_unread_l1 (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) first_error = NULL;

  fixture_init (&f, 9, 1024 * 0x8000, 1024);
  put_l1 (&f, 1023, 0x1ff);
  f.source = fake_source_new (f.bytes, f.file_size);
  f.image.source = &f.source->base;
  f.source->bad_start = L1_TABLE + 0x1fff;
  f.source->bad_end = L1_TABLE + 0x2000;

  g_assert_true (walk (&f, 0, 1024 * 0x8000, &first_error, NULL));
  g_assert_error (first_error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpstr (f.list->str, ==,
                   "0x0+0x1000000 -Z---; "
                   "0x1000000+0x1000000 P-D-- unread at 0x11000 to 0x0");
}

/* L1 entries that share an L2 table cannot cause reads without end. */
static void
test_limit (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;

  /* Each table has 2 MiB, and 128 of them are read. */
  fixture_init (&f, 21, 130 * X (8000000000), 130);
  f.image.header.l1_table_offset = 0x200000;
  f.file_size = 0x800000;
  for (guint i = 0; i < 130; i++)
    put (&f, 0x200000 + i * 8, 0x400000);
  g_assert_false (walk (&f, 0, f.image.header.size, NULL, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_LIMIT);
  g_clear_error (&error);
  g_assert_true (walk (&f, 0, 128 * X (8000000000), NULL, &error));
  g_assert_no_error (error);
}

static void
test_callback (void)
{
  g_auto (Fixture) f = { 0 };
  g_autoptr (GError) error = NULL;

  fixture_init (&f, 16, 0x30000, 1);
  put_l1 (&f, 0, L2_TABLE);
  put_l2 (&f, 1, ZERO);
  f.n_left = 1;
  check (&f, "0x0+0x10000 -Z---");
  f.n_left = 3;
  check (&f, "0x0+0x10000 -Z---; 0x10000+0x10000 PZ---; "
             "0x20000+0x10000 -Z---");
  f.fails = TRUE;
  g_assert_false (walk (&f, 0, 0x30000, NULL, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_NOT_FOUND);
  g_assert_cmpstr (f.list->str, ==, "0x0+0x10000 -Z---");
}

static Qcow2Next
add_up (const Qcow2MapExtent *extent, gpointer data,
        GError **error G_GNUC_UNUSED)
{
  qcow2_map_totals_add (data, extent);
  return QCOW2_NEXT_ITEM;
}

/* The totals, and the damaged extents that are kept. */
static void
test_totals (void)
{
  g_auto (Fixture) f = { 0 };
  Qcow2MapTotals totals = { 0 };

  fixture_init (&f, 16, 0x300000, 1);
  put_l1 (&f, 0, L2_TABLE);
  put_l2 (&f, 0, 0x30000);
  put_l2 (&f, 1, 0x40000);
  put_l2 (&f, 2, ZERO);
  put_l2 (&f, 3, COMPRESSED | 0x80123);
  for (guint i = 0; i < 12; i++)
    put_l2 (&f, 8 + 2 * i, 0x30200);
  f.source = fake_source_new (f.bytes, f.file_size);
  f.image.source = &f.source->base;

  g_autoptr (Qcow2GuestMap) map = qcow2_guest_map_new (&f.image, NULL);
  g_assert_true (
      qcow2_guest_map_walk (map, 0, 0x300000, add_up, &totals, NULL));
  g_assert_cmpuint (totals.data, ==, 3 * 0x10000);
  g_assert_cmpuint (totals.compressed, ==, 0x10000);
  g_assert_cmpuint (totals.zero, ==, 0x10000);
  g_assert_cmpuint (totals.damaged, ==, 12 * 0x10000);
  g_assert_cmpuint (totals.unallocated, ==, 32 * 0x10000);

  g_assert_cmpuint (qcow2_guest_map_get_n_damaged (map), ==, 12);
  for (guint i = 0; i < QCOW2_MAP_MAX_NOTES; i++)
    g_assert_cmpuint (qcow2_guest_map_get_damaged (map, i)->start, ==,
                      (8 + 2 * i) * 0x10000);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/guest-map/empty", test_empty);
  g_test_add_func ("/guest-map/kinds", test_kinds);
  g_test_add_func ("/guest-map/merging", test_merging);
  g_test_add_func ("/guest-map/ranges", test_ranges);
  g_test_add_func ("/guest-map/subclusters", test_subclusters);
  g_test_add_func ("/guest-map/encrypted", test_encrypted);
  g_test_add_func ("/guest-map/data-file", test_data_file);
  g_test_add_func ("/guest-map/sparse", test_sparse);
  g_test_add_func ("/guest-map/largest", test_largest);
  g_test_add_func ("/guest-map/l1-damage", test_l1_damage);
  g_test_add_func ("/guest-map/l1-place", test_l1_place);
  g_test_add_func ("/guest-map/l1-large", test_l1_large);
  g_test_add_func ("/guest-map/l2-damage", test_l2_damage);
  g_test_add_func ("/guest-map/l2-ends", test_l2_ends);
  g_test_add_func ("/guest-map/compressed-end", test_compressed_end);
  g_test_add_func ("/guest-map/version-2", test_version_2);
  g_test_add_func ("/guest-map/subcluster-damage", test_subcluster_damage);
  g_test_add_func ("/guest-map/unread", test_unread);
  g_test_add_func ("/guest-map/unread-l1", test_unread_l1);
  g_test_add_func ("/guest-map/limit", test_limit);
  g_test_add_func ("/guest-map/callback", test_callback);
  g_test_add_func ("/guest-map/totals", test_totals);
  return g_test_run ();
}
