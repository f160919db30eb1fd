/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/file-end.h"

#include "qcow2/arithmetic.h"
#include "qcow2/l1-table.h"

/* The maximum number of refcount blocks to search for the last used
 * cluster. */
#define MAX_BLOCKS 1024

/* Returns the host offset of the end of the last cluster that the SIZE bytes
 * at host offset OFFSET touch, if that cluster begins at the end of the file
 * or later; otherwise 0.  Also returns 0 if OFFSET is not the start of a
 * cluster, or the range exceeds the largest file that QEMU reads. */
static guint64
get_end_after_file (const Qcow2Image *image, guint64 offset, guint64 size)
{
  const guint64 cluster_size = image->header.cluster_size;

  if (size == 0 || offset == 0 || offset % cluster_size != 0
      || offset > QCOW2_QEMU_MAX_LENGTH
      || size > QCOW2_QEMU_MAX_LENGTH - offset)
    return 0;

  const guint64 last = (offset + size - 1) / cluster_size * cluster_size;
  return last >= byte_source_get_size (image->source) ? last + cluster_size
                                                      : 0;
}

/* Records in END that IMAGE refers to the SIZE bytes at host offset OFFSET. */
void
qcow2_file_end_note_needed (Qcow2FileEnd *end, const Qcow2Image *image,
                            guint64 offset, guint64 size)
{
  end->needed = MAX (end->needed, get_end_after_file (image, offset, size));
}

/* Records in END that refcounts of IMAGE mark the SIZE bytes at host offset
 * OFFSET as in use. */
void
qcow2_file_end_note_counted (Qcow2FileEnd *end, const Qcow2Image *image,
                             guint64 offset, guint64 size)
{
  end->counted = MAX (end->counted, get_end_after_file (image, offset, size));
}

/* Records in END the tables that the header of IMAGE points to.  An L1 table
 * or a refcount table may have entries that are not needed. */
void
qcow2_file_end_note_header (Qcow2FileEnd *end, const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;
  const guint64 l1_bytes = (guint64) h->l1_size * QCOW2_ENTRY_LENGTH;
  const guint64 l1_needed
      = qcow2_header_get_n_l1_needed (h) * QCOW2_ENTRY_LENGTH;
  const guint64 refcount_bytes = h->refcount_table_clusters * h->cluster_size;
  const guint64 refcount_needed = qcow2_header_get_refcount_table_needed (
      h, byte_source_get_size (image->source));

  qcow2_file_end_note_needed (end, image, h->l1_table_offset,
                              MIN (l1_bytes, l1_needed));
  qcow2_file_end_note_needed (end, image, h->refcount_table_offset,
                              refcount_needed);
  if (l1_bytes <= QCOW2_MAX_L1_BYTES)
    qcow2_file_end_note_counted (end, image, h->l1_table_offset, l1_bytes);
  if (refcount_bytes <= QCOW2_MAX_REFTABLE_BYTES)
    qcow2_file_end_note_counted (end, image, h->refcount_table_offset,
                                 refcount_bytes);
  if (h->nb_snapshots <= QCOW2_MAX_SNAPSHOTS)
    qcow2_file_end_note_needed (end, image, h->snapshot_offset,
                                (guint64) h->nb_snapshots
                                    * QCOW2_SNAPSHOT_HEAD);
}

typedef struct
{
  Qcow2FileEnd *end;
  const Qcow2Image *image;
} Notes;

/* A Qcow2OffsetFunc. */
static Qcow2Next
note_l2_table (guint64 offset, guint64 pointer G_GNUC_UNUSED, gpointer data,
               GError **error G_GNUC_UNUSED)
{
  const Notes *notes = data;

  qcow2_file_end_note_needed (notes->end, notes->image, offset,
                              notes->image->header.cluster_size);
  return QCOW2_NEXT_ITEM;
}

/* Records in END the last cluster of IMAGE that REFCOUNTS mark as in use.
 * Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_file_end_note_refcounts (Qcow2FileEnd *end, const Qcow2Image *image,
                               Qcow2Refcounts *refcounts, GError **error)
{
  const guint64 cluster_size = image->header.cluster_size;
  guint64 n_clusters;

  if (!qcow2_refcounts_find_end (refcounts, MAX_BLOCKS, &n_clusters, error))
    return FALSE;

  if (n_clusters > 0 && n_clusters <= QCOW2_QEMU_MAX_LENGTH / cluster_size)
    qcow2_file_end_note_counted (end, image, (n_clusters - 1) * cluster_size,
                                 cluster_size);
  return TRUE;
}

/* Records in END the guest clusters after the end of the file.  If only
 * refcounts refer to clusters there, the cause may be an incomplete copy or a
 * crash.  References in L2 tables tell the two apart. */
static gboolean
note_guest_clusters (Qcow2FileEnd *end, const Qcow2Image *image,
                     GError **error)
{
  const guint64 cluster_size = image->header.cluster_size;
  const guint64 size = byte_source_get_size (image->source);
  const guint64 first = qcow2_round_up (size, cluster_size);
  guint64 reached;

  if (!qcow2_l2_tables_reach (image, first, &reached, error))
    return FALSE;

  qcow2_file_end_note_needed (
      end, image, reached / cluster_size * cluster_size, cluster_size);
  return TRUE;
}

static void
report (const Qcow2FileEnd *end, const Qcow2Image *image,
        Qcow2Findings *findings)
{
  const gboolean has_writer
      = qcow2_image_probe_writer (image) == BYTE_SOURCE_LOCKED;
  const Qcow2RuleIndex rule = has_writer        ? QCOW2_FILE_09_WRITER
                              : end->needed > 0 ? QCOW2_FILE_09
                                                : QCOW2_FILE_09_REFCOUNT;
  const guint64 size = byte_source_get_size (image->source);
  /* Also the value of the finding, for take_counted (). */
  const guint64 reached = MAX (end->needed, end->counted);
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_HEADER, "image");

  qcow2_findings_move_to_front (
      findings, qcow2_findings_add (findings, &subject, rule, size, reached,
                                    "the file ends at " QCOW2_U64_FORMAT
                                    ", but clusters up to " QCOW2_U64_FORMAT
                                    " are in use: is the copy complete?",
                                    size, reached));
}

/* Adds a finding to FINDINGS, before all others, if IMAGE refers to a cluster
 * after the end of the file.  END holds what the caller recorded about
 * metadata and refcounts; this function adds what the L1 and L2 tables refer
 * to.  Fails with QCOW2_ERROR_READ, and then checks by the part that could be
 * read. */
gboolean
qcow2_file_end_check (Qcow2FileEnd *end, const Qcow2Image *image,
                      Qcow2Findings *findings, GError **error)
{
  Notes notes = { .end = end, .image = image };
  gboolean was_read
      = qcow2_l1_table_walk (image, note_l2_table, &notes, error);

  if (was_read && end->needed == 0 && end->counted > 0)
    was_read = note_guest_clusters (end, image, error);

  if (end->needed > 0 || end->counted > 0)
    report (end, image, findings);
  return was_read;
}

/* Takes back the finding that only refcounts lead to after the end of the
 * file.  Returns the end of the last cluster of which they say so, or 0 if
 * there is no such finding. */
static guint64
take_counted (Qcow2Findings *findings)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);
      const guint64 counted = finding->value;

      if (finding->index != QCOW2_FILE_09_REFCOUNT)
        continue;

      qcow2_findings_remove (findings, i);
      return counted;
    }

  return 0;
}

/* Adds a finding to FINDINGS, before all others, that IMAGE refers to clusters
 * up to host offset NEEDED, after the end of the file.  Does nothing if there
 * is such a finding. */
void
qcow2_file_end_report (const Qcow2Image *image, guint64 needed,
                       Qcow2Findings *findings)
{
  const Qcow2FileEnd end
      = { .needed = needed, .counted = take_counted (findings) };

  if (qcow2_findings_get_use (findings, QCOW2_FILE_09)->n == 0
      && qcow2_findings_get_use (findings, QCOW2_FILE_09_WRITER)->n == 0)
    report (&end, image, findings);
}
