/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the bitmap directory of an image entry by entry. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

typedef struct Qcow2Directory Qcow2Directory;

Qcow2Directory *qcow2_directory_open (Qcow2Image *image, GError **error);
Qcow2Directory *
qcow2_directory_open_counted (Qcow2Image *image,
                              const Qcow2BitmapsExtension *extension);
void qcow2_directory_rewind (Qcow2Directory *directory);
gboolean qcow2_directory_next (Qcow2Directory *directory, Qcow2Bitmap *bitmap,
                               GError **error);
gboolean qcow2_directory_read (Qcow2Directory *directory, guint64 index,
                               guint64 offset, Qcow2Bitmap *bitmap,
                               GError **error);
gboolean qcow2_directory_skip_to_index (Qcow2Directory *directory,
                                        guint64 index);
gboolean qcow2_directory_skip_to_name (Qcow2Directory *directory,
                                       const char *name, gsize len);
gboolean qcow2_directory_get_cut_entry (const Qcow2Directory *directory,
                                        Qcow2Bitmap *bitmap);
Qcow2Image *qcow2_directory_get_image (const Qcow2Directory *directory);
guint64 qcow2_directory_get_n (const Qcow2Directory *directory);
gboolean qcow2_directory_is_unknown (const Qcow2Directory *directory);
gboolean qcow2_directory_is_none (const Qcow2Directory *directory);
gboolean qcow2_directory_is_rewritten (const Qcow2Directory *directory);
guint64 qcow2_directory_get_namesake (const Qcow2Directory *directory,
                                      guint64 index);
guint64 qcow2_directory_get_cut_namesake (const Qcow2Directory *directory,
                                          guint64 index);
void qcow2_directory_free (Qcow2Directory *directory);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Directory, qcow2_directory_free)

G_END_DECLS
