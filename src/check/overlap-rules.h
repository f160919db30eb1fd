/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules OVL-01 and OVL-02: a cluster belongs to a single structure. */

#pragma once

#include "check/cluster-report.h"

G_BEGIN_DECLS

void qcow2_overlaps_check (const Qcow2ClusterList *list,
                           const Qcow2ClusterReport *report);

G_END_DECLS
