/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --name and --index: which bitmaps of an image are asked for. */

#pragma once

#include "qcow2/directory.h"

G_BEGIN_DECLS

typedef struct
{
  char *name;       /* --name: raw bytes, or NULL */
  char *index_text; /* --index as it was typed, or NULL */
  guint64 index;    /* that number */
} Selection;

/* The entries of the options, for an array of GOptionEntry. */
#define SELECTION_OPTIONS(selection)                                          \
  { "name",                                                                   \
    0,                                                                        \
    0,                                                                        \
    G_OPTION_ARG_FILENAME,                                                    \
    &(selection)->name,                                                       \
    "Select the bitmap NAME",                                                 \
    "NAME" },                                                                 \
  {                                                                           \
    "index", 0, 0, G_OPTION_ARG_FILENAME, &(selection)->index_text,           \
        "Select bitmap N of the directory, from 0", "N"                       \
  }

gboolean selection_parse (Selection *selection, GError **error);
gboolean selection_is_given (const Selection *selection);
gboolean selection_matches (const Selection *selection,
                            const Qcow2Bitmap *bitmap);
gboolean selection_find (const Selection *selection, Qcow2Directory *directory,
                         gboolean unique, guint64 *last, GError **error);
void selection_clear (Selection *selection);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Selection, selection_clear)

G_END_DECLS
