/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/unknown-features.h"

#include <string.h>

#include "qcow2/extension-walk.h"

/* The type of the rows about incompatible features (qcow2 spec, section
 * "Feature name table"). */
#define TYPE_INCOMPATIBLE 0

/* Returns the bytes of the feature name table that QEMU uses: the last of
 * those among the first N_READ extensions of IMAGE, or NULL. */
static GBytes *
find_table (const Qcow2Image *image, guint64 n_read)
{
  g_autoptr (Qcow2ExtensionWalk) walk = NULL;
  GBytes *table = NULL;

  if (image->extensions_ignored || !image->has_extensions)
    return NULL;

  walk = qcow2_extension_walk_new (image->source, &image->header);
  for (guint64 i = 0; i < n_read; i++)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (qcow2_extension_walk_next (walk, &extension, NULL)
          != QCOW2_NEXT_ITEM)
        break;
      if (extension.magic != QCOW2_EXTENSION_FEATURES)
        continue;

      g_clear_pointer (&table, g_bytes_unref);
      if (extension.bytes != NULL)
        table = g_bytes_ref (extension.bytes);
    }

  return table;
}

/* Decodes the row at offset POS of TABLE into *FEATURE.  Bytes after the end
 * of TABLE are zeroes, as in QEMU. */
static void
decode_row (GBytes *table, gsize pos, Qcow2Feature *feature)
{
  guint8 row[2 + sizeof feature->padded_name] = { 0 };
  gsize size;
  const guint8 *bytes = g_bytes_get_data (table, &size);

  memcpy (row, bytes + pos, MIN (size - pos, sizeof row));
  qcow2_record_decode (&qcow2_feature_record, row, sizeof row, feature);
}

/* Appends to OUT the incompatible features of IMAGE that QEMU does not know:
 * the names of those that have one, in the order of the feature name table,
 * and a mask of the others.  QEMU has read N_READ extensions.  The table ends
 * at the first row without a name, and may end inside a row.  The names may
 * contain any bytes. */
void
qcow2_image_append_unknown_features (const Qcow2Image *image, guint64 n_read,
                                     GString *out)
{
  guint64 rest
      = image->header.incompatible_features & ~QCOW2_INCOMPATIBLE_KNOWN;
  g_autoptr (GBytes) table = find_table (image, n_read);
  const gsize size = table != NULL ? g_bytes_get_size (table) : 0;
  const gsize row_size = qcow2_record_get_size (&qcow2_feature_record);
  const char *separator = "";

  for (gsize pos = 0; pos < size; pos += row_size)
    {
      Qcow2Feature feature = { 0 };
      const char *name = feature.padded_name;

      decode_row (table, pos, &feature);
      if (name[0] == '\0')
        break;
      if (feature.type != TYPE_INCOMPATIBLE || feature.bit >= QCOW2_MASK_BITS
          || (rest >> feature.bit & 1) == 0)
        continue;

      g_string_append (out, separator);
      g_string_append_len (
          out, name, (gssize) strnlen (name, sizeof feature.padded_name));
      separator = ", ";
      rest &= ~(G_GUINT64_CONSTANT (1) << feature.bit);
    }

  if (rest != 0)
    g_string_append_printf (out,
                            "%sUnknown incompatible feature: "
                            "%" G_GINT64_MODIFIER "x",
                            separator, rest);
}
