/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/references.h"

#include "qcow2/arithmetic.h"
#include "qcow2/l1-table.h"
#include "qcow2/table.h"

/* The most bytes of L1 tables of snapshots that are read, in all walks
 * together. */
#define MAX_L1_BYTES G_GUINT64_CONSTANT (0x100000000)

/* The most clusters of tables of bitmaps, and of L1 tables of snapshots, that
 * are passed in a walk.  Thousands of them may be the same large part of the
 * file, and each of its clusters is counted every time. */
#define MAX_TABLE_CLUSTERS (1 << 25)

/* The number of entries that are decoded at a time. */
#define N_ENTRIES 512

#define HEADER_AT(member) QCOW2_AT (qcow2_header_record, Qcow2Header, member)

struct Qcow2References
{
  const Qcow2Image *image;
  Qcow2Directory *directory;           /* NULL if it cannot be read */
  GArray *bitmap_tables;               /* of Qcow2BitmapTable; NULL until they
                                          are needed */
  ByteWindow *window;                  /* on bitmap tables */
  const Qcow2SnapshotTable *snapshots; /* size 0 if there are none */
  Qcow2Refcounts *refcounts;
  guint64 l1_bytes_left; /* of MAX_L1_BYTES */
  gboolean are_too_many;
};

/* Returns the references of IMAGE.  DIRECTORY is its bitmap directory or NULL,
 * SNAPSHOTS describes its snapshot table, and REFCOUNTS are its refcounts.
 * All four must outlive the result. */
Qcow2References *
qcow2_references_new (const Qcow2Image *image, Qcow2Directory *directory,
                      const Qcow2SnapshotTable *snapshots,
                      Qcow2Refcounts *refcounts)
{
  Qcow2References *references = g_new0 (Qcow2References, 1);

  references->image = image;
  references->directory = directory;
  references->window = byte_window_new (image->source, 0);
  references->snapshots = snapshots;
  references->refcounts = refcounts;
  references->l1_bytes_left = MAX_L1_BYTES;
  return references;
}

/* Makes REFERENCES use TABLES, an array of Qcow2BitmapTable by bitmap index,
 * rather than read the directory again. */
void
qcow2_references_set_tables (Qcow2References *references, GArray *tables)
{
  references->bitmap_tables = g_array_ref (tables);
}

/* Returns whether QEMU counts bitmaps, and they are known. */
static gboolean
counts_bitmaps (const Qcow2References *references)
{
  const Qcow2Image *image = references->image;

  return qcow2_image_reads_bitmaps (image) && image->bitmaps.nb_bitmaps > 0
         && references->directory != NULL;
}

/* Returns whether QEMU does not load one of the tables that it counts, and
 * ends its check there.  (QEMU, block/qcow2-bitmap.c:
 * qcow2_check_bitmaps_refcounts.) */
gboolean
qcow2_references_have_refused_table (const Qcow2References *references)
{
  const GArray *tables = references->bitmap_tables;

  if (tables == NULL || !counts_bitmaps (references))
    return FALSE;

  for (guint i = 0; i < tables->len; i++)
    {
      if (g_array_index (tables, Qcow2BitmapTable, i).is_refused)
        return TRUE;
    }

  return FALSE;
}

/* Returns whether a walk was incomplete because of the limits on its work. */
gboolean
qcow2_references_are_too_many (const Qcow2References *references)
{
  return references->are_too_many;
}

/* Returns whether QEMU counts references to the L2 tables of L1. */
static gboolean
is_usable (const Qcow2References *references, const Qcow2SnapshotL1 *l1)
{
  return l1->offset % references->image->header.cluster_size == 0
         && (guint64) l1->size * QCOW2_ENTRY_LENGTH <= QCOW2_MAX_L1_BYTES;
}

/* Takes the clusters of TABLE that are in the file from *CLUSTERS_LEFT, which
 * may still be passed.  Returns FALSE, and takes none, if they are too many.
 */
static gboolean
take_clusters (Qcow2References *references, const Qcow2Reference *table,
               guint64 *clusters_left)
{
  const Qcow2Image *image = references->image;
  const guint64 file_size = byte_source_get_size (image->source);
  const guint64 in_file
      = MIN (table->size, file_size - MIN (table->offset, file_size));
  const guint64 n = qcow2_header_size_to_clusters (&image->header, in_file);

  if (n > *clusters_left)
    {
      references->are_too_many = TRUE;
      return FALSE;
    }

  *clusters_left -= n;
  return TRUE;
}

/* Walks over the L1 tables of snapshots.  *CLUSTERS_LEFT is the number of
 * clusters of tables that may still be passed. */
static gboolean
walk_snapshots (Qcow2References *references, guint64 *clusters_left,
                Qcow2ReferenceFunc func, gpointer data, GError **error)
{
  const GArray *l1_tables = references->snapshots->l1_tables;

  for (guint i = 0; l1_tables != NULL && i < l1_tables->len; i++)
    {
      const Qcow2SnapshotL1 *l1
          = &g_array_index (l1_tables, Qcow2SnapshotL1, i);
      const Qcow2Reference reference
          = { .owner = QCOW2_OWNER_SNAPSHOT_L1_TABLE,
              .offset = l1->offset,
              .size = (guint64) l1->size * QCOW2_ENTRY_LENGTH,
              .pointer = l1->pointer,
              .index = i };

      if (is_usable (references, l1)
          && take_clusters (references, &reference, clusters_left)
          && !func (&reference, data, error))
        return FALSE;
    }

  return TRUE;
}

/* Walks over the data that the entries of the table of bitmap INDEX refer to.
 * *ENTRIES_LEFT is the number of entries that may still be read. */
static gboolean
walk_bits (Qcow2References *references, const Qcow2BitmapTable *bitmap_table,
           guint64 index, guint64 *entries_left, Qcow2ReferenceFunc func,
           gpointer data, GError **error)
{
  const Qcow2Header *h = &references->image->header;
  const Qcow2Table table = { .source = references->image->source,
                             .header = h,
                             .offset = bitmap_table->offset,
                             .n_entries = bitmap_table->n };
  const guint64 n = qcow2_table_get_n_readable (&table);
  guint64 offsets[N_ENTRIES];

  if (n > *entries_left)
    {
      references->are_too_many = TRUE;
      return TRUE;
    }

  *entries_left -= n;
  for (guint64 i = 0; i < n;)
    {
      const gsize n_read
          = qcow2_table_read_offsets (&table, references->window, i, offsets,
                                      (gsize) MIN (n - i, N_ENTRIES), error);

      if (n_read == 0)
        return FALSE;

      for (gsize k = 0; k < n_read; k++)
        {
          const Qcow2Reference reference
              = { .owner = QCOW2_OWNER_BITS,
                  .offset = offsets[k],
                  .size = h->cluster_size,
                  .pointer = table.offset + (i + k) * QCOW2_ENTRY_LENGTH,
                  .index = index };

          if (offsets[k] != 0 && !func (&reference, data, error))
            return FALSE;
        }
      i += n_read;
    }

  return TRUE;
}

/* Reads where the tables of the bitmaps are, unless that is known.  Fails with
 * QCOW2_ERROR_READ. */
static gboolean
find_bitmap_tables (Qcow2References *references, GError **error)
{
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next;

  if (references->bitmap_tables != NULL)
    return TRUE;

  g_autoptr (GArray) tables
      = g_array_new (FALSE, FALSE, sizeof (Qcow2BitmapTable));
  qcow2_directory_rewind (references->directory);
  while ((next = qcow2_directory_next (references->directory, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      const Qcow2BitmapTable table = { .offset = bitmap.bitmap_table_offset,
                                       .pointer = bitmap.file_offset,
                                       .n = bitmap.bitmap_table_size,
                                       .has_data = TRUE };

      g_array_append_val (tables, table);
    }

  if (next == QCOW2_NEXT_FAILED)
    return FALSE;

  references->bitmap_tables = g_steal_pointer (&tables);
  return TRUE;
}

/* Walks over the directory, the tables and the data of bitmaps, if QEMU counts
 * them.  *CLUSTERS_LEFT is the number of clusters of tables that may still be
 * passed. */
static gboolean
walk_bitmaps (Qcow2References *references, guint64 *clusters_left,
              Qcow2ReferenceFunc func, gpointer data, GError **error)
{
  const Qcow2Image *image = references->image;
  const Qcow2Reference directory
      = { .owner = QCOW2_OWNER_DIRECTORY,
          .offset = image->bitmaps.bitmap_directory_offset,
          .size = MIN (image->bitmaps.bitmap_directory_size,
                       QCOW2_MAX_DIRECTORY_SIZE),
          .pointer
          = image->bitmaps_offset
            + QCOW2_AT (qcow2_bitmaps_extension_record, Qcow2BitmapsExtension,
                        bitmap_directory_offset),
          .index = QCOW2_NO_INDEX };
  guint64 entries_left = QCOW2_MAX_TABLE_ENTRIES;

  if (!counts_bitmaps (references))
    return TRUE;
  if (!func (&directory, data, error)
      || !find_bitmap_tables (references, error))
    return FALSE;

  for (guint i = 0; i < references->bitmap_tables->len; i++)
    {
      const Qcow2BitmapTable *bitmap
          = &g_array_index (references->bitmap_tables, Qcow2BitmapTable, i);
      const Qcow2Reference table
          = { .owner = QCOW2_OWNER_TABLE,
              .offset = bitmap->offset,
              .size = (guint64) bitmap->n * QCOW2_ENTRY_LENGTH,
              .pointer = bitmap->pointer,
              .index = i };

      if ((take_clusters (references, &table, clusters_left)
           && !func (&table, data, error))
          || (bitmap->has_data
              && !walk_bits (references, bitmap, i, &entries_left, func, data,
                             error)))
        return FALSE;
    }

  return TRUE;
}

/* Passes all structures to FUNC along with DATA, except refcount blocks and L2
 * tables.  Fails with QCOW2_ERROR_READ, or as FUNC does. */
gboolean
qcow2_references_walk_structures (Qcow2References *references,
                                  Qcow2ReferenceFunc func, gpointer data,
                                  GError **error)
{
  const Qcow2Image *image = references->image;
  const Qcow2Header *h = &image->header;
  const Qcow2Reference structures[] = {
    { .owner = QCOW2_OWNER_HEADER, .offset = 0, .size = h->cluster_size },
    { .owner = QCOW2_OWNER_L1_TABLE,
      .offset = h->l1_table_offset,
      .size = (guint64) h->l1_size * QCOW2_ENTRY_LENGTH,
      .pointer = HEADER_AT (l1_table_offset) },
    { .owner = QCOW2_OWNER_SNAPSHOT_TABLE,
      .offset = h->snapshot_offset,
      .size = references->snapshots->needed,
      .pointer = HEADER_AT (snapshot_offset) },
    { .owner = QCOW2_OWNER_REFCOUNT_TABLE,
      .offset = h->refcount_table_offset,
      .size = h->refcount_table_clusters * h->cluster_size,
      .pointer = HEADER_AT (refcount_table_offset) },
    { .owner = QCOW2_OWNER_CRYPTO_HEADER,
      .offset = image->crypto.crypto_header_offset,
      .size
      = image->extensions_ignored ? 0 : image->crypto.crypto_header_length,
      .pointer = image->crypto_offset },
  };

  guint64 clusters_left = MAX_TABLE_CLUSTERS;

  for (guint i = 0; i < G_N_ELEMENTS (structures); i++)
    {
      Qcow2Reference reference = structures[i];

      reference.index = QCOW2_NO_INDEX;
      if (!func (&reference, data, error))
        return FALSE;
    }

  return walk_snapshots (references, &clusters_left, func, data, error)
         && walk_bitmaps (references, &clusters_left, func, data, error);
}

/* A walk over the entries of an L1 table. */
typedef struct
{
  const Qcow2References *references;
  Qcow2L1ReferenceFunc on_entry;
  gpointer data;
  guint64 start;    /* host offset of the table */
  guint64 snapshot; /* index, or QCOW2_NO_INDEX */
} Walk;

/* Passes the refcount blocks to FUNC along with DATA.  Their offsets are the
 * entries of the refcount table as they are on disk: FUNC checks them.  Fails
 * with QCOW2_ERROR_READ, or as FUNC does. */
gboolean
qcow2_references_walk_blocks (Qcow2References *references,
                              Qcow2ReferenceFunc func, gpointer data,
                              GError **error)
{
  const Qcow2Header *h = &references->image->header;
  Qcow2Reference block = { .owner = QCOW2_OWNER_REFCOUNT_BLOCK,
                           .size = h->cluster_size,
                           .index = QCOW2_NO_INDEX };

  for (guint64 i = 0;; i++)
    {
      if (!qcow2_refcounts_find_used (references->refcounts, &i, &block.offset,
                                      error))
        return FALSE;
      if (block.offset == 0)
        return TRUE;

      block.pointer = h->refcount_table_offset + i * QCOW2_ENTRY_LENGTH;
      if (!func (&block, data, error))
        return FALSE;
    }
}

/* A Qcow2OffsetFunc. */
static Qcow2Next
pass_entry (guint64 raw, guint64 pointer, gpointer data, GError **error)
{
  const Walk *walk = data;
  const Qcow2L1Reference entry
      = { .raw = raw,
          .pointer = pointer,
          .index = (pointer - walk->start) / QCOW2_ENTRY_LENGTH,
          .snapshot = walk->snapshot };

  return walk->on_entry (&entry, walk->data, error) ? QCOW2_NEXT_ITEM
                                                    : QCOW2_NEXT_FAILED;
}

/* Takes the bytes of all L1 tables of snapshots from those that may still be
 * read.  Returns FALSE, and takes none, if they are too many: thousands of
 * snapshots may have the same large table. */
static gboolean
take_snapshots (Qcow2References *references)
{
  const GArray *l1_tables = references->snapshots->l1_tables;
  guint64 bytes = 0;

  for (guint i = 0; l1_tables != NULL && i < l1_tables->len; i++)
    {
      const Qcow2SnapshotL1 *l1
          = &g_array_index (l1_tables, Qcow2SnapshotL1, i);

      if (is_usable (references, l1))
        bytes += (guint64) l1->size * QCOW2_ENTRY_LENGTH;
    }

  if (bytes > references->l1_bytes_left)
    {
      references->are_too_many = TRUE;
      return FALSE;
    }

  references->l1_bytes_left -= bytes;
  return TRUE;
}

/* Walks over the SIZE entries of an L1 table. */
static gboolean
walk_l1_table (Qcow2References *references, Walk *walk, guint64 size,
               GError **error)
{
  return qcow2_offsets_walk (references->image->source, walk->start,
                             size * QCOW2_ENTRY_LENGTH, G_MAXUINT64,
                             pass_entry, walk, error);
}

/* Passes the entries of all L1 tables that are not 0 to FUNC along with DATA:
 * first those of the active one.  Fails with QCOW2_ERROR_READ, or as FUNC
 * does. */
gboolean
qcow2_references_walk_l1_tables (Qcow2References *references,
                                 Qcow2L1ReferenceFunc func, gpointer data,
                                 GError **error)
{
  const Qcow2Header *h = &references->image->header;
  const GArray *l1_tables = references->snapshots->l1_tables;
  Walk walk = { .references = references,
                .on_entry = func,
                .data = data,
                .start = h->l1_table_offset,
                .snapshot = QCOW2_NO_INDEX };

  if ((guint64) h->l1_size * QCOW2_ENTRY_LENGTH <= QCOW2_MAX_L1_BYTES
      && !walk_l1_table (references, &walk, h->l1_size, error))
    return FALSE;
  if (!take_snapshots (references))
    return TRUE;

  for (guint i = 0; l1_tables != NULL && i < l1_tables->len; i++)
    {
      const Qcow2SnapshotL1 *l1
          = &g_array_index (l1_tables, Qcow2SnapshotL1, i);

      walk.start = l1->offset;
      walk.snapshot = i;
      if (is_usable (references, l1)
          && !walk_l1_table (references, &walk, l1->size, error))
        return FALSE;
    }

  return TRUE;
}

void
qcow2_references_free (Qcow2References *references)
{
  if (references == NULL)
    return;

  g_clear_pointer (&references->bitmap_tables, g_array_unref);
  byte_window_free (references->window);
  g_free (references);
}
