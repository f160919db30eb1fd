/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lays out qcow2 images in memory.  Offsets and widths are numbers on purpose:
 * they can be compared with the specification. */

#include "config.h"

#include "image-builder.h"

#include <string.h>

#define V2_HEADER_LENGTH 72
#define V3_HEADER_LENGTH 112

#define INCOMPATIBLE_DATA_FILE (G_GUINT64_CONSTANT (1) << 2)
#define INCOMPATIBLE_COMPRESSION (G_GUINT64_CONSTANT (1) << 3)
#define INCOMPATIBLE_EXTENDED_L2 (G_GUINT64_CONSTANT (1) << 4)
#define AUTOCLEAR_BITMAPS (G_GUINT64_CONSTANT (1) << 0)

#define EXTENSION_BACKING_FORMAT 0xe2792acau
#define EXTENSION_DATA_FILE 0x44415441u
#define EXTENSION_CRYPTO 0x0537be77u
#define EXTENSION_FEATURE_TABLE 0x6803f857u
#define EXTENSION_BITMAPS 0x23852875u

#define FEATURE_SIZE 48
#define DIRECTORY_ENTRY_SIZE 24
#define SNAPSHOT_SIZE 40
#define SNAPSHOT_EXTRA_SIZE 24

/* L1 and standard L2 entries: the cluster has a reference count of one. */
#define COPIED (G_GUINT64_CONSTANT (1) << 63)
#define SUBCLUSTERS_ALLOCATED G_GUINT64_CONSTANT (0x00000000ffffffff)

/* LUKS version 1, in sectors of 512 bytes: a header of 8 sectors, then eight
 * keys of 64 bytes in 4000 stripes, each rounded up to 8 sectors. */
#define LUKS_SECTOR_SIZE 512
#define LUKS_FIRST_KEY_SECTOR 8
#define LUKS_KEY_SECTORS 504
#define LUKS_N_KEYS 8
#define LUKS_PAYLOAD_SECTOR                                                   \
  (LUKS_FIRST_KEY_SECTOR + LUKS_N_KEYS * LUKS_KEY_SECTORS)

/* An image during layout.  Clusters are allocated one after another, so that
 * the clusters in use are the first n_clusters. */
typedef struct
{
  const ImageSpec *spec;
  Image *image;
  guint version;
  guint64 cluster_size;
  guint64 n_clusters;

  guint64 refcount_table_offset;
  guint64 refcount_block_offset;
  guint64 l1_table_offset;
  guint64 l1_size; /* in entries */
  guint64 snapshots_offset;
  guint64 crypto_offset;
  guint64 crypto_size;
  guint64 directory_offset;
  guint64 directory_size;
} Layout;

static const struct
{
  guint8 type;
  guint8 bit;
  const char *name;
} features[] = {
  { 0, 0, "dirty bit" },
  { 0, 1, "corrupt bit" },
  { 0, 2, "external data file" },
  { 0, 3, "compression type" },
  { 0, 4, "extended L2 entries" },
  { 1, 0, "lazy refcounts" },
  { 2, 0, "bitmaps" },
  { 2, 1, "raw external data" },
};

static guint64
round_up (guint64 value, guint64 unit)
{
  return (value + unit - 1) / unit * unit;
}

/* Allocates whole clusters for SIZE bytes.  Returns their host offset.  The
 * file ends after the SIZE bytes, not after the last cluster, because QEMU
 * does not fill that up either. */
static guint64
allocate (Layout *layout, guint64 size)
{
  guint64 offset = layout->n_clusters * layout->cluster_size;

  layout->n_clusters
      += MAX (1, round_up (size, layout->cluster_size) / layout->cluster_size);
  image_truncate (layout->image, offset + size);

  return offset;
}

static guint64
l2_entry_size (const ImageSpec *spec)
{
  return (spec->incompatible & INCOMPATIBLE_EXTENDED_L2) ? 16 : 8;
}

static guint64
clusters_per_l2_table (const Layout *layout)
{
  return layout->cluster_size / l2_entry_size (layout->spec);
}

static void
lay_out_l1 (Layout *layout)
{
  guint64 per_entry = clusters_per_l2_table (layout) * layout->cluster_size;

  layout->l1_size = round_up (layout->spec->size, per_entry) / per_entry;
  if (layout->l1_size > 0)
    layout->l1_table_offset = allocate (layout, 8 * layout->l1_size);
}

/* Every snapshot has its own L1 table of zeroes, as if it had been taken
 * before the guest wrote anything. */
static void
lay_out_snapshots (Layout *layout)
{
  guint n = layout->spec->n_snapshots;
  g_autofree guint64 *l1_tables = g_new0 (guint64, n + 1);

  if (n == 0)
    return;

  for (guint i = 0; i < n; i++)
    l1_tables[i] = allocate (layout, 8 * layout->l1_size);

  g_autoptr (Image) table = image_new ();

  for (guint i = 0; i < n; i++)
    {
      guint64 at = round_up (table->size, 8);
      g_autofree char *id = g_strdup_printf ("%u", i + 1);
      g_autofree char *name = g_strdup_printf ("snap%u", i + 1);

      image_put_be (table, at, 8, l1_tables[i]);
      image_put_be (table, at + 8, 4, layout->l1_size);
      image_put_be (table, at + 12, 2, strlen (id));
      image_put_be (table, at + 14, 2, strlen (name));
      image_put_be (table, at + 16, 4, 1700000000);
      image_put_be (table, at + 36, 4, SNAPSHOT_EXTRA_SIZE);
      image_put_be (table, at + 40 + 8, 8, layout->spec->size);
      image_put_be (table, at + 40 + 16, 8, G_MAXUINT64); /* no icount */
      at += SNAPSHOT_SIZE + SNAPSHOT_EXTRA_SIZE;
      image_put_bytes (table, at, id, strlen (id));
      image_put_bytes (table, at + strlen (id), name, strlen (name));
    }

  layout->snapshots_offset = allocate (layout, round_up (table->size, 8));
  image_put_bytes (layout->image, layout->snapshots_offset, table->bytes->data,
                   table->bytes->len);
}

/* Puts in a valid header and a first key slot that no password opens. */
static void
lay_out_luks (Layout *layout)
{
  Image *image = layout->image;

  if (layout->spec->crypt_method != 2)
    return;

  layout->crypto_size = LUKS_PAYLOAD_SECTOR * LUKS_SECTOR_SIZE;
  layout->crypto_offset = allocate (layout, layout->crypto_size);

  guint64 at = layout->crypto_offset;

  image_put_bytes (image, at, "LUKS\xba\xbe", 6);
  image_put_be (image, at + 6, 2, 1);
  image_put_bytes (image, at + 8, "aes", 3);
  image_put_bytes (image, at + 40, "xts-plain64", 11);
  image_put_bytes (image, at + 72, "sha256", 6);
  image_put_be (image, at + 104, 4, LUKS_PAYLOAD_SECTOR);
  image_put_be (image, at + 108, 4, 64);                 /* key bytes */
  image_put_be (image, at + 112, 8, 0x0102030405060708); /* key digest */
  image_put_be (image, at + 132, 8, 0x1112131415161718); /* its salt */
  image_put_be (image, at + 164, 4, 1000);               /* its iterations */
  image_put_bytes (image, at + 168, "01234567-89ab-4cde-8f01-23456789abcd",
                   36);

  for (guint i = 0; i < LUKS_N_KEYS; i++)
    {
      guint64 slot = at + 208 + 48 * i;

      image_put_be (image, slot, 4, i == 0 ? 0x00ac71f3 : 0x0000dead);
      image_put_be (image, slot + 4, 4, i == 0 ? 1000 : 0);
      image_put_be (image, slot + 8, 8, i == 0 ? 0x2122232425262728 : 0);
      image_put_be (image, slot + 40, 4,
                    LUKS_FIRST_KEY_SECTOR + i * LUKS_KEY_SECTORS);
      image_put_be (image, slot + 44, 4, 4000);
    }
}

static guint64
find_or_add_l2_table (Layout *layout, guint64 l1_index)
{
  guint64 l1_entry = layout->l1_table_offset + 8 * l1_index;
  guint64 entry = image_get_be (layout->image, l1_entry, 8);

  if (entry != 0)
    return entry & ~COPIED;

  guint64 offset = allocate (layout, layout->cluster_size);

  image_put_be (layout->image, l1_entry, 8, offset | COPIED);
  return offset;
}

static void
map_guest_cluster (Layout *layout, guint64 cluster)
{
  guint64 per_table = clusters_per_l2_table (layout);
  guint64 entry_size = l2_entry_size (layout->spec);
  guint64 table = find_or_add_l2_table (layout, cluster / per_table);
  guint64 entry = table + cluster % per_table * entry_size;
  guint64 data = allocate (layout, layout->cluster_size);

  image_put_be (layout->image, entry, 8, data | COPIED);
  if (entry_size == 16)
    image_put_be (layout->image, entry + 8, 8, SUBCLUSTERS_ALLOCATED);
}

/* Guest data is all zeroes, because only its place in the file matters. */
static void
lay_out_guest (Layout *layout)
{
  const ImageSpec *spec = layout->spec;

  for (guint i = 0; i < spec->n_guest; i++)
    for (guint64 k = 0; k < spec->guest[i].n_clusters; k++)
      map_guest_cluster (layout, spec->guest[i].first + k);
}

/* Returns the number of table entries by the specification's formula: one bit
 * for each granule that begins before the end of the disk, in whole bytes, in
 * whole clusters. */
static guint64
table_entries_needed (const Layout *layout, const BitmapSpec *bitmap)
{
  guint64 granularity = G_GUINT64_CONSTANT (1) << bitmap->granularity_bits;
  guint64 size = layout->spec->size;
  guint64 n_bits = size / granularity + (size % granularity != 0);
  guint64 n_bytes = n_bits / 8 + (n_bits % 8 != 0);

  return round_up (n_bytes, layout->cluster_size) / layout->cluster_size;
}

static gboolean
is_zero (const guint8 *data, gsize size)
{
  for (gsize i = 0; i < size; i++)
    if (data[i] != 0)
      return FALSE;

  return TRUE;
}

/* Lays out the part of the data of BITMAP that entry INDEX covers.  Returns
 * the table entry: zero, or the host offset of the cluster with the data. */
static guint64
lay_out_bitmap_data (Layout *layout, const BitmapSpec *bitmap, guint64 index)
{
  guint64 start = index * layout->cluster_size;

  if (start >= bitmap->data_size)
    return 0;

  const guint8 *data = bitmap->data + start;
  gsize size = MIN (layout->cluster_size, bitmap->data_size - start);

  if (is_zero (data, size))
    return 0;

  guint64 offset = allocate (layout, layout->cluster_size);

  image_put_bytes (layout->image, offset, data, size);
  return offset;
}

/* Returns the host offset of the table, and stores the number of entries in
 * *N_ENTRIES. */
static guint64
lay_out_bitmap (Layout *layout, const BitmapSpec *bitmap, guint64 *n_entries)
{
  guint64 needed = table_entries_needed (layout, bitmap);
  guint64 n = bitmap->table_size != 0 ? bitmap->table_size : needed;
  g_autofree guint64 *entries = g_new0 (guint64, n + 1);

  for (guint64 i = 0; i < n; i++)
    entries[i] = bitmap->entries != NULL
                     ? bitmap->entries[i]
                     : lay_out_bitmap_data (layout, bitmap, i);

  guint64 offset = allocate (layout, 8 * n);

  for (guint64 i = 0; i < n; i++)
    image_put_be (layout->image, offset + 8 * i, 8, entries[i]);

  *n_entries = n;
  return offset;
}

static gsize
name_size_of (const BitmapSpec *bitmap)
{
  return bitmap->name_size != 0 ? bitmap->name_size : strlen (bitmap->name);
}

static void
put_directory_entry (Image *directory, const BitmapSpec *bitmap,
                     guint64 table_offset, guint64 table_size)
{
  guint64 at = directory->size;
  gsize name_size = name_size_of (bitmap);

  image_put_be (directory, at, 8, table_offset);
  image_put_be (directory, at + 8, 4, table_size);
  image_put_be (directory, at + 12, 4, bitmap->flags);
  image_put_be (directory, at + 16, 1, bitmap->type);
  image_put_be (directory, at + 17, 1, bitmap->granularity_bits);
  image_put_be (directory, at + 18, 2, name_size);
  image_put_be (directory, at + 20, 4, bitmap->extra_data_size);
  at += DIRECTORY_ENTRY_SIZE;
  if (bitmap->extra_data != NULL)
    image_put_bytes (directory, at, bitmap->extra_data,
                     bitmap->extra_data_size);
  at += bitmap->extra_data_size;
  image_put_bytes (directory, at, bitmap->name, name_size);
  image_truncate (directory, round_up (at + name_size, 8));
}

static void
lay_out_bitmaps (Layout *layout)
{
  const ImageSpec *spec = layout->spec;
  g_autoptr (Image) directory = image_new ();

  if (spec->n_bitmaps == 0)
    return;

  for (guint i = 0; i < spec->n_bitmaps; i++)
    {
      guint64 table_size = 0;
      guint64 table_offset
          = lay_out_bitmap (layout, &spec->bitmaps[i], &table_size);

      put_directory_entry (directory, &spec->bitmaps[i], table_offset,
                           table_size);
    }

  layout->directory_size = directory->size;
  layout->directory_offset = allocate (layout, directory->size);
  image_put_bytes (layout->image, layout->directory_offset,
                   directory->bytes->data, directory->bytes->len);
}

/* Refcount blocks after the first come last, as in a file that has grown.
 * They have refcounts, too. */
static void
lay_out_refcounts (Layout *layout)
{
  guint64 per_block = layout->cluster_size / 2;
  guint64 block = layout->refcount_block_offset;

  for (guint64 i = 0; i * per_block < layout->n_clusters; i++)
    {
      g_assert_cmpuint (8 * i, <, layout->cluster_size);
      if (i > 0)
        block = allocate (layout, layout->cluster_size);
      image_put_be (layout->image, layout->refcount_table_offset + 8 * i, 8,
                    block);
    }

  for (guint64 i = 0; i < layout->n_clusters; i++)
    {
      guint64 entry = layout->refcount_table_offset + i / per_block * 8;

      block = image_get_be (layout->image, entry, 8);
      image_put_be (layout->image, block + i % per_block * 2, 2, 1);
    }
}

/* Returns the offset of the next extension. */
static guint64
put_extension (Image *image, guint64 at, guint32 magic, guint32 length,
               const void *data)
{
  image_put_be (image, at, 4, magic);
  image_put_be (image, at + 4, 4, length);
  if (data != NULL)
    image_put_bytes (image, at + 8, data, length);

  return at + 8 + round_up (length, 8);
}

static guint64
put_text_extension (Image *image, guint64 at, guint32 magic, const char *text)
{
  if (text == NULL)
    return at;

  return put_extension (image, at, magic, strlen (text), text);
}

static guint64
put_feature_table (Image *image, guint64 at)
{
  for (guint i = 0; i < G_N_ELEMENTS (features); i++)
    {
      guint64 row = at + 8 + FEATURE_SIZE * i;

      image_put_be (image, row, 1, features[i].type);
      image_put_be (image, row + 1, 1, features[i].bit);
      image_put_bytes (image, row + 2, features[i].name,
                       strlen (features[i].name));
    }

  return put_extension (image, at, EXTENSION_FEATURE_TABLE,
                        FEATURE_SIZE * G_N_ELEMENTS (features), NULL);
}

static guint64
put_bitmaps_extension (Layout *layout, guint64 at)
{
  image_put_be (layout->image, at + 8, 4, layout->spec->n_bitmaps);
  image_put_be (layout->image, at + 16, 8, layout->directory_size);
  image_put_be (layout->image, at + 24, 8, layout->directory_offset);

  return put_extension (layout->image, at, EXTENSION_BITMAPS, 24, NULL);
}

static guint64
put_extensions (Layout *layout, guint64 at)
{
  const ImageSpec *spec = layout->spec;
  Image *image = layout->image;

  at = put_text_extension (image, at, EXTENSION_BACKING_FORMAT,
                           spec->backing_format);
  at = put_text_extension (image, at, EXTENSION_DATA_FILE, spec->data_file);
  if (spec->crypt_method == 2)
    {
      image_put_be (image, at + 8, 8, layout->crypto_offset);
      image_put_be (image, at + 16, 8, layout->crypto_size);
      at = put_extension (image, at, EXTENSION_CRYPTO, 16, NULL);
    }
  if (spec->feature_table)
    at = put_feature_table (image, at);
  if (spec->n_bitmaps > 0)
    at = put_bitmaps_extension (layout, at);
  for (guint i = 0; i < spec->n_extensions; i++)
    at = put_extension (image, at, spec->extensions[i].magic,
                        spec->extensions[i].length, spec->extensions[i].data);

  return put_extension (image, at, 0, 0, NULL);
}

static guint64
incompatible_features (const ImageSpec *spec)
{
  return spec->incompatible
         | (spec->data_file != NULL ? INCOMPATIBLE_DATA_FILE : 0)
         | (spec->compression_type != 0 ? INCOMPATIBLE_COMPRESSION : 0);
}

/* Puts in the fields that version 3 adds after the first 72 bytes.  Returns
 * the length of the header in bytes. */
static guint32
put_v3_fields (Image *image, const ImageSpec *spec)
{
  guint32 length
      = spec->header_length != 0 ? spec->header_length : V3_HEADER_LENGTH;

  image_put_be (image, 72, 8, incompatible_features (spec));
  image_put_be (image, 80, 8, spec->compatible);
  image_put_be (image, 88, 8,
                spec->autoclear
                    | (spec->n_bitmaps > 0 ? AUTOCLEAR_BITMAPS : 0));
  image_put_be (image, 96, 4, 4);
  image_put_be (image, 100, 4, length);
  if (length > 104)
    image_put_be (image, 104, 1, spec->compression_type);

  return length;
}

static void
put_header (Layout *layout)
{
  const ImageSpec *spec = layout->spec;
  Image *image = layout->image;
  guint32 header_length = V2_HEADER_LENGTH;

  image_put_bytes (image, 0, "QFI\xfb", 4);
  image_put_be (image, 4, 4, layout->version);
  image_put_be (image, 20, 4, spec->cluster_bits ? spec->cluster_bits : 16);
  image_put_be (image, 24, 8, spec->size);
  image_put_be (image, 32, 4, spec->crypt_method);
  image_put_be (image, 36, 4, layout->l1_size);
  image_put_be (image, 40, 8, layout->l1_table_offset);
  image_put_be (image, 48, 8, layout->refcount_table_offset);
  image_put_be (image, 56, 4, 1);
  image_put_be (image, 60, 4, spec->n_snapshots);
  image_put_be (image, 64, 8, layout->snapshots_offset);
  if (layout->version >= 3)
    header_length = put_v3_fields (image, spec);

  guint64 end = put_extensions (layout, header_length);

  if (spec->backing_file != NULL)
    {
      gsize size = strlen (spec->backing_file);

      image_put_be (image, 8, 8, end);
      image_put_be (image, 16, 4, size);
      image_put_bytes (image, end, spec->backing_file, size);
      end += size;
    }

  g_assert_cmpuint (end, <=, layout->cluster_size);
}

Image *
image_build_spec (const ImageSpec *spec)
{
  g_autoptr (Image) image = image_new ();
  Layout layout = { .spec = spec, .image = image };

  layout.version = spec->version != 0 ? spec->version : 3;
  layout.cluster_size = G_GUINT64_CONSTANT (1)
                        << (spec->cluster_bits ? spec->cluster_bits : 16);

  allocate (&layout, layout.cluster_size); /* the header's */
  layout.refcount_table_offset = allocate (&layout, layout.cluster_size);
  layout.refcount_block_offset = allocate (&layout, layout.cluster_size);
  lay_out_l1 (&layout);
  lay_out_snapshots (&layout);
  lay_out_luks (&layout);
  lay_out_guest (&layout);
  lay_out_bitmaps (&layout);
  lay_out_refcounts (&layout);
  put_header (&layout);

  return g_steal_pointer (&image);
}
