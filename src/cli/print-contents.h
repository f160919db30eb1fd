/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints which parts of the disk a bitmap marks, in one of several forms. */

#pragma once

#include "cli/tool.h"
#include "qcow2/bitmap-union.h"
#include "qcow2/dirty-data.h"
#include "render/bitmap-map.h"

G_BEGIN_DECLS

typedef enum
{
  CONTENTS_MAP,    /* the extents */
  CONTENTS_TOTALS, /* the number of bytes of each type */
  CONTENTS_PLOT,   /* a drawing of the disk */
  CONTENTS_ANSWER  /* only the exit status: is any byte dirty? */
} ContentsForm;

/* How the contents of a bitmap are printed. */
typedef struct
{
  ContentsForm form;
  BitmapMap map;       /* for CONTENTS_MAP and CONTENTS_TOTALS */
  guint plot_width;    /* for CONTENTS_PLOT: characters */
  guint plot_height;   /* for CONTENTS_PLOT: lines */
  guint64 length;      /* for CONTENTS_ANSWER: bytes that were asked about; the
                          disk may have fewer */
  Qcow2GuestMap *disk; /* for CONTENTS_MAP and CONTENTS_TOTALS: splits dirty
                          extents; or NULL */
  Qcow2BitmapUnion *layers; /* takes the place of the bitmap; or NULL */
} ContentsStyle;

gboolean contents_print (ContentsStyle *style, Tool *tool,
                         const Qcow2ExtentQuery *query, GError **error);

G_END_DECLS
