/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/bitmap-checker.h"

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

struct Qcow2BitmapChecker
{
  const Qcow2Image *image;
  const Qcow2Directory *directory;
  Qcow2Findings *findings;
  gboolean all_damaged;
  ByteWindow *window;
  guint64 bytes_left; /* of MAX_TABLE_BYTES */
  guint64 rows_left;  /* entries that may still be shown */
  guint64 n_left_out; /* entries skipped after bytes_left ran out */
  guint64 data_left;  /* of QCOW2_MAX_DATA_BYTES */
  GTree *results;     /* of TableResult, each of which is its own key */
  GTree *shown; /* of TableResult: tables that were shown, and their owners */
  gboolean is_refused; /* QEMU does not open the image */
  gboolean has_probed; /* for a writer */
  gboolean has_writer;
  Qcow2BitmapCheckerWatch watch; /* may be NULL */
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
  guint64 first_user;    /* index of the bitmap that was examined with it */
  gboolean complete;     /* all entries were examined */
  Qcow2TableCounts counts;
  guint64 dirty_bytes; /* dirty in the data, or QCOW2_ABSENT if not counted */
  guint32 n_shown;     /* entries, if the table was shown */
} TableResult;

static gint
compare_results (gconstpointer a, gconstpointer b, gpointer data G_GNUC_UNUSED)
{
  const TableResult *left = a;
  const TableResult *right = b;
  const gint by_offset = qcow2_compare (left->offset, right->offset);
  const gint by_size = qcow2_compare (left->size, right->size);

  if (by_offset != 0)
    return by_offset;
  if (by_size != 0)
    return by_size;

  return qcow2_compare (left->granularity, right->granularity);
}

/* Returns a checker of the bitmaps in DIRECTORY that adds findings to
 * FINDINGS, in which those about the header and the extensions are already.
 * Both must outlive the checker. */
Qcow2BitmapChecker *
qcow2_bitmap_checker_new (const Qcow2Directory *directory,
                          Qcow2Findings *findings)
{
  const Qcow2Image *image = qcow2_directory_get_image (directory);
  Qcow2BitmapChecker *checker = g_new0 (Qcow2BitmapChecker, 1);

  checker->image = image;
  checker->directory = directory;
  checker->findings = findings;
  checker->all_damaged = qcow2_directory_is_hidden (findings);
  checker->window = byte_window_new (image->source, G_MAXUINT64);
  checker->bytes_left = MAX_TABLE_BYTES;
  checker->rows_left = QCOW2_MAX_TABLE_ENTRIES;
  checker->data_left = QCOW2_MAX_DATA_BYTES;
  checker->results = g_tree_new_full (compare_results, NULL, NULL, g_free);
  checker->shown = g_tree_new_full (compare_results, NULL, NULL, g_free);
  return checker;
}

/* Makes CHECKER call WATCH with DATA for the table entries that it checks.
 * Entries without bitmap data may be left out, and a table that several
 * bitmaps share is checked only once. */
void
qcow2_bitmap_checker_set_watch (Qcow2BitmapChecker *checker,
                                Qcow2BitmapCheckerWatch watch, gpointer data)
{
  checker->watch = watch;
  checker->watch_data = data;
}

/* Makes CHECKER add further findings to FINDINGS, which must outlive it. */
void
qcow2_bitmap_checker_set_findings (Qcow2BitmapChecker *checker,
                                   Qcow2Findings *findings)
{
  checker->findings = findings;
}

/* Makes CHECKER treat the image as one that QEMU does not open: no bitmap is
 * usable, whatever its state. */
void
qcow2_bitmap_checker_set_refused (Qcow2BitmapChecker *checker)
{
  checker->is_refused = TRUE;
}

/* Returns the number of table entries that were not examined because there are
 * too many. */
guint64
qcow2_bitmap_checker_get_n_left_out (const Qcow2BitmapChecker *checker)
{
  return checker->n_left_out;
}

/* Adds findings about the directory entry of BITMAP to the findings of
 * CHECKER.  Adds none if the entry is truncated, or if no entry of the
 * directory looks like a bitmap: findings about the directory report that. */
void
qcow2_bitmap_checker_check_entry (Qcow2BitmapChecker *checker,
                                  const Qcow2Bitmap *bitmap)
{
  const Qcow2Image *image = checker->image;

  if (bitmap->name == NULL
      || qcow2_directory_get_facts (checker->directory)->is_none)
    return;

  qcow2_bitmap_check (
      bitmap, &image->header, byte_source_get_size (image->source),
      qcow2_directory_get_first_with_name (checker->directory, bitmap->index),
      qcow2_directory_get_first_with_c_name (checker->directory,
                                             bitmap->index),
      qcow2_directory_is_rewritten (checker->directory), checker->findings);
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

/* Records in RESULT that ENTRY breaks RULE, if that is worse than the rule
 * recorded before. */
static void
record_worst_rule (TableResult *result, Qcow2RuleIndex rule,
                   const Qcow2TableEntry *entry)
{
  if (rule == QCOW2_NO_RULE
      || !qcow2_table_rule_is_worse (rule, result->broken))
    return;

  result->broken = rule;
  result->broken_at = result->offset + entry->index * QCOW2_ENTRY_LENGTH;
  result->broken_value = entry->raw;
}

/* Reads, counts and checks the first N entries of TABLE, for DATA_SIZE bytes
 * of bitmap data.  Adds the results to RESULT. */
static gboolean
check_entries (Qcow2BitmapChecker *checker, const Qcow2Bitmap *bitmap,
               const Qcow2Table *table, guint64 data_size, guint64 n,
               TableResult *result, GError **error)
{
  const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);
  Qcow2TableEntry entries[BLOCK];
  Qcow2RuleIndex broken[BLOCK];

  for (guint64 start = 0;;)
    {
      guint64 zeroes;
      guint64 ones;

      if (!qcow2_table_count_uniform (table, checker->window, start, n - start,
                                      &zeroes, &ones, error))
        return FALSE;

      result->counts.all_zeroes += zeroes;
      result->counts.all_ones += ones;
      start += zeroes + ones;
      if (start == n)
        return TRUE;

      const gsize wanted = (gsize) MIN (n - start, BLOCK);
      const gsize got = qcow2_table_read (table, checker->window, start,
                                          entries, wanted, error);

      if (got == 0)
        return FALSE;

      for (gsize i = 0; i < got; i++)
        {
          broken[i] = qcow2_table_check_entry (table, &entries[i], data_size,
                                               &subject, checker->findings);
          record_worst_rule (result, broken[i], &entries[i]);
          count_entry (&result->counts, &entries[i]);
        }
      if (checker->watch != NULL)
        checker->watch (bitmap, entries, broken, got, checker->watch_data);
      start += got;
    }
}

/* Copies to BITMAP what RESULT says about its table: the counts, and the size
 * on disk, only if the whole table was examined. */
static void
take_counts (const Qcow2Header *header, const TableResult *result,
             Qcow2Bitmap *bitmap)
{
  const guint64 table_bytes
      = (guint64) bitmap->bitmap_table_size * QCOW2_ENTRY_LENGTH;
  const guint64 n_clusters
      = qcow2_header_size_to_clusters (header, table_bytes)
        + result->counts.serialized;

  bitmap->result.is_table_refused
      = result->broken != QCOW2_NO_RULE
        && qcow2_rules[result->broken].effect == QCOW2_EFFECT_AT_LOAD;
  if (!result->complete || bitmap->name == NULL)
    return;

  bitmap->result.has_counts = TRUE;
  bitmap->result.counts = result->counts;
  bitmap->result.disk_bytes = n_clusters * header->cluster_size;
}

/* Adds a finding if only the first N entries of TABLE were examined.  The
 * bitmap needs N_NEEDED entries. */
static void
check_unexamined (Qcow2BitmapChecker *checker, const Qcow2Bitmap *bitmap,
                  const Qcow2Table *table, guint64 n_needed, guint64 n)
{
  const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);
  const guint64 n_readable = qcow2_table_get_n_readable (table);

  if (n == n_readable)
    return;

  checker->n_left_out += n_readable - n;
  /* If entries that the bitmap needs were not examined, the bitmap cannot be
   * trusted. */
  qcow2_findings_add (
      checker->findings, &subject,
      n < n_needed ? QCOW2_RES_02 : QCOW2_RES_02_SPARE,
      table->offset + n * QCOW2_ENTRY_LENGTH, 0,
      "the table was examined up to here only: entries " QCOW2_U64_FORMAT
      " to " QCOW2_U64_FORMAT " are left",
      n, n_readable - 1);
}

static TableResult
get_key (const Qcow2Table *table)
{
  const TableResult key = { .offset = table->offset,
                            .size = (guint32) table->n_entries,
                            .broken = QCOW2_NO_RULE,
                            .granularity = table->granularity,
                            .dirty_bytes = QCOW2_ABSENT };

  return key;
}

/* Checks the table of BITMAP, or repeats the result on it if an earlier
 * bitmap has the same table. */
static gboolean
check_table (Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap, GError **error)
{
  const Qcow2Image *image = checker->image;
  const Qcow2Table table = qcow2_image_get_table (image, bitmap);
  const TableResult key = get_key (&table);
  const TableResult *known = g_tree_lookup (checker->results, &key);
  guint64 data_size = 0;

  if (table.offset == 0 || (bitmap->name == NULL && !bitmap->truncated_by_file)
      || qcow2_directory_get_facts (checker->directory)->is_none)
    return TRUE; /* BDIR-05, BDIR-02, BDIR-21 */

  if (known != NULL && known->broken != QCOW2_NO_RULE)
    {
      const Qcow2Subject subject = qcow2_bitmap_get_subject (bitmap);

      qcow2_findings_add (checker->findings, &subject, known->broken,
                          known->broken_at, known->broken_value,
                          "the table is that of bitmap " QCOW2_U64_FORMAT
                          ", in which there are errors",
                          known->first_user);
    }
  if (known != NULL)
    {
      take_counts (&image->header, known, bitmap);
      return TRUE;
    }

  qcow2_bitmap_get_data_size (bitmap, &image->header, &data_size);
  const guint64 needed
      = qcow2_header_size_to_clusters (&image->header, data_size);
  const guint64 n = MIN (
      MIN (qcow2_table_get_n_readable (&table),
           checker->bytes_left / QCOW2_ENTRY_LENGTH),
      MAX (needed,
           QCOW2_QEMU_MAX_BITMAP_SIZE / image->header.cluster_size + 1));
  TableResult result = key;
  result.first_user = bitmap->index;
  checker->bytes_left
      -= n
         * QCOW2_ENTRY_LENGTH; /* even if checking fails, to bound the work */
  if (!check_entries (checker, bitmap, &table, data_size, n, &result, error))
    return FALSE;

  check_unexamined (checker, bitmap, &table, needed, n);
  if (n < needed && n < qcow2_table_get_n_readable (&table)
      && result.broken == QCOW2_NO_RULE)
    {
      result.broken = QCOW2_RES_02;
      result.broken_at = table.offset + n * QCOW2_ENTRY_LENGTH;
    }

  result.complete = n == bitmap->bitmap_table_size;
  take_counts (&image->header, &result, bitmap);
  TableResult *kept = g_new (TableResult, 1);
  *kept = result;
  g_tree_insert (checker->results, kept, kept);
  return TRUE;
}

/* Returns the index of an earlier bitmap for which this function was called
 * and whose table has all entries of BITMAP's, or BITMAP's own index.  Many
 * bitmaps may share a table, which is then shown only once.  WITH_RANGES says
 * whether the guest ranges of the entries are shown; these depend on the
 * granularity. */
guint64
qcow2_bitmap_checker_show_table (Qcow2BitmapChecker *checker,
                                 const Qcow2Bitmap *bitmap,
                                 gboolean with_ranges)
{
  TableResult key = { .offset = bitmap->bitmap_table_offset,
                      .granularity = with_ranges ? bitmap->granularity : 0 };
  TableResult *known = g_tree_lookup (checker->shown, &key);

  if (bitmap->bitmap_table_size == 0)
    return bitmap->index;

  if (known == NULL)
    {
      known = g_new (TableResult, 1);
      *known = key;
      g_tree_insert (checker->shown, known, known);
    }
  if (known->n_shown < bitmap->bitmap_table_size)
    {
      known->n_shown = bitmap->bitmap_table_size;
      known->first_user = bitmap->index;
    }

  return known->first_user;
}

/* Takes N table entries, or as many as are left, from those that may still be
 * shown.  Returns the number taken.  The limit is the same as for entries that
 * are examined. */
guint64
qcow2_bitmap_checker_take_rows (Qcow2BitmapChecker *checker, guint64 n)
{
  const guint64 taken = MIN (n, checker->rows_left);

  checker->rows_left -= taken;
  return taken;
}

static gboolean
has_writer (Qcow2BitmapChecker *checker)
{
  if (!checker->has_probed)
    checker->has_writer
        = qcow2_image_probe_writer (checker->image) == BYTE_SOURCE_LOCKED;

  checker->has_probed = TRUE;
  return checker->has_writer;
}

static Qcow2BitmapState
state_of (const Qcow2BitmapChecker *checker, const Qcow2Bitmap *bitmap,
          gboolean damaged)
{
  if (damaged || checker->all_damaged || bitmap->name == NULL)
    return QCOW2_BITMAP_STATE_DAMAGED;
  if (!qcow2_header_bitmaps_are_consistent (&checker->image->header))
    return QCOW2_BITMAP_STATE_STALE;
  if ((bitmap->flags & QCOW2_BITMAP_IN_USE) != 0)
    return QCOW2_BITMAP_STATE_IN_USE;

  return (bitmap->flags & QCOW2_BITMAP_AUTO) != 0
             ? QCOW2_BITMAP_STATE_ENABLED
             : QCOW2_BITMAP_STATE_DISABLED;
}

/* Checks the table of the last entry of the directory if the file truncates
 * the fields of the entry, because QEMU reads the table.  Fails only with
 * QCOW2_ERROR_READ. */
gboolean
qcow2_bitmap_checker_check_truncated_entry (Qcow2BitmapChecker *checker,
                                            GError **error)
{
  Qcow2Bitmap bitmap;

  return !qcow2_directory_get_truncated_entry (checker->directory, &bitmap)
         || check_table (checker, &bitmap, error);
}

/* Checks the directory entry and the table of BITMAP, adds findings to the
 * findings of CHECKER, and sets the state of BITMAP.  Fails only with
 * QCOW2_ERROR_READ; the bitmap then counts as damaged. */
gboolean
qcow2_bitmap_checker_check (Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap,
                            GError **error)
{
  const Qcow2Findings *findings = checker->findings;
  const guint64 before = qcow2_findings_get_n_errors (findings);

  qcow2_bitmap_checker_check_entry (checker, bitmap);
  const gboolean was_read = check_table (checker, bitmap, error);
  const gboolean damaged
      = !was_read || qcow2_findings_get_n_errors (findings) > before;

  qcow2_bitmap_set_state (bitmap, state_of (checker, bitmap, damaged));
  bitmap->result.usable = bitmap->result.usable && !checker->is_refused;
  bitmap->result.has_writer = bitmap->result.state == QCOW2_BITMAP_STATE_IN_USE
                              && has_writer (checker);
  return was_read;
}

/* Reads the data of BITMAP and stores the number of dirty bytes in RESULT. */
static gboolean
count_data (Qcow2BitmapChecker *checker, const Qcow2Bitmap *bitmap,
            TableResult *result, GError **error)
{
  const Qcow2Header *header = &checker->image->header;
  const guint64 n_bytes = result->counts.serialized * header->cluster_size;
  Qcow2ExtentQuery query = { .image = checker->image, .bitmap = bitmap };
  Qcow2ExtentTotals totals;

  if (n_bytes > checker->data_left)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_LIMIT,
                   QCOW2_HEX_FORMAT
                   ": bitmap " QCOW2_U64_FORMAT
                   ": what is dirty was not counted: the bitmaps of "
                   "this image have more than " QCOW2_U64_FORMAT
                   " bytes of data",
                   bitmap->file_offset, bitmap->index, QCOW2_MAX_DATA_BYTES);
      return FALSE;
    }

  checker->data_left -= n_bytes;
  qcow2_extent_query_set_range (&query, 0, G_MAXUINT64);
  if (!qcow2_extent_query_count (&query, &totals, error))
    return FALSE;

  result->dirty_bytes = totals.dirty;
  return TRUE;
}

/* Stores in BITMAP, which was examined, how many bytes of the disk it marks as
 * dirty, if it is sound.  Fails with QCOW2_ERROR_READ, and with
 * QCOW2_ERROR_LIMIT when the bitmaps of the image have more than
 * QCOW2_MAX_DATA_BYTES of data. */
gboolean
qcow2_bitmap_checker_count_dirty (Qcow2BitmapChecker *checker,
                                  Qcow2Bitmap *bitmap, GError **error)
{
  const Qcow2Table table = qcow2_image_get_table (checker->image, bitmap);
  const TableResult key = get_key (&table);

  if (!qcow2_bitmap_is_sound (bitmap))
    return TRUE;

  TableResult *result = g_tree_lookup (checker->results, &key);
  g_assert (result != NULL);
  if (result->dirty_bytes == QCOW2_ABSENT
      && !count_data (checker, bitmap, result, error))
    return FALSE;

  bitmap->result.dirty_bytes = result->dirty_bytes;
  return TRUE;
}

void
qcow2_bitmap_checker_free (Qcow2BitmapChecker *checker)
{
  if (checker == NULL)
    return;

  byte_window_free (checker->window);
  g_tree_unref (checker->results);
  g_tree_unref (checker->shown);
  g_free (checker);
}
