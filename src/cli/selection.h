/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --name and --index: which bitmaps of an image are asked for. */

#pragma once

#include "cli/tool.h"
#include "qcow2/examine.h"

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
/* How the bitmaps are used. */
typedef enum
{
  SELECTION_ALL,      /* every one that is selected */
  SELECTION_ONE,      /* the only one: several of one name are refused */
  SELECTION_PREDICATE /* likewise, for an answer without messages */
} SelectionUse;

/* Shows a bitmap, which is not judged yet.  An error is about it alone when it
 * is QCOW2_ERROR_READ. */
typedef gboolean (*SelectionFunc) (Tool *tool, Qcow2Image *image,
                                   Qcow2Examiner *examiner,
                                   Qcow2Bitmap *bitmap, gpointer data,
                                   GError **error);

/* What is done with the bitmaps that are selected. */
typedef struct
{
  SelectionUse use;
  const char *key;     /* of the list of them, for programs */
  SelectionFunc show;  /* for each */
  SelectionFunc again; /* in a second walk, or NULL */
  gpointer data;       /* for both */
  gboolean with_verdict; /* what QEMU does with the image is given, and tells
                            which bitmaps are usable */
} SelectionVisit;

gboolean selection_matches (const Selection *selection,
                            const Qcow2Bitmap *bitmap);
gboolean selection_find (const Selection *selection, SelectionUse use,
                         Qcow2Directory *directory, guint64 *last,
                         GError **error);
gboolean selection_visit (const Selection *selection,
                          const SelectionVisit *visit, Tool *tool,
                          Qcow2Image *image, GError **error);
void selection_clear (Selection *selection);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Selection, selection_clear)

G_END_DECLS
