/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/extension.h"

#include <string.h>

#include "qcow2/printable.h"

const Qcow2Label qcow2_extension_names[] = {
  { QCOW2_EXTENSION_BACKING_FORMAT, "Backing format" },
  { QCOW2_EXTENSION_FEATURES, "Feature table" },
  { QCOW2_EXTENSION_CRYPTO, "Crypto header" },
  { QCOW2_EXTENSION_BITMAPS, "Bitmaps" },
  { QCOW2_EXTENSION_DATA_FILE, "Data file" },
  { 0, NULL },
};

const Qcow2Label qcow2_feature_types[] = {
  { 0, "incompatible" },
  { 1, "compatible" },
  { 2, "autoclear" },
  { 0, NULL },
};

/* Payloads other than QCOW2_PAYLOAD_DATA. */
static const struct
{
  guint32 magic;
  Qcow2Payload payload;
} payloads[] = {
  { QCOW2_EXTENSION_FEATURES, QCOW2_PAYLOAD_FEATURES },
  { QCOW2_EXTENSION_CRYPTO, QCOW2_PAYLOAD_CRYPTO },
  { QCOW2_EXTENSION_BITMAPS, QCOW2_PAYLOAD_BITMAPS },
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
  D ("name", magic, QCOW2_NAME, .labels = qcow2_extension_names, .text = "",
     .absent = "<unknown>"),
  F (magic, QCOW2_HEX_ENUM, .labels = qcow2_extension_names),
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

static Qcow2Payload
payload_of (guint32 magic)
{
  for (guint i = 0; i < G_N_ELEMENTS (payloads); i++)
    {
      if (payloads[i].magic == magic)
        return payloads[i].payload;
    }

  return QCOW2_PAYLOAD_DATA;
}

static void
decode_data (Qcow2Extension *extension)
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

/* Sets the payload of EXTENSION, and decodes its bytes, if any, into the other
 * members. */
void
qcow2_extension_decode_data (Qcow2Extension *extension)
{
  extension->payload = payload_of (extension->magic);
  if (extension->bytes == NULL)
    return;

  gsize len;
  const guint8 *bytes = g_bytes_get_data (extension->bytes, &len);

  switch (extension->payload)
    {
    case QCOW2_PAYLOAD_DATA:
      decode_data (extension);
      return;
    case QCOW2_PAYLOAD_CRYPTO:
      extension->n_decoded = qcow2_record_decode (
          &qcow2_crypto_extension_record, bytes, len, &extension->crypto);
      return;
    case QCOW2_PAYLOAD_BITMAPS:
      extension->n_decoded = qcow2_record_decode (
          &qcow2_bitmaps_extension_record, bytes, len, &extension->bitmaps);
      return;
    case QCOW2_PAYLOAD_FEATURES:
      return; /* rows are decoded one by one */
    }
}

/* Returns the fields of the payload of EXTENSION, and stores the structure
 * that holds them in *RECORD.  Both belong to EXTENSION or are static.  Only
 * the first n_decoded fields of a crypto or bitmaps extension are set.
 * Returns NULL for a feature name table, which has rows instead. */
const Qcow2Field *
qcow2_extension_get_payload_fields (const Qcow2Extension *extension,
                                    gconstpointer *record)
{
  switch (extension->payload)
    {
    case QCOW2_PAYLOAD_CRYPTO:
      *record = &extension->crypto;
      return qcow2_crypto_extension_record.fields;
    case QCOW2_PAYLOAD_BITMAPS:
      *record = &extension->bitmaps;
      return qcow2_bitmaps_extension_record.fields;
    case QCOW2_PAYLOAD_DATA:
      *record = extension;
      return qcow2_data_extension_fields;
    case QCOW2_PAYLOAD_FEATURES:
      return NULL;
    }

  g_assert_not_reached ();
}

/* Returns whether the payload of EXTENSION is complete. */
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
  if (extension->payload != QCOW2_PAYLOAD_FEATURES || extension->bytes == NULL)
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
