/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Findings about runs of clusters: their subject, and the description of the
 * structure or the bitmap that the clusters belong to. */

#pragma once

#include "check/cluster-list.h"
#include "check/finding.h"
#include "qcow2/directory.h"

G_BEGIN_DECLS

typedef struct
{
  const Qcow2Image *image;
  Qcow2Findings *findings;   /* about the image */
  Qcow2Directory *directory; /* NULL if there is none; rewound by others */
  GArray *wanted;            /* guint64 by bitmap index: host offset of the
                                directory entry, or 0 when the bitmap was not
                                selected */
} Qcow2ClusterReport;

gboolean qcow2_cluster_report_wants (const Qcow2ClusterReport *report,
                                     const Qcow2Run *run);
gboolean qcow2_cluster_report_get_subject (const Qcow2ClusterReport *report,
                                           const Qcow2Run *run,
                                           Qcow2Subject *subject);
void qcow2_cluster_report_read_name (const Qcow2ClusterReport *report,
                                     Qcow2Subject *subject,
                                     Qcow2Bitmap *bitmap);
char *qcow2_run_describe (const Qcow2Run *run, guint64 cluster);

G_END_DECLS
