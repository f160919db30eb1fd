/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans to remove a bitmap. */

#pragma once

#include "edit/work.h"
#include "qcow2/directory.h"

G_BEGIN_DECLS

/* A bitmap that was removed, and what is left. */
typedef struct
{
  GBytes *name;         /* of the bitmap */
  guint64 index;        /* of the bitmap */
  GPtrArray *remaining; /* GBytes: names of those that are left, in order */
  guint64 n_remaining;  /* which may be more than are named */
  gboolean is_vouched;  /* the bitmaps bit is set afterwards */
} EditRemoval;

void edit_removal_clear (EditRemoval *removal);
void edit_check_directory (EditWork *work);
gboolean edit_remove_bitmap (EditWork *work, Qcow2Directory *directory,
                             guint64 index, EditRemoval *removal,
                             GError **error);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (EditRemoval, edit_removal_clear)

G_END_DECLS
