/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/image.h"

#include <string.h>

/* The host offset of the byte that QEMU locks while it may write. */
#define WRITE_PERMISSION_LOCK 101

static void
replace_string (GBytes **string, GBytes *value)
{
  g_clear_pointer (string, g_bytes_unref);
  if (value != NULL)
    *string = g_bytes_ref (value);
}

/* Copies the names of feature bits in EXTENSION to HEADER.  As in QEMU, the
 * first name of a bit counts. */
static void
take_feature_names (Qcow2Header *header, const Qcow2Extension *extension)
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

      char **slot = &header->feature_names[feature.type][feature.bit];
      if (*slot == NULL)
        *slot = g_strndup (name, len);
    }
}

/* Stores in IMAGE what EXTENSION says about it. */
static void
apply_extension (Qcow2Image *image, const Qcow2Extension *extension)
{
  const gboolean whole = qcow2_extension_is_complete (extension);
  const guint64 data = extension->file_offset + QCOW2_EXTENSION_HEAD_LENGTH;

  switch (extension->magic)
    {
    case QCOW2_EXTENSION_BACKING_FORMAT:
      replace_string (&image->header.backing_format, extension->bytes);
      return;
    case QCOW2_EXTENSION_DATA_FILE:
      replace_string (&image->header.external_data_file, extension->bytes);
      return;
    case QCOW2_EXTENSION_FEATURES:
      take_feature_names (&image->header, extension);
      return;
    case QCOW2_EXTENSION_CRYPTO:
      image->has_crypto = image->has_crypto || whole;
      image->crypto_located = extension->crypto.crypto_header_offset != 0;
      if (extension->n_decoded < 2)
        return;
      image->crypto = extension->crypto;
      image->crypto_offset = data;
      return;
    case QCOW2_EXTENSION_BITMAPS:
      image->bitmaps_index = extension->index;
      image->bitmaps_truncated = !whole;
      if (!whole)
        return;
      image->has_bitmaps = TRUE;
      image->bitmaps = extension->bitmaps;
      image->bitmaps_offset = data;
      return;
    default:
      image->unknown_size += QCOW2_EXTENSION_HEAD_LENGTH
                             + ((guint64) extension->length + 7) / 8 * 8;
      return;
    }
}

/* Opens the image in SOURCE: reads the header and the backing file name.
 * Takes ownership of SOURCE, even on failure.  Fails with the errors of
 * qcow2_header_read (). */
Qcow2Image *
qcow2_image_open (ByteSource *source, GError **error)
{
  g_autoptr (Qcow2Image) image = g_new0 (Qcow2Image, 1);
  guint64 start;
  guint64 end;

  image->source = source;
  image->bitmaps_index = QCOW2_NO_INDEX;

  if (!qcow2_header_read (source, &image->header, error))
    return NULL;
  if (!qcow2_header_read_backing_file (source, &image->header, error))
    return NULL;

  image->has_extensions
      = qcow2_header_get_extension_area (&image->header, &start, &end)
        && start <= byte_source_get_size (source);
  image->extensions_ignored
      = image->header.backing_file_offset != 0
        && image->header.backing_file_offset <= image->header.header_length;
  return g_steal_pointer (&image);
}

/* Reads the header extensions of IMAGE, if their area can be walked, and
 * stores in IMAGE what they say about it.  Then calls FUNC, which may be NULL,
 * with DATA for each of them.  Fails with QCOW2_ERROR_READ, or as FUNC does.
 */
gboolean
qcow2_image_read_extensions (Qcow2Image *image, Qcow2ExtensionFunc func,
                             gpointer data, GError **error)
{
  g_autoptr (GError) local_error = NULL;

  if (!image->has_extensions)
    return TRUE;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  while (local_error == NULL)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (!qcow2_extension_walk_next (walk, &extension, &local_error))
        break;

      apply_extension (image, &extension);
      if (func != NULL)
        func (image, &extension, data, &local_error);
    }

  image->end = *qcow2_extension_walk_get_position (walk);
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

/* Returns whether a running QEMU on this host has IMAGE open for writing.
 * (QEMU, block/file-posix.c: a permission is a shared lock on byte 100 plus
 * its number.) */
ByteSourceLock
qcow2_image_probe_writer (const Qcow2Image *image)
{
  return byte_source_probe_lock (image->source, WRITE_PERMISSION_LOCK);
}

void
qcow2_image_free (Qcow2Image *image)
{
  if (image == NULL)
    return;

  qcow2_header_clear (&image->header);
  byte_source_free (image->source);
  g_free (image);
}
