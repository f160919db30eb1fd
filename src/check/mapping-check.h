/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks each entry of the L1 and L2 tables, as a part of the check of a whole
 * image: counts it in a first pass, and reports it in a second one. */

#pragma once

#include "check/census.h"
#include "check/check-numbers.h"
#include "check/finding.h"
#include "check/l2-references.h"
#include "check/mapping-rules.h"
#include "check/owners.h"
#include "check/plain-entries.h"

G_BEGIN_DECLS

/* The state of a round, which covers the part of the file that the census
 * covers. */
typedef struct
{
  const Qcow2Image *image;
  const Qcow2Header *header;
  Qcow2CheckFailed failed;
  gpointer failed_data;
  Qcow2Census *census;
  Qcow2Owners *owners;
  Qcow2MappingReport *report; /* NULL in the first pass */
  ByteWindow *window;         /* on L2 tables */
  Qcow2PlainEntries plain;
  gsize entry_size;     /* bytes, of an L2 entry */
  guint64 table_covers; /* bytes of the disk that an L2 table maps */
  gboolean has_data_file;
  gboolean is_first;     /* the round covers the start of the file; it also
                            counts what does not depend on the part */
  gboolean is_wrong;     /* the first pass has found something wrong */
  gboolean has_failed;   /* a read error was reported */
  guint64 l2_bytes_left; /* how many bytes of L2 tables may be read */
  gboolean is_too_much;  /* these bytes ran out */
  guint64 needed;        /* host offset of the end of the last cluster that an
                            entry refers to after the end of the file, or 0 */
  Qcow2CheckNumbers round; /* what this round adds */
} Qcow2MappingCheck;

void qcow2_mapping_check_init (Qcow2MappingCheck *check,
                               const Qcow2Image *image, Qcow2Census *census,
                               Qcow2Owners *owners, ByteWindow *window);
void qcow2_mapping_check_fail (Qcow2MappingCheck *check, GError *error);
void qcow2_mapping_check_count (Qcow2MappingCheck *check, guint64 n);
void qcow2_mapping_check_note (Qcow2MappingCheck *check,
                               const Qcow2Reference *reference);
gboolean qcow2_mapping_check_l1_entry (const Qcow2L1Reference *entry,
                                       gpointer data, GError **error);
gboolean qcow2_mapping_check_l2_table (const Qcow2L2Table *table,
                                       gpointer data, GError **error);

G_END_DECLS
