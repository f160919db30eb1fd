/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports the findings on an image as messages, up to a limit per rule. */

#pragma once

#include "check/finding.h"
#include "cli/output.h"
#include "qcow2/image.h"
#include "render/describe.h"

G_BEGIN_DECLS

/* The findings that are relevant to a request: those on PARTS.  A finding on
 * an extension or a bitmap is relevant only up to max_extension or max_bitmap.
 */
typedef struct
{
  guint parts; /* Qcow2Parts */
  guint64 max_extension;
  guint64 max_bitmap;
  /* Returns whether a finding on PARTS is relevant to DATA.  NULL: all are. */
  gboolean (*bears_on) (const Qcow2Finding *finding, gconstpointer data);
  gconstpointer data;
} ReportScope;

#define REPORT_SCOPE(the_parts)                                               \
  ((ReportScope){ .parts = (the_parts),                                       \
                  .max_extension = G_MAXUINT64,                               \
                  .max_bitmap = G_MAXUINT64 })

typedef struct Report Report;

Report *report_new (Output *output, const char *path, const Qcow2Image *image,
                    const Qcow2Findings *findings);
void report_findings (Report *report, ReportScope scope);
void report_describe (const Report *report, Emitter *emitter);
void report_make_answer (Report *report, const char *const *ignored);
void report_print (const Report *report, GString *out);
void report_count (const Report *report, DescribeCounts *counts);
gboolean report_has_errors (const Report *report);
const char *report_get_path (const Report *report);
gboolean report_close (Report *report);

G_END_DECLS
