/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-table.h"

#include "check/bitmap-rules.h"
#include "check/table-rules.h"
#include "render/describe.h"

/* Data for checking the entries of a bitmap's table; NULL means that they are
 * not checked. */
typedef struct
{
  guint64 data_size;
  Qcow2Subject subject;
  Qcow2Findings *findings;
} Checking;

static gsize
keep_types (Qcow2TableEntry *entries, gsize n, guint types)
{
  gsize n_kept = 0;

  if (types == 0)
    return n;

  for (gsize i = 0; i < n; i++)
    {
      if ((types & 1u << entries[i].type) != 0)
        entries[n_kept++] = entries[i];
    }

  return n_kept;
}

/* Prints the entries of TABLE from index START to before END that are of one
 * of TYPES, and checks all of them. */
static gboolean
print_range (Tool *tool, const Qcow2Table *table, guint64 start, guint64 end,
             guint types, const Checking *checking, GError **error)
{
  g_autoptr (ByteWindow) window = byte_window_new (table->source, 0);
  Qcow2TableEntry entries[ROWS_BLOCK];

  while (start < end)
    {
      const gsize wanted = (gsize) MIN (end - start, ROWS_BLOCK);
      const gsize got
          = qcow2_table_read (table, window, start, entries, wanted, error);

      if (got == 0)
        return FALSE;

      for (gsize i = 0; checking != NULL && i < got; i++)
        qcow2_table_check_entry (table, &entries[i], checking->data_size,
                                 &checking->subject, checking->findings);
      emitter_rows (tool_get_emitter (tool), qcow2_table_entry_record.fields,
                    entries, sizeof entries[0],
                    keep_types (entries, got, types));
      if (!tool_flush (tool, error))
        return FALSE;

      start += got;
    }

  return TRUE;
}

static gboolean
print (Tool *tool, const Qcow2Table *table, const RowOptions *options,
       Qcow2BitmapChecker *checker, const Checking *checking, GError **error)
{
  const guint64 n = qcow2_table_get_n_readable (table);
  const guint64 start = MIN (options->start, n);
  const guint64 count
      = options->count == ROWS_ALL && checker != NULL
            ? qcow2_bitmap_checker_take_rows (checker, n - start)
            : options->count;
  const guint64 end = start + MIN (n - start, count);

  emitter_begin (tool_get_emitter (tool), EMITTER_TABLE, "bitmap_table", NULL);
  const gboolean printed
      = print_range (tool, table, start, end, options->types, checking, error);
  emitter_end (tool_get_emitter (tool));

  if (printed && checking != NULL && options->count == ROWS_ALL && end < n)
    qcow2_findings_add (checking->findings, &checking->subject, QCOW2_RES_02,
                        table->offset + end * QCOW2_ENTRY_LENGTH, 0,
                        "entries " QCOW2_U64_FORMAT " to " QCOW2_U64_FORMAT
                        " are left out: use --start and --count",
                        end, n - 1);
  return printed;
}

/* Prints the entries of TABLE that OPTIONS select and that are in the file,
 * without checking them. */
gboolean
rows_print (Tool *tool, const Qcow2Table *table, const RowOptions *options,
            GError **error)
{
  return print (tool, table, options, NULL, NULL, error);
}

/* Prints the entries of BITMAP's table that OPTIONS select.  If CHECK, adds
 * the findings on them to the findings of the image.  If CHECKER knows that
 * the table was printed before, emits only the index of the bitmap with which
 * it was. */
gboolean
rows_print_bitmap (Tool *tool, Qcow2Image *image, Qcow2BitmapChecker *checker,
                   const Qcow2Bitmap *bitmap, const RowOptions *options,
                   gboolean check, GError **error)
{
  const Qcow2Table table = qcow2_image_get_table (image, bitmap);
  Checking checking = { .subject = qcow2_bitmap_get_subject (bitmap),
                        .findings = tool_get_findings (tool) };

  /* Offset 0 holds the header, not a table. */
  const gboolean readable
      = table.offset != 0
        && (table.n_entries == 0 || qcow2_table_get_n_readable (&table) > 0);
  const guint64 owner
      = readable ? qcow2_bitmap_checker_show_table (
            checker, bitmap, tool_get_emitter (tool)->all_columns)
                 : bitmap->index;
  describe_table_owner (tool_get_emitter (tool),
                        owner != bitmap->index ? owner : QCOW2_ABSENT);
  if (!readable || owner != bitmap->index)
    {
      emitter_null (tool_get_emitter (tool), "bitmap_table");
      return TRUE;
    }

  qcow2_bitmap_get_data_size (bitmap, &image->header, &checking.data_size);
  /* A truncated directory entry is an error already; skip checking its table.
   */
  return print (tool, &table, options, checker,
                check && bitmap->name != NULL ? &checking : NULL, error);
}
