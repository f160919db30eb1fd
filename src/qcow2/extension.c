/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/extension.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/printable.h"

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

/* Returns whether EXTENSION has all fields that its type has. */
gboolean
qcow2_extension_is_decoded (const Qcow2Extension *extension)
{
  gconstpointer structure;
  const Qcow2Field *fields
      = qcow2_extension_get_data_fields (extension, &structure);
  guint n = 0;

  for (; fields != NULL && fields->name != NULL; fields++)
    n += fields->stored ? 1 : 0;

  return extension->n_decoded == n;
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
