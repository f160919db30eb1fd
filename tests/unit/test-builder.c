/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares the builder's images with facts that were worked out by hand from
 * the specification. */

#include "config.h"

#include <string.h>

#include <glib.h>

#include "builder/image-builder.h"

typedef struct
{
  guint64 offset;
  const char *hex;
} Fact;

static void
assert_hex (const Image *image, guint64 offset, const char *hex)
{
  g_autoptr (GString) found = g_string_new (NULL);

  for (gsize i = 0; i < strlen (hex) / 2; i++)
    g_string_append_printf (found, "%02x",
                            (guint) image_get_be (image, offset + i, 1));
  if (strcmp (found->str, hex) != 0)
    g_error ("at 0x%" G_GINT64_MODIFIER "x: %s, not %s", offset, found->str,
             hex);
}

static void
assert_facts (const char *name, guint64 size, const Fact *facts, gsize n_facts)
{
  g_autoptr (Image) image = image_build (name);

  g_assert_cmpuint (image->size, ==, size);
  for (gsize i = 0; i < n_facts; i++)
    assert_hex (image, facts[i].offset, facts[i].hex);
}

/* clang-format off */
static void
test_two_bitmaps (void)
{
  const Fact facts[] = {
    { 0x0, "514649fb" "00000003" "0000000000000000" "00000000" "00000010"
           "0000000004000000" "00000000" "00000001" "0000000000030000"
           "0000000000010000" "00000001" "00000000" "0000000000000000" },
    { 0x48, "0000000000000000" "0000000000000000" "0000000000000001"
            "00000004" "00000070" "0000000000000000" },
    { 0x70, "6803f857" "00000180" "0000" "64697274792062697400" },
    { 0x78 + 48, "0001" "636f727275707420626974" },
    { 0x78 + 5 * 48, "0100" "6c617a7920726566636f756e747300" },
    { 0x78 + 6 * 48, "0200" "6269746d61707300" },
    { 0x78 + 7 * 48, "0201" "7261772065787465726e616c206461746100" },
    { 0x1f8, "23852875" "00000018" "00000002" "00000000" "0000000000000040"
             "00000000002c0000" "0000000000000000" },
    { 0x10000, "0000000000020000" "0000000000000000" },
    { 0x20000, "00010001" },
    { 0x20056, "0001" "0001" "0000" },
    { 0x30000, "8000000000040000" },
    { 0x40000, "8000000000050000" "8000000000060000" },
    { 0x40000 + 8 * 64, "8000000000250000" },
    { 0x290000, "ffffffff000000000f00" },
    { 0x2a0000, "0000000000290000" "0000000000000000" },
    { 0x2b0000, "0000000000000000" },
    { 0x2c0000, "00000000002a0000" "00000001" "00000002" "01" "10" "0003"
                "00000000" "626d300000000000" },
    { 0x2c0020, "00000000002b0000" "00000001" "00000002" "01" "0f" "0003"
                "00000000" "626d310000000000" },
  };

  assert_facts ("two-bitmaps", 2883648, facts, G_N_ELEMENTS (facts));
}

static void
test_four_entries (void)
{
  const Fact facts[] = {
    { 0x14, "00000009" "0000000000800000" "00000000" "00000100"
            "0000000000000600" "0000000000000200" "00000001" },
    { 0x70, "23852875" "00000018" "00000001" "00000000" "0000000000000020"
            "0000000000012800" "0000000000000000" },
    { 0x200, "0000000000000400" "0000000000000000" },
    { 0x400 + 2 * 0x94, "00010000" },
    /* Sectors 0 and 3 share an L2 table; 4 MiB is in table 128. */
    { 0x600, "8000000000000e00" "0000000000000000" },
    { 0xe00, "8000000000001000" "0000000000000000" "0000000000000000"
             "8000000000001200" },
    { 0x600 + 8 * 128, "8000000000001400" },
    { 0x600 + 8 * 255, "8000000000011c00" },
    { 0x12000, "0900" },
    { 0x12200, "ffffffffffffffffffffffffffffffff0100" },
    { 0x125ff, "80" },
    { 0x12600, "0000000000012000" "0000000000000000" "0000000000012200"
               "0000000000012400" "0000000000000000" },
    { 0x12800, "0000000000012600" "00000004" "00000002" "0109" "0004"
               "00000000" "66696e6500000000" },
  };

  assert_facts ("four-entries", 75808, facts, G_N_ELEMENTS (facts));
}

static void
test_version_2 (void)
{
  const Fact facts[] = {
    { 0x4, "00000002" "0000000000000000" "00000000" "00000010" },
    { 0x40, "0000000000000000" "0000000000000000" },
    { 0x20000, "00010001000100010000" },
  };
  const Fact backing[] = {
    { 0x4, "00000002" "0000000000000060" "00000008" },
    { 0x48, "e2792aca" "00000003" "7261770000000000" "0000000000000000"
            "626173652e726177" },
  };

  assert_facts ("version-2", 0x30008, facts, G_N_ELEMENTS (facts));
  assert_facts ("version-2-backing-file", 0x30008, backing,
                G_N_ELEMENTS (backing));
}

static void
test_features (void)
{
  const Fact zstd[] = {
    { 0x48, "0000000000000008" "0000000000000000" "0000000000000000"
            "00000004" "00000070" "0100000000000000" },
    { 0x1f8, "0000000000000000" },
  };
  const Fact backing[] = {
    { 0x8, "0000000000000210" "00000008" },
    { 0x70, "e2792aca" "00000003" "7261770000000000" "6803f857" },
    { 0x208, "0000000000000000" "626173652e726177" },
  };
  const Fact data_file[] = {
    { 0x48, "0000000000000004" },
    { 0x70, "44415441" "00000007" "44462e6461746100" "6803f857" },
  };
  const Fact header_104[] = {
    { 0x60, "00000004" "00000068" "6803f857" },
  };

  assert_facts ("zstd", 0x30008, zstd, G_N_ELEMENTS (zstd));
  assert_facts ("backing-file-with-format", 0x30008, backing,
                G_N_ELEMENTS (backing));
  assert_facts ("data-file", 0x30008, data_file, G_N_ELEMENTS (data_file));
  assert_facts ("header-length-104", 0x70040, header_104,
                G_N_ELEMENTS (header_104));
}

static void
test_luks (void)
{
  const Fact facts[] = {
    { 0x20, "00000002" },
    { 0x70, "0537be77" "00000010" "0000000000040000" "00000000001f9000"
            "6803f857" },
    { 0x40000, "4c554b53babe" "0001" "61657300" },
    /* Clusters 4 to 35 hold the LUKS header. */
    { 0x20000 + 2 * 35, "0001" "0000" },
  };

  assert_facts ("luks", 0x40000 + 0x1f9000, facts, G_N_ELEMENTS (facts));
}

static void
test_extended_l2 (void)
{
  const Fact facts[] = {
    { 0x48, "0000000000000010" },
    { 0x40000, "8000000000050000" "00000000ffffffff" "8000000000060000" },
  };

  assert_facts ("extended-l2", 0x290000, facts, G_N_ELEMENTS (facts));
}

static void
test_snapshot (void)
{
  const Fact facts[] = {
    { 0x3c, "00000001" "0000000000050000" },
    { 0x40000, "0000000000000000" },
    { 0x50000, "0000000000040000" "00000001" "0001" "0005" },
    { 0x50000 + 36, "00000018" "0000000000000000" "0000000004000000"
                    "ffffffffffffffff" "31" "736e617031" "0000" },
  };

  assert_facts ("snapshot", 0x2b0000, facts, G_N_ELEMENTS (facts));
}

/* A disk of 512 MiB needs an L1 table of 256 clusters and a bitmap table of
 * four.  They do not fit in the 256 clusters that one refcount block covers.
 * The second block is the last of 270 clusters. */
static void
test_long_tables (void)
{
  const Fact facts[] = {
    { 0x24, "00004000" },
    { 0x200, "0000000000000400" "0000000000021a00" "0000000000000000" },
    { 0x400 + 2 * 255, "0001" },
    { 0x20600, "ff00" },
    { 0x20800, "0100" },
    { 0x20bff, "80" },
    { 0x20c00, "0000000000020600" "0000000000000000" },
    { 0x20c00 + 8 * 128, "0000000000020800" },
    { 0x20c00 + 8 * 255, "0000000000020a00" },
    { 0x21400, "0f00" },
    { 0x21600, "0000000000021400" "0000000000000000" },
    { 0x21800, "0000000000020c00" "00000100" "00000002" "0109" "0004"
               "00000000" "6c6f6e6700000000" },
    { 0x21a00 + 2 * 13, "0001" "0000" },
  };

  assert_facts ("table-of-several-clusters", 0x21c00, facts,
                G_N_ELEMENTS (facts));
}

/* An entry has 24 bytes, then 13 of extra data, 2 of name and 1 of padding. */
static void
test_extra_data (void)
{
  const Fact facts[] = {
    { 0x208, "0000000000000048" "0000000000070000" },
    { 0x70000, "0000000000050000" "00000001" "00000006" "0110" "0002"
               "0000000d" "deadbeef000000000000000000" "6230" "00"
               "0000000000060000" },
  };

  assert_facts ("extra-data-compatible", 0x70048, facts,
                G_N_ELEMENTS (facts));
}

/* clang-format on */
static void
test_put (void)
{
  g_autoptr (Image) image = image_new ();

  image_put_be (image, 4, 3, 0x1122334455667788);
  g_assert_cmpuint (image->size, ==, 7);
  assert_hex (image, 0, "00000000667788");

  image_truncate (image, 6);
  g_assert_cmpuint (image->bytes->len, ==, 6);
  image_truncate (image, G_GUINT64_CONSTANT (1) << 50);
  g_assert_cmpuint (image->bytes->len, ==, 6);
  assert_hex (image, 4, "66770000");

  image_put_bytes (image, 8, "ab", 2);
  assert_hex (image, 4, "667700006162");
  g_assert_cmpuint (image->size, ==, G_GUINT64_CONSTANT (1) << 50);
}

static void
test_patch (void)
{
  g_autoptr (Image) image = image_new ();

  image_patch (image, "0x2:0aFf 5:01*3 0x3:02");
  g_assert_cmpuint (image->size, ==, 8);
  assert_hex (image, 0, "00000a0200010101");

  image_patch (image, "size=0x10000000000");
  g_assert_cmpuint (image->size, ==, G_GUINT64_CONSTANT (1) << 40);
  image_patch (image, "size=3");
  assert_hex (image, 0, "00000a00");
  g_assert_cmpuint (image->bytes->len, ==, 3);

  image_patch (image, "header.size:0102030405060708 header.version:00000003");
  assert_hex (image, 0x4, "00000003");
  assert_hex (image, 0x18, "0102030405060708");
  g_assert_cmpuint (image->size, ==, 0x20);
}

/* A structure is found in the image as patched so far. */
static void
test_patch_structures (void)
{
  g_autoptr (Image) image = image_build ("two-bitmaps");

  image_patch (image, "bitmaps.nb_bitmaps:00000003 entry1.name_size:0004");
  assert_hex (image, 0x200, "0000000300000000");
  assert_hex (image, 0x2c0032, "000400000000");

  image_patch (image, "entry0.extra_data_size:00000008 entry1.type:02");
  assert_hex (image, 0x2c0014, "00000008");
  assert_hex (image, 0x2c0038, "02");

  image_patch (image, "bitmaps.bitmap_directory_offset:00000000002d0000"
                      " entry0.bitmap_table_size:01020304");
  assert_hex (image, 0x2d0008, "01020304");
}

static void
test_bytes (void)
{
  g_autoptr (GBytes) bytes = image_build_bytes ("file-111-bytes");
  g_autoptr (GBytes) longer = image_build_bytes ("file-cluster-aligned");

  g_assert_cmpuint (g_bytes_get_size (bytes), ==, 111);
  g_assert_cmpuint (g_bytes_get_size (longer), ==, 0x2d0000);
}

/* clang-format off */
/* 1,000,001 bytes in granules of 2^10 need 977 bits, which are 123 bytes. */
static void
test_spec (void)
{
  const guint8 data[] = { 0, 0x80 };
  const guint64 entries[] = { 1, 0x8000000000000002 };
  const BitmapSpec bitmaps[] = {
    { .name = "a\0b", .name_size = 3, .type = 1, .granularity_bits = 10,
      .data = data, .data_size = sizeof data },
    { .name = "raw", .type = 7, .granularity_bits = 64 - 1,
      .table_size = 2, .entries = entries },
  };
  const ExtensionSpec extensions[] = { { 0x01020304, 1, "x" } };
  const ImageSpec spec = { .cluster_bits = 9, .size = 1000001,
                           .compatible = 1, .autoclear = 1 << 5,
                           .extensions = extensions, .n_extensions = 1,
                           .bitmaps = bitmaps, .n_bitmaps = 2 };
  g_autoptr (Image) image = image_build_spec (&spec);

  /* 31 L1 entries in one cluster. */
  assert_hex (image, 0x24, "0000001f" "0000000000000600");
  assert_hex (image, 0x50, "0000000000000001" "0000000000000021");
  assert_hex (image, 0x90, "01020304" "00000001" "7800000000000000"
                           "0000000000000000");
  assert_hex (image, 0x800, "0080");
  assert_hex (image, 0xa00, "0000000000000800" "0000000000000000");
  assert_hex (image, 0xc00, "0000000000000001" "8000000000000002");
  assert_hex (image, 0xe00, "0000000000000a00" "00000001" "00000000" "010a"
                            "0003" "00000000" "6100620000000000");
  assert_hex (image, 0xe20, "0000000000000c00" "00000002" "00000000" "073f"
                            "0003" "00000000" "7261770000000000");
  g_assert_cmpuint (image->size, ==, 0xe40);
}

static void
test_rows (void)
{
  const Fact twice[] = {
    { 0x1f8, "23852875" "00000018" "00000002" },
    { 0x218, "23852875" "00000018" "00000001" "00000000" "0000000000000020"
             "00000000002c0000" "0000000000000000" },
  };
  const Fact long_name[] = {
    { 0x208, "0000000000000438" },
    { 0x2c0012, "0400" "00000000" "6e6e" },
    { 0x2c0416, "6e6e" "00000000002b0000" "00000001" },
  };
  const Fact shared_table[] = {
    { 0x200, "0000ffff" "00000000" "00000000001fffe0" "0000000000300000" },
    { 0x4fffc0, "00000000002a0000" "00000001" "00000000" "01100008" "00000000"
                "3030303635353334" },
  };

  assert_facts ("bitmaps-twice-different", 2883648, twice,
                G_N_ELEMENTS (twice));
  assert_facts ("name-1024-bytes", 0x2c0438, long_name,
                G_N_ELEMENTS (long_name));
  assert_facts ("many-share-table", 0x4fffe0, shared_table,
                G_N_ELEMENTS (shared_table));
  assert_facts ("file-15-tib", G_GUINT64_CONSTANT (15) << 40, NULL, 0);
}

/* clang-format on */
/* A patch that changes nothing is a mistake in the corpus. */
static void
test_names (void)
{
  g_autofree ImageName *names = image_list_names ();
  g_autoptr (GHashTable) seen
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; names[i].name != NULL; i++)
    {
      g_autoptr (Image) image = image_build (names[i].name);

      g_assert_true (g_hash_table_add (seen, g_strdup (names[i].name)));
      g_assert_true (g_str_has_suffix (names[i].sentence, "."));
      g_assert_cmpuint (image->bytes->len, <=, image->size);
      if (names[i].base == NULL)
        continue;

      g_autoptr (Image) base = image_build (names[i].base);

      if (image->size == base->size && image->bytes->len == base->bytes->len
          && memcmp (image->bytes->data, base->bytes->data, base->bytes->len)
                 == 0)
        g_error ("%s is the same as %s", names[i].name, names[i].base);
    }
}

/* Large images have names that are not in the list. */
static void
test_large (void)
{
  g_autofree ImageName *names = image_list_names ();

  for (const ImageLarge *large = image_large; large->name != NULL; large++)
    {
      g_autoptr (Image) image = image_build (large->name);

      g_assert_true (image_name_exists (large->name));
      for (guint i = 0; names[i].name != NULL; i++)
        g_assert_cmpstr (names[i].name, !=, large->name);
      g_assert_cmpuint (image->bytes->len, <, 64 * 1024 * 1024);
      g_assert_cmpuint (image->size, >, 1 << 30);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/builder/two-bitmaps", test_two_bitmaps);
  g_test_add_func ("/builder/four-entries", test_four_entries);
  g_test_add_func ("/builder/version-2", test_version_2);
  g_test_add_func ("/builder/features", test_features);
  g_test_add_func ("/builder/luks", test_luks);
  g_test_add_func ("/builder/extended-l2", test_extended_l2);
  g_test_add_func ("/builder/snapshot", test_snapshot);
  g_test_add_func ("/builder/long-tables", test_long_tables);
  g_test_add_func ("/builder/extra-data", test_extra_data);
  g_test_add_func ("/builder/put", test_put);
  g_test_add_func ("/builder/patch", test_patch);
  g_test_add_func ("/builder/patch-structures", test_patch_structures);
  g_test_add_func ("/builder/bytes", test_bytes);
  g_test_add_func ("/builder/spec", test_spec);
  g_test_add_func ("/builder/rows", test_rows);
  g_test_add_func ("/builder/names", test_names);
  g_test_add_func ("/builder/large", test_large);
  return g_test_run ();
}
