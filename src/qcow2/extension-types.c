/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The known types of header extensions, their fields, and how each changes the
 * image: the tables that extension.h declares. */

#include "config.h"

#include "qcow2/extension.h"

#include "qcow2/image.h"

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
  if (!qcow2_extension_is_decoded (extension))
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
