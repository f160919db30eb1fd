/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool dump-header, dump-header-exts: reproduce the output of QEMU's own
 * dumper, qcow2.py, for programs that read it. */

#include "config.h"

#include "cli/commands.h"
#include "cli/print-table.h"
#include "cli/selection.h"
#include "qcow2/dumper.h"
#include "qcow2/error.h"
#include "render/qemu-dump.h"

typedef struct
{
  gboolean header; /* print the fields of the header, too */
  gboolean json;   /* -j */
} Request;

/* State of the dump of one image. */
typedef struct
{
  Tool *tool;
  Qcow2Dumper *dumper;
  QemuDump *dump;
  gboolean json;
  gboolean is_escaped; /* a bitmap's name was escaped */
} Job;

/* Prints the entries of BITMAP's table that are in the file. */
static gboolean
print_table (Job *job, const Qcow2Bitmap *bitmap, GError **error)
{
  const Qcow2Table table = qcow2_dumper_get_table (job->dumper, bitmap);
  const guint64 n
      = MIN (qcow2_table_get_n_readable (&table), QCOW2_MAX_TABLE_ENTRIES);
  g_autoptr (ByteWindow) window = byte_window_new (table.source, 0);
  Qcow2TableEntry entries[ROWS_BLOCK];

  for (guint64 start = 0; start < n;)
    {
      const gsize wanted = (gsize) MIN (n - start, ROWS_BLOCK);
      const gsize got
          = qcow2_table_read (&table, window, start, entries, wanted, error);

      if (got == 0)
        return FALSE;

      qemu_dump_rows (job->dump, entries, got);
      if (!tool_flush (job->tool, error))
        return FALSE;

      start += got;
    }

  if (n < table.n_entries)
    job->dumper->is_stopped = TRUE;
  return TRUE;
}

/* Notes whether NAME stops the dumper, which happens if it is not ASCII, and
 * whether it is escaped here.  JSON has its own escapes for control
 * characters. */
static void
look_at_name (Job *job, GBytes *name)
{
  if (!qemu_dump_is_ascii (name))
    job->dumper->is_stopped = TRUE;
  if (!job->json && !qemu_dump_is_plain (name))
    job->is_escaped = TRUE;
}

static gboolean
print_bitmaps (Job *job, GError **error)
{
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next;

  while ((next = qcow2_dumper_next_bitmap (job->dumper, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      look_at_name (job, bitmap.name);
      qemu_dump_begin_bitmap (job->dump, &bitmap);
      const gboolean printed = print_table (job, &bitmap, error);
      qemu_dump_end_bitmap (job->dump);
      if (!printed)
        return FALSE;
    }

  return next == QCOW2_NEXT_END;
}

static gboolean
print_extensions (Job *job, GError **error)
{
  g_auto (Qcow2Extension) extension = { 0 };
  Qcow2Next next;

  while ((next = qcow2_dumper_next_extension (job->dumper, &extension, error))
         == QCOW2_NEXT_ITEM)
    {
      qemu_dump_begin_extension (job->dump, &extension);
      const gboolean printed = extension.magic != QCOW2_EXTENSION_BITMAPS
                               || print_bitmaps (job, error);
      qemu_dump_end_extension (job->dump);
      if (!printed)
        return FALSE;
    }

  return next == QCOW2_NEXT_END;
}

static gboolean
ignore_bitmap (Tool *tool G_GNUC_UNUSED, Qcow2Image *image G_GNUC_UNUSED,
               Qcow2BitmapChecker *checker, Qcow2Bitmap *bitmap,
               gpointer data G_GNUC_UNUSED, GError **error)
{
  return qcow2_bitmap_checker_check (checker, bitmap, error);
}

/* Reports the findings on an image that cannot be printed completely, and
 * fails with QCOW2_ERROR_CORRUPT.  Other images are not checked, since the
 * dumper does not check them either. */
static gboolean
report_damage (Tool *tool, Qcow2Image *image, GError **error)
{
  const Selection all = { .name = NULL };
  const SelectionVisit visit = { .show = ignore_bitmap };

  tool_report (tool, REPORT_SCOPE (QCOW2_PART_EXTENSIONS));
  if (!selection_visit (&all, &visit, tool, image, error))
    return FALSE;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
               "QEMU's own dumper would have stopped: not all of this is a "
               "header, extensions and bitmaps with printable ASCII names");
  return FALSE;
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Request *request = data;
  g_autoptr (QemuDump) dump
      = qemu_dump_new (tool_get_text (tool), request->json);
  g_autoptr (Qcow2Dumper) dumper
      = qcow2_dumper_new (image->source, &image->header);
  Job job = {
    .tool = tool, .dumper = dumper, .dump = dump, .json = request->json
  };

  if (request->header)
    qemu_dump_header (dump, &image->header);

  qemu_dump_begin_extensions (dump);
  const gboolean printed = print_extensions (&job, error);
  qemu_dump_end_extensions (dump);

  if (!printed)
    return FALSE;
  if (dumper->is_stopped)
    return report_damage (tool, image, error);
  if (!job.is_escaped)
    return TRUE;

  g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_CORRUPT,
               "a bitmap's name has characters that are escaped here: QEMU's "
               "own dumper prints them");
  return FALSE;
}

static gboolean
run_for (Tool *tool, const Command *command, gboolean header, char **argv,
         GError **error)
{
  Request request = { .header = header };
  const GOptionEntry entries[] = { { "json", 'j', 0, G_OPTION_ARG_NONE,
                                     &request.json, "Print JSON", NULL },
                                   { NULL } };

  return tool_parse (tool, command, entries, argv, error)
         && tool_for_each_image (tool, show, &request, error);
}

static gboolean
run_header (Tool *tool, char **argv, GError **error)
{
  return run_for (tool, &cmd_dump_header, TRUE, argv, error);
}

static gboolean
run_extensions (Tool *tool, char **argv, GError **error)
{
  return run_for (tool, &cmd_dump_header_exts, FALSE, argv, error);
}

const Command cmd_dump_header = {
  .name = "dump-header",
  .operands = "IMAGE",
  .group = COMMAND_OF_QEMU,
  .summary = "Print what QEMU's qcow2.py prints: header, extensions",
  .example = "-j disk.qcow2",
  .one_image = TRUE,
  .text_only = TRUE,
  .run = run_header,
};

const Command cmd_dump_header_exts = {
  .name = "dump-header-exts",
  .operands = "IMAGE",
  .group = COMMAND_OF_QEMU,
  .summary = "Print what QEMU's qcow2.py prints, the extensions alone",
  .example = "disk.qcow2",
  .one_image = TRUE,
  .text_only = TRUE,
  .run = run_extensions,
};
