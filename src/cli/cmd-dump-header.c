/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dump-header and dump-header-exts: what QEMU's own dumper prints. */

#include "config.h"

#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/selection.h"
#include "qcow2/error.h"
#include "render/qemu-dump.h"

typedef struct
{
  gboolean header; /* with the header's fields */
  gboolean json;   /* -j */
} Request;

/* Prints the entries of the table of BITMAP.  COMPLETE becomes FALSE when some
 * of them are not in the file. */
static gboolean
print_table (Tool *tool, Qcow2Image *image, QemuDump *dump,
             const Qcow2Bitmap *bitmap, gboolean *complete, GError **error)
{
  const Qcow2Table table = qcow2_image_get_table (image, bitmap);
  const guint64 n
      = MIN (qcow2_table_get_n_readable (&table), QCOW2_MAX_TABLE_ENTRIES);
  g_autoptr (ByteWindow) window = byte_window_new (image->source, 0);
  Qcow2TableEntry entries[ROWS_BLOCK];

  for (guint64 start = 0; start < n;)
    {
      const gsize wanted = (gsize) MIN (n - start, ROWS_BLOCK);
      const gsize got
          = qcow2_table_read (&table, window, start, entries, wanted, error);

      if (got == 0)
        return FALSE;

      qemu_dump_rows (dump, entries, got);
      if (!tool_flush (tool, error))
        return FALSE;

      start += got;
    }

  *complete = *complete && n == bitmap->bitmap_table_size;
  return TRUE;
}

static gboolean
print_bitmaps (Tool *tool, Qcow2Image *image, QemuDump *dump,
               const Qcow2Extension *extension, gboolean *complete,
               GError **error)
{
  if (extension->n_decoded < 4
      || (extension->bitmaps.bitmap_directory_offset == 0
          && extension->bitmaps.nb_bitmaps > 0))
    {
      *complete = FALSE;
      return TRUE;
    }

  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_counted (image, &extension->bitmaps);
  g_autoptr (GError) local_error = NULL;
  guint64 n = 0;

  while (local_error == NULL)
    {
      g_auto (Qcow2Bitmap) bitmap = { 0 };

      if (!qcow2_directory_next (directory, &bitmap, &local_error))
        break;

      n++;
      *complete = *complete && qemu_dump_is_plain (bitmap.name);
      qemu_dump_begin_bitmap (dump, &bitmap);
      print_table (tool, image, dump, &bitmap, complete, &local_error);
      qemu_dump_end_bitmap (dump);
    }

  *complete = *complete && n == extension->bitmaps.nb_bitmaps;
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

static gboolean
print_extensions (Tool *tool, Qcow2Image *image, QemuDump *dump,
                  gboolean *complete, GError **error)
{
  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  g_autoptr (GError) local_error = NULL;

  while (local_error == NULL)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (!qcow2_extension_walk_next (walk, &extension, &local_error))
        break;

      qemu_dump_begin_extension (dump, &extension);
      if (extension.payload == QCOW2_PAYLOAD_BITMAPS)
        print_bitmaps (tool, image, dump, &extension, complete, &local_error);
      qemu_dump_end_extension (dump);
    }

  *complete = *complete && !qcow2_extension_walk_is_cut (walk);
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}

static gboolean
ignore_bitmap (Tool *tool G_GNUC_UNUSED, Qcow2Image *image G_GNUC_UNUSED,
               Qcow2Examiner *examiner, Qcow2Bitmap *bitmap,
               gpointer data G_GNUC_UNUSED, GError **error)
{
  return qcow2_examiner_examine (examiner, bitmap, error);
}

/* Says what is wrong with an image of which not all can be printed.  One that
 * can be is not judged: the dumper does not do it either. */
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
  gboolean complete = image->has_extensions;

  if (request->header)
    qemu_dump_header (dump, &image->header);

  qemu_dump_begin_extensions (dump);
  const gboolean printed
      = !image->has_extensions
        || print_extensions (tool, image, dump, &complete, error);
  qemu_dump_end_extensions (dump);

  return printed && (complete || report_damage (tool, image, error));
}

static gboolean
run_for (Tool *tool, const Command *command, gboolean header, char **argv,
         GError **error)
{
  Request request = { .header = header };
  const GOptionEntry entries[] = { { "json", 'j', 0, G_OPTION_ARG_NONE,
                                     &request.json, "Print JSON", NULL },
                                   { NULL } };

  if (!tool_parse (tool, command, entries, argv, error)
      || !tool_want_text (tool, command->name, error))
    return FALSE;

  tool_want_one_image (tool, command->name);
  return tool_for_each_image (tool, show, &request, error);
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
  .summary = "Print what QEMU's qcow2.py prints, header and extensions",
  .one_image = TRUE,
  .text_only = TRUE,
  .run = run_header,
};

const Command cmd_dump_header_exts = {
  .name = "dump-header-exts",
  .operands = "IMAGE",
  .summary = "Print what QEMU's qcow2.py prints, the extensions alone",
  .one_image = TRUE,
  .text_only = TRUE,
  .run = run_extensions,
};
