/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/check.h"

#include "check/bitmap-checker.h"
#include "check/bitmap-rules.h"
#include "check/directory-rules.h"
#include "check/luks-rules.h"
#include "check/tail-rules.h"

typedef struct
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
  const Qcow2CheckCalls *calls;
  Qcow2BitmapSummary *summary;
  Qcow2ClusterCheck *clusters; /* NULL when the cluster size is unknown:
                                  bitmaps are not examined then */
  Qcow2TailCheck *tails;
  GHashTable *unread;  /* host offsets of tables whose read errors were
                          reported */
  gboolean has_failed; /* there was a read error */

  /* The table entry with the last bit of the current bitmap. */
  guint64 last_index;
  gboolean has_last; /* LAST is set, and points to data */
  Qcow2TableEntry last;
} Check;

/* A walk over all bitmaps. */
typedef struct
{
  Qcow2Directory *directory;
  Qcow2BitmapChecker *checker;
  Qcow2Findings *ignored; /* findings about bitmaps that were not selected */
} Walk;

/* A Qcow2CheckFailed that notes the read error and passes it on to the caller
 * of the check. */
static void
fail (GError *error, gpointer data)
{
  Check *check = data;

  check->has_failed = TRUE;
  check->calls->failed (error, check->calls->data);
}

/* Checks what only the whole check reads of the extensions: the LUKS header,
 * and the rest of the extension area. */
static void
check_extensions (Check *check)
{
  GError *error = NULL;

  if (!qcow2_luks_check_all (check->image, check->findings, &error))
    fail (g_steal_pointer (&error), check);
  if (!qcow2_tail_check_extensions (check->tails, &error))
    fail (error, check);
}

/* Returns the index of the table entry with the last bit of BITMAP, and stores
 * the size of the bitmap's data in bytes in *DATA_SIZE.  Returns
 * QCOW2_NO_INDEX if there is no such entry, or if it is unknown: a bitmap in
 * use may have been made for another virtual size. */
static guint64
find_last_entry (const Check *check, const Qcow2Bitmap *bitmap,
                 guint64 *data_size)
{
  const Qcow2Header *h = &check->image->header;

  if ((bitmap->flags & QCOW2_BITMAP_IN_USE) != 0
      || !qcow2_bitmap_get_data_size (bitmap, h, data_size) || *data_size == 0)
    return QCOW2_NO_INDEX;

  return qcow2_header_size_to_clusters (h, *data_size) - 1;
}

/* A Qcow2BitmapCheckerWatch that adds the data clusters to the cluster check,
 * and keeps the entry with the last bit of BITMAP.  If several bitmaps share a
 * table, it is called for only one of them. */
static void
watch (const Qcow2Bitmap *bitmap, const Qcow2TableEntry *entries,
       const Qcow2RuleIndex *broken, gsize n_entries, gpointer data)
{
  Check *check = data;
  const guint64 first = entries[0].index;

  qcow2_cluster_check_add_entries (check->clusters, bitmap, entries, broken,
                                   n_entries);
  if (check->last_index < first || check->last_index - first >= n_entries)
    return;

  check->last = entries[check->last_index - first];
  check->has_last = broken[check->last_index - first] == QCOW2_NO_RULE
                    && check->last.type == QCOW2_ENTRY_SERIALIZED;
}

static void
count_state (Qcow2BitmapSummary *summary, const Qcow2Bitmap *bitmap)
{
  switch ((Qcow2BitmapState) bitmap->result.state)
    {
    case QCOW2_BITMAP_STATE_ENABLED:
      summary->enabled++;
      return;
    case QCOW2_BITMAP_STATE_DISABLED:
      summary->disabled++;
      return;
    case QCOW2_BITMAP_STATE_IN_USE:
    case QCOW2_BITMAP_STATE_IN_USE_WRITER:
      summary->in_use++;
      return;
    case QCOW2_BITMAP_STATE_STALE:
      summary->stale++;
      return;
    case QCOW2_BITMAP_STATE_UNKNOWN:
    case QCOW2_BITMAP_STATE_DAMAGED:
      summary->damaged++;
      return;
    }
}

/* Takes ownership of ERROR, a read error of the table of BITMAP.  Reports it
 * even if BITMAP was not selected, since its overlaps with selected bitmaps
 * are unknown then.  Each table is reported once: bitmaps that share it run
 * into the same error. */
static void
fail_table (Check *check, const Qcow2Bitmap *bitmap, GError *error)
{
  guint64 *offset = g_new (guint64, 1);

  *offset = bitmap->bitmap_table_offset;
  if (g_hash_table_add (check->unread, offset))
    fail (error, check);
  else
    g_error_free (error);
}

/* Examines BITMAP and adds its clusters to the cluster check.  Reports
 * findings and counts its state only if it is WANTED. */
static void
check_bitmap (Check *check, const Walk *walk, gboolean wanted,
              Qcow2Bitmap *bitmap)
{
  guint64 data_size = 0;
  GError *error = NULL;

  check->last_index = find_last_entry (check, bitmap, &data_size);
  check->has_last = FALSE;
  qcow2_bitmap_checker_set_findings (walk->checker,
                                     wanted ? check->findings : walk->ignored);
  qcow2_cluster_check_add_bitmap (check->clusters, bitmap, wanted);
  if (!qcow2_bitmap_checker_check (walk->checker, bitmap, &error))
    fail_table (check, bitmap, error);
  else if (wanted && check->has_last
           && !qcow2_tail_check_bitmap (check->tails, bitmap, &check->last,
                                        data_size, &error))
    fail (error, check);
  qcow2_cluster_check_note_table (check->clusters, bitmap);
  if (wanted)
    count_state (check->summary, bitmap);
}

/* Examines the table of a directory entry that the file truncates in its
 * fields, if there is one. */
static void
check_truncated_entry (Check *check, const Walk *walk)
{
  Qcow2Bitmap bitmap;
  GError *error = NULL;

  if (!qcow2_directory_get_truncated_entry (walk->directory, &bitmap))
    return;

  check->last_index = QCOW2_NO_INDEX;
  qcow2_bitmap_checker_set_findings (walk->checker, check->findings);
  qcow2_cluster_check_add_bitmap (check->clusters, &bitmap, TRUE);
  if (!qcow2_bitmap_checker_check_truncated_entry (walk->checker, &error))
    fail_table (check, &bitmap, error);
}

/* Examines either the bitmaps that were selected (ASKED_FOR) or the others.
 * Stores in *N_OTHERS the number of bitmaps that were skipped.  Fails with
 * QCOW2_ERROR_READ if the directory cannot be read. */
static gboolean
walk_over (Check *check, const Walk *walk, gboolean asked_for,
           guint64 *n_others, GError **error)
{
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next;

  *n_others = 0;
  qcow2_directory_rewind (walk->directory);
  while ((next = qcow2_directory_next (walk->directory, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      if (check->calls->wants (&bitmap, check->calls->data) == asked_for)
        check_bitmap (check, walk, asked_for, &bitmap);
      else
        (*n_others)++;
    }

  return next == QCOW2_NEXT_END;
}

/* RES-06: if N is not 0, reports that N table entries of bitmaps that were not
 * selected were skipped. */
static void
report_entries_left_out (const Check *check, guint64 n)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_BITMAPS, "image");

  if (n > 0)
    qcow2_findings_add (check->findings, &subject, QCOW2_RES_06,
                        check->image->bitmaps.bitmap_directory_offset, 0,
                        "overlaps with what " QCOW2_U64_FORMAT
                        " entries in tables of "
                        "other bitmaps point to were not examined: there are "
                        "too many",
                        n);
}

/* Reads the tables of all bitmaps in DIRECTORY: selected bitmaps first, since
 * a table that several bitmaps share is only read for the first of them.
 * Fails with QCOW2_ERROR_READ if the directory cannot be read. */
static gboolean
walk_bitmaps (Check *check, Qcow2Directory *directory, GError **error)
{
  g_autoptr (Qcow2BitmapChecker) checker
      = qcow2_bitmap_checker_new (directory, check->findings);
  g_autoptr (Qcow2Findings) ignored = qcow2_findings_new ();
  const Walk walk
      = { .directory = directory, .checker = checker, .ignored = ignored };
  guint64 n_others;

  qcow2_bitmap_checker_set_watch (checker, watch, check);
  gboolean walked = walk_over (check, &walk, TRUE, &n_others, error);
  if (walked && n_others == 0)
    check_truncated_entry (check, &walk);
  const guint64 n_left_out = qcow2_bitmap_checker_get_n_left_out (checker);
  /* A read error ends both walks at the same entry, and is reported once. */
  if (n_others > 0)
    walked
        &= walk_over (check, &walk, FALSE, &n_others, walked ? error : NULL);
  report_entries_left_out (check, qcow2_bitmap_checker_get_n_left_out (checker)
                                      - n_left_out);
  return walked;
}

/* Checks all bitmaps in DIRECTORY, which may be NULL, and then the clusters of
 * all structures.  Does nothing if the cluster size is unknown. */
static void
check_bitmaps (Check *check, Qcow2Directory *directory)
{
  GError *error = NULL;

  check->summary->is_complete
      = directory != NULL
        && !qcow2_directory_is_unknown (directory, check->findings);
  if (check->clusters == NULL)
    return;

  if (directory != NULL && !walk_bitmaps (check, directory, &error))
    {
      fail (error, check);
      qcow2_cluster_check_forget_tables (check->clusters);
      check->summary->is_complete = FALSE;
    }
  qcow2_cluster_check_finish (check->clusters, directory);
}

static void
check_writer (Check *check)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_ALL, "image");

  if (qcow2_image_probe_writer (check->image) == BYTE_SOURCE_LOCKED)
    qcow2_findings_add (check->findings, &subject, QCOW2_FILE_08, 0, 0,
                        "a program is writing to the image");
}

/* FILE-08: reports a file that was changed since it was opened. */
static void
check_changed (const Check *check)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_ALL, "image");

  if (byte_source_has_changed (check->image->source))
    qcow2_findings_add (check->findings, &subject, QCOW2_FILE_08_CHANGED, 0, 0,
                        "the file changed while it was read");
}

/* Stores in *VERDICT the worst effect of all findings.  If that is below
 * QCOW2_EFFECT_UNKNOWN but there was a read error, stores that effect. */
static void
conclude (const Check *check, const Qcow2Directory *directory,
          Qcow2Verdict *verdict)
{
  *verdict = (Qcow2Verdict) QCOW2_VERDICT_INIT;
  qcow2_verdict_add (verdict, check->image, check->findings);
  if ((check->has_failed || directory == NULL)
      && verdict->effect < QCOW2_EFFECT_UNKNOWN)
    *verdict = (Qcow2Verdict){ QCOW2_EFFECT_UNKNOWN, QCOW2_FILE_04 };
}

/* Updates VERDICT, on an image that QEMU opens for writing only if it can
 * repair it.  It can if NUMBERS are known, and nothing is wrong with the image
 * but refcounts and flags that follow from them.  If it has, it rewrites the
 * header, for which there may be no room.  (QEMU, block/qcow2.c:
 * qcow2_do_open, qcow2_co_check_locked.) */
static void
try_repair (const Check *check, const Qcow2CheckNumbers *numbers,
            Qcow2Verdict *verdict)
{
  const Qcow2Findings *findings = check->findings;

  if (numbers->check_errors != 0 || qcow2_findings_get_n_errors (findings) > 0)
    return;

  *verdict = qcow2_findings_get_use (findings, QCOW2_HDR_31_DIRTY)->n > 0
                 ? (Qcow2Verdict){ QCOW2_EFFECT_READ_ONLY, QCOW2_HDR_31_DIRTY }
                 : (Qcow2Verdict) QCOW2_VERDICT_INIT;
}

/* Checks the disk itself, and stores in *NUMBERS what qemu-img check counts.
 * QEMU counts nothing if it does not open the image. */
static void
check_disk (Check *check, Qcow2Directory *directory,
            Qcow2CheckNumbers *numbers)
{
  /* Unlike other programs, qemu-img check opens an image without a refcount
   * table. */
  const gboolean is_refused
      = check->has_failed || directory == NULL
        || qcow2_image_is_refused (check->image, check->findings,
                                   QCOW2_HDR_18_EMPTY);

  qcow2_whole_image_check (check->image, check->findings, directory,
                           check->clusters, is_refused, fail, check, numbers);
  if (is_refused)
    qcow2_check_numbers_forget (numbers);
}

/* Checks IMAGE by all rules and adds findings to FINDINGS, which has those
 * about the header, the extensions and the directory as a whole.  DIRECTORY is
 * the bitmap directory, or NULL if that cannot be read.  Counts the selected
 * bitmaps by state in SUMMARY, which the caller zeroes.  Stores in *VERDICT,
 * unless it is NULL, what QEMU does with the image; this is only valid if all
 * bitmaps are selected.  If NUMBERS is NULL, checks the metadata only;
 * otherwise checks the disk as well, and stores in *NUMBERS what qemu-img
 * check counts.  Passes read errors (QCOW2_ERROR_READ) to the failed
 * callback in CALLS and continues. */
void
qcow2_image_check (const Qcow2Image *image, Qcow2Findings *findings,
                   Qcow2Directory *directory, const Qcow2CheckCalls *calls,
                   Qcow2BitmapSummary *summary, Qcow2Verdict *verdict,
                   Qcow2CheckNumbers *numbers)
{
  Check check = { .image = image,
                  .findings = findings,
                  .calls = calls,
                  .summary = summary,
                  .tails = qcow2_tail_check_new (image, findings),
                  .unread = g_hash_table_new_full (g_int64_hash, g_int64_equal,
                                                   g_free, NULL) };

  check.clusters = qcow2_cluster_check_new (image, findings, fail, &check);
  check_writer (&check);
  check_extensions (&check);
  check_bitmaps (&check, directory);
  if (numbers != NULL)
    check_disk (&check, directory, numbers);
  check_changed (&check);
  if (verdict != NULL)
    conclude (&check, directory, verdict);
  if (verdict != NULL && numbers != NULL
      && verdict->effect == QCOW2_EFFECT_REPAIRED)
    try_repair (&check, numbers, verdict);

  qcow2_cluster_check_free (check.clusters);
  qcow2_tail_check_free (check.tails);
  g_hash_table_unref (check.unread);
}
