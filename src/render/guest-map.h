/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the extents of the guest's disk in the formats of qemu-img map. */

#pragma once

#include "qcow2/header.h"
#include "qcow2/map-extent.h"

G_BEGIN_DECLS

typedef enum
{
  GUEST_MAP_TEXT,
  GUEST_MAP_JSON,
  GUEST_MAP_JSONL
} GuestMapFormat;

typedef struct
{
  GuestMapFormat format;
  const GString *file; /* for text: name of the file with the data, escaped */

  gboolean has_items; /* private: a JSON object was printed */
} GuestMapStyle;

GString *guest_map_get_file (const char *path, const Qcow2Header *header);
void guest_map_begin (GuestMapStyle *style, GString *out);
void guest_map_extent (GuestMapStyle *style, GString *out,
                       const Qcow2MapExtent *extent);
void guest_map_end (GuestMapStyle *style, GString *out);
void guest_map_totals (const GuestMapStyle *style, GString *out,
                       const Qcow2MapTotals *totals);
char *guest_map_explain (const Qcow2MapExtent *extent);

G_END_DECLS
