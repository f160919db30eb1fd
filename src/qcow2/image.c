/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/image.h"

/* The host offset of the byte that QEMU locks while it may write. */
#define WRITE_PERMISSION_LOCK 101

/* The arguments of qcow2_image_read_extensions (). */
typedef struct
{
  Qcow2Image *image;
  Qcow2ExtensionFunc func;
  gpointer data;
} Reading;

/* A Qcow2ExtensionFunc: stores in the image what EXTENSION says about it, and
 * passes EXTENSION on. */
static gboolean
apply_extension (const Qcow2Extension *extension, gpointer data,
                 GError **error)
{
  const Reading *reading = data;
  const Qcow2ExtensionType *type
      = qcow2_extension_find_type (extension->magic);

  if (type != NULL && type->apply != NULL)
    type->apply (reading->image, extension);
  else
    reading->image->other_size
        += qcow2_extension_get_stored_size (extension->length);

  return reading->func (extension, reading->data, error);
}

static gboolean
has_name_in_header (const Qcow2Header *header)
{
  return header->backing_file_offset < header->header_length;
}

/* Opens the image in SOURCE: reads the header and the backing file name, if it
 * lies after the header.  Takes ownership of SOURCE, even on failure.  Fails
 * with the errors of qcow2_header_read (). */
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
  if (!has_name_in_header (&image->header)
      && !qcow2_header_read_backing_file (source, &image->header, error))
    return NULL;

  image->has_extensions
      = qcow2_header_get_extension_area (&image->header, &start, &end)
        && start <= byte_source_get_size (source);
  image->extensions_ignored
      = image->header.backing_file_offset != 0
        && image->header.backing_file_offset <= image->header.header_length;
  return g_steal_pointer (&image);
}

/* Reads a backing file name that lies in the header of IMAGE, where no name
 * belongs (qcow2 spec, backing_file_offset): QEMU opens the file that it
 * names.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_image_read_name_in_header (Qcow2Image *image, GError **error)
{
  return image->header.backing_file != NULL
         || !has_name_in_header (&image->header)
         || qcow2_header_read_backing_file (image->source, &image->header,
                                            error);
}

/* Reads the header extensions of IMAGE, if their area can be walked, and
 * stores in IMAGE what they say about it.  Calls FUNC with DATA for each of
 * them.  Fails with QCOW2_ERROR_READ, or as FUNC does. */
gboolean
qcow2_image_read_extensions (Qcow2Image *image, Qcow2ExtensionFunc func,
                             gpointer data, GError **error)
{
  Reading reading = { .image = image, .func = func, .data = data };

  if (!image->has_extensions)
    return TRUE;

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  const gboolean was_read
      = qcow2_extension_walk_each (walk, apply_extension, &reading, error);

  image->end = *qcow2_extension_walk_get_position (walk);
  return was_read;
}

/* Returns whether the bitmap directory of IMAGE begins in the first cluster,
 * which is the header's.  If the size of a cluster is unknown, it does. */
gboolean
qcow2_image_directory_is_in_first_cluster (const Qcow2Image *image)
{
  return image->bitmaps.bitmap_directory_offset < image->header.cluster_size;
}

/* Returns whether QEMU reads the bitmaps of IMAGE: it reads the extension that
 * leads to them, and the bitmaps bit vouches for them. */
gboolean
qcow2_image_reads_bitmaps (const Qcow2Image *image)
{
  return image->has_bitmaps && !image->extensions_ignored
         && qcow2_header_bitmaps_are_consistent (&image->header);
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
