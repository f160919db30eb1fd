/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Options --name and --index: select bitmaps of an image. */

#pragma once

#include "check/checked-directory.h"
#include "cli/tool.h"

G_BEGIN_DECLS

typedef struct
{
  char *name;          /* --name: raw bytes, or NULL */
  OptionsNumber index; /* --index */
} Selection;

/* Elements of an array of GOptionEntry that fill in SELECTION. */
#define SELECTION_OPTIONS(selection)                                          \
  { "name",                                                                   \
    0,                                                                        \
    0,                                                                        \
    G_OPTION_ARG_FILENAME,                                                    \
    &(selection)->name,                                                       \
    "Select the bitmap NAME",                                                 \
    "NAME" },                                                                 \
  {                                                                           \
    "index", 0, 0, OPTIONS_ARG_NUMBER, &(selection)->index,                   \
        "Select bitmap N of the directory, from 0", "N"                       \
  }

gboolean selection_check (const Selection *selection, GError **error);
gboolean selection_is_given (const Selection *selection);
/* How a command uses the selected bitmaps. */
typedef enum
{
  SELECTION_ALL,      /* all selected bitmaps */
  SELECTION_ONE,      /* the only one: several of the same name are refused */
  SELECTION_PREDICATE /* all of them, or the only one with --name or --index;
                         no messages are written */
} SelectionUse;

/* Shows BITMAP, which is not checked yet.  QCOW2_ERROR_READ and
 * QCOW2_ERROR_LIMIT concern only this bitmap; any other error ends the
 * visit. */
typedef gboolean (*SelectionFunc) (Tool *tool, Qcow2Image *image,
                                   Qcow2BitmapChecker *checker,
                                   Qcow2Bitmap *bitmap, gpointer data,
                                   GError **error);

/* Describes how the selected bitmaps are visited. */
typedef struct
{
  SelectionUse use;
  const char *key;       /* key of the list of bitmaps, for programs */
  SelectionFunc show;    /* called for each bitmap */
  SelectionFunc again;   /* called in a second walk, or NULL */
  gpointer data;         /* for SHOW and AGAIN */
  gboolean with_verdict; /* emit whether QEMU opens the image, and use it to
                            tell which bitmaps are usable */
  gboolean may_be_none;  /* it is no error if no bitmap is selected */
  Qcow2CheckedDirectory *directory; /* of the image, or NULL to open it */
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
