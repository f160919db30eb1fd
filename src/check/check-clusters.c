/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/check-clusters.h"

#include "check/cluster-report.h"
#include "check/directory-rules.h"
#include "check/file-end.h"
#include "check/guard.h"
#include "check/overlap-rules.h"
#include "check/refcount-rules.h"
#include "check/snapshot-rules.h"

struct Qcow2ClusterCheck
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
  Qcow2CheckFailed failed;
  gpointer failed_data;
  guint64 cluster_size;
  guint64 file_size;
  Qcow2ClusterList *list;    /* NULL once it has been checked */
  guint64 n_left_out;        /* runs for which the list has no room */
  guint64 first_left_out;    /* host offset of the reference to the first
                                of them */
  Qcow2ClusterReport report; /* its directory is set at the end */
  Qcow2Refcounts *refcounts;
  Qcow2RefcountCheck *refcount_check; /* NULL when their table cannot be
                                         located */
  GArray *tables; /* of Qcow2BitmapTable by bitmap index; NULL when they are
                     not all known */

  Qcow2SnapshotTable snapshots; /* size 0 when there are none */
  Qcow2References *references;  /* without those of bitmaps */
  Qcow2FileEnd file_end;

  gboolean l1_failed;        /* a read error of the L1 table was reported */
  gboolean snapshots_failed; /* a read error of their table was reported */
};

/* Returns a new check of IMAGE that adds findings to FINDINGS, or NULL when
 * the cluster size of IMAGE is unknown.  Both must outlive the check.  The
 * check passes each read error (QCOW2_ERROR_READ) to FAILED, along with DATA,
 * and continues. */
Qcow2ClusterCheck *
qcow2_cluster_check_new (const Qcow2Image *image, Qcow2Findings *findings,
                         Qcow2CheckFailed failed, gpointer data)
{
  if (image->header.cluster_size == QCOW2_ABSENT)
    return NULL;

  Qcow2ClusterCheck *check = g_new0 (Qcow2ClusterCheck, 1);
  check->image = image;
  check->findings = findings;
  check->failed = failed;
  check->failed_data = data;
  check->cluster_size = image->header.cluster_size;
  check->file_size = byte_source_get_size (image->source);
  check->list = qcow2_cluster_list_new ();
  check->report = (Qcow2ClusterReport){
    .image = image,
    .findings = findings,
    .wanted = g_array_new (FALSE, TRUE, sizeof (guint64)),
  };
  check->refcounts = qcow2_refcounts_new (image);
  check->refcount_check = qcow2_refcount_check_new (
      &check->report, check->refcounts, failed, data);
  check->references = qcow2_references_new (image, NULL, &check->snapshots,
                                            check->refcounts);
  check->tables = g_array_new (FALSE, TRUE, sizeof (Qcow2BitmapTable));
  return check;
}

/* Adds those clusters of the SIZE bytes at host offset OFFSET that lie in the
 * file.  POINTER is the host offset of the field that holds OFFSET, and BITMAP
 * the index of the owning bitmap or QCOW2_NO_INDEX.  An OFFSET of 0 means that
 * there is no structure; other rules report an OFFSET that is not the start of
 * a cluster.  Neither is added.  All of the first cluster belongs to the
 * header. */
static void
add (Qcow2ClusterCheck *check, Qcow2Owner kind, guint64 bitmap, guint64 offset,
     guint64 size, guint64 pointer)
{
  /* These two may have unneeded entries: see qcow2_file_end_note_header (). */
  if (kind != QCOW2_OWNER_L1_TABLE && kind != QCOW2_OWNER_REFCOUNT_TABLE)
    qcow2_file_end_note_needed (&check->file_end, check->image, offset, size);
  if ((offset == 0 && kind != QCOW2_OWNER_HEADER)
      || offset % check->cluster_size != 0 || offset >= check->file_size)
    return;

  const guint64 bytes = MIN (size, check->file_size - offset);
  const Qcow2Run run
      = { .start = offset / check->cluster_size,
          .n = (guint32) MIN (G_MAXUINT32, qcow2_header_size_to_clusters (
                                               &check->image->header, bytes)),
          .pointer = pointer,
          .bitmap = (guint32) MIN (bitmap, QCOW2_RUN_NO_BITMAP) & 0xffffff,
          .kind = kind & 0xff };

  if (!qcow2_cluster_list_add (check->list, &run) && check->n_left_out++ == 0)
    check->first_left_out = pointer;
}

/* Adds the table of BITMAP.  Findings are only reported for bitmaps that are
 * WANTED. */
void
qcow2_cluster_check_add_bitmap (Qcow2ClusterCheck *check,
                                const Qcow2Bitmap *bitmap, gboolean wanted)
{
  GArray *all_wanted = check->report.wanted;

  if (bitmap->index >= all_wanted->len)
    g_array_set_size (all_wanted, (guint) bitmap->index + 1);

  if (wanted)
    g_array_index (all_wanted, guint64, bitmap->index) = bitmap->file_offset;
  if (bitmap->name != NULL)
    add (check, QCOW2_OWNER_TABLE, bitmap->index, bitmap->bitmap_table_offset,
         (guint64) bitmap->bitmap_table_size * QCOW2_ENTRY_LENGTH,
         bitmap->file_offset);
}

/* Adds the data clusters of the N_ENTRIES entries at ENTRIES, which are from
 * the table of BITMAP.  BROKEN holds, for each entry, the rule that it breaks
 * or QCOW2_NO_RULE; entries that break a rule are not added. */
void
qcow2_cluster_check_add_entries (Qcow2ClusterCheck *check,
                                 const Qcow2Bitmap *bitmap,
                                 const Qcow2TableEntry *entries,
                                 const Qcow2RuleIndex *broken, gsize n_entries)
{
  for (gsize i = 0; i < n_entries; i++)
    {
      if (broken[i] == QCOW2_BTAB_05)
        qcow2_file_end_note_needed (&check->file_end, check->image,
                                    entries[i].offset, check->cluster_size);
      if (entries[i].type == QCOW2_ENTRY_SERIALIZED
          && broken[i] == QCOW2_NO_RULE)
        add (check, QCOW2_OWNER_BITS, bitmap->index, entries[i].offset,
             check->cluster_size,
             bitmap->bitmap_table_offset
                 + entries[i].index * QCOW2_ENTRY_LENGTH);
    }
}

/* Notes where the table of BITMAP is, and whether it refers to data if that is
 * known. */
void
qcow2_cluster_check_note_table (Qcow2ClusterCheck *check,
                                const Qcow2Bitmap *bitmap)
{
  if (check->tables == NULL)
    return;

  if (bitmap->index >= check->tables->len)
    g_array_set_size (check->tables, (guint) bitmap->index + 1);
  g_array_index (check->tables, Qcow2BitmapTable, bitmap->index)
      = (Qcow2BitmapTable){ .offset = bitmap->bitmap_table_offset,
                            .pointer = bitmap->file_offset,
                            .n = bitmap->bitmap_table_size,
                            .is_refused = bitmap->result.is_table_refused,
                            .has_data
                            = !bitmap->result.has_counts
                              || bitmap->result.counts.serialized > 0 };
}

/* Notes that bitmaps are missing: the directory could not be read. */
void
qcow2_cluster_check_forget_tables (Qcow2ClusterCheck *check)
{
  g_clear_pointer (&check->tables, g_array_unref);
}

/* Returns the number of bytes that are read of the structure at REFERENCE. */
static guint64
get_read_size (const Qcow2ClusterCheck *check, const Qcow2Reference *reference)
{
  if (reference->owner == QCOW2_OWNER_L1_TABLE)
    return reference->size <= QCOW2_MAX_L1_BYTES ? reference->size : 0;
  if (reference->owner == QCOW2_OWNER_REFCOUNT_TABLE)
    return MIN (reference->size, QCOW2_MAX_REFTABLE_BYTES);
  if (reference->owner == QCOW2_OWNER_SNAPSHOT_TABLE)
    return check->snapshots.size;

  return reference->size;
}

/* A Qcow2ReferenceFunc. */
static gboolean
add_structure (const Qcow2Reference *reference, gpointer data,
               GError **error G_GNUC_UNUSED)
{
  Qcow2ClusterCheck *check = data;

  add (check, reference->owner, QCOW2_NO_INDEX, reference->offset,
       get_read_size (check, reference), reference->pointer);
  return TRUE;
}

/* Adds all structures except the tables and data of bitmaps, which the caller
 * adds as it examines them. */
static void
add_structures (Qcow2ClusterCheck *check)
{
  const Qcow2Image *image = check->image;
  GError *error = NULL;

  check->snapshots_failed = !qcow2_snapshot_table_check (
      image, &check->snapshots, check->findings, &error);
  if (check->snapshots_failed)
    check->failed (error, check->failed_data);

  qcow2_references_walk_structures (check->references, add_structure, check,
                                    NULL);
  add (check, QCOW2_OWNER_DIRECTORY, QCOW2_NO_INDEX,
       image->bitmaps.bitmap_directory_offset,
       MIN (image->bitmaps.bitmap_directory_size, QCOW2_MAX_DIRECTORY_SIZE),
       image->bitmaps_offset
           + QCOW2_AT (qcow2_bitmaps_extension_record, Qcow2BitmapsExtension,
                       bitmap_directory_offset));
  /* The largest number comes last: there may be no room. */
  if (check->refcount_check != NULL)
    qcow2_refcount_check_walk_blocks (check->refcount_check, &check->file_end,
                                      add_structure, check);
}

static void
check_file_end (Qcow2ClusterCheck *check)
{
  GError *error = NULL;

  qcow2_file_end_note_header (&check->file_end, check->image);
  if (check->refcount_check != NULL)
    qcow2_refcount_check_note_end (check->refcount_check, &check->file_end);

  check->l1_failed = !qcow2_file_end_check (&check->file_end, check->image,
                                            check->findings, &error);
  if (check->l1_failed)
    check->failed (error, check->failed_data);
}

/* OVL-01: reports the structure that keeps QEMU from writing the bitmap
 * directory, unless an overlap that does was found already.  A read error is
 * not reported if the L1 table or the refcounts could not be read before: it
 * may be the same one. */
static void
check_guard (Qcow2ClusterCheck *check)
{
  const Qcow2Directory *directory = check->report.directory;
  const Qcow2RuleUse *use
      = qcow2_findings_get_use (check->findings, QCOW2_OVL_01_GUARDED);
  const gboolean has_failed
      = check->l1_failed
        || (check->refcount_check != NULL
            && qcow2_refcount_check_has_failed (check->refcount_check));
  GError *error = NULL;

  if (directory != NULL && use->n == 0
      && qcow2_directory_is_rewritten (directory)
      && !qcow2_guard_check (check->image, &check->snapshots, check->refcounts,
                             check->findings, &error)
      && !has_failed)
    check->failed (g_steal_pointer (&error), check->failed_data);
  g_clear_error (&error);
}

/* RES-06: reports the clusters that were left out because there are too many.
 */
static void
report_runs_left_out (const Qcow2ClusterCheck *check)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_BITMAPS, "image");

  if (check->n_left_out > 0)
    qcow2_findings_add (
        check->findings, &subject, QCOW2_RES_06, check->first_left_out, 0,
        "overlaps and refcounts of " QCOW2_U64_FORMAT
        " runs of clusters, the first of which " QCOW2_HEX_FORMAT
        " refers to, were not examined: there are too many",
        check->n_left_out, check->first_left_out);
}

/* Checks the clusters that were added, and those of the structures, and adds
 * findings about them.  DIRECTORY is the bitmap directory, or NULL when there
 * is none; the caller has to rewind it afterwards. */
void
qcow2_cluster_check_finish (Qcow2ClusterCheck *check,
                            Qcow2Directory *directory)
{
  check->report.directory = directory;
  add_structures (check);
  qcow2_cluster_list_sort (check->list);
  qcow2_overlaps_check (check->list, &check->report);
  report_runs_left_out (check);
  if (check->refcount_check != NULL)
    qcow2_refcount_check_runs (check->refcount_check, check->list);
  check_file_end (check);
  check_guard (check);

  /* The check of the disk needs the memory. */
  g_clear_pointer (&check->list, qcow2_cluster_list_free);
}

/* Returns the snapshot table, or NULL if it could not be read.  Its size is 0
 * if there are no snapshots. */
const Qcow2SnapshotTable *
qcow2_cluster_check_get_snapshots (const Qcow2ClusterCheck *check)
{
  return check->snapshots_failed ? NULL : &check->snapshots;
}

/* Returns the refcounts, for others that read them. */
Qcow2Refcounts *
qcow2_cluster_check_get_refcounts (const Qcow2ClusterCheck *check)
{
  return check->refcounts;
}

/* Returns the tables that were noted, an array of Qcow2BitmapTable by bitmap
 * index, or NULL if they are not all known. */
GArray *
qcow2_cluster_check_get_tables (const Qcow2ClusterCheck *check)
{
  return check->tables;
}

void
qcow2_cluster_check_free (Qcow2ClusterCheck *check)
{
  if (check == NULL)
    return;

  qcow2_cluster_list_free (check->list);
  qcow2_references_free (check->references);
  qcow2_refcount_check_free (check->refcount_check);
  qcow2_refcounts_free (check->refcounts);
  g_array_unref (check->report.wanted);
  g_clear_pointer (&check->tables, g_array_unref);
  qcow2_snapshot_table_clear (&check->snapshots);
  g_free (check);
}
