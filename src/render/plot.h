/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Draws a disk as lines of characters: the more of a part must be copied, the
 * darker its character. */

#pragma once

#include "qcow2/extent.h"
#include "qcow2/record.h"

G_BEGIN_DECLS

/* Maximum number of characters in a line, and of lines. */
#define PLOT_MAX 512

/* Dimensions of a plot and the part of the disk that it shows. */
typedef struct
{
  guint width;         /* characters per line */
  guint height;        /* maximum number of lines */
  gboolean ascii;      /* draw with ASCII characters only */
  guint64 start;       /* guest offset in bytes */
  guint64 length;      /* bytes */
  guint64 granularity; /* bytes per character at least, or QCOW2_ABSENT */
} PlotShape;

typedef struct Plot Plot;

Plot *plot_new (const PlotShape *shape);
void plot_add (Plot *plot, const Qcow2Extent *extent);
void plot_print (const Plot *plot, GString *out);
void plot_free (Plot *plot);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Plot, plot_free)

G_END_DECLS
