/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/refcount-rules.h"

/* The limit on the work, in the units of qcow2_refcounts_get_work (). */
#define MAX_WORK (1 << 26)

struct Qcow2RefcountCheck
{
  const Qcow2ClusterReport *report;
  const Qcow2Image *image;
  Qcow2CheckFailed failed;
  gpointer failed_data;
  Qcow2Refcounts *refcounts;
  guint64 n_blocks;    /* readable entries of the refcount table */
  guint64 n_counted;   /* clusters that these entries cover */
  guint64 done;        /* first cluster not checked yet */
  gboolean has_failed; /* a read error was reported */
};

static gboolean
has_refcount_table (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;

  return h->refcount_table_offset != 0
         && h->refcount_table_offset < byte_source_get_size (image->source)
         && h->refcount_table_clusters != 0;
}

/* Returns a new check of REFCOUNTS that adds findings to those of REPORT, or
 * NULL when the refcount table cannot be located: other rules report that.
 * Both must outlive the check.  The check passes read errors
 * (QCOW2_ERROR_READ) to FAILED, along with DATA, and continues. */
Qcow2RefcountCheck *
qcow2_refcount_check_new (const Qcow2ClusterReport *report,
                          Qcow2Refcounts *refcounts, Qcow2CheckFailed failed,
                          gpointer data)
{
  if (!qcow2_refcounts_are_usable (report->image)
      || !has_refcount_table (report->image))
    return NULL;

  Qcow2RefcountCheck *check = g_new0 (Qcow2RefcountCheck, 1);
  check->report = report;
  check->image = report->image;
  check->failed = failed;
  check->failed_data = data;
  check->refcounts = refcounts;
  check->n_blocks = qcow2_refcounts_get_n_blocks (refcounts);
  check->n_counted = G_MAXUINT64;
  return check;
}

/* HDR-18: reports that entry INDEX of the refcount table, RAW, is not just the
 * offset of a refcount block.  OFFSET is the host offset of the block, or 0
 * when RAW does not point to a whole cluster of the file.  Notes in END a
 * block after the end of the file. */
static void
report_bad_block (const Qcow2RefcountCheck *check, guint64 index, guint64 raw,
                  guint64 offset, Qcow2FileEnd *end)
{
  const guint64 cluster_size = check->image->header.cluster_size;
  const Qcow2Subject subject
      = QCOW2_SUBJECT (QCOW2_PART_HEADER, "refcount table");
  const guint64 first_cluster
      = index * qcow2_refcounts_get_block_end (check->refcounts, 0);
  const gboolean is_needed = first_cluster * cluster_size
                             < byte_source_get_size (check->image->source);
  const gboolean is_after_end = offset == 0 && raw % cluster_size == 0;
  const Qcow2RuleIndex rule = !is_after_end ? QCOW2_HDR_18_BLOCK
                              : is_needed   ? QCOW2_HDR_18_BLOCK_END
                                            : QCOW2_HDR_18_BLOCK_SPARE;

  const Qcow2Field *place
      = QCOW2_FIELD (qcow2_refcount_entry_record, Qcow2RefcountEntry, offset);
  const Qcow2Field *reserved = QCOW2_FIELD (qcow2_refcount_entry_record,
                                            Qcow2RefcountEntry, reserved);
  const Qcow2RefcountEntry entry
      = { .offset = qcow2_field_unpack (place, raw),
          .reserved = qcow2_field_unpack (reserved, raw) };

  if (is_after_end && is_needed)
    qcow2_file_end_note_needed (end, check->image, raw, cluster_size);
  else if (is_after_end)
    qcow2_file_end_note_counted (end, check->image, raw, cluster_size);

  qcow2_findings_add_at (
      check->report->findings, &subject, rule,
      &(const Qcow2Place){ .start = check->image->header.refcount_table_offset
                                    + index * QCOW2_ENTRY_LENGTH,
                           .record = &qcow2_refcount_entry_record,
                           .field = offset != 0 ? reserved : place,
                           .structure = &entry },
      "entry " QCOW2_U64_FORMAT " is " QCOW2_HEX_FORMAT ", %s", index, raw,
      offset != 0 ? "which has reserved bits"
                  : "not the start of a cluster inside the file");
}

/* Takes ownership of ERROR. */
static void
fail (Qcow2RefcountCheck *check, GError *error)
{
  check->has_failed = TRUE;
  check->failed (error, check->failed_data);
}

/* Passes the refcount blocks that are in the file to FUNC along with DATA, up
 * to the first entry of the refcount table that cannot be read.  FUNC does not
 * fail.  Adds findings about wrong entries, and notes in END the blocks after
 * the end of the file. */
void
qcow2_refcount_check_walk_blocks (Qcow2RefcountCheck *check, Qcow2FileEnd *end,
                                  Qcow2ReferenceFunc func, gpointer data)
{
  const Qcow2Header *h = &check->image->header;
  GError *error = NULL;

  for (guint64 i = 0; i < check->n_blocks; i++)
    {
      Qcow2Reference reference = { .owner = QCOW2_OWNER_REFCOUNT_BLOCK,
                                   .size = h->cluster_size,
                                   .index = QCOW2_NO_INDEX };
      guint64 raw = 0;

      if (!qcow2_refcounts_skip_unused (check->refcounts, &i, &error)
          || (i < check->n_blocks
              && !qcow2_refcounts_get_block (check->refcounts, i,
                                             &reference.offset, &raw, &error)))
        {
          fail (check, error);
          check->n_blocks = i;
          check->n_counted
              = i * qcow2_refcounts_get_block_end (check->refcounts, 0);
          return;
        }
      reference.pointer = h->refcount_table_offset + i * QCOW2_ENTRY_LENGTH;
      if (reference.offset != 0)
        func (&reference, data, NULL);
      if (raw != reference.offset)
        report_bad_block (check, i, raw, reference.offset, end);
    }
}

/* Returns whether wrong refcounts are to be expected for RUN: the image is
 * dirty, or RUN belongs to bitmaps that may be out of date. */
static gboolean
are_refcounts_doubtful (const Qcow2Image *image, const Qcow2Run *run)
{
  const gboolean is_of_bitmaps = run->kind == QCOW2_OWNER_DIRECTORY
                                 || run->bitmap != QCOW2_RUN_NO_BITMAP;

  return qcow2_header_is_dirty (&image->header)
         || (is_of_bitmaps
             && !qcow2_header_bitmaps_are_consistent (&image->header));
}

static void
add_finding (const Qcow2RefcountCheck *check, const Qcow2Run *run,
             guint64 cluster, guint64 n, guint64 refcount)
{
  const Qcow2RuleIndex rule = refcount > 1 ? QCOW2_REF_01_SHARED
                              : are_refcounts_doubtful (check->image, run)
                                  ? QCOW2_REF_01_STALE
                                  : QCOW2_REF_01_FREE;
  const guint64 cluster_size = check->image->header.cluster_size;
  const guint64 offset = cluster * cluster_size;
  Qcow2Findings *findings = check->report->findings;
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  g_autofree char *name = NULL;
  Qcow2Subject subject;

  if (!qcow2_cluster_report_get_subject (check->report, run, &subject))
    return;

  if (!qcow2_findings_is_full (findings, rule, subject.parts))
    {
      qcow2_cluster_report_read_name (check->report, &subject, &bitmap);
      name = qcow2_run_describe (run, cluster);
    }
  qcow2_findings_add (findings, &subject, rule, offset, 0,
                      "the refcount of " QCOW2_HEX_FORMAT
                      " bytes at " QCOW2_HEX_FORMAT
                      ", which belong to %s, is " QCOW2_U64_FORMAT,
                      n * cluster_size, offset, name, refcount);
}

/* Stores in *REFCOUNT the refcount of cluster AT, and in *N the number of
 * clusters from AT to before END that are known to have the same.  If the
 * refcount block cannot be read, reports the error, assumes the refcount 1 for
 * all its clusters and marks them as checked. */
static void
get_refcount (Qcow2RefcountCheck *check, guint64 at, guint64 end,
              guint64 *refcount, guint64 *n)
{
  GError *error = NULL;

  if (qcow2_refcounts_get (check->refcounts, at, end - at, refcount, n, NULL,
                           &error))
    return;

  fail (check, error);
  check->done = qcow2_refcounts_get_block_end (check->refcounts, at);
  *refcount = 1;
  *n = MIN (end, check->done) - at;
}

/* Checks the refcounts of the clusters of RUN from START to before END. */
static void
check_run (Qcow2RefcountCheck *check, const Qcow2Run *run, guint64 start,
           guint64 end)
{
  guint64 bad = start; /* first cluster with the refcount LAST */
  guint64 last = 1;

  for (guint64 at = start; at < end;)
    {
      guint64 refcount;
      guint64 n;

      get_refcount (check, at, end, &refcount, &n);
      if (refcount != last)
        {
          if (last != 1)
            add_finding (check, run, bad, at - bad, last);
          bad = at;
          last = refcount;
        }
      at += n;
    }

  if (last != 1)
    add_finding (check, run, bad, end - bad, last);
}

/* RES-06: reports that refcounts from CLUSTER on were not examined. */
static void
report_unexamined (const Qcow2RefcountCheck *check, guint64 cluster)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_BITMAPS, "image");
  const guint64 offset = cluster * check->image->header.cluster_size;

  qcow2_findings_add (check->report->findings, &subject,
                      QCOW2_RES_06_REFCOUNTS, offset, 0,
                      "refcounts from " QCOW2_HEX_FORMAT
                      " on were not examined: there are too many clusters",
                      offset);
}

/* Checks the refcount of each cluster of LIST, which is sorted, that belongs
 * to a structure or a selected bitmap.  A cluster of several runs is checked
 * once. */
void
qcow2_refcount_check_runs (Qcow2RefcountCheck *check,
                           const Qcow2ClusterList *list)
{
  const guint n = qcow2_cluster_list_get_n (list);

  for (guint i = 0; i < n; i++)
    {
      const Qcow2Run *run = qcow2_cluster_list_get (list, i);
      const guint64 start = MAX (run->start, check->done);
      const guint64 end = MIN (run->start + run->n, check->n_counted);

      if ((run->bitmap != QCOW2_RUN_NO_BITMAP
           && !qcow2_cluster_report_wants (check->report, run))
          || start >= end)
        continue;

      if (qcow2_refcounts_get_work (check->refcounts) > MAX_WORK)
        {
          report_unexamined (check, start);
          return;
        }
      check_run (check, run, start, end);
      check->done = MAX (end, check->done);
    }
}

/* Notes in END the last cluster that a refcount marks as in use.  A read error
 * is passed on only if there was none before: it may be the same one. */
void
qcow2_refcount_check_note_end (Qcow2RefcountCheck *check, Qcow2FileEnd *end)
{
  GError *error = NULL;

  if (qcow2_file_end_note_refcounts (end, check->image, check->refcounts,
                                     &error))
    return;
  if (check->has_failed)
    g_error_free (error);
  else
    fail (check, error);
}

/* Returns whether there was a read error. */
gboolean
qcow2_refcount_check_has_failed (const Qcow2RefcountCheck *check)
{
  return check->has_failed;
}

void
qcow2_refcount_check_free (Qcow2RefcountCheck *check)
{
  g_free (check);
}
