/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/table-rules.h"

/* Returns how many bytes in the cluster of ENTRY hold bits of a bitmap with
 * DATA_SIZE bytes of data. */
static guint64
bytes_used (const Qcow2TableEntry *entry, guint64 data_size,
            guint64 cluster_size)
{
  if (entry->index > data_size / cluster_size)
    return 0;

  return MIN (cluster_size, data_size - entry->index * cluster_size);
}

/* Returns whether RULE has a worse effect on QEMU than OTHER, which may be
 * QCOW2_NO_RULE. */
gboolean
qcow2_table_rule_is_worse (Qcow2RuleIndex rule, Qcow2RuleIndex other)
{
  return other == QCOW2_NO_RULE
         || qcow2_rules[rule].effect > qcow2_rules[other].effect;
}

/* Stores RULE in *WORST if it is worse than the rule there.  Returns RULE. */
static Qcow2RuleIndex
note_broken (Qcow2RuleIndex *worst, Qcow2RuleIndex rule)
{
  if (qcow2_table_rule_is_worse (rule, *worst))
    *worst = rule;

  return rule;
}

#define PLACE(member)                                                         \
  QCOW2_PLACE (at, qcow2_table_entry_record, Qcow2TableEntry, member, entry)
#define ADD(rule, place, ...)                                                 \
  qcow2_findings_add_at (findings, subject,                                   \
                         note_broken (&broken, QCOW2_##rule), (place),        \
                         __VA_ARGS__)

/* Adds findings about ENTRY of TABLE to FINDINGS, with SUBJECT.  The table is
 * for DATA_SIZE bytes of bitmap data.  Returns the worst rule that ENTRY
 * breaks, the first one if several are equally bad, or QCOW2_NO_RULE. */
Qcow2RuleIndex
qcow2_table_check_entry (const Qcow2Table *table, const Qcow2TableEntry *entry,
                         guint64 data_size, const Qcow2Subject *subject,
                         Qcow2Findings *findings)
{
  const guint64 at = table->offset + entry->index * QCOW2_ENTRY_LENGTH;
  const guint64 offset = entry->offset;
  const guint64 reserved = entry->reserved_low | entry->reserved_high;
  Qcow2RuleIndex broken = QCOW2_NO_RULE;

  if (reserved != 0)
    qcow2_finding_allow (ADD (BTAB_01,
                              entry->reserved_low != 0 ? PLACE (reserved_low)
                                                       : PLACE (reserved_high),
                              "table entry " QCOW2_U64_FORMAT
                              " has reserved bits " QCOW2_HEX_FORMAT,
                              entry->index, reserved),
                         entry->raw & ~reserved);
  if (entry->type != QCOW2_ENTRY_SERIALIZED)
    return broken;

  const guint64 cluster_size = table->header->cluster_size;
  if (entry->all_ones != 0)
    qcow2_finding_allow (
        ADD (BTAB_02, PLACE (all_ones),
             "table entry " QCOW2_U64_FORMAT
             " has the all-ones bit beside the offset " QCOW2_HEX_FORMAT,
             entry->index, offset),
        entry->raw
            & ~qcow2_field_get_mask (QCOW2_FIELD (qcow2_table_entry_record,
                                                  Qcow2TableEntry, all_ones)));
  if (offset % cluster_size != 0)
    ADD (BTAB_03, PLACE (offset),
         "table entry " QCOW2_U64_FORMAT " has the offset " QCOW2_HEX_FORMAT
         ", not a multiple of the cluster size " QCOW2_U64_FORMAT,
         entry->index, offset, cluster_size);

  const guint64 file_size = byte_source_get_size (table->source);
  const guint64 used = bytes_used (entry, data_size, cluster_size);
  if (offset > file_size || used > file_size - offset)
    ADD (BTAB_05, PLACE (offset),
         "table entry " QCOW2_U64_FORMAT ": the data, " QCOW2_U64_FORMAT
         " bytes at " QCOW2_HEX_FORMAT
         ", do not end in the file, which has " QCOW2_U64_FORMAT " bytes",
         entry->index, used, offset, file_size);

  return broken;
}
