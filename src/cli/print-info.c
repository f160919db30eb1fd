/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-info.h"

#include "check/bitmap-checker.h"
#include "check/directory-rules.h"
#include "check/opening.h"
#include "check/refusal.h"
#include "check/snapshot-rules.h"
#include "qcow2/layer-name.h"
#include "qcow2/luks.h"
#include "qcow2/snapshot-walk.h"
#include "render/format.h"
#include "render/info.h"

/* Prints the snapshots of the image of JOB, as far as its table can be located
 * and read.  If QEMU OPENS it, these are the ones that it finds. */
static gboolean
print_snapshots (Tool *tool, const InfoJob *job, gboolean opens, Info *info,
                 GError **error)
{
  const Qcow2Header *h = &job->image->header;
  g_auto (Qcow2Snapshot) snapshot = { .index = 0 };
  Qcow2Next next;

  /* QEMU lists no snapshots of an image with an external data file. */
  if (h->nb_snapshots == 0 || h->cluster_size == QCOW2_ABSENT
      || (h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0
      || h->snapshot_offset % h->cluster_size != 0
      || h->snapshot_offset > QCOW2_QEMU_MAX_LENGTH)
    return TRUE;

  g_auto (Qcow2SnapshotTable) table = { .size = 0 };
  if (!qcow2_snapshot_table_check (job->image, &table, job->findings, error))
    return FALSE;

  g_autoptr (Qcow2SnapshotWalk) walk = qcow2_snapshot_walk_new (
      job->image, h->snapshot_offset, h->nb_snapshots);
  if (opens)
    qcow2_snapshot_walk_add_zeroes (walk);
  while ((next = qcow2_snapshot_walk_next (walk, &snapshot, error))
         == QCOW2_NEXT_ITEM)
    {
      info_add_snapshot (info, &snapshot);
      if (!tool_flush (tool, error))
        return FALSE;
    }

  return next == QCOW2_NEXT_END;
}

/* Reads the name of BITMAP of IMAGE, which the file truncates, as far as it
 * goes: QEMU reads zeroes for the rest. */
static gboolean
read_truncated_name (const Qcow2Image *image, Qcow2Bitmap *bitmap,
                     GError **error)
{
  const guint64 start = bitmap->file_offset + QCOW2_BITMAP_HEAD_LENGTH
                        + bitmap->extra_data_size;
  const guint64 size = byte_source_get_size (image->source);
  const gsize len = (gsize) MIN (bitmap->name_size, size - MIN (start, size));
  guint8 name[G_MAXUINT16];

  if (len > 0
      && !byte_source_read (image->source, start, name, len,
                            qcow2_bitmap_record.name, error))
    return FALSE;

  bitmap->name = g_bytes_new (name, len);
  return TRUE;
}

/* Prints the bitmaps of the image of JOB. */
static gboolean
print_bitmaps (Tool *tool, const InfoJob *job, Info *info, GError **error)
{
  Qcow2Directory *directory = job->directory;
  g_autoptr (Qcow2BitmapChecker) checker
      = qcow2_bitmap_checker_new (directory, job->findings);
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  Qcow2Next next;

  if (!qcow2_image_reads_bitmaps (job->image)
      || qcow2_directory_is_unknown (directory, job->findings))
    return TRUE;

  qcow2_directory_rewind (directory);
  while ((next = qcow2_directory_next (directory, &bitmap, error))
         == QCOW2_NEXT_ITEM)
    {
      qcow2_bitmap_checker_check_entry (checker, &bitmap);
      if (bitmap.name == NULL && bitmap.truncated_by_file
          && !read_truncated_name (job->image, &bitmap, error))
        return FALSE;
      info_add_bitmap (info, &bitmap);
      if (!tool_flush (tool, error))
        return FALSE;
    }

  return next == QCOW2_NEXT_END;
}

/* Prints JOB with FACTS.  After a failed read, prints what is left. */
static gboolean
print_parts (Tool *tool, const InfoJob *job, const InfoFacts *facts,
             QemuTree *tree, GError **error)
{
  Info *info = info_begin (facts, tree, tool_get_text (tool));
  GError *snapshot_error = NULL;
  GError *bitmap_error = NULL;

  gboolean printed = print_snapshots (tool, job, facts->refusal == NULL, info,
                                      &snapshot_error)
                     || tool_recover (tool, snapshot_error, error);
  info_begin_data (info);
  printed = printed
            && (print_bitmaps (tool, job, info, &bitmap_error)
                || tool_recover (tool, bitmap_error, error));
  info_end (info);
  return printed;
}

/* Reads the LUKS header that QEMU uses for IMAGE into *LUKS.  Returns whether
 * there is one and it could be read. */
static gboolean
read_luks (Tool *tool, const Qcow2Image *image, Qcow2Luks *luks)
{
  GError *error = NULL;

  if (image->header.crypt_method != QCOW2_CRYPT_LUKS || !image->crypto_located
      || image->extensions_ignored)
    return FALSE;
  if (qcow2_luks_read (image->source, image->crypto.crypto_header_offset, luks,
                       &error))
    return TRUE;

  tool_recover (tool, error, NULL);
  return FALSE;
}

/* Returns QEMU's message if it refuses the image of JOB, or NULL. */
static GBytes *
get_refusal (Tool *tool, const InfoJob *job)
{
  g_autoptr (Qcow2Findings) obstacles = qcow2_findings_new ();
  GError *error = NULL;

  if (!qcow2_directory_find_obstacles (job->directory, obstacles, &error))
    tool_recover (tool, error, NULL);

  return qcow2_image_get_refusal (job->image, job->findings, obstacles);
}

static void
report_refusal (Tool *tool, GBytes *refusal)
{
  g_autoptr (GString) message
      = g_string_new ("QEMU refuses to open this image: ");

  format_escaped_bytes (message, refusal);
  tool_warn (tool, TOOL_DAMAGED, message->str);
}

/* Prints JOB to TREE, which appends to the output of TOOL, and reports errors
 * about the image.  After a failed read, prints what is left, and makes the
 * exit status TOOL_FAILED.  Fails when output fails. */
gboolean
print_info (Tool *tool, const InfoJob *job, QemuTree *tree, GError **error)
{
  const Qcow2Image *image = job->image;
  Qcow2Luks luks;
  g_auto (Qcow2LayerName) backing = { .full = NULL };
  qcow2_layer_name_resolve (&backing, job->filename,
                            image->header.backing_file);
  g_autoptr (GBytes) refusal = get_refusal (tool, job);
  const InfoFacts facts
      = { .filename = job->filename,
          .full_name = backing.full,
          .header = &image->header,
          .extensions_ignored = image->extensions_ignored,
          .luks = read_luks (tool, image, &luks) ? &luks : NULL,
          .file_size = byte_source_get_qemu_size (image->source),
          .disk_size = byte_source_get_disk_size (image->source),
          .is_device = byte_source_is_device (image->source),
          .with_children = job->with_children,
          .refusal = refusal };

  if (!print_parts (tool, job, &facts, tree, error))
    return FALSE;
  tool_report (tool, REPORT_SCOPE (QCOW2_PART_ALL));
  if (refusal != NULL)
    report_refusal (tool, refusal);
  return TRUE;
}
