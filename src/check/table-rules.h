/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about the entries of a bitmap table. */

#pragma once

#include "check/finding.h"
#include "qcow2/table.h"

G_BEGIN_DECLS

gboolean qcow2_table_rule_is_worse (Qcow2RuleIndex rule, Qcow2RuleIndex other);
Qcow2RuleIndex qcow2_table_check_entry (const Qcow2Table *table,
                                        const Qcow2TableEntry *entry,
                                        guint64 data_size,
                                        const Qcow2Subject *subject,
                                        Qcow2Findings *findings);

G_END_DECLS
