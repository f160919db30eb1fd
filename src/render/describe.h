/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Structures of an image as events, the same for every command and emitter. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extension.h"
#include "render/emitter.h"

G_BEGIN_DECLS

/* How many findings of each severity there were. */
typedef struct
{
  guint64 errors;
  guint64 warnings;
  guint64 notes;
} DescribeCounts;

/* What an image ends with, for programs. */
typedef struct
{
  guint64 writer;            /* as byte_source_probe_lock () has it */
  const char *error_code;    /* NULL: no error */
  const char *error_message; /* likewise */
} DescribeEnd;

void describe_header (Emitter *emitter, const char *heading,
                      const Qcow2Header *header);
void describe_extension (Emitter *emitter, const Qcow2Extension *extension);
void describe_begin_bitmap (Emitter *emitter, const Qcow2Bitmap *bitmap);
void describe_begin_table (Emitter *emitter, const Qcow2Bitmap *bitmap,
                           gboolean with_name);
void describe_problem (Emitter *emitter, const Qcow2Problem *problem,
                       guint64 n_suppressed);
void describe_checked_problem (Emitter *emitter, const Qcow2Problem *problem,
                               const Qcow2Header *header,
                               guint64 n_suppressed);
void describe_summary (Emitter *emitter, const DescribeCounts *counts,
                       const Qcow2BitmapSummary *bitmaps);
void describe_rule (Emitter *emitter, const Qcow2Rule *rule);
void describe_end (Emitter *emitter, const DescribeEnd *end);

G_END_DECLS
