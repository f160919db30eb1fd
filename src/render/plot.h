/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A disk as lines of characters: the denser a part is with what must be
 * copied, the darker. */

#pragma once

#include "qcow2/extent.h"
#include "qcow2/record.h"

G_BEGIN_DECLS

/* How many characters there may be in a line, and lines. */
#define PLOT_MAX 512

/* What is drawn. */
typedef struct
{
  guint width;         /* characters in a line */
  guint height;        /* lines at most */
  gboolean ascii;      /* characters are ASCII */
  guint64 start;       /* guest offset in bytes */
  guint64 length;      /* bytes */
  guint64 granularity; /* bytes, or QCOW2_ABSENT: no character is for less */
} PlotShape;

typedef struct Plot Plot;

Plot *plot_new (const PlotShape *shape);
void plot_add (Plot *plot, const Qcow2Extent *extent);
void plot_print (const Plot *plot, GString *out);
void plot_free (Plot *plot);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Plot, plot_free)

G_END_DECLS
