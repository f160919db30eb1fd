/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans edits of the header and the header extensions. */

#pragma once

#include "edit/work.h"

G_BEGIN_DECLS

/* Why there is no safe order of writes. */
#define EDIT_NO_ORDER                                                         \
  "header extensions: they would overwrite each other, so that a power "      \
  "failure could leave neither the old ones nor the new ones"

gboolean edit_set_field (EditWork *work, const char *name, guint64 value,
                         GError **error);
gboolean edit_set_bit (EditWork *work, const char *group, const char *name,
                       gboolean is_number, guint64 bit, gboolean set,
                       GError **error);
gboolean edit_add_extension (EditWork *work, guint32 magic, GBytes *data,
                             GError **error);
gboolean edit_delete_extensions (EditWork *work, gboolean by_index,
                                 guint64 value, GError **error);
void edit_refuse_order (EditWork *work);

G_END_DECLS
