/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clusters whose references are wrong, and the structures that refer to them:
 * the rules RC-* and OVL-03. */

#pragma once

#include "check/census.h"
#include "check/finding.h"
#include "check/references.h"

G_BEGIN_DECLS

typedef struct Qcow2Owners Qcow2Owners;

Qcow2Owners *qcow2_owners_new (const Qcow2Image *image,
                               Qcow2Findings *findings);
void qcow2_owners_add_run (Qcow2Owners *owners, const Qcow2CensusRun *run);
void qcow2_owners_add_overlap (Qcow2Owners *owners, guint64 cluster);
gboolean qcow2_owners_are_wanted (const Qcow2Owners *owners);
void qcow2_owners_sort (Qcow2Owners *owners);
void qcow2_owners_note (Qcow2Owners *owners, const Qcow2Reference *reference);
void qcow2_owners_report (Qcow2Owners *owners);
void qcow2_owners_free (Qcow2Owners *owners);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Owners, qcow2_owners_free)

G_END_DECLS
