/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image header: qcow2 specification, section "Header". */

#pragma once

#include "qcow2/record.h"
#include "qcow2/source.h"

G_BEGIN_DECLS

#define QCOW2_MAGIC 0x514649fb /* "QFI\xfb" */

/* Sizes of the header on disk, in bytes: of version 2, at least of version 3,
 * and with all fields that this program knows. */
#define QCOW2_V2_HEADER_LENGTH 72
#define QCOW2_V3_HEADER_LENGTH 104
#define QCOW2_KNOWN_HEADER_LENGTH 112

/* qcow2 spec, header: a cluster has at least 512 bytes, and a refcount at most
 * 64 bits. */
#define QCOW2_MIN_CLUSTER_BITS 9
#define QCOW2_MAX_REFCOUNT_ORDER 6

/* The largest usable cluster_bits.  This exceeds QEMU's clusters of 2 MiB, but
 * shifts and sums of offsets inside a cluster cannot overflow. */
#define QCOW2_MAX_CLUSTER_BITS 30

/* QEMU, block/qcow2.h: MAX_CLUSTER_BITS. */
#define QCOW2_QEMU_MAX_CLUSTER_BITS 21

/* QEMU, block/qcow2.h: QCOW_MAX_L1_SIZE, QCOW_MAX_REFTABLE_SIZE,
 * QCOW_MAX_SNAPSHOTS. */
#define QCOW2_MAX_L1_BYTES (32 * 1024 * 1024)
#define QCOW2_MAX_REFTABLE_BYTES (8 * 1024 * 1024)
#define QCOW2_MAX_SNAPSHOTS 65536

/* QEMU, include/block/block_int-common.h: BDRV_MAX_LENGTH, the largest file
 * that the block layer reads, in bytes. */
#define QCOW2_QEMU_MAX_LENGTH (G_GUINT64_CONSTANT (0x7fffffffc0000000))

/* qcow2 spec: the maximum length of the backing file name in bytes. */
#define QCOW2_MAX_BACKING_FILE_NAME 1023

/* qcow2 spec, snapshot table: the fixed part of an entry, in bytes. */
#define QCOW2_SNAPSHOT_HEAD 40

/* Bits of incompatible_features. */
#define QCOW2_INCOMPATIBLE_DIRTY (G_GUINT64_CONSTANT (1) << 0)
#define QCOW2_INCOMPATIBLE_CORRUPT (G_GUINT64_CONSTANT (1) << 1)
#define QCOW2_INCOMPATIBLE_DATA_FILE (G_GUINT64_CONSTANT (1) << 2)
#define QCOW2_INCOMPATIBLE_COMPRESSION (G_GUINT64_CONSTANT (1) << 3)
#define QCOW2_INCOMPATIBLE_EXTENDED_L2 (G_GUINT64_CONSTANT (1) << 4)
#define QCOW2_INCOMPATIBLE_KNOWN ((G_GUINT64_CONSTANT (1) << 5) - 1)

/* Bits of compatible_features and autoclear_features. */
#define QCOW2_COMPATIBLE_LAZY_REFCOUNTS (G_GUINT64_CONSTANT (1) << 0)
#define QCOW2_COMPATIBLE_KNOWN ((G_GUINT64_CONSTANT (1) << 1) - 1)
#define QCOW2_AUTOCLEAR_BITMAPS (G_GUINT64_CONSTANT (1) << 0)
#define QCOW2_AUTOCLEAR_RAW_DATA (G_GUINT64_CONSTANT (1) << 1)
#define QCOW2_AUTOCLEAR_KNOWN ((G_GUINT64_CONSTANT (1) << 2) - 1)

/* Values of crypt_method; 0 means no encryption. */
#define QCOW2_CRYPT_AES 1
#define QCOW2_CRYPT_LUKS 2

/* Number of feature masks.  The feature name table uses the same numbers for
 * them as feature_names does. */
#define QCOW2_N_FEATURE_TYPES 3

typedef struct
{
  /* On disk, in this order. */
  guint32 magic;
  guint32 version;
  guint64 backing_file_offset; /* host */
  guint32 backing_file_size;   /* bytes */
  guint32 cluster_bits;
  guint64 size; /* virtual, bytes */
  guint32 crypt_method;
  guint32 l1_size; /* entries */
  guint64 l1_table_offset;
  guint64 refcount_table_offset;
  guint32 refcount_table_clusters;
  guint32 nb_snapshots;
  guint64 snapshot_offset;
  guint64 incompatible_features;
  guint64 compatible_features;
  guint64 autoclear_features;
  guint32 refcount_order;
  guint32 header_length; /* bytes */
  guint8 compression_type;
  guint8 padding[7];

  /* Derived from the fields above, or read from elsewhere in the image. */
  guint64 cluster_size; /* bytes; QCOW2_ABSENT when cluster_bits is unusable */
  guint64 refcount_bits; /* QCOW2_ABSENT when refcount_order is unusable */
  GBytes *backing_file;  /* these three are NULL when absent */
  GBytes *backing_format;
  GBytes *external_data_file;
  char *feature_names[QCOW2_N_FEATURE_TYPES][QCOW2_MASK_BITS];
} Qcow2Header;

extern const Qcow2Record qcow2_header_record;

gboolean qcow2_header_read (ByteSource *source, Qcow2Header *header,
                            GError **error);
gboolean qcow2_header_has_compression_type (const Qcow2Header *header);
gboolean qcow2_header_get_extension_area (const Qcow2Header *header,
                                          guint64 *start, guint64 *end);
gboolean qcow2_header_read_backing_file (ByteSource *source,
                                         Qcow2Header *header, GError **error);
gboolean qcow2_header_is_dirty (const Qcow2Header *header);
gboolean qcow2_header_bitmaps_are_consistent (const Qcow2Header *header);
guint64 qcow2_header_get_qemu_size (const Qcow2Header *header);
guint64 qcow2_header_get_n_l1_needed (const Qcow2Header *header);
guint64 qcow2_header_get_refcount_table_needed (const Qcow2Header *header,
                                                guint64 file_size);
void qcow2_header_clear (Qcow2Header *header);

G_END_DECLS
