/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sound images, each described by an ImageSpec.  The damaged images are
 * patches to these. */

#include "config.h"

#include "image-builder.h"

#define KIB G_GUINT64_CONSTANT (1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define IN_USE 1u
#define AUTO 2u
#define EXTRA_DATA_COMPATIBLE 4u

#define DIRTY_TRACKING 1

/* A bitmap's data, or a whole array, with its number of items. */
#define DATA(array) .data = (array), .data_size = G_N_ELEMENTS (array)
#define BITMAPS(array) .bitmaps = (array), .n_bitmaps = G_N_ELEMENTS (array)
#define GUEST(array) .guest = (array), .n_guest = G_N_ELEMENTS (array)
#define EXTENSIONS(array)                                                     \
  .extensions = (array), .n_extensions = G_N_ELEMENTS (array)

/* clang-format off */
/* 64 KiB clusters 0-31 and 64-67 are dirty. */
static const guint8 bm0_data[]
    = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x0f };

static const GuestRange bm0_guest[] = { { 0, 32 }, { 64, 4 } };

/* bm1 was added after the guest had written. */
static const BitmapSpec two_bitmaps[] = {
  { .name = "bm0", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 16, DATA (bm0_data) },
  { .name = "bm1", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 15 },
};

/* Sectors 0 and 3; 129 from 4 MiB on; the last one. */
static const GuestRange fine_guest[]
    = { { 0, 1 }, { 3, 1 }, { 8192, 129 }, { 16383, 1 } };

static const guint8 fine_data[2048] = {
  [0] = 0x09,
  [1024] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
           0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
  [2047] = 0x80,
};

static const BitmapSpec four_entries[] = {
  { .name = "fine", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 9, DATA (fine_data) },
};

static const guint8 first_bits[] = { 0x0f };

static const BitmapSpec one_bitmap[] = {
  { .name = "b0", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 16, DATA (first_bits) },
};

static const BitmapSpec in_use[] = {
  { .name = "b0", .flags = AUTO | IN_USE, .type = DIRTY_TRACKING,
    .granularity_bits = 16, DATA (first_bits) },
};

static const BitmapSpec disabled[] = {
  { .name = "b0", .type = DIRTY_TRACKING, .granularity_bits = 16,
    DATA (first_bits) },
};

static const BitmapSpec every_state[] = {
  { .name = "enabled", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 16, DATA (first_bits) },
  { .name = "disabled", .type = DIRTY_TRACKING, .granularity_bits = 17,
    DATA (first_bits) },
  { .name = "in-use", .flags = AUTO | IN_USE, .type = DIRTY_TRACKING,
    .granularity_bits = 18, DATA (first_bits) },
  { .name = "in-use-disabled", .flags = IN_USE, .type = DIRTY_TRACKING,
    .granularity_bits = 19, DATA (first_bits) },
};

static const BitmapSpec fine_bitmap[] = {
  { .name = "b0", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 9, DATA (first_bits) },
};

static const BitmapSpec three_entries[] = {
  { .name = "b0", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 9, DATA (fine_data) },
};

/* Only the first and the last cluster of the data are used. */
static const guint8 several_data[131072]
    = { [0] = 0xff, [65536] = 0x01, [131071] = 0x80 };

static const BitmapSpec several_clusters[] = {
  { .name = "long", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 9, DATA (several_data) },
  { .name = "short", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 20, DATA (first_bits) },
};

static const BitmapSpec coarsest[] = {
  { .name = "b0", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 31 },
};

static const guint8 one_bit[] = { 0x01 };

static const BitmapSpec granularity_63[] = {
  { .name = "b0", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 63, DATA (one_bit) },
};

static const BitmapSpec granularity_0[] = {
  { .name = "b0", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 0, DATA (first_bits) },
};

static const guint8 extra[16] = { 0xde, 0xad, 0xbe, 0xef };

static const BitmapSpec extra_data_compatible[] = {
  { .name = "b0", .flags = AUTO | EXTRA_DATA_COMPATIBLE,
    .type = DIRTY_TRACKING, .granularity_bits = 16, .extra_data_size = 13,
    .extra_data = extra, DATA (first_bits) },
  { .name = "b1", .flags = AUTO, .type = DIRTY_TRACKING,
    .granularity_bits = 16 },
};

/* Names of every padding length, and one name that fills its entry. */
static const BitmapSpec name_lengths[] = {
  { .name = "a", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "ab", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "abc", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "abcd", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "abcde", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "abcdef", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "abcdefg", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "abcdefgh", .type = DIRTY_TRACKING, .granularity_bits = 16 },
  { .name = "abcdefghi", .type = DIRTY_TRACKING, .granularity_bits = 16 },
};

static const ExtensionSpec unknown_extensions[] = {
  { 0x12345678, 31, "This is a test header extension" },
  { 0x0badcafe, 2, "\x01\x02" },
  { 0xffffffff, 0, NULL },
  { 0x00000001, 16, NULL },
};

static const ExtensionSpec hostile_texts[] = {
  { 0x12345678, 28, "line\nmagic  0x23852875\033[2J\x7f!" },
  { 0x12345679, 6, "\xff\xfe\xc3\x28\xc0\x80" },
  { 0x1234567a, 8, "ends\0NUL" },
};

static const ExtensionSpec eight_bytes[] = { { 0x87654321, 8, "8 bytes!" } };

const ImageBase image_bases[] = {
  { "two-bitmaps", "A sound image of 64 MiB with two bitmaps.",
    { .size = 64 * MIB, .feature_table = TRUE, BITMAPS (two_bitmaps),
      GUEST (bm0_guest) } },
  { "four-entries",
    "Clusters of 512 bytes and a bitmap with four table entries.",
    { .cluster_bits = 9, .size = 8 * MIB, BITMAPS (four_entries),
      GUEST (fine_guest) } },
  { "version-2", "A version 2 image without any extension.",
    { .version = 2, .size = 64 * MIB } },
  { "zstd", "Compression by zstd, no bitmaps.",
    { .size = 64 * MIB, .compression_type = 1, .feature_table = TRUE } },
  { "backing-file-with-format", "A backing file base.raw with its format.",
    { .size = 64 * MIB, .backing_file = "base.raw", .backing_format = "raw",
      .feature_table = TRUE } },
  { "version-2-backing-file", "Version 2 with a backing file and its format.",
    { .version = 2, .size = 64 * MIB, .backing_file = "base.raw",
      .backing_format = "raw" } },
  { "data-file", "Guest data lies in the file DF.data.",
    { .size = 64 * MIB, .data_file = "DF.data", .feature_table = TRUE } },
  { "luks", "Encrypted with LUKS; no password opens it.",
    { .size = 64 * MIB, .crypt_method = 2, .feature_table = TRUE } },
  { "extended-l2", "Extended L2 entries.",
    { .size = 64 * MIB, .incompatible = 1 << 4, .feature_table = TRUE,
      GUEST (bm0_guest) } },
  { "snapshot", "One internal snapshot.",
    { .size = 64 * MIB, .n_snapshots = 1, .feature_table = TRUE,
      GUEST (bm0_guest) } },

  { "no-bitmaps", "A fresh image: no bitmaps extension.",
    { .size = 64 * MIB, .feature_table = TRUE } },
  { "no-extensions", "Version 3 with nothing but the terminator.",
    { .size = 64 * MIB } },
  { "two-snapshots", "Two internal snapshots beside two bitmaps.",
    { .size = 64 * MIB, .n_snapshots = 2, .feature_table = TRUE,
      BITMAPS (two_bitmaps) } },
  { "cluster-512", "A small seed: 1 MiB in clusters of 512 bytes.",
    { .cluster_bits = 9, .size = MIB, BITMAPS (fine_bitmap) } },
  { "cluster-4k", "Clusters of 4 KiB, where QEMU omits the feature table.",
    { .cluster_bits = 12, .size = 64 * MIB, BITMAPS (two_bitmaps) } },
  { "cluster-2m", "Clusters of 2 MiB, the largest that QEMU opens.",
    { .cluster_bits = 21, .size = GIB, .feature_table = TRUE,
      BITMAPS (one_bitmap) } },
  { "table-of-several-clusters",
    "A bitmap table of 256 entries that spans four clusters.",
    { .cluster_bits = 9, .size = 512 * MIB, BITMAPS (several_clusters) } },
  { "three-entries", "A bitmap with three table entries.",
    { .cluster_bits = 9, .size = 6 * MIB, BITMAPS (three_entries) } },
  { "in-use", "The bitmap was not saved by its last writer.",
    { .size = 64 * MIB, .feature_table = TRUE, BITMAPS (in_use) } },
  { "disabled", "The bitmap does not record.",
    { .size = 64 * MIB, .feature_table = TRUE, BITMAPS (disabled) } },
  { "every-state", "Enabled, disabled and in-use bitmaps side by side.",
    { .size = 64 * MIB, .feature_table = TRUE, BITMAPS (every_state) } },
  { "name-lengths", "Names of 1 to 9 bytes: every length of padding.",
    { .size = 64 * MIB, .feature_table = TRUE, BITMAPS (name_lengths) } },
  { "extra-data-compatible",
    "Extra data that may be ignored, of a length that is not aligned "
    "(not for QEMU).",
    { .size = 64 * MIB, .feature_table = TRUE,
      BITMAPS (extra_data_compatible) } },
  { "granularity-31", "The coarsest bitmap that QEMU knows, on 64 GiB.",
    { .size = 64 * GIB, .feature_table = TRUE, BITMAPS (coarsest) } },
  { "granularity-63", "One bit for any disk (not for QEMU).",
    { .size = 64 * MIB, .feature_table = TRUE, BITMAPS (granularity_63) } },
  { "granularity-0", "One bit for each byte of the disk (not for QEMU).",
    { .size = MIB, .feature_table = TRUE, BITMAPS (granularity_0) } },
  { "size-0", "An empty disk, no bitmaps.",
    { .size = 0, .feature_table = TRUE } },
  { "size-0-bitmap", "A bitmap of an empty disk: no table entries "
    "(not for QEMU).",
    { .size = 0, .feature_table = TRUE, BITMAPS (one_bitmap) } },
  { "size-512", "A disk of one sector.",
    { .size = 512, .feature_table = TRUE, BITMAPS (fine_bitmap) } },
  { "size-1t", "A bitmap of 1 TiB: 32 table entries.",
    { .size = 1024 * GIB, .feature_table = TRUE, BITMAPS (one_bitmap) } },
  { "header-length-104", "No compression type: the header ends before it.",
    { .size = 64 * MIB, .header_length = 104, .feature_table = TRUE,
      BITMAPS (two_bitmaps) } },
  { "header-length-120", "Eight header bytes that no field describes.",
    { .size = 64 * MIB, .header_length = 120, .feature_table = TRUE,
      BITMAPS (two_bitmaps) } },
  { "header-length-4096", "A header of 4096 bytes, mostly unknown.",
    { .size = 64 * MIB, .header_length = 4096, BITMAPS (two_bitmaps) } },
  { "unknown-extensions", "Four unknown extensions, one of them empty.",
    { .size = 64 * MIB, .feature_table = TRUE, BITMAPS (two_bitmaps),
      EXTENSIONS (unknown_extensions) } },
  { "extension-texts", "Unknown extensions with texts that need escapes.",
    { .size = 64 * MIB, EXTENSIONS (hostile_texts) } },
  { "extension-8-bytes", "An extension that needs no padding.",
    { .size = 64 * MIB, EXTENSIONS (eight_bytes) } },
  { "version-2-extensions", "Version 2 with an unknown extension.",
    { .version = 2, .size = 64 * MIB, EXTENSIONS (eight_bytes) } },
  { "version-2-bitmaps",
    "Version 2 with sound bitmaps, which nothing vouches for (leaks in QEMU).",
    { .version = 2, .size = 64 * MIB, BITMAPS (two_bitmaps) } },
  { "backing-file", "Bitmaps in an overlay of base.raw.",
    { .size = 64 * MIB, .backing_file = "base.raw", .backing_format = "raw",
      .feature_table = TRUE, BITMAPS (two_bitmaps) } },
  { "backing-file-no-format", "A backing file whose format is not named.",
    { .size = 64 * MIB, .backing_file = "base.raw",
      .feature_table = TRUE } },
  { "external-data-file", "Bitmaps in the image, guest data in DF.data.",
    { .size = 64 * MIB, .data_file = "DF.data", .feature_table = TRUE,
      BITMAPS (two_bitmaps) } },
  { "external-data-file-raw", "As external-data-file, kept readable as raw.",
    { .size = 64 * MIB, .data_file = "DF.data", .autoclear = 1 << 1,
      .feature_table = TRUE, BITMAPS (two_bitmaps) } },
  { "data-file-name-escapes", "A data file name with a newline and an ESC.",
    { .size = 64 * MIB, .data_file = "DF\n\033[31m\\.data",
      .feature_table = TRUE } },
  { "luks-pointer", "Bitmaps in an image that is encrypted with LUKS.",
    { .size = 64 * MIB, .crypt_method = 2, .feature_table = TRUE,
      BITMAPS (two_bitmaps) } },
  { "extended-l2-bitmaps", "Bitmaps beside extended L2 entries.",
    { .size = 64 * MIB, .incompatible = 1 << 4, .feature_table = TRUE,
      BITMAPS (two_bitmaps), GUEST (bm0_guest) } },
  { "extended-l2-cluster-16k",
    "Extended L2 entries and the smallest clusters that can have them.",
    { .cluster_bits = 14, .size = 64 * MIB, .incompatible = 1 << 4,
      .feature_table = TRUE, BITMAPS (two_bitmaps), GUEST (bm0_guest) } },
  { "extended-l2-cluster-8k",
    "Extended L2 entries, but the clusters are too small (not for QEMU).",
    { .cluster_bits = 13, .size = 64 * MIB, .incompatible = 1 << 4,
      .feature_table = TRUE, BITMAPS (two_bitmaps), GUEST (bm0_guest) } },
  { "snapshot-bitmap", "A bitmap beside one internal snapshot.",
    { .size = 64 * MIB, .n_snapshots = 1, .feature_table = TRUE,
      BITMAPS (one_bitmap) } },
  { "zstd-bitmaps", "Bitmaps in an image with zstd compression.",
    { .cluster_bits = 12, .size = 64 * MIB, .compression_type = 1,
      BITMAPS (two_bitmaps) } },
  { "lazy-refcounts", "The one compatible feature is set.",
    { .size = 64 * MIB, .compatible = 1, .feature_table = TRUE,
      BITMAPS (two_bitmaps) } },
  { .name = NULL }
};
/* clang-format on */
