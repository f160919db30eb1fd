/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the extents of a bitmap in the format of nbdinfo, as JSON, or as a
 * map file of GNU ddrescue. */

#pragma once

#include "qcow2/extent.h"

G_BEGIN_DECLS

typedef enum
{
  BITMAP_MAP_TEXT,
  BITMAP_MAP_JSON,
  BITMAP_MAP_JSONL,
  BITMAP_MAP_DDRESCUE
} BitmapMapFormat;

typedef struct
{
  BitmapMapFormat format;
  gboolean only_dirty; /* omit clean extents */
  guint64 split;       /* maximum bytes per extent; 0: unlimited */

  gboolean has_items; /* private: a JSON object was printed */
} BitmapMap;

void bitmap_map_begin (BitmapMap *map, GString *out, guint64 start);
gboolean bitmap_map_extent (BitmapMap *map, GString *out, Qcow2Extent *extent);
void bitmap_map_totals (BitmapMap *map, GString *out,
                        const Qcow2ExtentTotals *totals);
void bitmap_map_end (BitmapMap *map, GString *out);

G_END_DECLS
