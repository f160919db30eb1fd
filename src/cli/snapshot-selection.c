/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/snapshot-selection.h"

#include "check/snapshot-rules.h"
#include "cli/search.h"
#include "cli/usage.h"
#include "qcow2/error.h"

/* Fails with a usage error if the options of SELECTION exclude each other. */
gboolean
snapshot_selection_check (const SnapshotSelection *selection, GError **error)
{
  const char *const given[]
      = { selection->id != NULL ? "--id" : "",
          selection->name != NULL ? "--name" : "",
          selection->index.given ? "--index" : "", NULL };

  return usage_check_exclusive (given, error);
}

gboolean
snapshot_selection_is_given (const SnapshotSelection *selection)
{
  return selection->id != NULL || selection->name != NULL
         || selection->index.given;
}

/* Returns the string by which SELECTION selects SNAPSHOT. */
static GBytes *
get_key (const SnapshotSelection *selection, const Qcow2Snapshot *snapshot)
{
  return selection->id != NULL ? snapshot->id : snapshot->name;
}

/* Returns the string that SELECTION demands, or NULL if it demands none. */
static const char *
get_wanted (const SnapshotSelection *selection)
{
  return selection->id != NULL ? selection->id : selection->name;
}

/* Returns whether SNAPSHOT is selected.  Without an option, all snapshots
 * are. */
static gboolean
is_selected (const SnapshotSelection *selection, const Qcow2Snapshot *snapshot)
{
  const char *wanted = get_wanted (selection);

  if (wanted != NULL)
    return search_is_equal (wanted, get_key (selection, snapshot));

  return !selection->index.given || selection->index.value == snapshot->index;
}

static Qcow2SnapshotWalk *
new_walk (const Qcow2Image *image)
{
  return qcow2_snapshot_walk_new (image, image->header.snapshot_offset,
                                  image->header.nb_snapshots);
}

/* Stores what SELECTION, which has an option, finds in IMAGE in SEARCH. */
static gboolean
search_all (const SnapshotSelection *selection, const Qcow2Image *image,
            Search *search, GError **error)
{
  const gboolean has_lookalikes
      = search->wanted != NULL && search_may_look_like (search->wanted);
  g_autoptr (Qcow2SnapshotWalk) walk = new_walk (image);
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Next next;

  while ((next = qcow2_snapshot_walk_step (walk, &snapshot, error))
         == QCOW2_NEXT_ITEM)
    {
      if (search->wanted != NULL
          && !qcow2_snapshot_walk_read (walk, &snapshot, error))
        return FALSE;

      if (is_selected (selection, &snapshot))
        {
          search->n_matches++;
          search->last = snapshot.index;
        }
      else if (has_lookalikes && search->lookalike == QCOW2_NO_INDEX
               && search_looks_like (search->wanted,
                                     get_key (selection, &snapshot)))
        search->lookalike = snapshot.index;
      if (search->wanted == NULL && search->n_matches > 0)
        return TRUE;
    }

  return next == QCOW2_NEXT_END;
}

/* Stores the index of the last snapshot of IMAGE that SELECTION, which has an
 * option, selects in *LAST.  Fails with QCOW2_ERROR_NOT_FOUND if there is
 * none, and with QCOW2_ERROR_AMBIGUOUS if there are several and ONLY_ONE is
 * allowed. */
static gboolean
find (const SnapshotSelection *selection, gboolean only_one,
      const Qcow2Image *image, guint64 *last, GError **error)
{
  Search search = { .noun = "snapshot",
                    .key = selection->id != NULL ? "id" : "name",
                    .wanted = get_wanted (selection),
                    .wanted_index = selection->index.value,
                    .lookalike = QCOW2_NO_INDEX };

  if (!search_all (selection, image, &search, error))
    return FALSE;
  if (search.n_matches == 0)
    return search_fail_not_found (&search, "", error);
  if (only_one && search.n_matches > 1)
    return search_fail_ambiguous (&search, error);

  *last = search.last;
  return TRUE;
}

static gboolean
is_about_entries (const Qcow2Finding *finding)
{
  return g_str_equal (finding->subject.structure, qcow2_snapshot_record.name);
}

/* Returns whether FINDING is about the snapshot table or the header fields
 * that lead to it; for ReportScope.bears_on. */
static gboolean
bears_on_table (const Qcow2Finding *finding, gconstpointer data G_GNUC_UNUSED)
{
  static const char *const names[]
      = { "cluster_bits", "nb_snapshots", "snapshot_offset", NULL };

  if (is_about_entries (finding))
    return TRUE;

  return finding->record == &qcow2_header_record && finding->field != NULL
         && g_strv_contains (names, finding->field->name);
}

/* Returns whether FINDINGS has no error of the entries that were visited. */
gboolean
snapshot_selection_is_intact (const Qcow2Findings *findings)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (finding->severity == QCOW2_SEVERITY_ERROR
          && is_about_entries (finding))
        return FALSE;
    }

  return TRUE;
}

/* Adds the findings about the entry of SNAPSHOT. */
static void
check_entry (Tool *tool, const Qcow2Image *image,
             const Qcow2Snapshot *snapshot)
{
  const Qcow2SnapshotL1 l1
      = { .offset = snapshot->entry.l1_table_offset,
          .pointer = snapshot->file_offset,
          .size = snapshot->entry.l1_size,
          .extra_data_size = snapshot->entry.extra_data_size };

  if (image->header.cluster_size != QCOW2_ABSENT)
    qcow2_snapshot_check (image, &l1, snapshot->index,
                          tool_get_findings (tool));
}

/* Reports the findings about the entries that were visited, and about the
 * table if it was checked. */
static void
report (Tool *tool)
{
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_HEADER);

  scope.bears_on = bears_on_table;
  tool_report (tool, scope);
}

/* A visit of an image. */
typedef struct
{
  const SnapshotSelection *selection;
  const SnapshotVisit *visit;
  Tool *tool;
  const Qcow2Image *image;
  Qcow2SnapshotWalk *walk;
  gboolean is_begun; /* the list of snapshots was */
  gboolean is_table_checked;
  guint64 n_shown;
} Job;

/* Adds the findings about the snapshot table as a whole, once. */
static gboolean
check_table (Job *job, GError **error)
{
  g_auto (Qcow2SnapshotTable) table = { .size = 0 };

  if (job->is_table_checked || job->image->header.cluster_size == QCOW2_ABSENT)
    return TRUE;

  job->is_table_checked = TRUE;
  return qcow2_snapshot_table_check (job->image, &table,
                                     tool_get_findings (job->tool), error);
}

/* Shows SNAPSHOT, which the walk has just reached, if it is selected.  If its
 * strings cannot be read, says so and shows the rest. */
static gboolean
visit_one (Job *job, Qcow2Snapshot *snapshot, GError **error)
{
  const SnapshotSelection *selection = job->selection;
  GError *read_error = NULL;

  if (selection->index.given && !is_selected (selection, snapshot))
    return TRUE;
  /* That the entry is cut is a finding about the table. */
  if (snapshot->is_truncated && !check_table (job, error))
    return FALSE;
  if (!qcow2_snapshot_walk_read (job->walk, snapshot, &read_error)
      && get_wanted (selection) != NULL)
    {
      g_propagate_error (error, read_error);
      return FALSE;
    }
  if (!is_selected (selection, snapshot))
    return TRUE;

  job->n_shown++;
  check_entry (job->tool, job->image, snapshot);
  const gboolean shown
      = job->visit->show (job->tool, snapshot, job->visit->data, error);
  report (job->tool);
  if (read_error != NULL
      && !tool_recover (job->tool, read_error, shown ? error : NULL))
    return FALSE;

  return shown && tool_flush (job->tool, error);
}

/* Begins the list of snapshots after NEXT, the result of the first step,
 * unless there are snapshots and none is known. */
static void
begin (Job *job, Qcow2Next next)
{
  const gboolean is_empty
      = next == QCOW2_NEXT_END
        && qcow2_snapshot_walk_get_end (job->walk) == QCOW2_SNAPSHOTS_COMPLETE;

  if (job->is_begun || (next != QCOW2_NEXT_ITEM && !is_empty))
    return;

  emitter_begin (tool_get_emitter (job->tool), EMITTER_LIST, "snapshots",
                 NULL);
  job->is_begun = TRUE;
}

/* Visits the snapshots up to the one with index LAST. */
static gboolean
walk_up_to (Job *job, guint64 last, GError **error)
{
  g_auto (Qcow2Snapshot) snapshot = { 0 };
  Qcow2Next next;

  do
    {
      next = qcow2_snapshot_walk_step (job->walk, &snapshot, error);
      begin (job, next);
      if (next == QCOW2_NEXT_ITEM && !visit_one (job, &snapshot, error))
        next = QCOW2_NEXT_FAILED;
    }
  while (next == QCOW2_NEXT_ITEM && snapshot.index < last);

  if (job->is_begun)
    emitter_end (tool_get_emitter (job->tool));
  return next != QCOW2_NEXT_FAILED;
}

/* Fails with QCOW2_ERROR_CORRUPT if the walk, which has ended, left out
 * entries, unless an error in the table says so already. */
static gboolean
check_complete (const Job *job, GError **error)
{
  const guint64 n = qcow2_snapshot_walk_get_n (job->walk);
  const guint64 offset = qcow2_snapshot_walk_get_offset (job->walk);
  const guint32 n_entries = job->image->header.nb_snapshots;

  switch (qcow2_snapshot_walk_get_end (job->walk))
    {
    case QCOW2_SNAPSHOTS_COMPLETE:
      return TRUE;
    case QCOW2_SNAPSHOTS_TRUNCATED:
      if (report_has_errors (tool_get_report (job->tool)))
        return TRUE;

      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
                   QCOW2_HEX_FORMAT ": %s: only " QCOW2_U64_FORMAT
                                    " of %u entries are in the file, which "
                                    "has " QCOW2_U64_FORMAT " bytes",
                   offset, qcow2_snapshot_record.name, n, n_entries,
                   byte_source_get_size (job->image->source));
      return FALSE;
    case QCOW2_SNAPSHOTS_TOO_MANY:
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
                   QCOW2_HEX_FORMAT ": %s: entries " QCOW2_U64_FORMAT
                                    " to %u are left out: QEMU accepts no "
                                    "more",
                   offset, qcow2_snapshot_record.name, n, n_entries - 1);
      return FALSE;
    }

  g_assert_not_reached ();
}

/* Visits all snapshots. */
static gboolean
visit_all (Job *job, GError **error)
{
  if (!walk_up_to (job, G_MAXUINT64, error) || !check_table (job, error))
    {
      report (job->tool);
      return FALSE;
    }

  report (job->tool);
  return check_complete (job, error);
}

/* Visits the snapshots up to the one with index LAST, which was found before,
 * so that a writer has changed the table if none is found now. */
static gboolean
visit_found (Job *job, guint64 last, GError **error)
{
  if (!walk_up_to (job, last, error))
    return FALSE;
  if (job->n_shown > 0)
    return check_complete (job, error);

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ,
               "the snapshot table changed while it was read");
  return FALSE;
}

/* Visits each selected snapshot of IMAGE in the order of the table, and
 * reports the findings about it, or, without a selection, about the whole
 * table.  Fails when the function of VISIT fails, when the place of a snapshot
 * cannot be read (QCOW2_ERROR_READ), when entries of the table are left out
 * (QCOW2_ERROR_CORRUPT), and, with a selection, as find () does. */
gboolean
snapshot_selection_visit (const SnapshotSelection *selection,
                          const SnapshotVisit *visit, Tool *tool,
                          const Qcow2Image *image, GError **error)
{
  const gboolean selected = snapshot_selection_is_given (selection);
  g_autoptr (Qcow2SnapshotWalk) walk = new_walk (image);
  Job job = { .selection = selection,
              .visit = visit,
              .tool = tool,
              .image = image,
              .walk = walk };
  guint64 last = 0;

  if (!selected)
    return visit_all (&job, error);
  if (find (selection, visit->only_one, image, &last, error))
    return visit_found (&job, last, error);

  /* Damage of the table may be the reason why nothing was found. */
  check_table (&job, NULL);
  report (tool);
  return FALSE;
}

void
snapshot_selection_clear (SnapshotSelection *selection)
{
  g_clear_pointer (&selection->id, g_free);
  g_clear_pointer (&selection->name, g_free);
}
