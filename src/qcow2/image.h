/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An image that was opened: its header, what its extensions say, and what is
 * wrong with them. */

#pragma once

#include "qcow2/extension.h"

G_BEGIN_DECLS

typedef struct
{
  ByteSource *source;
  Qcow2Header header;
  Qcow2Problems *problems; /* of header and extensions */

  gboolean has_extensions;       /* the extension area can be walked */
  Qcow2BitmapsExtension bitmaps; /* of the last such extension that is whole;
                                    without one the directory's offset is 0 */
  guint64 bitmaps_offset;        /* host, of that extension's payload */
  guint64 bitmaps_index;        /* of the last such extension, complete or not;
                                   QCOW2_NO_INDEX when there is none */
  gboolean extensions_ignored;  /* QEMU reads no header extension */
  guint64 written_size;         /* bytes of the header and extensions as QEMU
                                   writes them */
  gboolean header_is_rewritten; /* by QEMU, when it opens the image for
                                   writing, even if it has no bitmaps */
  gboolean is_truncated;        /* FILE-09 holds no more */
} Qcow2Image;

Qcow2Image *qcow2_image_open (ByteSource *source, GError **error);
gboolean qcow2_image_bitmaps_are_damaged (const Qcow2Image *image);
void qcow2_image_judge_room (Qcow2Image *image);
guint64 qcow2_image_probe_writer (const Qcow2Image *image);
void qcow2_image_free (Qcow2Image *image);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Image, qcow2_image_free)

G_END_DECLS
