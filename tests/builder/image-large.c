/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Images of gigabytes, nearly all holes, that test the limits of a check.  A
 * test that prints or reads everything in them would take minutes, so they are
 * not listed: a test must ask for one by name. */

#include "config.h"

#include "image-builder.h"

#define GIB (G_GUINT64_CONSTANT (1) << 30)

/* An image during layout; clusters are allocated one after another. */
typedef struct
{
  Image *image;
  guint64 cluster_size;
  guint64 n_clusters; /* so far */
} Layout;

/* Allocates whole clusters for SIZE bytes and returns their host offset. */
static guint64
allocate (Layout *layout, guint64 size)
{
  const guint64 offset = layout->n_clusters * layout->cluster_size;

  layout->n_clusters
      += (size + layout->cluster_size - 1) / layout->cluster_size;
  return offset;
}

/* Skips clusters until the number of the next one is a multiple of UNIT. */
static void
align (Layout *layout, guint64 unit)
{
  layout->n_clusters = (layout->n_clusters + unit - 1) / unit * unit;
}

static void
put_header (Image *image, guint cluster_bits, guint64 size,
            guint refcount_order)
{
  image_put_bytes (image, 0, "QFI\xfb", 4);
  image_put_be (image, 4, 4, 3);
  image_put_be (image, 20, 4, cluster_bits);
  image_put_be (image, 24, 8, size);
  image_put_be (image, 88, 8, 1); /* autoclear: bitmaps */
  image_put_be (image, 96, 4, refcount_order);
  image_put_be (image, 100, 4, 112);
}

/* Adds an L1 table of zeroes for a disk of SIZE bytes.  Each L2 table is a
 * cluster. */
static void
lay_out_l1 (Layout *layout, guint64 size)
{
  const guint64 per_entry = layout->cluster_size / 8 * layout->cluster_size;
  const guint64 n_entries = (size + per_entry - 1) / per_entry;

  image_put_be (layout->image, 36, 4, n_entries);
  image_put_be (layout->image, 40, 8, allocate (layout, n_entries * 8));
}

/* Adds a bitmap directory and returns its host offset.  Its entries are 32
 * bytes long, with names of four digits. */
static guint64
lay_out_directory (Layout *layout, guint n_bitmaps)
{
  const guint64 directory = allocate (layout, 32 * (guint64) n_bitmaps);

  image_put_be (layout->image, 112, 4, 0x23852875);
  image_put_be (layout->image, 116, 4, 24);
  image_put_be (layout->image, 120, 4, n_bitmaps);
  image_put_be (layout->image, 128, 8, 32 * (guint64) n_bitmaps);
  image_put_be (layout->image, 136, 8, directory);
  return directory;
}

static void
put_bitmap (Image *image, guint64 directory, guint index, guint64 table,
            guint64 n_entries, guint granularity_bits)
{
  const guint64 at = directory + 32 * (guint64) index;
  char name[9];

  g_snprintf (name, sizeof name, "%04u", index);
  image_put_be (image, at, 8, table);
  image_put_be (image, at + 8, 4, n_entries);
  image_put_be (image, at + 16, 1, 1);
  image_put_be (image, at + 17, 1, granularity_bits);
  image_put_be (image, at + 18, 2, 4);
  image_put_bytes (image, at + 24, name, 4);
  image_put_be (image, at + 28, 4, 0);
}

/* Bitmap tables of 1 GiB altogether, all of which the bitmaps need: 512 tables
 * of 2 MiB.  With clusters of 2 KiB and one bit for 512 bytes, a table entry
 * covers 8 MiB, and a disk of 2 TiB needs 2^18 entries.  There are N_SHORT
 * more bitmaps with one entry each; one bit covers 2 GiB there, so that the
 * entry could cover more than the disk. */
static Image *
build_tables (guint n_short)
{
  const guint64 size = G_GUINT64_CONSTANT (1) << 41;
  const guint n_long = 512;
  const guint64 n_entries = 1 << 18;
  const guint n_blocks = 40; /* for 16384 clusters each, one bit per cluster */
  Image *image = image_new ();
  Layout layout = { .image = image, .cluster_size = 2048, .n_clusters = 1 };

  put_header (image, 11, size, 0);
  const guint64 refcount_table = allocate (&layout, 2048);
  image_put_be (image, 48, 8, refcount_table);
  image_put_be (image, 56, 4, 1);
  for (guint i = 0; i < n_blocks; i++)
    image_put_be (image, refcount_table + 8 * (guint64) i, 8,
                  allocate (&layout, 2048));

  const guint64 directory = lay_out_directory (&layout, n_long + n_short);
  lay_out_l1 (&layout, size);
  for (guint i = 0; i < n_long; i++)
    put_bitmap (image, directory, i, allocate (&layout, n_entries * 8),
                n_entries, 9);
  for (guint i = 0; i < n_short; i++)
    put_bitmap (image, directory, n_long + i, allocate (&layout, 8), 1, 31);

  /* The refcount blocks are adjacent. */
  const guint64 blocks = image_get_be (image, refcount_table, 8);
  for (guint64 i = 0; i < layout.n_clusters / 8; i++)
    image_put_be (image, blocks + i, 1, 0xff);
  image_put_be (image, blocks + layout.n_clusters / 8, 1,
                (1u << layout.n_clusters % 8) - 1);
  image_truncate (image, layout.n_clusters * layout.cluster_size);
  return image;
}

static Image *
build_tables_1_gib (void)
{
  return build_tables (0);
}

static Image *
build_tables_over_1_gib (void)
{
  return build_tables (1);
}

/* Sets the refcount of each cluster from FIRST to before END to 1.  A refcount
 * has 64 bits. */
static void
put_refcounts (Image *image, guint64 blocks, guint64 first, guint64 end)
{
  for (guint64 i = first; i < end; i++)
    image_put_be (image, blocks + 8 * i, 8, 1);
}

/* Makes 16 bitmaps of 4096 table entries, and N_DATA clusters of data, each of
 * which has a refcount block to itself.  A cluster has 512 bytes, and a block
 * has the 64-bit refcounts of 64 clusters.  The check counts 1024 for each
 * block that it reads and 1 for each refcount that it compares, and examines
 * no further run of clusters once the sum exceeds 2^26.  The header, the
 * refcount table of 1047 clusters, the 67000 blocks and the L1 table of 4096
 * clusters are adjacent: 72144 clusters with their refcounts in 1128 blocks
 * count as 1227216.  The tables, of 64 clusters each, count as 16 * 1088, the
 * directory as 1025, and each cluster of data as 1025.  After 64256 clusters
 * of data the sum is 815 less than 2^26, after 64257 it is more. */
static Image *
build_refcounts (guint64 n_data)
{
  const guint64 size = 8 * GIB;
  const guint n_bitmaps = 16;
  const guint64 n_blocks = 67000;
  Image *image = image_new ();
  Layout layout = { .image = image, .cluster_size = 512, .n_clusters = 1 };

  put_header (image, 9, size, 6);
  const guint64 refcount_table = allocate (&layout, 8 * n_blocks);
  const guint64 blocks = allocate (&layout, 512 * n_blocks);
  image_put_be (image, 48, 8, refcount_table);
  image_put_be (image, 56, 4, (8 * n_blocks + 511) / 512);
  for (guint64 i = 0; i < n_blocks; i++)
    image_put_be (image, refcount_table + 8 * i, 8, blocks + 512 * i);

  lay_out_l1 (&layout, size);
  put_refcounts (image, blocks, 0, layout.n_clusters);
  align (&layout, 64);
  const guint64 tables = allocate (&layout, n_bitmaps * 4096 * 8);
  const guint64 directory = lay_out_directory (&layout, n_bitmaps);
  for (guint i = 0; i < n_bitmaps; i++)
    put_bitmap (image, directory, i, tables + 4096 * 8 * (guint64) i, 4096, 9);

  put_refcounts (image, blocks, tables / 512, layout.n_clusters);
  for (guint64 i = 0; i < n_data; i++)
    {
      align (&layout, 64);
      image_put_be (image, tables + 8 * i, 8, allocate (&layout, 512));
      put_refcounts (image, blocks, layout.n_clusters - 1, layout.n_clusters);
    }
  g_assert_cmpuint (layout.n_clusters, <=, 64 * n_blocks);
  image_truncate (image, layout.n_clusters * layout.cluster_size);
  return image;
}

static Image *
build_refcounts_just_examined (void)
{
  return build_refcounts (64257);
}

static Image *
build_refcounts_not_examined (void)
{
  return build_refcounts (64258);
}

const ImageLarge image_large[] = {
  { "tables-1-gib", build_tables_1_gib },
  { "tables-over-1-gib", build_tables_over_1_gib },
  { "refcounts-just-examined", build_refcounts_just_examined },
  { "refcounts-not-examined", build_refcounts_not_examined },
  { NULL, NULL },
};
