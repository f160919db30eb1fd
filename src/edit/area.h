/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first cluster as an edit sees it: the header, the extension area and the
 * backing file name. */

#pragma once

#include "edit/refusal.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

/* QEMU's largest cluster in bytes: what lies after that is not edited. */
#define EDIT_MAX_FIRST_CLUSTER (2 * 1024 * 1024)

/* An extension as it is on disk: head, data and padding. */
typedef struct
{
  guint32 magic;
  guint64 offset; /* host, or 0 for one that is new */
  GBytes *stored;
} EditExtension;

typedef struct
{
  guint8 *bytes; /* of the first cluster, as far as they count */
  gsize len;
  GPtrArray *extensions; /* of EditExtension */
  guint64 start;         /* host offset of the extension area */
  guint64 end;           /* host offset after the terminator, or where the
                            extensions end without one */
  gboolean is_terminated;
  gboolean is_hidden;  /* QEMU does not look at the data of the bitmaps
                          extension */
  gboolean is_vouched; /* the bitmaps bit is set */
  guint n_bitmaps;     /* bitmaps extensions, as they are on disk */
  gboolean has_name;   /* there is a backing file name */
  guint64 name_offset; /* host */
  guint64 name_size;   /* bytes */
} EditArea;

EditArea *edit_area_read (const Qcow2Image *image, EditRefusals *refusals,
                          GError **error);
void edit_area_free (EditArea *area);
void edit_area_store_name_offset (guint8 *bytes, guint64 offset);
void edit_area_append (EditArea *area, guint32 magic, GBytes *data);
guint edit_area_remove (EditArea *area, gboolean by_index, guint64 value);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EditArea, edit_area_free)

G_END_DECLS
