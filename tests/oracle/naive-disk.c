/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "naive-disk.h"

/* Bits 9-55 of an entry: an offset. */
#define OFFSET_BITS G_GUINT64_CONSTANT (0x00fffffffffffe00)
#define COPIED_BIT (G_GUINT64_CONSTANT (1) << 63)
#define COMPRESSED_BIT (G_GUINT64_CONSTANT (1) << 62)

/* QEMU reads no larger L1 table: 32 MiB. */
#define MAX_L1_SIZE (1 << 22)

#define N_SUBCLUSTERS 32

static const NaiveByte damaged = { .is_damaged = TRUE };

/* Returns the number in the SIZE bytes at host offset OFFSET, of which those
 * after the end of the file are 0. */
guint64
naive_disk_load (const NaiveDisk *disk, guint64 offset, guint size)
{
  guint64 value = 0;

  for (guint i = 0; i < size; i++)
    {
      guint8 byte = 0;

      if (offset < disk->file_size && i < disk->file_size - offset)
        disk->source->klass->read (disk->source, offset + i, &byte, 1);
      value = value << 8 | byte;
    }

  return value;
}

/* Fills in DISK from the header of the image in SOURCE, which must outlive
 * it. */
void
naive_disk_init (NaiveDisk *disk, ByteSource *source)
{
  *disk = (NaiveDisk){ .source = source, .file_size = source->size };

  disk->version = naive_disk_load (disk, 4, 4);
  disk->has_backing_file = naive_disk_load (disk, 8, 8) != 0
                           && naive_disk_load (disk, 16, 4) != 0;
  disk->cluster_bits = naive_disk_load (disk, 20, 4);
  if (disk->cluster_bits >= 9 && disk->cluster_bits <= 30)
    disk->cluster_size = G_GUINT64_CONSTANT (1) << disk->cluster_bits;
  disk->size = naive_disk_load (disk, 24, 8);
  disk->is_encrypted = naive_disk_load (disk, 32, 4) != 0;
  disk->l1_size = naive_disk_load (disk, 36, 4);
  disk->l1_offset = naive_disk_load (disk, 40, 8);
  disk->refcount_table = naive_disk_load (disk, 48, 8);
  disk->n_blocks = naive_disk_load (disk, 56, 4) * disk->cluster_size / 8;
  disk->refcount_bits = 16;
  if (disk->version < 3)
    return;

  const guint64 incompatible = naive_disk_load (disk, 72, 8);
  const guint64 order = naive_disk_load (disk, 96, 4);
  disk->has_data_file = (incompatible & 4) != 0;
  disk->is_extended = (incompatible & 16) != 0;
  disk->is_raw = (naive_disk_load (disk, 88, 8) & 2) != 0;
  disk->refcount_bits = order <= 6 ? 1u << order : 0;
}

static NaiveByte
get_unallocated (const NaiveDisk *disk)
{
  return (NaiveByte){ .flags = disk->has_backing_file ? 0 : QCOW2_MAP_ZERO };
}

/* Stores in *OFFSET the host offset of the entry of the L2 table for the
 * cluster of the byte at guest offset AT, or 0 if there is no L2 table.
 * Returns whether the entry can be located. */
static gboolean
find_entry (const NaiveDisk *disk, guint64 at, guint64 *offset)
{
  const guint64 entry_size = disk->is_extended ? 16 : 8;
  const guint64 n_entries = disk->cluster_size / entry_size;
  const guint64 cluster = at / disk->cluster_size;
  const guint64 index = cluster / n_entries;

  if (disk->l1_offset % disk->cluster_size != 0 || disk->l1_offset == 0
      || disk->l1_offset >= disk->file_size || index >= disk->l1_size
      || index >= MAX_L1_SIZE
      || (index + 1) * 8 > disk->file_size - disk->l1_offset)
    return FALSE;

  const guint64 table
      = naive_disk_load (disk, disk->l1_offset + index * 8, 8) & OFFSET_BITS;
  *offset = table == 0 ? 0 : table + cluster % n_entries * entry_size;
  return table % disk->cluster_size == 0
         && (table == 0
             || (*offset < disk->file_size
                 && entry_size <= disk->file_size - *offset));
}

static NaiveByte
find_compressed (const NaiveDisk *disk, guint64 entry)
{
  const guint count_bits = (guint) disk->cluster_bits - 8;
  const guint offset_bits = 62 - count_bits;
  const guint64 count
      = entry >> offset_bits & ((G_GUINT64_CONSTANT (1) << count_bits) - 1);
  const guint64 offset = entry & ((G_GUINT64_CONSTANT (1) << offset_bits) - 1);
  const guint64 end = (offset / 512 + 1 + count) * 512;

  if (disk->has_data_file || offset >= disk->file_size
      || (end > disk->file_size && end - disk->file_size >= 512))
    return damaged;

  return (NaiveByte){ .flags = QCOW2_MAP_PRESENT | QCOW2_MAP_DATA
                               | QCOW2_MAP_COMPRESSED };
}

/* Returns the flags of the byte at OFFSET of the cluster whose extended entry
 * has the bitmap SUBCLUSTERS. */
static NaiveByte
find_subcluster (const NaiveDisk *disk, guint64 subclusters, guint64 offset)
{
  const guint i = (guint) (offset / (disk->cluster_size / N_SUBCLUSTERS));

  if ((subclusters >> (N_SUBCLUSTERS + i) & 1) != 0)
    return (NaiveByte){ .flags = QCOW2_MAP_PRESENT | QCOW2_MAP_ZERO };
  if ((subclusters >> i & 1) != 0)
    return (NaiveByte){ .flags = QCOW2_MAP_PRESENT | QCOW2_MAP_DATA };

  return get_unallocated (disk);
}

/* Returns the offset in its cluster of the last of the ALLOCATED subclusters,
 * or 0. */
static guint64
find_last_part (const NaiveDisk *disk, guint64 allocated)
{
  guint64 part = 0;

  for (guint i = 0; i < N_SUBCLUSTERS; i++)
    {
      if ((allocated >> i & 1) != 0)
        part = i * (disk->cluster_size / N_SUBCLUSTERS);
    }

  return part;
}

/* Returns what is known about the byte at OFFSET of the disk. */
NaiveByte
naive_disk_find (const NaiveDisk *disk, guint64 offset)
{
  guint64 at;

  if (disk->cluster_size == 0 || !find_entry (disk, offset, &at))
    return damaged;
  if (at == 0)
    return get_unallocated (disk);

  const guint64 entry = naive_disk_load (disk, at, 8);
  if ((entry & COMPRESSED_BIT) != 0)
    return find_compressed (disk, entry);

  const guint64 subclusters
      = disk->is_extended ? naive_disk_load (disk, at + 8, 8) : 0;
  const guint64 in_cluster = offset % disk->cluster_size;
  const guint64 host = entry & OFFSET_BITS;
  const gboolean is_zero = !disk->is_extended && (entry & 1) != 0;
  const gboolean has_cluster
      = host != 0
        || (!is_zero && disk->has_data_file && (entry & COPIED_BIT) != 0);
  const guint64 allocated = subclusters & G_MAXUINT32;

  if (is_zero && disk->version < 3)
    return damaged;
  if (!has_cluster && allocated != 0)
    return damaged;
  if (has_cluster
      && ((allocated & subclusters >> N_SUBCLUSTERS) != 0
          || host % disk->cluster_size != 0
          || (!disk->has_data_file
              && host + find_last_part (disk, allocated) >= disk->file_size)
          || (disk->has_data_file && disk->is_raw
              && host != offset - in_cluster)))
    return damaged;

  NaiveByte found = { .flags = QCOW2_MAP_PRESENT | QCOW2_MAP_DATA };
  if (is_zero)
    found.flags = QCOW2_MAP_PRESENT | QCOW2_MAP_ZERO;
  else if (disk->is_extended)
    found = find_subcluster (disk, subclusters, in_cluster);
  else if (!has_cluster)
    return get_unallocated (disk);
  if (has_cluster && !disk->is_encrypted)
    {
      found.flags |= QCOW2_MAP_OFFSET;
      found.offset = host + in_cluster;
    }
  return found;
}

/* Returns the refcount of CLUSTER, whose block is at the start of a cluster;
 * 0 if there is no such block.  The refcount width is known. */
guint64
naive_disk_get_refcount (const NaiveDisk *disk, guint64 cluster)
{
  const guint64 per_block = disk->cluster_size * 8 / disk->refcount_bits;
  const guint64 index = cluster / per_block;
  const guint64 bit = cluster % per_block * disk->refcount_bits;

  if (index >= disk->n_blocks)
    return 0;

  const guint64 block
      = naive_disk_load (disk, disk->refcount_table + index * 8, 8)
        & ~G_GUINT64_CONSTANT (0x1ff);
  if (block == 0 || block % disk->cluster_size != 0)
    return 0;
  if (disk->refcount_bits >= 8)
    return naive_disk_load (disk, block + bit / 8,
                            (guint) disk->refcount_bits / 8);

  return naive_disk_load (disk, block + bit / 8, 1) >> bit % 8
         & ((1u << disk->refcount_bits) - 1);
}
