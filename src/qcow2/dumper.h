/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks through an image as QEMU's own dumper, qcow2.py, does: that script
 * trusts what it reads, and stops at a structure that is missing. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extension.h"
#include "qcow2/next.h"
#include "qcow2/table.h"

G_BEGIN_DECLS

typedef struct
{
  ByteSource *source;
  Qcow2Header header; /* with the cluster size that qcow2.py uses */
  ByteWindow *window;
  guint64 pos;         /* host offset of the next extension */
  guint64 end;         /* host offset before which the last extension starts */
  guint64 entry;       /* host offset of the next directory entry */
  guint64 n_left;      /* number of directory entries left */
  gboolean is_stopped; /* qcow2.py would stop here */
} Qcow2Dumper;

Qcow2Dumper *qcow2_dumper_new (ByteSource *source, const Qcow2Header *header);
Qcow2Next qcow2_dumper_next_extension (Qcow2Dumper *dumper,
                                       Qcow2Extension *extension,
                                       GError **error);
Qcow2Next qcow2_dumper_next_bitmap (Qcow2Dumper *dumper, Qcow2Bitmap *bitmap,
                                    GError **error);
Qcow2Table qcow2_dumper_get_table (Qcow2Dumper *dumper,
                                   const Qcow2Bitmap *bitmap);
void qcow2_dumper_free (Qcow2Dumper *dumper);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Dumper, qcow2_dumper_free)

G_END_DECLS
