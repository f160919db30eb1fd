/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/extension.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/image.h"
#include "qcow2/printable.h"

/* clang-format off */
/* The known types of header extensions: magic, name, and initializers of the
 * other members of Qcow2ExtensionType. */
#define TYPES(T)                                                              \
  T (QCOW2_EXTENSION_BACKING_FORMAT, "Backing format",                        \
     .apply = apply_backing_format)                                           \
  T (QCOW2_EXTENSION_FEATURES, "Feature table",                               \
     .row_record = &qcow2_feature_record, .apply = apply_features)            \
  T (QCOW2_EXTENSION_CRYPTO, "Crypto header",                                 \
     DECODE (qcow2_crypto_extension_record, crypto), .apply = apply_crypto)   \
  T (QCOW2_EXTENSION_BITMAPS, "Bitmaps",                                      \
     DECODE (qcow2_bitmaps_extension_record, bitmaps), .apply = apply_bitmaps)\
  T (QCOW2_EXTENSION_DATA_FILE, "Data file", .apply = apply_data_file)

#define LABEL(number, text, ...) { (number), text },
#define TYPE(number, text, ...)                                               \
  { .magic = (number), .name = text, __VA_ARGS__ },
#define DECODE(structure, to)                                                 \
  .record = &(structure), .member = offsetof (Qcow2Extension, to)

static const Qcow2Label type_names[] = {
  TYPES (LABEL)
  { 0, NULL }
};
/* clang-format on */

const Qcow2Label qcow2_feature_types[] = {
  { 0, "incompatible" },
  { 1, "compatible" },
  { 2, "autoclear" },
  { 0, NULL },
};

#define F(member, ...) QCOW2_STORED (Qcow2Extension, member, __VA_ARGS__)
#define D(key, member, ...)                                                   \
  QCOW2_DERIVED (Qcow2Extension, key, member, __VA_ARGS__)
#define CRYPTO(member, format)                                                \
  QCOW2_STORED (Qcow2CryptoExtension, member, format)
#define BITMAPS(member, format)                                               \
  QCOW2_STORED (Qcow2BitmapsExtension, member, format)

/* clang-format off */
static const Qcow2Field head_fields[] = {
  D ("index", index, QCOW2_DEC, .text = ""),
  D ("name", magic, QCOW2_NAME, .labels = type_names, .text = "",
     .absent = "<unknown>"),
  F (magic, QCOW2_HEX_ENUM, .labels = type_names),
  D ("file_offset", file_offset, QCOW2_HEX),
  F (length, QCOW2_DEC),
  QCOW2_FIELD_END
};

const Qcow2Field qcow2_data_extension_fields[] = {
  D ("data", data, QCOW2_QUOTED),
  D ("data_hex", data_hex, QCOW2_STRING, .text = "data"),
  QCOW2_FIELD_END
};

static const Qcow2Field crypto_fields[] = {
  CRYPTO (crypto_header_offset, QCOW2_HEX),
  CRYPTO (crypto_header_length, QCOW2_DEC),
  QCOW2_FIELD_END
};

static const Qcow2Field bitmaps_fields[] = {
  BITMAPS (nb_bitmaps, QCOW2_DEC),
  BITMAPS (reserved32, QCOW2_DEC),
  BITMAPS (bitmap_directory_size, QCOW2_HEX),
  BITMAPS (bitmap_directory_offset, QCOW2_HEX),
  QCOW2_FIELD_END
};

static const Qcow2Field feature_fields[] = {
  QCOW2_STORED (Qcow2Feature, type, QCOW2_NAME, .labels = qcow2_feature_types),
  QCOW2_STORED (Qcow2Feature, bit, QCOW2_DEC),
  QCOW2_STORED (Qcow2Feature, padded_name, QCOW2_BYTES),
  QCOW2_DERIVED (Qcow2Feature, "name", name, QCOW2_QUOTED),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_extension_record
    = { .name = "header extension", .fields = head_fields };
const Qcow2Record qcow2_crypto_extension_record
    = { .name = "crypto extension", .fields = crypto_fields };
const Qcow2Record qcow2_bitmaps_extension_record
    = { .name = "bitmaps extension", .fields = bitmaps_fields };
const Qcow2Record qcow2_feature_record
    = { .name = "feature name table", .fields = feature_fields };

static void
replace_string (GBytes **string, GBytes *value)
{
  g_clear_pointer (string, g_bytes_unref);
  if (value != NULL)
    *string = g_bytes_ref (value);
}

static void
apply_backing_format (Qcow2Image *image, const Qcow2Extension *extension)
{
  replace_string (&image->header.backing_format, extension->bytes);
}

static void
apply_data_file (Qcow2Image *image, const Qcow2Extension *extension)
{
  replace_string (&image->header.external_data_file, extension->bytes);
}

/* Copies the names of feature bits in EXTENSION to the header of IMAGE.  As in
 * QEMU, the first name of a bit counts. */
static void
apply_features (Qcow2Image *image, const Qcow2Extension *extension)
{
  const guint n = qcow2_extension_get_n_features (extension);

  for (guint row = 0; row < n; row++)
    {
      g_auto (Qcow2Feature) feature = { 0 };
      gsize len;

      qcow2_extension_get_feature (extension, row, &feature);
      const char *name = g_bytes_get_data (feature.name, &len);
      if (feature.type >= QCOW2_N_FEATURE_TYPES
          || feature.bit >= QCOW2_MASK_BITS || len == 0)
        continue;

      char **slot = &image->header.feature_names[feature.type][feature.bit];
      if (*slot == NULL)
        *slot = g_strndup (name, len);
    }
}

static void
apply_crypto (Qcow2Image *image, const Qcow2Extension *extension)
{
  image->has_crypto
      = image->has_crypto || qcow2_extension_is_complete (extension);
  image->crypto_located = extension->crypto.crypto_header_offset != 0;
  if (extension->n_decoded < 2)
    return;

  image->crypto = extension->crypto;
  image->crypto_offset = extension->file_offset + QCOW2_EXTENSION_HEAD_LENGTH;
}

static void
apply_bitmaps (Qcow2Image *image, const Qcow2Extension *extension)
{
  image->bitmaps_index = extension->index;
  image->bitmaps_truncated = !qcow2_extension_is_complete (extension);
  if (image->bitmaps_truncated)
    return;

  image->has_bitmaps = TRUE;
  image->bitmaps = extension->bitmaps;
  image->bitmaps_offset = extension->file_offset + QCOW2_EXTENSION_HEAD_LENGTH;
}

/* clang-format off */
const Qcow2ExtensionType qcow2_extension_types[] = {
  TYPES (TYPE)
  { .name = NULL }
};
/* clang-format on */

/* Returns the size on disk, in bytes, of an extension with SIZE bytes of data,
 * padding included. */
guint64
qcow2_extension_get_stored_size (guint64 size)
{
  return QCOW2_EXTENSION_HEAD_LENGTH + qcow2_round_up (size, 8);
}

/* Returns the type of the extensions with MAGIC, or NULL if it is unknown. */
const Qcow2ExtensionType *
qcow2_extension_find_type (guint32 magic)
{
  for (const Qcow2ExtensionType *it = qcow2_extension_types; it->name != NULL;
       it++)
    {
      if (it->magic == magic)
        return it;
    }

  return NULL;
}

static void
decode_bytes (Qcow2Extension *extension)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (extension->bytes, &len);

  if (qcow2_string_is_printable (extension->bytes))
    {
      extension->data = g_bytes_ref (extension->bytes);
      return;
    }

  static const char digits[] = "0123456789abcdef";
  g_autofree char *hex = g_malloc (2 * len);
  for (gsize i = 0; i < len; i++)
    {
      hex[2 * i] = digits[bytes[i] >> 4];
      hex[2 * i + 1] = digits[bytes[i] & 0xf];
    }
  extension->data_hex = g_bytes_new_take (g_steal_pointer (&hex), 2 * len);
}

/* Decodes the bytes of EXTENSION, if there are any, into its other members.  A
 * table is not decoded; see qcow2_extension_get_feature (). */
void
qcow2_extension_decode_data (Qcow2Extension *extension)
{
  const Qcow2ExtensionType *type
      = qcow2_extension_find_type (extension->magic);

  if (extension->bytes == NULL || (type != NULL && type->row_record != NULL))
    return;
  if (type == NULL || type->record == NULL)
    {
      decode_bytes (extension);
      return;
    }

  gsize len;
  const guint8 *bytes = g_bytes_get_data (extension->bytes, &len);
  extension->n_decoded = qcow2_record_decode (
      type->record, bytes, len, (guint8 *) extension + type->member);
}

/* Returns the fields of the data of EXTENSION, and stores the structure that
 * holds them in *STRUCTURE.  Both belong to EXTENSION or are static.  Only the
 * first n_decoded stored fields are set.  Returns NULL if the data are a
 * table. */
const Qcow2Field *
qcow2_extension_get_data_fields (const Qcow2Extension *extension,
                                 gconstpointer *structure)
{
  const Qcow2ExtensionType *type
      = qcow2_extension_find_type (extension->magic);

  if (type != NULL && type->row_record != NULL)
    return NULL;
  if (type == NULL || type->record == NULL)
    {
      *structure = extension;
      return qcow2_data_extension_fields;
    }

  *structure = (const guint8 *) extension + type->member;
  return type->record->fields;
}

/* Returns whether the data of EXTENSION are complete. */
gboolean
qcow2_extension_is_complete (const Qcow2Extension *extension)
{
  return extension->bytes != NULL
         && g_bytes_get_size (extension->bytes) == extension->length;
}

/* Returns the number of complete rows of the feature name table in EXTENSION,
 * or 0 if EXTENSION is not such a table. */
guint
qcow2_extension_get_n_features (const Qcow2Extension *extension)
{
  if (extension->magic != QCOW2_EXTENSION_FEATURES || extension->bytes == NULL)
    return 0;

  return (guint) (g_bytes_get_size (extension->bytes)
                  / qcow2_record_get_size (&qcow2_feature_record));
}

/* Decodes row ROW of the feature name table in EXTENSION into FEATURE, which
 * the caller clears. */
void
qcow2_extension_get_feature (const Qcow2Extension *extension, guint row,
                             Qcow2Feature *feature)
{
  const guint8 *bytes = g_bytes_get_data (extension->bytes, NULL);
  const guint size = qcow2_record_get_size (&qcow2_feature_record);

  g_assert (row < qcow2_extension_get_n_features (extension));

  qcow2_record_decode (&qcow2_feature_record, bytes + row * size, size,
                       feature);
  feature->name = g_bytes_new (
      feature->padded_name,
      strnlen (feature->padded_name, sizeof feature->padded_name));
}

void
qcow2_feature_clear (Qcow2Feature *feature)
{
  g_clear_pointer (&feature->name, g_bytes_unref);
}

void
qcow2_extension_clear (Qcow2Extension *extension)
{
  g_clear_pointer (&extension->bytes, g_bytes_unref);
  g_clear_pointer (&extension->data, g_bytes_unref);
  g_clear_pointer (&extension->data_hex, g_bytes_unref);
}
