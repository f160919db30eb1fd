/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open image: its header, the contents of its extensions, and findings
 * about both. */

#pragma once

#include "qcow2/extension.h"

G_BEGIN_DECLS

typedef struct
{
  ByteSource *source;
  Qcow2Header header;
  Qcow2Problems *problems; /* findings about the image */

  gboolean has_extensions;       /* the extension area can be walked */
  Qcow2BitmapsExtension bitmaps; /* from the last complete bitmaps extension;
                                    all 0 when there is none */
  guint64 bitmaps_offset;        /* host offset of its payload */
  guint64 bitmaps_index;         /* index of the last bitmaps extension, which
                                    may be truncated; or QCOW2_NO_INDEX */
  gboolean extensions_ignored;   /* QEMU reads no header extension */
  guint64 written_size;          /* bytes of the header and extensions as QEMU
                                    writes them */
  gboolean header_is_rewritten; /* by QEMU when it opens the image for writing,
                                   even if there are no bitmaps */
  gboolean is_truncated;        /* clusters are missing at its end: FILE-09 */
} Qcow2Image;

Qcow2Image *qcow2_image_open (ByteSource *source, GError **error);
gboolean qcow2_image_bitmaps_are_damaged (const Qcow2Image *image);
void qcow2_image_judge_room (Qcow2Image *image);
guint64 qcow2_image_probe_writer (const Qcow2Image *image);
void qcow2_image_free (Qcow2Image *image);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Image, qcow2_image_free)

G_END_DECLS
