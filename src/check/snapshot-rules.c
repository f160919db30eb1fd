/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/snapshot-rules.h"

/* Fills in TABLE as qcow2_snapshot_table_measure () does, and adds findings
 * about the table (HDR-19) to FINDINGS, beyond those about the header fields.
 * Does nothing if IMAGE has no snapshots or the table is not at the start of a
 * cluster.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_snapshot_table_check (const Qcow2Image *image, Qcow2SnapshotTable *table,
                            Qcow2Findings *findings, GError **error)
{
  const Qcow2Header *h = &image->header;
  const guint64 file_size = byte_source_get_size (image->source);
  const Qcow2Subject subject
      = QCOW2_SUBJECT (QCOW2_PART_HEADER, qcow2_snapshot_record.name);
  const Qcow2Place *place
      = QCOW2_PLACE (0, qcow2_header_record, Qcow2Header, snapshot_offset, h);

  if (h->nb_snapshots == 0 || h->snapshot_offset % h->cluster_size != 0
      || h->snapshot_offset > QCOW2_QEMU_MAX_LENGTH)
    return TRUE;
  if (!qcow2_snapshot_table_measure (image, table, error))
    return FALSE;

  /* Findings about the header report a table that begins after the end of the
   * file. */
  if (table->truncated && h->snapshot_offset != 0
      && h->snapshot_offset < file_size)
    qcow2_findings_add_at (
        findings, &subject, QCOW2_HDR_19_END, place,
        "%u entries at " QCOW2_HEX_FORMAT
        " do not end in the file, which has " QCOW2_U64_FORMAT " bytes",
        h->nb_snapshots, h->snapshot_offset, file_size);
  if (table->too_big)
    qcow2_findings_add_at (findings, &subject, QCOW2_HDR_19_SIZE, place,
                           "%u entries at " QCOW2_HEX_FORMAT
                           " have more than 64 MiB",
                           h->nb_snapshots, h->snapshot_offset);
  if (table->bad != QCOW2_NO_INDEX)
    qcow2_findings_add_at (
        findings, &subject, QCOW2_HDR_19_EXTRA,
        QCOW2_PLACE (table->bad_at, qcow2_snapshot_record, Qcow2SnapshotEntry,
                     extra_data_size, &table->bad_entry),
        "entry " QCOW2_U64_FORMAT " has %u bytes of extra data, more "
        "than 1024",
        table->bad, table->bad_entry.extra_data_size);
  return TRUE;
}
