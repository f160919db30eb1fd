/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/overlap-rules.h"

#include "check/directory-rules.h"

/* Fills in SUBJECT for the overlap of ONE and OTHER, which is reported for a
 * bitmap rather than the directory, and for the directory rather than another
 * structure.  Returns FALSE if neither is to be reported. */
static gboolean
choose_subject (const Qcow2ClusterReport *report, const Qcow2Run *one,
                const Qcow2Run *other, Qcow2Subject *subject)
{
  const gboolean other_first = !qcow2_cluster_report_wants (report, one)
                               && (qcow2_cluster_report_wants (report, other)
                                   || other->kind == QCOW2_OWNER_DIRECTORY);

  return qcow2_cluster_report_get_subject (report, other_first ? other : one,
                                           subject);
}

/* Returns whether the overlap of ONE and OTHER keeps QEMU from rewriting the
 * bitmap directory (see guard.h). */
static gboolean
is_guarded_overlap (const Qcow2ClusterReport *report, const Qcow2Run *one,
                    const Qcow2Run *other)
{
  const Qcow2Owner kind
      = one->kind == QCOW2_OWNER_DIRECTORY ? other->kind : one->kind;

  return (one->kind == QCOW2_OWNER_DIRECTORY
          || other->kind == QCOW2_OWNER_DIRECTORY)
         && kind < QCOW2_OWNER_CRYPTO_HEADER && report->directory != NULL
         && qcow2_directory_is_rewritten (report->directory);
}

/* Adds a finding that RUN, which starts inside OWNER, overlaps it. */
static void
add_finding (const Qcow2ClusterReport *report, const Qcow2Run *owner,
             const Qcow2Run *run)
{
  const gboolean one_table = owner->kind == QCOW2_OWNER_TABLE
                             && run->kind == QCOW2_OWNER_TABLE
                             && owner->start == run->start;
  const gboolean two_bitmaps = owner->kind == QCOW2_OWNER_BITS
                               && run->kind == QCOW2_OWNER_BITS
                               && owner->bitmap != run->bitmap;
  const Qcow2RuleIndex rule = one_table     ? QCOW2_OVL_02_TABLE
                              : two_bitmaps ? QCOW2_OVL_02_DATA
                              : is_guarded_overlap (report, owner, run)
                                  ? QCOW2_OVL_01_GUARDED
                                  : QCOW2_OVL_01;
  const guint64 cluster_size = report->image->header.cluster_size;
  const guint64 offset = run->start * cluster_size;
  const guint64 n = MIN (owner->start + owner->n - run->start, run->n);
  Qcow2Findings *findings = report->findings;
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;
  Qcow2Subject subject;

  if (!choose_subject (report, run, owner, &subject))
    return;

  if (!qcow2_findings_is_full (findings, rule, subject.parts))
    {
      qcow2_cluster_report_read_name (report, &subject, &bitmap);
      first = qcow2_run_describe (owner, run->start);
      second = qcow2_run_describe (run, run->start);
    }
  qcow2_findings_add (findings, &subject, rule,
                      one_table ? run->pointer : offset, 0,
                      QCOW2_HEX_FORMAT " bytes at " QCOW2_HEX_FORMAT
                                       " belong to %s as well as to %s",
                      n * cluster_size, offset, first, second);
}

/* Returns whether RUN starts inside OWNER, which may be NULL. */
static gboolean
starts_inside (const Qcow2Run *run, const Qcow2Run *owner)
{
  return owner != NULL && run->start < owner->start + owner->n;
}

/* Returns OWNER, which may be NULL, or RUN, whichever ends later. */
static const Qcow2Run *
get_further (const Qcow2Run *owner, const Qcow2Run *run)
{
  return owner == NULL || run->start + run->n > owner->start + owner->n
             ? run
             : owner;
}

/* Adds findings about the runs of LIST, which is sorted, that start inside an
 * earlier one. */
void
qcow2_overlaps_check (const Qcow2ClusterList *list,
                      const Qcow2ClusterReport *report)
{
  const guint n = qcow2_cluster_list_get_n (list);
  const Qcow2Run *owner = NULL; /* the run that ends last so far */
  const Qcow2Run *known = NULL; /* the same among structures and
                                   selected bitmaps */

  for (guint i = 0; i < n; i++)
    {
      const Qcow2Run *run = qcow2_cluster_list_get (list, i);
      const gboolean is_known = run->bitmap == QCOW2_RUN_NO_BITMAP
                                || qcow2_cluster_report_wants (report, run);

      if (starts_inside (run, owner))
        add_finding (report, owner, run);
      if (is_known && known != owner && starts_inside (run, known))
        add_finding (report, known, run);

      owner = get_further (owner, run);
      if (is_known)
        known = get_further (known, run);
    }
}
