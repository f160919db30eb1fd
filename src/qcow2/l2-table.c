/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/l2-table.h"

#define NAME "L2 table"

/* An entry and a subcluster bitmap. */
#define EXTENDED_ENTRY_LENGTH (2 * QCOW2_ENTRY_LENGTH)

/* The unit of the length of compressed data. */
#define SECTOR_SIZE 512

#define F(member, format, first, n, ...)                                      \
  QCOW2_PACKED (Qcow2L2Entry, member, format, first, n, __VA_ARGS__)

/* The rows that are used here. */
enum
{
  OFFSET,
  COMPRESSED,
  ALL_ZEROES,
  COPIED
};

enum
{
  COMPRESSED_OFFSET,
  COMPRESSED_SECTORS
};

enum
{
  ALLOCATED,
  ZEROES
};

/* qcow2 spec, standard cluster descriptor. */
/* clang-format off */
static const Qcow2Field fields[] = {
  [OFFSET] = F (offset, QCOW2_HEX, 9, 47, .in_place = TRUE),
  [COMPRESSED] = F (compressed, QCOW2_BOOL, 62, 1),
  [ALL_ZEROES] = F (all_zeroes, QCOW2_BOOL, 0, 1),
  [COPIED] = F (copied, QCOW2_BOOL, 63, 1),
  F (reserved_low, QCOW2_HIDDEN, 1, 8, .in_place = TRUE),
  F (reserved_high, QCOW2_HIDDEN, 56, 6, .in_place = TRUE),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_l2_entry_record
    = { .name = NAME, .fields = fields, .packed_size = QCOW2_ENTRY_LENGTH };

/* clang-format off */
#define C(member, format, first, n)                                           \
  QCOW2_PACKED (Qcow2CompressedEntry, member, format, first, n)

/* qcow2 spec, compressed cluster descriptor, where 70 - BITS is called x. */
#define RECORD(bits)                                                          \
  {                                                                           \
    .name = NAME,                                                             \
    .fields = (const Qcow2Field[]){                                           \
      [COMPRESSED_OFFSET] = C (offset, QCOW2_HEX, 0, 70 - (bits)),            \
      [COMPRESSED_SECTORS]                                                    \
      = C (additional_sectors, QCOW2_DEC, 70 - (bits), (bits) - 8),           \
      C (compressed, QCOW2_BOOL, 62, 1),                                      \
      C (copied, QCOW2_BOOL, 63, 1),                                          \
      QCOW2_FIELD_END                                                         \
    },                                                                        \
    .packed_size = QCOW2_ENTRY_LENGTH                                         \
  }

/* By cluster_bits, less the smallest. */
static const Qcow2Record compressed_records[] = {
  RECORD (9), RECORD (10), RECORD (11), RECORD (12), RECORD (13), RECORD (14),
  RECORD (15), RECORD (16), RECORD (17), RECORD (18), RECORD (19), RECORD (20),
  RECORD (21), RECORD (22), RECORD (23), RECORD (24), RECORD (25), RECORD (26),
  RECORD (27), RECORD (28), RECORD (29), RECORD (30)
};
/* clang-format on */

G_STATIC_ASSERT (G_N_ELEMENTS (compressed_records)
                 == QCOW2_MAX_CLUSTER_BITS - QCOW2_MIN_CLUSTER_BITS + 1);

#define B(member, first)                                                      \
  QCOW2_PACKED (Qcow2SubclusterBitmap, member, QCOW2_HEX, first,              \
                QCOW2_N_SUBCLUSTERS)

/* qcow2 spec, extended L2 entries. */
static const Qcow2Field subcluster_fields[]
    = { [ALLOCATED] = B (allocated, 0),
        [ZEROES] = B (zeroes, QCOW2_N_SUBCLUSTERS),
        QCOW2_FIELD_END };

const Qcow2Record qcow2_subcluster_bitmap_record = {
  .name = NAME, .fields = subcluster_fields, .packed_size = QCOW2_ENTRY_LENGTH
};

static gboolean
has_subclusters (const Qcow2Header *header)
{
  return (header->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0;
}

/* Returns the size of an L2 entry of an image with HEADER, in bytes. */
gsize
qcow2_l2_get_entry_size (const Qcow2Header *header)
{
  return has_subclusters (header) ? EXTENDED_ENTRY_LENGTH : QCOW2_ENTRY_LENGTH;
}

/* Returns the number of entries of an L2 table of an image with HEADER, whose
 * cluster size is known. */
guint64
qcow2_l2_get_n_entries (const Qcow2Header *header)
{
  return header->cluster_size / qcow2_l2_get_entry_size (header);
}

/* Returns the record of an entry of an image with HEADER, whose cluster size
 * is known, if the cluster is compressed: Qcow2CompressedEntry. */
const Qcow2Record *
qcow2_l2_get_compressed_record (const Qcow2Header *header)
{
  return &compressed_records[header->cluster_bits - QCOW2_MIN_CLUSTER_BITS];
}

static void
decode_compressed (const Qcow2Header *header, Qcow2Mapping *mapping)
{
  const Qcow2Field *rows = qcow2_l2_get_compressed_record (header)->fields;
  const guint64 more
      = qcow2_field_unpack (&rows[COMPRESSED_SECTORS], mapping->raw);

  mapping->type = QCOW2_CLUSTER_COMPRESSED;
  mapping->offset
      = qcow2_field_unpack (&rows[COMPRESSED_OFFSET], mapping->raw);
  mapping->length = (more + 1) * SECTOR_SIZE - mapping->offset % SECTOR_SIZE;
}

/* Returns the type of the cluster of an entry RAW that is not compressed.
 * (QEMU, block/qcow2.h: qcow2_get_cluster_type.) */
static Qcow2ClusterType
get_type (const Qcow2Header *header, guint64 raw)
{
  const gboolean has_offset = qcow2_field_unpack (&fields[OFFSET], raw) != 0;
  const gboolean has_data_file
      = (header->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;

  if (qcow2_field_unpack (&fields[ALL_ZEROES], raw) != 0
      && !has_subclusters (header))
    return has_offset ? QCOW2_CLUSTER_ZERO_ALLOCATED : QCOW2_CLUSTER_ZERO;

  /* Offset 0 is a cluster in an external data file only. */
  if (has_offset
      || (has_data_file && qcow2_field_unpack (&fields[COPIED], raw) != 0))
    return QCOW2_CLUSTER_NORMAL;

  return QCOW2_CLUSTER_UNALLOCATED;
}

/* Decodes the entry at BYTES, which has qcow2_l2_get_entry_size () bytes, into
 * MAPPING.  HEADER is that of the image; its cluster size is known.  Any bytes
 * are decoded: neither the offset nor reserved bits are checked. */
void
qcow2_l2_decode (const Qcow2Header *header, const guint8 *bytes,
                 Qcow2Mapping *mapping)
{
  const guint64 raw = qcow2_load_be64 (bytes);

  *mapping = (Qcow2Mapping){ .raw = raw };
  if (has_subclusters (header))
    mapping->subclusters = qcow2_load_be64 (bytes + QCOW2_ENTRY_LENGTH);
  if (qcow2_field_unpack (&fields[COMPRESSED], raw) != 0)
    {
      decode_compressed (header, mapping);
      return;
    }

  mapping->type = get_type (header, raw);
  if (mapping->type == QCOW2_CLUSTER_NORMAL
      || mapping->type == QCOW2_CLUSTER_ZERO_ALLOCATED)
    {
      mapping->offset = qcow2_field_unpack (&fields[OFFSET], raw);
      mapping->length = header->cluster_size;
    }
}

/* Returns the bits of the offset of MAPPING, which is compressed, that must be
 * 0: those after the last one of an offset that is not compressed. */
guint64
qcow2_mapping_get_far_bits (const Qcow2Mapping *mapping)
{
  const guint end = fields[OFFSET].first_bit + fields[OFFSET].n_bits;

  return mapping->offset >> end << end;
}

/* Returns the subclusters that have data, as a mask, of a MAPPING that is not
 * compressed. */
guint32
qcow2_mapping_get_allocated (const Qcow2Mapping *mapping)
{
  return (guint32) qcow2_field_unpack (&subcluster_fields[ALLOCATED],
                                       mapping->subclusters);
}

/* Returns the subclusters that read as zeroes, as a mask, of a MAPPING that is
 * not compressed.  A subcluster that has data as well is invalid. */
guint32
qcow2_mapping_get_zeroes (const Qcow2Mapping *mapping)
{
  return (guint32) qcow2_field_unpack (&subcluster_fields[ZEROES],
                                       mapping->subclusters);
}

/* Returns the number of bytes of MAPPING, which is not compressed, before its
 * last part that has data: a subcluster, or all of it. */
static guint64
get_last_part (const Qcow2Mapping *mapping, const Qcow2Header *header)
{
  const guint32 allocated = qcow2_mapping_get_allocated (mapping);

  return allocated != 0 ? (g_bit_storage (allocated) - 1)
                              * (header->cluster_size / QCOW2_N_SUBCLUSTERS)
                        : 0;
}

/* Returns whether data of MAPPING, which are in a file of FILE_SIZE bytes with
 * HEADER, are after its end.  QEMU need not have written all of the last
 * cluster or subcluster, and of the last sector of compressed data. */
gboolean
qcow2_mapping_is_outside (const Qcow2Mapping *mapping,
                          const Qcow2Header *header, guint64 file_size)
{
  const guint64 left = file_size - MIN (mapping->offset, file_size);

  if (mapping->type == QCOW2_CLUSTER_COMPRESSED)
    return left == 0
           || (mapping->length > left
               && mapping->length - left >= SECTOR_SIZE);

  return left <= get_last_part (mapping, header);
}
