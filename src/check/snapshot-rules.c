/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/snapshot-rules.h"

/* The specification's minimum of extra data of a snapshot, in version 3: the
 * first two fields. */
#define MIN_EXTRA_DATA                                                        \
  QCOW2_AT (qcow2_snapshot_extra_record, Qcow2SnapshotExtra, icount)

#define AT(member) QCOW2_AT (qcow2_snapshot_record, Qcow2SnapshotEntry, member)

/* Returns whether TABLE, of an image with header H, is something else that
 * damaged header fields point to.  QEMU does not read such a table. */
static gboolean
is_no_table (const Qcow2Header *h, const Qcow2SnapshotTable *table)
{
  const gboolean is_refused = table->bad != QCOW2_NO_INDEX || table->too_big;

  return h->nb_snapshots > QCOW2_MAX_SNAPSHOTS
             ? is_refused || table->truncated
             : is_refused && h->snapshot_offset == 0;
}

/* Fills in TABLE as qcow2_snapshot_table_measure () does, and adds findings
 * about the table (HDR-19) to FINDINGS, beyond those about the header fields.
 * If it is no table at all, empties TABLE.
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
  table->is_none = is_no_table (h, table);
  if (table->is_none && h->nb_snapshots > QCOW2_MAX_SNAPSHOTS)
    qcow2_findings_add_at (findings, &subject, QCOW2_HDR_19_END, place,
                           "the bytes at " QCOW2_HEX_FORMAT
                           " are not a table of %u entries",
                           h->snapshot_offset, h->nb_snapshots);
  if (table->is_none)
    {
      table->size = table->needed = 0;
      g_array_set_size (table->l1_tables, 0);
    }
  return TRUE;
}

/* Adds a finding if the L1 table L1 of snapshot INDEX is not where and as long
 * as it must be in a file of FILE_SIZE bytes (SNAP-02 to SNAP-04).  Returns
 * whether QEMU counts that as a corruption. */
static gboolean
check_l1_table (const Qcow2Image *image, const Qcow2SnapshotL1 *l1,
                guint64 index, Qcow2Findings *findings)
{
  const Qcow2Header *header = &image->header;
  const Qcow2Subject subject
      = QCOW2_SUBJECT (QCOW2_PART_HEADER, qcow2_snapshot_record.name);
  const guint64 bytes = (guint64) l1->size * QCOW2_ENTRY_LENGTH;
  /* QEMU accepts a table that ends less than a cluster after the end of the
   * file. */
  const guint64 limit
      = byte_source_get_qemu_size (image->source) + header->cluster_size;

  if (l1->offset % header->cluster_size != 0)
    {
      qcow2_findings_add (
          findings, &subject, QCOW2_SNAP_02, l1->pointer, l1->offset,
          "the L1 table of entry " QCOW2_U64_FORMAT " is at " QCOW2_HEX_FORMAT
          ", not the start of a cluster",
          index, l1->offset);
      return TRUE;
    }
  if (bytes > QCOW2_MAX_L1_BYTES)
    {
      qcow2_findings_add (findings, &subject, QCOW2_SNAP_03,
                          l1->pointer + AT (l1_size), l1->size,
                          "the L1 table of entry " QCOW2_U64_FORMAT
                          " has %u entries, more than 32 MiB",
                          index, l1->size);
      return TRUE;
    }

  if (bytes > 0 && (l1->offset >= limit || bytes >= limit - l1->offset))
    qcow2_findings_add (
        findings, &subject, QCOW2_SNAP_04, l1->pointer, l1->offset,
        "the L1 table of entry " QCOW2_U64_FORMAT
        ", %u entries at " QCOW2_HEX_FORMAT ", does not end in the file",
        index, l1->size, l1->offset);
  return FALSE;
}

/* Adds findings about the table entry of snapshot INDEX of IMAGE, whose L1
 * table is L1, to FINDINGS (SNAP-01 to SNAP-04).  The cluster size is known,
 * and the file may end inside the entry.  Returns the number of corruptions
 * that QEMU counts.  (QEMU, block/qcow2-snapshot.c:
 * qcow2_check_read_snapshot_table, and block/qcow2-refcount.c:
 * calculate_refcounts.) */
guint
qcow2_snapshot_check (const Qcow2Image *image, const Qcow2SnapshotL1 *l1,
                      guint64 index, Qcow2Findings *findings)
{
  const Qcow2Subject subject
      = QCOW2_SUBJECT (QCOW2_PART_HEADER, qcow2_snapshot_record.name);
  guint n_corruptions = 0;

  if (image->header.version >= 3 && l1->extra_data_size < MIN_EXTRA_DATA)
    {
      n_corruptions++;
      qcow2_findings_add (findings, &subject, QCOW2_SNAP_01,
                          MIN (l1->pointer + AT (extra_data_size),
                               byte_source_get_size (image->source)),
                          l1->extra_data_size,
                          "entry " QCOW2_U64_FORMAT
                          " has %u bytes of extra data, less than %u",
                          index, l1->extra_data_size, MIN_EXTRA_DATA);
    }
  if (check_l1_table (image, l1, index, findings))
    n_corruptions++;

  return n_corruptions;
}
