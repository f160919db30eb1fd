/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns structures of an image into events, the same ones for every command
 * and emitter. */

#pragma once

#include "check/chain.h"
#include "check/check-numbers.h"
#include "check/verdict.h"
#include "qcow2/bitmap.h"
#include "qcow2/image.h"
#include "qcow2/snapshot-walk.h"
#include "render/emitter.h"

G_BEGIN_DECLS

/* Number of findings of each severity. */
typedef struct
{
  guint64 errors;
  guint64 warnings;
  guint64 notes;
} DescribeCounts;

/* Words for the parts of an image that a check may skip, for programs. */
#define DESCRIBE_GUEST_CLUSTERS "guest-clusters"
#define DESCRIBE_BACKING_FILE "backing-file"
#define DESCRIBE_DATA_FILE "data-file"
#define DESCRIBE_REST_OF_IMAGE "rest-of-image"

/* Result of a check. */
typedef struct
{
  DescribeCounts counts;
  Qcow2BitmapSummary bitmaps;
  const Qcow2Verdict *verdict;      /* NULL: not determined */
  const char *not_examined[5];      /* DESCRIBE_... words; NULL-terminated */
  const Qcow2CheckNumbers *numbers; /* NULL: the disk was not examined */
} DescribeSummary;

/* A table of an image. */
typedef struct
{
  const char *kind;
  guint64 index;       /* of the table, or QCOW2_NO_INDEX */
  guint64 file_offset; /* host, of entry 0 */
  guint64 size;        /* entries, as declared */
} DescribeTable;

/* The last members of an image's object, for programs. */
typedef struct
{
  guint64 writer;            /* a program has the image open for writing; 0, 1
                                or QCOW2_ABSENT: unknown */
  const char *error_code;    /* NULL: no error */
  const char *error_message; /* NULL: no error */
} DescribeEnd;

void describe_layer (Emitter *emitter, const Qcow2Layer *layer);
void describe_header (Emitter *emitter, const char *heading,
                      const Qcow2Header *header);
void describe_extension (Emitter *emitter, const Qcow2Extension *extension);
void describe_begin_bitmap (Emitter *emitter, const Qcow2Bitmap *bitmap);
void describe_begin_table (Emitter *emitter, const Qcow2Bitmap *bitmap,
                           gboolean with_name);
void describe_table_owner (Emitter *emitter, guint64 owner);
void describe_begin_rows (Emitter *emitter, const DescribeTable *table);
void describe_end_rows (Emitter *emitter);
void describe_begin_snapshots (Emitter *emitter, const DescribeTable *table);
void describe_snapshot (Emitter *emitter, const Qcow2Snapshot *snapshot);
void describe_end_snapshots (Emitter *emitter);
void describe_finding (Emitter *emitter, const Qcow2Finding *finding,
                       guint64 n_suppressed);
void describe_checked_finding (Emitter *emitter, const Qcow2Finding *finding,
                               const Qcow2Image *image,
                               const Qcow2Findings *findings,
                               guint64 n_suppressed);
void describe_summary (Emitter *emitter, const DescribeSummary *summary);
void describe_verdict (Emitter *emitter, const Qcow2Verdict *verdict);
const char *describe_not_examined (const char *word);
void describe_rule (Emitter *emitter, const Qcow2Rule *rule);
void describe_error (Emitter *emitter, const DescribeEnd *end);
void describe_end (Emitter *emitter, const DescribeEnd *end);

G_END_DECLS
