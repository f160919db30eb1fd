/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/header.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/error.h"

#define WHAT "header"

#define AT(member) QCOW2_AT (qcow2_header_record, Qcow2Header, member)

/* Magic and version, which tell whether the other fields can be read. */
#define FRAMING_LENGTH AT (backing_file_offset)

/* The longest backing file name that is shown, in bytes.  The specification
 * allows 1023. */
#define MAX_BACKING_FILE_SIZE 65535

static const Qcow2Label crypt_methods[] = {
  { 0, "none" },
  { 1, "aes" },
  { 2, "luks" },
  { 0, NULL },
};

static const Qcow2Label compression_types[] = {
  { 0, "zlib" },
  { 1, "zstd" },
  { 0, NULL },
};

static const Qcow2Label incompatible_bits[] = {
  { 0, "dirty" },
  { 1, "corrupt" },
  { 2, "external-data-file" },
  { 3, "compression-type" },
  { 4, "extended-l2" },
  { 0, NULL },
};

static const Qcow2Label compatible_bits[] = {
  { 0, "lazy-refcounts" },
  { 0, NULL },
};

static const Qcow2Label autoclear_bits[] = {
  { 0, "bitmaps" },
  { 1, "raw-external-data" },
  { 0, NULL },
};

#define F(member, ...) QCOW2_STORED (Qcow2Header, member, __VA_ARGS__)
#define D(key, member, ...)                                                   \
  QCOW2_DERIVED (Qcow2Header, key, member, __VA_ARGS__)
#define MASK(member, n, names)                                                \
  F (member, QCOW2_BITS, .labels = (names),                                   \
     .bit_names = offsetof (Qcow2Header, feature_names[n]))

/* clang-format off */
static const Qcow2Field fields[] = {
  F (magic, QCOW2_HEX),
  F (version, QCOW2_DEC),
  F (backing_file_offset, QCOW2_HEX),
  F (backing_file_size, QCOW2_HEX),
  F (cluster_bits, QCOW2_DEC),
  F (size, QCOW2_DEC),
  F (crypt_method, QCOW2_DEC),
  F (l1_size, QCOW2_DEC),
  F (l1_table_offset, QCOW2_HEX),
  F (refcount_table_offset, QCOW2_HEX),
  F (refcount_table_clusters, QCOW2_DEC),
  F (nb_snapshots, QCOW2_DEC),
  F (snapshot_offset, QCOW2_HEX, .alias = "snapshots_offset"),
  MASK (incompatible_features, 0, incompatible_bits),
  MASK (compatible_features, 1, compatible_bits),
  MASK (autoclear_features, 2, autoclear_bits),
  F (refcount_order, QCOW2_DEC),
  F (header_length, QCOW2_DEC),
  F (compression_type, QCOW2_ENUM, .labels = compression_types),
  F (padding, QCOW2_BYTES),
  D ("crypt_method_name", crypt_method, QCOW2_NAME, .labels = crypt_methods,
     .text = ""),
  D ("compression_type_name", compression_type, QCOW2_NAME,
     .labels = compression_types, .text = ""),
  D ("cluster_size", cluster_size, QCOW2_DEC, .text = ""),
  D ("refcount_bits", refcount_bits, QCOW2_DEC, .text = ""),
  D ("backing_file", backing_file, QCOW2_STRING),
  D ("backing_format", backing_format, QCOW2_STRING),
  D ("external_data_file", external_data_file, QCOW2_STRING),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_header_record = { .name = WHAT, .fields = fields };

/* Signatures of other formats that users may mistake for qcow2. */
typedef struct
{
  guint offset; /* bytes */
  guint size;   /* bytes */
  const char *bytes;
  const char *name;
} Signature;

static const Signature signatures[] = {
  { 0, 4, "\xfb\x49\x46\x51", "a qcow2 image in the wrong byte order" },
  { 0, 4, "QED", "a QED image" },
  { 0, 6, "LUKS\xba\xbe", "a LUKS volume" },
  { 0, 4, "KDMV", "a VMDK image" },
  { 0, 4, "COWD", "a VMDK image" },
  { 0, 21, "# Disk DescriptorFile", "a VMDK descriptor" },
  { 0, 8, "vhdxfile", "a VHDX image" },
  { 0, 8, "conectix", "a VHD image" },
  { 0, 2, "\x1f\x8b", "gzip data" },
  { 0, 6,
    "\xfd"
    "7zXZ",
    "xz data" },
  { 0, 4, "\x28\xb5\x2f\xfd", "zstd data" },
  { 64, 4, "\x7f\x10\xda\xbe", "a VDI image" },
};

static const char *
guess_format (const guint8 *bytes, gsize len)
{
  for (guint i = 0; i < G_N_ELEMENTS (signatures); i++)
    {
      const Signature *it = &signatures[i];

      if (it->offset + it->size <= len
          && memcmp (bytes + it->offset, it->bytes, it->size) == 0)
        return it->name;
    }

  return "raw data?";
}

static gboolean
check_magic (const guint8 *bytes, gsize len, GError **error)
{
  if (len == 0)
    {
      qcow2_set_rule_error (error, QCOW2_ERROR_NOT_QCOW2, "FILE-02",
                            "0x0: " WHAT ": the file is empty");
      return FALSE;
    }
  if (len < 4)
    {
      qcow2_set_rule_error (error, QCOW2_ERROR_NOT_QCOW2, "HDR-01",
                            "0x0: " WHAT
                            ": not a qcow2 image: the file has only "
                            "%" G_GSIZE_FORMAT " of the 4 bytes of the magic",
                            len);
      return FALSE;
    }

  const guint32 magic = (guint32) qcow2_load_be (bytes, 4);
  if (magic == QCOW2_MAGIC)
    return TRUE;

  qcow2_set_rule_error (error, QCOW2_ERROR_NOT_QCOW2, "HDR-01",
                        "0x0: " WHAT ": not a qcow2 image: the magic is "
                        "0x%08x, not 0x%08x (%s)",
                        magic, QCOW2_MAGIC, guess_format (bytes, len));
  return FALSE;
}

static gboolean
check_version (guint32 version, GError **error)
{
  if (version == 2 || version == 3)
    return TRUE;

  qcow2_set_rule_error (error, QCOW2_ERROR_UNSUPPORTED, "HDR-02",
                        "0x4: " WHAT
                        ": %s version %u is not supported, only 2 and 3",
                        version == 1 ? "qcow" : "qcow2", version);
  return FALSE;
}

static gboolean
check_length (gsize len, gsize wanted, GError **error)
{
  if (len >= wanted)
    return TRUE;

  /* The error is at the version field if the file truncates that field, and at
   * the end of the file otherwise. */
  qcow2_set_rule_error (
      error, QCOW2_ERROR_TRUNCATED, "HDR-03",
      QCOW2_HEX_FORMAT ": " WHAT ": cut short: %" G_GSIZE_FORMAT
                       " of %" G_GSIZE_FORMAT " bytes are there",
      len < FRAMING_LENGTH ? AT (version) : (guint64) len, len, wanted);
  return FALSE;
}

static void
derive (Qcow2Header *header)
{
  const gboolean usable_cluster
      = header->cluster_bits >= QCOW2_MIN_CLUSTER_BITS
        && header->cluster_bits <= QCOW2_MAX_CLUSTER_BITS;

  header->cluster_size = usable_cluster
                             ? G_GUINT64_CONSTANT (1) << header->cluster_bits
                             : QCOW2_ABSENT;
  header->refcount_bits = header->refcount_order <= QCOW2_MAX_REFCOUNT_ORDER
                              ? G_GUINT64_CONSTANT (1)
                                    << header->refcount_order
                              : QCOW2_ABSENT;
}

/* Decodes the header at the start of SOURCE into *HEADER, which the caller
 * clears.  Fails with QCOW2_ERROR_NOT_QCOW2, QCOW2_ERROR_UNSUPPORTED (wrong
 * version), QCOW2_ERROR_TRUNCATED (the file ends inside the 72 or 104
 * mandatory bytes) or QCOW2_ERROR_READ.  Leaves other checks to
 * qcow2_header_check ().  Fields that version 2 lacks are set to the values
 * that the specification defines.  Strings and feature names are not read. */
gboolean
qcow2_header_read (ByteSource *source, Qcow2Header *header, GError **error)
{
  guint8 bytes[QCOW2_KNOWN_HEADER_LENGTH] = { 0 };
  const gsize len = (gsize) MIN (byte_source_get_size (source), sizeof bytes);
  Qcow2Header h
      = { .refcount_order = 4, .header_length = QCOW2_V2_HEADER_LENGTH };

  if (!byte_source_read (source, 0, bytes, len, WHAT, error))
    return FALSE;
  if (!check_magic (bytes, len, error))
    return FALSE;
  if (!check_length (len, FRAMING_LENGTH, error))
    return FALSE;

  qcow2_record_decode (&qcow2_header_record, bytes, FRAMING_LENGTH, &h);
  const gsize wanted
      = h.version == 2 ? QCOW2_V2_HEADER_LENGTH : QCOW2_V3_HEADER_LENGTH;
  if (!check_version (h.version, error) || !check_length (len, wanted, error))
    return FALSE;

  qcow2_record_decode (&qcow2_header_record, bytes, wanted, &h);
  if (qcow2_header_has_compression_type (&h))
    qcow2_record_decode (&qcow2_header_record, bytes,
                         MIN (len, h.header_length), &h);
  derive (&h);

  *header = h;
  return TRUE;
}

/* Returns whether HEADER is long enough to hold compression_type. */
gboolean
qcow2_header_has_compression_type (const Qcow2Header *header)
{
  return header->version >= 3
         && header->header_length > QCOW2_AT (qcow2_header_record, Qcow2Header,
                                              compression_type);
}

/* Stores in *START and *END the host offsets between which the header
 * extensions lie.  The end is the offset of the backing file name or the end
 * of the first cluster.  Returns FALSE if header_length or cluster_bits is
 * wrong, so that the offsets are unknown. */
gboolean
qcow2_header_get_extension_area (const Qcow2Header *header, guint64 *start,
                                 guint64 *end)
{
  const guint64 cluster_size = header->cluster_size;
  const guint32 length = header->header_length;

  if (cluster_size == QCOW2_ABSENT || length % 8 != 0 || length > cluster_size)
    return FALSE;
  if (header->version >= 3 && length < QCOW2_V3_HEADER_LENGTH)
    return FALSE;

  const guint64 name = header->backing_file_offset;
  *start = length;
  *end = name >= length && name <= cluster_size ? name : cluster_size;
  return TRUE;
}

/* Reads into HEADER those bytes of the backing file name that lie in the file:
 * QEMU reads zeroes after its end.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_header_read_backing_file (ByteSource *source, Qcow2Header *header,
                                GError **error)
{
  const guint64 offset = header->backing_file_offset;
  const guint32 size = header->backing_file_size;
  const guint64 end = byte_source_get_size (source);

  if (offset == 0 || size == 0 || size > MAX_BACKING_FILE_SIZE
      || offset >= end)
    return TRUE;

  const gsize n_bytes = MIN (size, end - offset);
  g_autofree guint8 *name = g_malloc (n_bytes);
  if (!byte_source_read (source, offset, name, n_bytes, "backing file name",
                         error))
    return FALSE;

  header->backing_file = g_bytes_new_take (g_steal_pointer (&name), n_bytes);
  return TRUE;
}

/* Returns whether HEADER marks the image as dirty: refcounts may be wrong. */
gboolean
qcow2_header_is_dirty (const Qcow2Header *header)
{
  return (header->incompatible_features & QCOW2_INCOMPATIBLE_DIRTY) != 0;
}

/* Returns whether HEADER says that the bitmaps are up to date.  Otherwise a
 * program that does not support bitmaps may have written to the image since
 * (qcow2 spec, autoclear_features bit 0).  Version 2 does not have this
 * bit. */
gboolean
qcow2_header_bitmaps_are_consistent (const Qcow2Header *header)
{
  return (header->autoclear_features & QCOW2_AUTOCLEAR_BITMAPS) != 0;
}

/* Returns the size of the disk in bytes as QEMU has it: up to the start of a
 * sector of 512 bytes. */
guint64
qcow2_header_get_qemu_size (const Qcow2Header *header)
{
  return header->size - header->size % 512;
}

/* Returns the number of L1 entries that the virtual size in HEADER needs.  The
 * cluster size must be known.  An L2 table fills a cluster with entries of 8
 * bytes, or of 16 bytes if L2 entries are extended. */
guint64
qcow2_header_get_n_l1_needed (const Qcow2Header *header)
{
  const gboolean extended
      = (header->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0;
  const guint shift = 2 * header->cluster_bits - (extended ? 4 : 3);
  const guint64 rest = header->size & ((G_GUINT64_CONSTANT (1) << shift) - 1);

  return (header->size >> shift) + (rest != 0);
}

/* Returns how many bytes of the refcount table are needed for the clusters of
 * a file of FILE_SIZE bytes.  The cluster size in HEADER must be known.
 * Returns the size of the whole table if the width of refcounts is unknown. */
guint64
qcow2_header_get_refcount_table_needed (const Qcow2Header *header,
                                        guint64 file_size)
{
  const guint64 cluster_size = header->cluster_size;
  const guint64 bytes = header->refcount_table_clusters * cluster_size;

  if (header->refcount_bits == QCOW2_ABSENT)
    return bytes;

  const guint64 per_block = cluster_size * 8 / header->refcount_bits;
  const guint64 n_clusters = qcow2_divide_up (file_size, cluster_size);
  const guint64 n_blocks = qcow2_divide_up (n_clusters, per_block);

  return MIN (bytes, n_blocks * QCOW2_ENTRY_LENGTH);
}

/* Frees the strings in HEADER. */
void
qcow2_header_clear (Qcow2Header *header)
{
  g_clear_pointer (&header->backing_file, g_bytes_unref);
  g_clear_pointer (&header->backing_format, g_bytes_unref);
  g_clear_pointer (&header->external_data_file, g_bytes_unref);

  for (guint type = 0; type < QCOW2_N_FEATURE_TYPES; type++)
    {
      for (guint bit = 0; bit < QCOW2_MASK_BITS; bit++)
        g_clear_pointer (&header->feature_names[type][bit], g_free);
    }
}
