/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open image: its header, and what its extensions say about it. */

#pragma once

#include "qcow2/extension-walk.h"

G_BEGIN_DECLS

struct Qcow2Image
{
  ByteSource *source;
  Qcow2Header header;

  gboolean has_extensions;       /* the extension area can be walked */
  gboolean extensions_ignored;   /* QEMU reads no header extension */
  Qcow2WalkPosition end;         /* of the extensions */
  gboolean has_bitmaps;          /* there is a complete bitmaps extension */
  Qcow2BitmapsExtension bitmaps; /* from the last complete bitmaps extension;
                                    all 0 when there is none */
  guint64 bitmaps_offset;        /* host offset of its data */
  guint64 bitmaps_index;         /* index of the last bitmaps extension, which
                                    may be truncated; or QCOW2_NO_INDEX */
  gboolean bitmaps_truncated;    /* that extension is truncated */
  gboolean has_crypto;           /* there is a complete crypto extension */
  Qcow2CryptoExtension crypto;   /* from the last crypto extension whose fields
                                    are all there; all 0 when there is none */
  guint64 crypto_offset;         /* host offset of its data */
  gboolean crypto_located;       /* the last crypto extension has an offset */
  guint64 other_size;            /* bytes of the extensions about which nothing
                                    else is stored here, padding included */
};

Qcow2Image *qcow2_image_open (ByteSource *source, GError **error);
gboolean qcow2_image_read_name_in_header (Qcow2Image *image, GError **error);
gboolean qcow2_image_read_extensions (Qcow2Image *image,
                                      Qcow2ExtensionFunc func, gpointer data,
                                      GError **error);
gboolean qcow2_image_directory_is_in_first_cluster (const Qcow2Image *image);
gboolean qcow2_image_reads_bitmaps (const Qcow2Image *image);
ByteSourceLock qcow2_image_probe_writer (const Qcow2Image *image);
void qcow2_image_free (Qcow2Image *image);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Image, qcow2_image_free)

G_END_DECLS
