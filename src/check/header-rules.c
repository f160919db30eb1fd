/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "check/header-rules.h"

#include <string.h>

#include "check/extension-rules.h"
#include "qcow2/printable.h"

/* qcow2 spec, extended L2 entries: 32 subclusters of at least 512 bytes. */
#define MIN_EXTENDED_L2_CLUSTER_BITS 14

/* Bytes of unknown fields to show in a note. */
#define MAX_UNKNOWN_BYTES 64

typedef struct
{
  const Qcow2Header *h;
  guint64 file_size; /* bytes */
  Qcow2Findings *findings;
} Context;

static const Qcow2Subject header_alone
    = QCOW2_SUBJECT (QCOW2_PART_HEADER, "header");

/* For fields that are needed to locate anything after the header. */
static const Qcow2Subject header_framing
    = QCOW2_SUBJECT (QCOW2_PART_ALL, "header");

/* For fields that make every bitmap unusable, too. */
static const Qcow2Subject header_and_bitmaps
    = QCOW2_SUBJECT (QCOW2_PART_HEADER | QCOW2_PART_BITMAPS, "header");

/* Adds a finding about the header field MEMBER. */
#define ADD(subject, rule, member, ...)                                       \
  qcow2_findings_add_at (                                                     \
      c->findings, &(subject), QCOW2_##rule,                                  \
      QCOW2_PLACE (0, qcow2_header_record, Qcow2Header, member, c->h),        \
      __VA_ARGS__)

/* Adds a finding about the bytes at host offset OFFSET. */
#define ADD_BYTES(subject, rule, offset, ...)                                 \
  qcow2_findings_add (c->findings, &(subject), QCOW2_##rule, (offset),        \
                      __VA_ARGS__)

/* Adds a finding that the header field MEMBER, a mask, has bits other than
 * KNOWN.  The value without them is allowed. */
#define ADD_UNKNOWN_BITS(subject, rule, member, known)                        \
  qcow2_finding_allow (ADD (subject, rule, member,                            \
                            #member " has unknown bits " QCOW2_HEX_FORMAT,    \
                            c->h->member & ~(known)),                         \
                       (known) &c->h->member)

static gboolean
is_aligned (const Context *c, guint64 offset)
{
  return offset % c->h->cluster_size == 0;
}

static gboolean
is_inside (const Context *c, guint64 offset, guint64 size)
{
  return offset <= c->file_size && size <= c->file_size - offset;
}

static void
check_cluster_bits (const Context *c)
{
  const Qcow2Header *h = c->h;

  if (h->cluster_bits < QCOW2_MIN_CLUSTER_BITS)
    ADD (header_framing, HDR_04_SMALL, cluster_bits,
         "cluster_bits %u is less than %u", h->cluster_bits,
         QCOW2_MIN_CLUSTER_BITS);
  else if (h->cluster_size == QCOW2_ABSENT)
    ADD (header_framing, HDR_04_LARGE, cluster_bits,
         "cluster_bits %u is not in 9..%u: nothing can be located",
         h->cluster_bits, QCOW2_QEMU_MAX_CLUSTER_BITS);
  else if (h->cluster_bits > QCOW2_QEMU_MAX_CLUSTER_BITS)
    ADD (header_framing, HDR_04_QEMU, cluster_bits,
         "cluster_bits %u is greater than %u", h->cluster_bits,
         QCOW2_QEMU_MAX_CLUSTER_BITS);

  if ((h->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0
      && h->cluster_size != QCOW2_ABSENT
      && h->cluster_bits < MIN_EXTENDED_L2_CLUSTER_BITS)
    ADD (header_alone, HDR_05, cluster_bits,
         "cluster_bits %u is less than the %u that extended L2 entries need",
         h->cluster_bits, MIN_EXTENDED_L2_CLUSTER_BITS);
}

static void
check_header_length (const Context *c, gboolean is_misread)
{
  const Qcow2Header *h = c->h;
  const guint32 length = h->header_length;

  if (h->version >= 3 && length < QCOW2_V3_HEADER_LENGTH)
    ADD (header_framing, HDR_06, header_length,
         "header_length %u is less than %u", length, QCOW2_V3_HEADER_LENGTH);
  else if (h->cluster_size != QCOW2_ABSENT && length > h->cluster_size)
    ADD (header_framing, HDR_08, header_length,
         "header_length %u is greater than the cluster size " QCOW2_U64_FORMAT,
         length, h->cluster_size);
  else if (length % 8 != 0)
    qcow2_findings_add_at (
        c->findings, &header_framing,
        is_misread ? QCOW2_HDR_07 : QCOW2_HDR_07_REFUSED,
        QCOW2_PLACE (0, qcow2_header_record, Qcow2Header, header_length, h),
        "header_length %u is not a multiple of 8", length);
  else if (length > c->file_size)
    ADD (header_framing, HDR_03, header_length,
         "header_length %u is greater than the file, which "
         "has " QCOW2_U64_FORMAT " bytes",
         length, c->file_size);
}

static void
check_backing_file_name (const Context *c)
{
  const Qcow2Header *h = c->h;
  const guint64 offset = h->backing_file_offset;
  const guint32 size = h->backing_file_size;

  if (size > QCOW2_MAX_BACKING_FILE_NAME)
    ADD (header_alone, HDR_13_LONG, backing_file_size,
         "backing_file_size 0x%x is greater than 0x%x", size,
         QCOW2_MAX_BACKING_FILE_NAME);
  else if (size > h->cluster_size - offset)
    ADD (
        header_alone, HDR_12_END, backing_file_size,
        "the backing file name, 0x%x bytes at " QCOW2_HEX_FORMAT
        ", does not end in the first cluster, which ends at " QCOW2_HEX_FORMAT,
        size, offset, h->cluster_size);
  else if (!is_inside (c, offset, size))
    ADD_BYTES (header_alone, HDR_03_NAME, MIN (offset, c->file_size), 0,
               "the backing file name, 0x%x bytes, does not end in the file, "
               "which has " QCOW2_U64_FORMAT " bytes",
               size, c->file_size);

  if (size == 0)
    ADD (header_alone, HDR_13_EMPTY, backing_file_size,
         "backing_file_size is 0 although there is a backing_file_offset");
  if (h->backing_file == NULL)
    return;

  gsize len;
  const guint8 *name = g_bytes_get_data (h->backing_file, &len);
  if (len > 0 && memchr (name, 0, len) != NULL)
    ADD_BYTES (header_alone, HDR_30_NUL, offset, 0,
               "the backing file name has a NUL byte");
  else if (!qcow2_string_is_printable (h->backing_file))
    ADD_BYTES (header_alone, HDR_30, offset, 0,
               "the backing file name has control or format characters");
}

static void
check_backing_file (const Context *c)
{
  const Qcow2Header *h = c->h;
  const guint64 offset = h->backing_file_offset;

  if (offset == 0)
    return;

  if (offset > h->cluster_size)
    {
      ADD (header_framing, HDR_12_OUTSIDE, backing_file_offset,
           "backing_file_offset " QCOW2_HEX_FORMAT
           " lies outside of the first cluster, which ends "
           "at " QCOW2_HEX_FORMAT,
           offset, h->cluster_size);
      return;
    }

  if (offset < h->header_length)
    ADD (header_framing, HDR_12_INSIDE, backing_file_offset,
         "backing_file_offset " QCOW2_HEX_FORMAT
         " lies inside the header, which "
         "ends at 0x%x",
         offset, h->header_length);
  check_backing_file_name (c);
}

static void
check_size (const Context *c)
{
  const Qcow2Header *h = c->h;

  if (h->size > G_MAXINT64)
    {
      ADD (header_alone, HDR_15_HUGE, size,
           "size " QCOW2_U64_FORMAT " is greater than 2^63 - 1", h->size);
      return;
    }
  if (h->size % 512 != 0)
    ADD (header_alone, HDR_15_SECTOR, size,
         "size " QCOW2_U64_FORMAT " is not a multiple of 512", h->size);
  if (h->cluster_size == QCOW2_ABSENT)
    return;

  const guint64 needed = qcow2_header_get_n_l1_needed (h);
  if (h->l1_size >= needed)
    return;

  if (needed > G_MAXINT32)
    ADD (header_alone, HDR_15_COUNT, size,
         "size " QCOW2_U64_FORMAT " needs " QCOW2_U64_FORMAT
         " L1 entries, more than there can be",
         h->size, needed);
  else
    ADD (header_alone, HDR_15_L1, l1_size,
         "size " QCOW2_U64_FORMAT " needs " QCOW2_U64_FORMAT
         " L1 entries, but l1_size is %u",
         h->size, needed, h->l1_size);
}

/* Returns why a table of SIZE bytes cannot be at host offset OFFSET, whatever
 * the size of the file, or NULL if it can.  QEMU's largest offset is
 * 2^63 - 1.  The result is a static string that completes a message. */
static const char *
get_misplacement (const Context *c, guint64 offset, guint64 size)
{
  if (!is_aligned (c, offset))
    return "is not the start of a cluster";
  if (offset > G_MAXINT64 || size > G_MAXINT64 - offset)
    return "leads beyond offset 2^63 - 1";

  return NULL;
}

/* Returns whether the SIZE bytes at host offset OFFSET end after
 * QCOW2_QEMU_MAX_LENGTH.  OFFSET and SIZE together are at most 2^63 - 1. */
static gboolean
is_far (guint64 offset, guint64 size)
{
  return offset > QCOW2_QEMU_MAX_LENGTH
         || size > QCOW2_QEMU_MAX_LENGTH - offset;
}

static void
check_l1_table (const Context *c)
{
  const Qcow2Header *h = c->h;
  const guint64 offset = h->l1_table_offset;
  const guint64 bytes = (guint64) h->l1_size * QCOW2_ENTRY_LENGTH;
  const guint64 needed = QCOW2_ENTRY_LENGTH
                         * MIN (qcow2_header_get_n_l1_needed (h), h->l1_size);
  const gboolean too_large = bytes > QCOW2_MAX_L1_BYTES;
  const char *misplacement
      = get_misplacement (c, offset, too_large ? 0 : bytes);

  if (too_large)
    ADD (header_alone, HDR_17_LARGE, l1_table_offset,
         "the L1 table has %u entries, more than 32 MiB", h->l1_size);
  if (misplacement != NULL)
    ADD (header_alone, HDR_17_PLACE, l1_table_offset,
         "l1_table_offset " QCOW2_HEX_FORMAT " %s", offset, misplacement);
  else if (bytes > 0 && !too_large && is_far (offset, bytes))
    ADD (header_alone, HDR_17_FAR, l1_table_offset,
         "l1_table_offset " QCOW2_HEX_FORMAT
         " is beyond what QEMU reads of a file",
         offset);
  else if (needed > 0 && (offset == 0 || !is_inside (c, offset, needed)))
    ADD (header_alone, HDR_17_END, l1_table_offset,
         "the L1 table, %u entries at " QCOW2_HEX_FORMAT
         ", is not after the header and inside the file, which "
         "has " QCOW2_U64_FORMAT " bytes",
         h->l1_size, offset, c->file_size);
  else if (bytes > 0 && !too_large
           && (offset == 0 || !is_inside (c, offset, bytes)))
    ADD (
        header_alone, HDR_17_SPARE, l1_table_offset,
        "the L1 table has the entries that the disk needs, but not all of its "
        "%u are after the header and inside the file, which "
        "has " QCOW2_U64_FORMAT " bytes",
        h->l1_size, c->file_size);
}

static void
check_refcount_table (const Context *c)
{
  const Qcow2Header *h = c->h;
  const guint64 offset = h->refcount_table_offset;
  const guint64 bytes = h->refcount_table_clusters * h->cluster_size;
  const gboolean too_large = bytes > QCOW2_MAX_REFTABLE_BYTES;
  const guint64 needed
      = qcow2_header_get_refcount_table_needed (h, c->file_size);
  const char *misplacement
      = get_misplacement (c, offset, too_large ? 0 : bytes);

  if (bytes == 0)
    ADD (header_alone, HDR_18_EMPTY, refcount_table_clusters,
         "refcount_table_clusters is 0");
  else if (too_large)
    ADD (header_alone, HDR_18_LARGE, refcount_table_clusters,
         "the refcount table, refcount_table_clusters %u, has more than 8 MiB",
         h->refcount_table_clusters);
  if (misplacement != NULL)
    ADD (header_alone, HDR_18_PLACE, refcount_table_offset,
         "refcount_table_offset " QCOW2_HEX_FORMAT " %s", offset,
         misplacement);
  else if (bytes > 0 && !too_large && is_far (offset, bytes))
    ADD (header_alone, HDR_18_FAR, refcount_table_offset,
         "refcount_table_offset " QCOW2_HEX_FORMAT
         " is beyond what QEMU reads of a file",
         offset);
  else if (bytes > 0 && (offset == 0 || !is_inside (c, offset, needed)))
    ADD (header_alone, HDR_18_END, refcount_table_offset,
         "the refcount table, " QCOW2_U64_FORMAT " bytes at " QCOW2_HEX_FORMAT
         ", is not after the header and inside the file, which "
         "has " QCOW2_U64_FORMAT " bytes",
         bytes, offset, c->file_size);
  else if (bytes > 0 && !too_large && !is_inside (c, offset, bytes))
    ADD (header_alone, HDR_18_SPARE, refcount_table_offset,
         "the refcount table has the entries that the file needs, but not all "
         "of its " QCOW2_U64_FORMAT
         " bytes are inside the file, which has " QCOW2_U64_FORMAT " bytes",
         bytes, c->file_size);
}

static void
check_snapshot_table (const Context *c)
{
  const Qcow2Header *h = c->h;
  const guint64 offset = h->snapshot_offset;
  const gboolean too_large = h->nb_snapshots > QCOW2_MAX_SNAPSHOTS;
  const guint64 least
      = too_large ? 0 : (guint64) h->nb_snapshots * QCOW2_SNAPSHOT_HEAD;
  const char *misplacement = get_misplacement (c, offset, least);

  if (too_large)
    ADD (header_alone, HDR_19_LARGE, nb_snapshots,
         "nb_snapshots %u is greater than %u", h->nb_snapshots,
         QCOW2_MAX_SNAPSHOTS);
  if (misplacement != NULL)
    ADD (header_alone, HDR_19_PLACE, snapshot_offset,
         "snapshot_offset " QCOW2_HEX_FORMAT " %s", offset, misplacement);
  else if (least > 0 && is_far (offset, least))
    ADD (header_alone, HDR_19_FAR, snapshot_offset,
         "snapshot_offset " QCOW2_HEX_FORMAT
         " is beyond what QEMU reads of a file",
         offset);
  else if (least > 0 && (offset == 0 || !is_inside (c, offset, 1)))
    ADD (header_alone, HDR_19_END, snapshot_offset,
         "snapshot_offset " QCOW2_HEX_FORMAT
         " is not after the header and inside the file, which "
         "has " QCOW2_U64_FORMAT " bytes",
         offset, c->file_size);
}

static void
check_tables (const Context *c)
{
  if (c->h->cluster_size == QCOW2_ABSENT)
    return;

  check_l1_table (c);
  check_refcount_table (c);
  check_snapshot_table (c);
}

static void
check_features (const Context *c)
{
  const Qcow2Header *h = c->h;
  const guint64 incompatible = h->incompatible_features;

  if ((incompatible & ~QCOW2_INCOMPATIBLE_KNOWN) != 0)
    ADD_UNKNOWN_BITS (header_and_bitmaps, HDR_20, incompatible_features,
                      QCOW2_INCOMPATIBLE_KNOWN);
  if ((incompatible & QCOW2_INCOMPATIBLE_DIRTY) != 0)
    ADD (header_alone, HDR_21_DIRTY, incompatible_features,
         "the dirty bit is set");
  if ((incompatible & QCOW2_INCOMPATIBLE_CORRUPT) != 0)
    ADD (header_alone, HDR_21_CORRUPT, incompatible_features,
         "the corrupt bit is set");
  if ((incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) != 0
      && h->nb_snapshots > 0)
    ADD (header_alone, HDR_22, nb_snapshots,
         "nb_snapshots is %u, but an image with an external data file "
         "cannot have snapshots",
         h->nb_snapshots);
  if ((h->compatible_features & ~QCOW2_COMPATIBLE_KNOWN) != 0)
    ADD_UNKNOWN_BITS (header_alone, HDR_24, compatible_features,
                      QCOW2_COMPATIBLE_KNOWN);
  if ((h->autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN) != 0)
    ADD_UNKNOWN_BITS (header_alone, HDR_27, autoclear_features,
                      QCOW2_AUTOCLEAR_KNOWN);

  if ((h->autoclear_features & QCOW2_AUTOCLEAR_RAW_DATA) == 0)
    return;
  Qcow2Finding *finding = NULL;
  if ((incompatible & QCOW2_INCOMPATIBLE_DATA_FILE) == 0)
    finding = ADD (header_alone, HDR_26_FILE, autoclear_features,
                   "the raw external data bit is set without an external data "
                   "file");
  else if (h->backing_file_offset != 0)
    finding = ADD (header_alone, HDR_26_BACKING, autoclear_features,
                   "the raw external data bit is set although there is a "
                   "backing file");
  qcow2_finding_allow (finding,
                       h->autoclear_features & ~QCOW2_AUTOCLEAR_RAW_DATA);
}

static void
check_compression (const Context *c)
{
  const Qcow2Header *h = c->h;
  const gboolean bit
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_COMPRESSION) != 0;

  if (bit && !qcow2_header_has_compression_type (h))
    ADD (header_alone, HDR_23_SET, incompatible_features,
         "the compression type bit is set, but header_length %u leaves no "
         "room for compression_type",
         h->header_length);
  else if (h->compression_type > 1)
    ADD (header_alone, HDR_23_UNKNOWN, compression_type,
         "compression_type %u is not in 0..1", h->compression_type);
  else if (bit && h->compression_type == 0)
    ADD (header_alone, HDR_23_SET, compression_type,
         "compression_type is 0, but the compression type bit is set");
  else if (!bit && h->compression_type != 0)
    ADD (header_alone, HDR_23_CLEAR, compression_type,
         "compression_type is %u, but the compression type bit is clear",
         h->compression_type);
}

static void
check_numbers (const Context *c)
{
  const Qcow2Header *h = c->h;

  if (h->refcount_bits == QCOW2_ABSENT)
    ADD (header_alone, HDR_28, refcount_order,
         "refcount_order %u is greater than 6", h->refcount_order);
  if (h->crypt_method == QCOW2_CRYPT_AES)
    ADD (header_alone, HDR_16_OBSOLETE, crypt_method,
         "crypt_method %u is obsolete", h->crypt_method);
  else if (h->crypt_method > QCOW2_CRYPT_LUKS)
    ADD (header_alone, HDR_16_UNKNOWN, crypt_method,
         "crypt_method %u is unknown", h->crypt_method);
}

/* Checks the bytes of the header after the last known field. */
static gboolean
check_tail (const Context *c, ByteSource *source, GError **error)
{
  guint8 bytes[sizeof c->h->padding + MAX_UNKNOWN_BYTES];
  const guint n_padding = sizeof c->h->padding;
  const guint start = QCOW2_AT (qcow2_header_record, Qcow2Header, padding);
  const guint unknown = qcow2_record_get_size (&qcow2_header_record);
  const guint64 end = MIN (c->h->header_length, c->file_size);
  guint64 area_start;
  guint64 area_end;

  if (!qcow2_header_has_compression_type (c->h) || end <= start)
    return TRUE;
  if (!qcow2_header_get_extension_area (c->h, &area_start, &area_end))
    return TRUE; /* header_length is wrong: these may not be fields */

  const gsize len = (gsize) MIN (end - start, sizeof bytes);
  memcpy (bytes, c->h->padding, n_padding);
  if (end > unknown
      && !byte_source_read (source, start, bytes, len,
                            qcow2_header_record.name, error))
    return FALSE;

  for (guint i = 0; i < MIN (len, n_padding); i++)
    {
      if (bytes[i] == 0)
        continue;

      ADD_BYTES (header_alone, HDR_11, start + i, bytes[i],
                 "the padding is not zero");
      break;
    }

  if (end <= unknown)
    return TRUE;

  g_autoptr (GString) hex = g_string_new (NULL);
  for (gsize i = n_padding; i < len; i++)
    g_string_append_printf (hex, "%02x", bytes[i]);
  ADD_BYTES (header_alone, HDR_09, unknown, 0,
             QCOW2_U64_FORMAT " bytes of unknown fields: %s%s", end - unknown,
             hex->str, end - start > sizeof bytes ? "..." : "");
  return TRUE;
}

/* Checks HEADER, which was read from SOURCE, and adds findings to FINDINGS.
 * Rules that also depend on the extensions are in image-rules.c.
 * Fails only with QCOW2_ERROR_READ. */
gboolean
qcow2_header_check (const Qcow2Header *header, ByteSource *source,
                    Qcow2Findings *findings, GError **error)
{
  const Context context = { .h = header,
                            .file_size = byte_source_get_size (source),
                            .findings = findings };
  const Context *c = &context;

  g_autoptr (Qcow2Findings) misread = qcow2_findings_new ();
  gboolean is_misread = FALSE;
  if (!qcow2_extensions_can_be_misread (source, header, misread, &is_misread,
                                        error))
    return FALSE;

  check_cluster_bits (c);
  check_header_length (c, is_misread);
  check_backing_file (c);
  check_size (c);
  check_tables (c);
  check_features (c);
  check_compression (c);
  check_numbers (c);
  return check_tail (c, source, error);
}
