/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules that the header alone breaks or keeps. */

#include "config.h"

#include "qcow2/header.h"

#include "qcow2/printable.h"

/* Host offsets of fields, for findings. */
#define AT_BACKING_FILE_OFFSET 0x08
#define AT_BACKING_FILE_SIZE 0x10
#define AT_CLUSTER_BITS 0x14
#define AT_SIZE 0x18
#define AT_CRYPT_METHOD 0x20
#define AT_L1_TABLE_OFFSET 0x28
#define AT_REFCOUNT_TABLE_OFFSET 0x30
#define AT_NB_SNAPSHOTS 0x3c
#define AT_SNAPSHOT_OFFSET 0x40
#define AT_INCOMPATIBLE 0x48
#define AT_COMPATIBLE 0x50
#define AT_AUTOCLEAR 0x58
#define AT_REFCOUNT_ORDER 0x60
#define AT_HEADER_LENGTH 0x64
#define AT_COMPRESSION_TYPE 0x68
#define AT_PADDING 0x69
#define AT_UNKNOWN_FIELDS 0x70

/* QEMU, block/qcow2.h: MAX_CLUSTER_BITS, QCOW_MAX_L1_SIZE,
 * QCOW_MAX_REFTABLE_SIZE, QCOW_MAX_SNAPSHOTS. */
#define QEMU_MAX_CLUSTER_BITS 21
#define QEMU_MAX_L1_BYTES (32 * 1024 * 1024)
#define QEMU_MAX_REFTABLE_BYTES (8 * 1024 * 1024)
#define QEMU_MAX_SNAPSHOTS 65536

/* qcow2 spec, header: the backing file name has at most 1023 bytes. */
#define MAX_BACKING_FILE_SIZE 1023

/* qcow2 spec, extended L2 entries: 32 subclusters of at least 512 bytes. */
#define MIN_EXTENDED_L2_CLUSTER_BITS 14

/* How many bytes of unknown fields a note shows. */
#define MAX_UNKNOWN_BYTES 64

typedef struct
{
  const Qcow2Header *h;
  guint64 file_size; /* bytes */
  Qcow2Problems *problems;
} Judge;

static const Qcow2Subject header_alone = { .parts = QCOW2_PART_HEADER,
                                           .structure = "header",
                                           .extension = QCOW2_NO_INDEX,
                                           .bitmap = QCOW2_NO_INDEX };

/* Fields without which nothing behind the header can be located. */
static const Qcow2Subject header_framing = { .parts = QCOW2_PART_ALL,
                                             .structure = "header",
                                             .extension = QCOW2_NO_INDEX,
                                             .bitmap = QCOW2_NO_INDEX };

/* What makes every bitmap useless too. */
static const Qcow2Subject header_and_bitmaps
    = { .parts = QCOW2_PART_HEADER | QCOW2_PART_BITMAPS,
        .structure = "header",
        .extension = QCOW2_NO_INDEX,
        .bitmap = QCOW2_NO_INDEX };

#define ERROR(subject, rule, offset, ...)                                     \
  qcow2_problems_add (j->problems, &(subject), (rule), QCOW2_SEVERITY_ERROR,  \
                      (offset), __VA_ARGS__)
#define WARNING(rule, offset, ...)                                            \
  qcow2_problems_add (j->problems, &header_alone, (rule),                     \
                      QCOW2_SEVERITY_WARNING, (offset), __VA_ARGS__)
#define NOTE(rule, offset, ...)                                               \
  qcow2_problems_add (j->problems, &header_alone, (rule),                     \
                      QCOW2_SEVERITY_NOTE, (offset), __VA_ARGS__)

static gboolean
is_aligned (const Judge *j, guint64 offset)
{
  return offset % j->h->cluster_size == 0;
}

static gboolean
is_inside (const Judge *j, guint64 offset, guint64 size)
{
  return offset <= j->file_size && size <= j->file_size - offset;
}

static void
judge_cluster_bits (const Judge *j)
{
  const Qcow2Header *h = j->h;

  if (h->cluster_size == QCOW2_ABSENT
      || h->cluster_bits > QEMU_MAX_CLUSTER_BITS)
    ERROR (header_framing, "HDR-04", AT_CLUSTER_BITS, h->cluster_bits, "9..21",
           "cluster_bits %u is not in 9..%u", h->cluster_bits,
           QEMU_MAX_CLUSTER_BITS);

  if ((h->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0
      && h->cluster_size != QCOW2_ABSENT
      && h->cluster_bits < MIN_EXTENDED_L2_CLUSTER_BITS)
    ERROR (header_alone, "HDR-05", AT_CLUSTER_BITS, h->cluster_bits,
           "at least 14",
           "cluster_bits %u is less than the %u that extended L2 entries need",
           h->cluster_bits, MIN_EXTENDED_L2_CLUSTER_BITS);
}

static void
judge_header_length (const Judge *j)
{
  const Qcow2Header *h = j->h;
  const guint32 length = h->header_length;

  if (h->version >= 3 && length < QCOW2_V3_HEADER_LENGTH)
    ERROR (header_framing, "HDR-06", AT_HEADER_LENGTH, length, "at least 104",
           "header_length %u is less than %u", length, QCOW2_V3_HEADER_LENGTH);
  else if (length % 8 != 0)
    ERROR (header_framing, "HDR-07", AT_HEADER_LENGTH, length,
           "a multiple of 8", "header_length %u is not a multiple of 8",
           length);
  else if (h->cluster_size != QCOW2_ABSENT && length > h->cluster_size)
    ERROR (header_framing, "HDR-08", AT_HEADER_LENGTH, length,
           "at most the cluster size",
           "header_length %u is greater than the cluster size " QCOW2_U,
           length, h->cluster_size);
  else if (length > j->file_size)
    ERROR (header_framing, "HDR-03", AT_HEADER_LENGTH, length,
           "at most the file size",
           "header_length %u is greater than the file, which has " QCOW2_U
           " bytes",
           length, j->file_size);
}

static void
judge_backing_file (const Judge *j)
{
  const Qcow2Header *h = j->h;
  const guint64 offset = h->backing_file_offset;
  const guint32 size = h->backing_file_size;

  if (offset == 0)
    return;

  if (offset < h->header_length)
    {
      ERROR (header_framing, "HDR-12", AT_BACKING_FILE_OFFSET, offset,
             "0, or header_length to the cluster size",
             "backing_file_offset " QCOW2_X " lies inside the header, which "
             "ends at 0x%x",
             offset, h->header_length);
      return;
    }
  if (offset > h->cluster_size)
    {
      ERROR (header_framing, "HDR-12", AT_BACKING_FILE_OFFSET, offset,
             "0, or header_length to the cluster size",
             "backing_file_offset " QCOW2_X
             " lies outside of the first cluster, which ends at " QCOW2_X,
             offset, h->cluster_size);
      return;
    }

  if (size > MAX_BACKING_FILE_SIZE)
    ERROR (header_alone, "HDR-13", AT_BACKING_FILE_SIZE, size, "1..1023",
           "backing_file_size 0x%x is greater than 0x%x", size,
           MAX_BACKING_FILE_SIZE);
  else if (size > h->cluster_size - offset)
    ERROR (header_alone, "HDR-12", AT_BACKING_FILE_OFFSET, size,
           "at most what is left of the first cluster",
           "the backing file name, 0x%x bytes at " QCOW2_X
           ", does not end in the first cluster, which ends at " QCOW2_X,
           size, offset, h->cluster_size);
  else if (!is_inside (j, offset, size))
    ERROR (header_alone, "HDR-03", MIN (offset, j->file_size), size,
           "at most what is left of the file",
           "the backing file name, 0x%x bytes, does not end in the file, "
           "which has " QCOW2_U " bytes",
           size, j->file_size);

  if (size == 0)
    WARNING ("HDR-13", AT_BACKING_FILE_SIZE, size, "1..1023",
             "backing_file_size is 0 although there is a backing_file_offset");
  if (h->backing_file != NULL && !qcow2_string_is_printable (h->backing_file))
    WARNING ("HDR-30", offset, QCOW2_ABSENT, NULL,
             "the backing file name has control or format characters");
}

static void
judge_size (const Judge *j)
{
  const Qcow2Header *h = j->h;

  if (h->size > G_MAXINT64)
    {
      ERROR (header_alone, "HDR-15", AT_SIZE, h->size, "at most 2^63 - 1",
             "size " QCOW2_U " is greater than 2^63 - 1", h->size);
      return;
    }
  if (h->size % 512 != 0)
    WARNING ("HDR-15", AT_SIZE, h->size, "a multiple of 512",
             "size " QCOW2_U " is not a multiple of 512", h->size);
  if (h->cluster_size == QCOW2_ABSENT)
    return;

  /* An L2 table fills a cluster with entries of 8 or, extended, 16 bytes. */
  const gboolean extended
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0;
  const guint shift = 2 * h->cluster_bits - (extended ? 4 : 3);
  const guint64 rest = h->size & ((G_GUINT64_CONSTANT (1) << shift) - 1);
  const guint64 needed = (h->size >> shift) + (rest != 0);
  if (h->l1_size < needed)
    WARNING ("HDR-15", AT_SIZE, h->l1_size, "enough L1 entries for size",
             "size " QCOW2_U " needs " QCOW2_U
             " L1 entries, but l1_size is %u",
             h->size, needed, h->l1_size);
}

static void
judge_tables (const Judge *j)
{
  const Qcow2Header *h = j->h;
  const guint64 l1_bytes = (guint64) h->l1_size * 8;

  if (h->cluster_size == QCOW2_ABSENT)
    return;

  if (h->l1_size != 0
      && (h->l1_table_offset == 0 || !is_aligned (j, h->l1_table_offset)
          || l1_bytes > QEMU_MAX_L1_BYTES
          || !is_inside (j, h->l1_table_offset, l1_bytes)))
    WARNING ("HDR-17", AT_L1_TABLE_OFFSET, h->l1_table_offset,
             "the start of a cluster inside the file",
             "the L1 table, %u entries at " QCOW2_X
             ", is not one of at most 32 MiB at the start of a cluster inside "
             "the file",
             h->l1_size, h->l1_table_offset);

  const guint64 refcount_bytes = h->refcount_table_clusters * h->cluster_size;
  if (h->refcount_table_offset == 0
      || !is_aligned (j, h->refcount_table_offset) || refcount_bytes == 0
      || refcount_bytes > QEMU_MAX_REFTABLE_BYTES
      || !is_inside (j, h->refcount_table_offset, refcount_bytes))
    WARNING ("HDR-18", AT_REFCOUNT_TABLE_OFFSET, h->refcount_table_offset,
             "the start of a cluster inside the file",
             "the refcount table, %u clusters at " QCOW2_X
             ", is not one of at most 8 MiB at the start of a cluster inside "
             "the file",
             h->refcount_table_clusters, h->refcount_table_offset);

  if (h->nb_snapshots > QEMU_MAX_SNAPSHOTS)
    WARNING ("HDR-19", AT_NB_SNAPSHOTS, h->nb_snapshots, "at most 65536",
             "nb_snapshots %u is greater than %u", h->nb_snapshots,
             QEMU_MAX_SNAPSHOTS);
  if (!is_aligned (j, h->snapshot_offset) || h->snapshot_offset > G_MAXINT64
      || (h->nb_snapshots > 0 && !is_inside (j, h->snapshot_offset, 1)))
    WARNING ("HDR-19", AT_SNAPSHOT_OFFSET, h->snapshot_offset,
             "the start of a cluster inside the file",
             "snapshot_offset " QCOW2_X
             " is not the start of a cluster inside the file",
             h->snapshot_offset);
}

static void
judge_features (const Judge *j)
{
  const Qcow2Header *h = j->h;
  const guint64 incompatible = h->incompatible_features;
  const guint64 unknown = incompatible & ~QCOW2_INCOMPATIBLE_KNOWN;

  if (unknown != 0)
    ERROR (header_and_bitmaps, "HDR-20", AT_INCOMPATIBLE, incompatible,
           "bits 0..4", "incompatible_features has unknown bits " QCOW2_X,
           unknown);
  if ((incompatible & QCOW2_INCOMPATIBLE_DIRTY) != 0)
    WARNING ("HDR-21", AT_INCOMPATIBLE, incompatible, NULL,
             "the dirty bit is set");
  if ((incompatible & QCOW2_INCOMPATIBLE_CORRUPT) != 0)
    WARNING ("HDR-21", AT_INCOMPATIBLE, incompatible, NULL,
             "the corrupt bit is set");
  if ((incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) != 0
      && h->nb_snapshots > 0)
    WARNING ("HDR-22", AT_NB_SNAPSHOTS, h->nb_snapshots, "0",
             "nb_snapshots is %u, but an image with an external data file "
             "cannot have snapshots",
             h->nb_snapshots);
  if ((h->compatible_features & ~QCOW2_COMPATIBLE_KNOWN) != 0)
    NOTE ("HDR-24", AT_COMPATIBLE, h->compatible_features, "bit 0",
          "compatible_features has unknown bits " QCOW2_X,
          h->compatible_features & ~QCOW2_COMPATIBLE_KNOWN);
  if ((h->autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN) != 0)
    WARNING ("HDR-27", AT_AUTOCLEAR, h->autoclear_features, "bits 0..1",
             "autoclear_features has unknown bits " QCOW2_X,
             h->autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN);

  if ((h->autoclear_features & QCOW2_AUTOCLEAR_RAW_DATA) == 0)
    return;
  if ((incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) == 0)
    ERROR (header_alone, "HDR-26", AT_AUTOCLEAR, h->autoclear_features, NULL,
           "the raw external data bit is set without an external data file");
  else if (h->backing_file_offset != 0)
    ERROR (header_alone, "HDR-26", AT_AUTOCLEAR, h->autoclear_features, NULL,
           "the raw external data bit is set although there is a backing "
           "file");
}

static void
judge_compression (const Judge *j)
{
  const Qcow2Header *h = j->h;
  const gboolean bit
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_COMPRESSION) != 0;

  if (bit && !qcow2_header_has_compression_type (h))
    ERROR (header_alone, "HDR-23", AT_INCOMPATIBLE, h->header_length,
           "greater than 104",
           "the compression type bit is set, but header_length %u leaves no "
           "room for compression_type",
           h->header_length);
  else if (h->compression_type > 1)
    ERROR (header_alone, "HDR-23", AT_COMPRESSION_TYPE, h->compression_type,
           "0..1", "compression_type %u is not in 0..1", h->compression_type);
  else if (bit != (h->compression_type != 0))
    ERROR (header_alone, "HDR-23", AT_COMPRESSION_TYPE, h->compression_type,
           "as the compression type bit has it",
           "compression_type is %u, but the compression type bit is %s",
           h->compression_type, bit ? "set" : "clear");
}

static void
judge_numbers (const Judge *j)
{
  const Qcow2Header *h = j->h;

  if (h->refcount_bits == QCOW2_ABSENT)
    ERROR (header_alone, "HDR-28", AT_REFCOUNT_ORDER, h->refcount_order,
           "0..6", "refcount_order %u is greater than 6", h->refcount_order);
  if (h->crypt_method != QCOW2_CRYPT_NONE
      && h->crypt_method != QCOW2_CRYPT_LUKS)
    WARNING ("HDR-16", AT_CRYPT_METHOD, h->crypt_method, "0, 2",
             "crypt_method %u is %s", h->crypt_method,
             h->crypt_method == 1 ? "obsolete" : "unknown");
}

/* Looks at the header's bytes behind the last field that is known. */
static gboolean
judge_tail (const Judge *j, ByteSource *source, GError **error)
{
  guint8 bytes[AT_UNKNOWN_FIELDS - AT_PADDING + MAX_UNKNOWN_BYTES];
  const guint n_padding = AT_UNKNOWN_FIELDS - AT_PADDING;
  const guint64 end = MIN (j->h->header_length, j->file_size);
  guint64 area_start;
  guint64 area_end;

  if (!qcow2_header_has_compression_type (j->h) || end <= AT_PADDING)
    return TRUE;
  if (!qcow2_header_get_extension_area (j->h, &area_start, &area_end))
    return TRUE; /* header_length is wrong: this may be anything */

  const gsize len = (gsize) MIN (end - AT_PADDING, sizeof bytes);
  if (!byte_source_read (source, AT_PADDING, bytes, len, "header", error))
    return FALSE;

  for (guint i = 0; i < MIN (len, n_padding); i++)
    {
      if (bytes[i] == 0)
        continue;

      WARNING ("HDR-11", AT_PADDING + i, bytes[i], "0",
               "the padding is not zero");
      break;
    }

  if (end <= AT_UNKNOWN_FIELDS)
    return TRUE;

  g_autoptr (GString) hex = g_string_new (NULL);
  for (gsize i = n_padding; i < len; i++)
    g_string_append_printf (hex, "%02x", bytes[i]);
  NOTE ("HDR-09", AT_UNKNOWN_FIELDS, QCOW2_ABSENT, NULL,
        QCOW2_U " bytes of unknown fields: %s%s", end - AT_UNKNOWN_FIELDS,
        hex->str, end - AT_PADDING > sizeof bytes ? "..." : "");
  return TRUE;
}

/* Adds to PROBLEMS what is wrong with HEADER in itself, in the file SOURCE;
 * what depends on the extensions is the image's to judge.  Fails with
 * QCOW2_ERROR_READ only. */
gboolean
qcow2_header_judge (const Qcow2Header *header, ByteSource *source,
                    Qcow2Problems *problems, GError **error)
{
  const Judge judge = { .h = header,
                        .file_size = byte_source_get_size (source),
                        .problems = problems };
  const Judge *j = &judge;

  judge_cluster_bits (j);
  judge_header_length (j);
  judge_backing_file (j);
  judge_size (j);
  judge_tables (j);
  judge_features (j);
  judge_compression (j);
  judge_numbers (j);
  return judge_tail (j, source, error);
}
