/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/examine.h"

#include "check/bitmap-rules.h"
#include "check/directory-rules.h"
#include "check/table-rules.h"
#include "qcow2/arithmetic.h"
#include "qcow2/contents.h"
#include "qcow2/error.h"

/* The most bytes of tables that are examined in an image. */
#define MAX_TABLE_BYTES (QCOW2_MAX_TABLE_ENTRIES * QCOW2_ENTRY_LENGTH)

/* The number of entries that are decoded at a time. */
#define BLOCK 512

struct Qcow2Examiner
{
  const Qcow2Image *image;
  const Qcow2Directory *directory;
  Qcow2Problems *problems;
  gboolean all_damaged;
  ByteWindow *window;
  guint64 bytes_left; /* of MAX_TABLE_BYTES */
  guint64 rows_left;  /* entries that may still be shown */
  guint64 n_left_out; /* entries skipped after bytes_left ran out */
  guint64 data_left;  /* of QCOW2_MAX_DATA_BYTES */
  GTree *verdicts;    /* of Verdict, each of which is its own key */
  GTree *shown; /* of Verdict: tables that were shown, and their owners */
  gboolean is_refused; /* QEMU does not open the image */
  gboolean has_probed; /* for a writer */
  gboolean has_writer;
  Qcow2ExaminerWatch watch; /* may be NULL */
  gpointer watch_data;
};

/* The result of examining a table. */
typedef struct
{
  guint64 offset;        /* host, of the table */
  guint64 granularity;   /* bytes */
  guint32 size;          /* entries */
  Qcow2RuleIndex broken; /* the worst rule that an entry breaks, or
                            QCOW2_NO_RULE */
  guint64 broken_at;     /* host, of the entry that breaks BROKEN */
  guint64 broken_value;  /* the entry that breaks BROKEN */
  guint64 owner;         /* index of the bitmap that was examined with it */
  gboolean whole;        /* all entries were examined */
  Qcow2TableCounts counts;
  guint64 dirty_bytes; /* dirty in the data, or QCOW2_ABSENT if not counted */
  guint32 n_shown;     /* entries, if the table was shown */
} Verdict;

static gint
compare_verdicts (gconstpointer a, gconstpointer b,
                  gpointer data G_GNUC_UNUSED)
{
  const Verdict *left = a;
  const Verdict *right = b;
  const gint by_offset = qcow2_compare (left->offset, right->offset);
  const gint by_size = qcow2_compare (left->size, right->size);

  if (by_offset != 0)
    return by_offset;
  if (by_size != 0)
    return by_size;

  return qcow2_compare (left->granularity, right->granularity);
}

/* Returns an examiner of the bitmaps in DIRECTORY that adds findings to
 * PROBLEMS, in which those about the header and the extensions are already.
 * Both must outlive the examiner. */
Qcow2Examiner *
qcow2_examiner_new (const Qcow2Directory *directory, Qcow2Problems *problems)
{
  const Qcow2Image *image = qcow2_directory_get_image (directory);
  Qcow2Examiner *examiner = g_new0 (Qcow2Examiner, 1);

  examiner->image = image;
  examiner->directory = directory;
  examiner->problems = problems;
  examiner->all_damaged = qcow2_directory_is_hidden (problems);
  examiner->window = byte_window_new (image->source, G_MAXUINT64);
  examiner->bytes_left = MAX_TABLE_BYTES;
  examiner->rows_left = QCOW2_MAX_TABLE_ENTRIES;
  examiner->data_left = QCOW2_MAX_DATA_BYTES;
  examiner->verdicts = g_tree_new_full (compare_verdicts, NULL, NULL, g_free);
  examiner->shown = g_tree_new_full (compare_verdicts, NULL, NULL, g_free);
  return examiner;
}

/* Makes EXAMINER call WATCH with DATA for the table entries that it judges.
 * Entries without bitmap data may be left out, and a table that several
 * bitmaps share is judged only once. */
void
qcow2_examiner_set_watch (Qcow2Examiner *examiner, Qcow2ExaminerWatch watch,
                          gpointer data)
{
  examiner->watch = watch;
  examiner->watch_data = data;
}

/* Makes EXAMINER add further findings to PROBLEMS, which must outlive it. */
void
qcow2_examiner_set_problems (Qcow2Examiner *examiner, Qcow2Problems *problems)
{
  examiner->problems = problems;
}

/* Makes EXAMINER treat the image as one that QEMU does not open: no bitmap is
 * usable, whatever its state. */
void
qcow2_examiner_set_refused (Qcow2Examiner *examiner)
{
  examiner->is_refused = TRUE;
}

/* Returns the number of bytes of tables that were examined. */
guint64
qcow2_examiner_get_n_bytes (const Qcow2Examiner *examiner)
{
  return MAX_TABLE_BYTES - examiner->bytes_left;
}

/* Returns the number of table entries that were not examined because there are
 * too many. */
guint64
qcow2_examiner_get_n_left_out (const Qcow2Examiner *examiner)
{
  return examiner->n_left_out;
}

/* Adds findings about the directory entry of BITMAP to the problems of
 * EXAMINER.  Adds none if the entry is truncated, or if no entry of the
 * directory looks like a bitmap: findings about the directory report that. */
void
qcow2_examiner_judge_entry (Qcow2Examiner *examiner, const Qcow2Bitmap *bitmap)
{
  const Qcow2Image *image = examiner->image;

  if (bitmap->name == NULL
      || qcow2_directory_get_facts (examiner->directory)->is_none)
    return;

  qcow2_bitmap_judge (
      bitmap, &image->header, byte_source_get_size (image->source),
      qcow2_directory_get_namesake (examiner->directory, bitmap->index),
      qcow2_directory_get_cut_namesake (examiner->directory, bitmap->index),
      qcow2_directory_is_rewritten (examiner->directory), examiner->problems);
}

static void
count_entry (Qcow2TableCounts *counts, const Qcow2TableEntry *entry)
{
  switch (entry->type)
    {
    case QCOW2_ENTRY_SERIALIZED:
      counts->serialized++;
      break;
    case QCOW2_ENTRY_ALL_ONES:
      counts->all_ones++;
      break;
    case QCOW2_ENTRY_ALL_ZEROES:
      counts->all_zeroes++;
      break;
    }

  counts->reserved += entry->reserved != 0;
}

/* Records in VERDICT that ENTRY breaks RULE, if that is worse than the rule
 * recorded before. */
static void
take_flaw (Verdict *verdict, Qcow2RuleIndex rule, const Qcow2TableEntry *entry)
{
  if (rule == QCOW2_NO_RULE
      || !qcow2_table_rule_is_worse (rule, verdict->broken))
    return;

  verdict->broken = rule;
  verdict->broken_at = verdict->offset + entry->index * QCOW2_ENTRY_LENGTH;
  verdict->broken_value = entry->raw;
}

/* Reads, counts and judges the first N entries of TABLE, for DATA_SIZE bytes
 * of bitmap data.  Adds the results to VERDICT. */
static gboolean
judge_entries (Qcow2Examiner *examiner, const Qcow2Bitmap *bitmap,
               const Qcow2Table *table, guint64 data_size, guint64 n,
               Verdict *verdict, GError **error)
{
  const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);
  Qcow2TableEntry entries[BLOCK];
  Qcow2RuleIndex broken[BLOCK];

  for (guint64 start = 0;;)
    {
      guint64 zeroes;
      guint64 ones;

      if (!qcow2_table_count_plain (table, examiner->window, start, n - start,
                                    &zeroes, &ones, error))
        return FALSE;

      verdict->counts.all_zeroes += zeroes;
      verdict->counts.all_ones += ones;
      start += zeroes + ones;
      if (start == n)
        return TRUE;

      const gsize wanted = (gsize) MIN (n - start, BLOCK);
      const gsize got = qcow2_table_read (table, examiner->window, start,
                                          entries, wanted, error);

      if (got == 0)
        return FALSE;

      for (gsize i = 0; i < got; i++)
        {
          broken[i] = qcow2_table_judge_entry (table, &entries[i], data_size,
                                               &subject, examiner->problems);
          take_flaw (verdict, broken[i], &entries[i]);
          count_entry (&verdict->counts, &entries[i]);
        }
      if (examiner->watch != NULL)
        examiner->watch (bitmap, entries, broken, got, examiner->watch_data);
      start += got;
    }
}

/* Copies the counts in VERDICT to BITMAP and sets its size on disk, if the
 * whole table was examined. */
static void
take_counts (const Qcow2Header *header, const Verdict *verdict,
             Qcow2Bitmap *bitmap)
{
  const guint64 table_bytes
      = (guint64) bitmap->bitmap_table_size * QCOW2_ENTRY_LENGTH;
  const guint64 n_clusters = qcow2_bitmap_get_n_needed (header, table_bytes)
                             + verdict->counts.serialized;

  if (!verdict->whole || bitmap->name == NULL)
    return;

  bitmap->has_counts = TRUE;
  bitmap->counts = verdict->counts;
  bitmap->disk_bytes = n_clusters * header->cluster_size;
}

/* Adds a finding if only the first N entries of TABLE were examined.  The
 * bitmap needs N_NEEDED entries. */
static void
judge_unexamined (Qcow2Examiner *examiner, const Qcow2Bitmap *bitmap,
                  const Qcow2Table *table, guint64 n_needed, guint64 n)
{
  const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);
  const guint64 n_readable = qcow2_table_get_n_readable (table);

  if (n == n_readable)
    return;

  examiner->n_left_out += n_readable - n;
  /* If entries that the bitmap needs were not examined, the bitmap cannot be
   * trusted. */
  qcow2_problems_add (
      examiner->problems, &subject,
      n < n_needed ? QCOW2_RES_02 : QCOW2_RES_02_SPARE,
      table->offset + n * QCOW2_ENTRY_LENGTH, 0,
      "the table was examined up to here only: entries " QCOW2_U " to " QCOW2_U
      " are left",
      n, n_readable - 1);
}

static Verdict
get_key (const Qcow2Table *table)
{
  const Verdict key = { .offset = table->offset,
                        .size = (guint32) table->n_entries,
                        .broken = QCOW2_NO_RULE,
                        .granularity = table->granularity,
                        .dirty_bytes = QCOW2_ABSENT };

  return key;
}

/* Judges the table of BITMAP, or repeats the verdict on it if an earlier
 * bitmap has the same table. */
static gboolean
judge_table (Qcow2Examiner *examiner, Qcow2Bitmap *bitmap, GError **error)
{
  const Qcow2Image *image = examiner->image;
  const Qcow2Table table = qcow2_image_get_table (image, bitmap);
  const Verdict key = get_key (&table);
  const Verdict *known = g_tree_lookup (examiner->verdicts, &key);
  guint64 data_size = 0;

  if (table.offset == 0 || (bitmap->name == NULL && !bitmap->truncated_by_file)
      || qcow2_directory_get_facts (examiner->directory)->is_none)
    return TRUE; /* BDIR-05, BDIR-02, BDIR-21 */

  if (known != NULL && known->broken != QCOW2_NO_RULE)
    {
      const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);

      qcow2_problems_add (examiner->problems, &subject, known->broken,
                          known->broken_at, known->broken_value,
                          "the table is that of bitmap " QCOW2_U
                          ", in which there are errors",
                          known->owner);
    }
  if (known != NULL)
    {
      take_counts (&image->header, known, bitmap);
      return TRUE;
    }

  qcow2_bitmap_get_data_size (bitmap, &image->header, &data_size);
  const guint64 needed = qcow2_bitmap_get_n_needed (&image->header, data_size);
  const guint64 n = MIN (
      MIN (qcow2_table_get_n_readable (&table),
           examiner->bytes_left / QCOW2_ENTRY_LENGTH),
      MAX (needed,
           QCOW2_QEMU_MAX_BITMAP_SIZE / image->header.cluster_size + 1));
  Verdict verdict = key;
  verdict.owner = bitmap->index;
  examiner->bytes_left
      -= n * QCOW2_ENTRY_LENGTH; /* even if judging fails, to bound the work */
  if (!judge_entries (examiner, bitmap, &table, data_size, n, &verdict, error))
    return FALSE;

  judge_unexamined (examiner, bitmap, &table, needed, n);
  if (n < needed && n < qcow2_table_get_n_readable (&table)
      && verdict.broken == QCOW2_NO_RULE)
    {
      verdict.broken = QCOW2_RES_02;
      verdict.broken_at = table.offset + n * QCOW2_ENTRY_LENGTH;
    }

  verdict.whole = n == bitmap->bitmap_table_size;
  take_counts (&image->header, &verdict, bitmap);
  Verdict *kept = g_new (Verdict, 1);
  *kept = verdict;
  g_tree_insert (examiner->verdicts, kept, kept);
  return TRUE;
}

/* Returns the index of an earlier bitmap for which this function was called
 * and whose table has all entries of BITMAP's, or BITMAP's own index.  Many
 * bitmaps may share a table, which is then shown only once.  WITH_RANGES says
 * whether the guest ranges of the entries are shown; these depend on the
 * granularity. */
guint64
qcow2_examiner_show_table (Qcow2Examiner *examiner, const Qcow2Bitmap *bitmap,
                           gboolean with_ranges)
{
  Verdict key = { .offset = bitmap->bitmap_table_offset,
                  .granularity = with_ranges ? bitmap->granularity : 0 };
  Verdict *known = g_tree_lookup (examiner->shown, &key);

  if (bitmap->bitmap_table_size == 0)
    return bitmap->index;

  if (known == NULL)
    {
      known = g_new (Verdict, 1);
      *known = key;
      g_tree_insert (examiner->shown, known, known);
    }
  if (known->n_shown < bitmap->bitmap_table_size)
    {
      known->n_shown = bitmap->bitmap_table_size;
      known->owner = bitmap->index;
    }

  return known->owner;
}

/* Takes N table entries, or as many as are left, from those that may still be
 * shown.  Returns the number taken.  The limit is the same as for entries that
 * are examined. */
guint64
qcow2_examiner_take_rows (Qcow2Examiner *examiner, guint64 n)
{
  const guint64 taken = MIN (n, examiner->rows_left);

  examiner->rows_left -= taken;
  return taken;
}

static gboolean
has_writer (Qcow2Examiner *examiner)
{
  if (!examiner->has_probed)
    examiner->has_writer
        = qcow2_image_probe_writer (examiner->image) == BYTE_SOURCE_LOCKED;

  examiner->has_probed = TRUE;
  return examiner->has_writer;
}

static Qcow2BitmapState
state_of (const Qcow2Examiner *examiner, const Qcow2Bitmap *bitmap,
          gboolean damaged)
{
  if (damaged || examiner->all_damaged || bitmap->name == NULL)
    return QCOW2_BITMAP_STATE_DAMAGED;
  if (!qcow2_header_vouches_for_bitmaps (&examiner->image->header))
    return QCOW2_BITMAP_STATE_STALE;
  if ((bitmap->flags & QCOW2_BITMAP_IN_USE) != 0)
    return QCOW2_BITMAP_STATE_IN_USE;

  return (bitmap->flags & QCOW2_BITMAP_AUTO) != 0
             ? QCOW2_BITMAP_STATE_ENABLED
             : QCOW2_BITMAP_STATE_DISABLED;
}

/* Judges the table of the last entry of the directory if the file truncates
 * the fields of the entry, because QEMU reads the table.  Fails only with
 * QCOW2_ERROR_READ. */
gboolean
qcow2_examiner_examine_cut_entry (Qcow2Examiner *examiner, GError **error)
{
  Qcow2Bitmap bitmap;

  return !qcow2_directory_get_cut_entry (examiner->directory, &bitmap)
         || judge_table (examiner, &bitmap, error);
}

/* Judges the directory entry and the table of BITMAP, adds findings to the
 * problems of EXAMINER, and sets the state of BITMAP.  Fails only with
 * QCOW2_ERROR_READ; the bitmap then counts as damaged. */
gboolean
qcow2_examiner_examine (Qcow2Examiner *examiner, Qcow2Bitmap *bitmap,
                        GError **error)
{
  const Qcow2Problems *problems = examiner->problems;
  const guint64 before = qcow2_problems_get_n_errors (problems);

  qcow2_examiner_judge_entry (examiner, bitmap);
  const gboolean was_read = judge_table (examiner, bitmap, error);
  const gboolean damaged
      = !was_read || qcow2_problems_get_n_errors (problems) > before;

  qcow2_bitmap_set_state (bitmap, state_of (examiner, bitmap, damaged));
  bitmap->usable = bitmap->usable && !examiner->is_refused;
  bitmap->has_writer
      = bitmap->state == QCOW2_BITMAP_STATE_IN_USE && has_writer (examiner);
  return was_read;
}

/* Reads the data of BITMAP and stores the number of dirty bytes in VERDICT. */
static gboolean
count_data (Qcow2Examiner *examiner, const Qcow2Bitmap *bitmap,
            Verdict *verdict, GError **error)
{
  const Qcow2Header *header = &examiner->image->header;
  const guint64 n_bytes = verdict->counts.serialized * header->cluster_size;
  Qcow2Contents contents = { .image = examiner->image, .bitmap = bitmap };
  Qcow2ExtentTotals totals;

  if (n_bytes > examiner->data_left)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ,
                   QCOW2_X ": bitmap " QCOW2_U
                           ": what is dirty was not counted: the bitmaps of "
                           "this image have more than " QCOW2_U
                           " bytes of data",
                   bitmap->file_offset, bitmap->index, QCOW2_MAX_DATA_BYTES);
      return FALSE;
    }

  examiner->data_left -= n_bytes;
  qcow2_contents_set_range (&contents, 0, G_MAXUINT64);
  if (!qcow2_contents_count (&contents, &totals, error))
    return FALSE;

  verdict->dirty_bytes = totals.dirty;
  return TRUE;
}

/* Stores in BITMAP, which was examined, how many bytes of the disk it marks as
 * dirty, if it is sound.  Fails with QCOW2_ERROR_READ, also when the bitmaps
 * of the image have more than QCOW2_MAX_DATA_BYTES of data. */
gboolean
qcow2_examiner_count_dirty (Qcow2Examiner *examiner, Qcow2Bitmap *bitmap,
                            GError **error)
{
  const Qcow2Table table = qcow2_image_get_table (examiner->image, bitmap);
  const Verdict key = get_key (&table);

  if (!qcow2_bitmap_is_sound (bitmap))
    return TRUE;

  Verdict *verdict = g_tree_lookup (examiner->verdicts, &key);
  g_assert (verdict != NULL);
  if (verdict->dirty_bytes == QCOW2_ABSENT
      && !count_data (examiner, bitmap, verdict, error))
    return FALSE;

  bitmap->dirty_bytes = verdict->dirty_bytes;
  return TRUE;
}

void
qcow2_examiner_free (Qcow2Examiner *examiner)
{
  if (examiner == NULL)
    return;

  byte_window_free (examiner->window);
  g_tree_unref (examiner->verdicts);
  g_tree_unref (examiner->shown);
  g_free (examiner);
}
