/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An image that is open for editing: the only file that writes to images. */

#pragma once

#include "edit/plan.h"
#include "qcow2/source.h"

G_BEGIN_DECLS

typedef struct EditTarget EditTarget;

EditTarget *edit_target_open (const char *path, gboolean read_only,
                              gboolean force, GError **error);
ByteSource *edit_target_get_source (EditTarget *target);
gboolean edit_target_get_stamp (const EditTarget *target, EditStamp *stamp);
gboolean edit_target_settle (const EditTarget *target);
gboolean edit_target_read (const EditTarget *target, guint64 offset,
                           guint8 *bytes, gsize len, GError **error);
gboolean edit_target_reserve (EditTarget *target, guint64 offset, gsize size,
                              GError **error);
gboolean edit_target_write (EditTarget *target, guint64 offset,
                            const guint8 *bytes, gsize len, GError **error);
gboolean edit_target_sync (EditTarget *target, GError **error);
void edit_target_forget_cache (EditTarget *target, guint64 offset, gsize size);
void edit_target_free (EditTarget *target);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (EditTarget, edit_target_free)

G_END_DECLS
