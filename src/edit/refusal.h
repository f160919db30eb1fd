/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reasons to refuse an edit. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The advice if the bitmaps, or the extensions, cannot be edited. */
#define EDIT_HOW_TO_HIDE                                                      \
  "to open the image without its bitmaps, use "                               \
  "'qcow2tool clear-feature-bit IMAGE autoclear bitmaps'"

typedef struct
{
  GPtrArray *lifted; /* reasons that --force lifts, as messages */
  char *final;       /* the first reason that it does not lift, or NULL */
} EditRefusals;

void edit_refusals_init (EditRefusals *refusals);
void edit_refusals_clear (EditRefusals *refusals);
void edit_refuse (EditRefusals *refusals, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
void edit_refuse_always (EditRefusals *refusals, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
gboolean edit_refusals_check (const EditRefusals *refusals, gboolean force,
                              GError **error);

G_END_DECLS
