/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/file-end.h"

#include "qcow2/l1-table.h"

/* How many refcount blocks are searched for the last cluster in use. */
#define MAX_BLOCKS 1024

/* Returns the end of the last cluster of the SIZE bytes at host offset OFFSET
 * if that cluster begins at the end of the file or after it, else 0.  What
 * does not start with a cluster, or goes on where QEMU reads no file, is no
 * place. */
static guint64
get_end_after_file (const Qcow2Image *image, guint64 offset, guint64 size)
{
  const guint64 cluster_size = image->header.cluster_size;

  if (size == 0 || offset == 0 || offset % cluster_size != 0
      || offset > QCOW2_QEMU_MAX_LENGTH
      || size > QCOW2_QEMU_MAX_LENGTH - offset)
    return 0;

  const guint64 last = (offset + size - 1) / cluster_size * cluster_size;
  return last >= byte_source_get_size (image->source) ? last + cluster_size
                                                      : 0;
}

/* Notes that something in IMAGE needs the SIZE bytes at host offset OFFSET. */
void
qcow2_file_end_note_needed (Qcow2FileEnd *end, const Qcow2Image *image,
                            guint64 offset, guint64 size)
{
  end->needed = MAX (end->needed, get_end_after_file (image, offset, size));
}

/* Notes that the refcounts of IMAGE speak of the SIZE bytes at host offset
 * OFFSET. */
void
qcow2_file_end_note_counted (Qcow2FileEnd *end, const Qcow2Image *image,
                             guint64 offset, guint64 size)
{
  end->counted = MAX (end->counted, get_end_after_file (image, offset, size));
}

typedef struct
{
  Qcow2FileEnd *end;
  const Qcow2Image *image;
} Notes;

/* A Qcow2OffsetFunc. */
static gboolean
note_l2_table (guint64 offset, guint64 pointer G_GNUC_UNUSED, gpointer data)
{
  const Notes *notes = data;

  qcow2_file_end_note_needed (notes->end, notes->image, offset,
                              notes->image->header.cluster_size);
  return TRUE;
}

/* Notes the last cluster of IMAGE that is in use by REFCOUNTS.  Fails with
 * QCOW2_ERROR_READ. */
gboolean
qcow2_file_end_note_refcounts (Qcow2FileEnd *end, const Qcow2Image *image,
                               Qcow2Refcounts *refcounts, GError **error)
{
  const guint64 cluster_size = image->header.cluster_size;
  guint64 n_clusters;

  if (!qcow2_refcounts_find_end (refcounts, MAX_BLOCKS, &n_clusters, error))
    return FALSE;

  if (n_clusters > 0 && n_clusters <= QCOW2_QEMU_MAX_LENGTH / cluster_size)
    qcow2_file_end_note_counted (end, image, (n_clusters - 1) * cluster_size,
                                 cluster_size);
  return TRUE;
}

/* Where only refcounts speak of more, a copy that broke off and a crash look
 * alike; what the disk's own tables lead to tells them apart. */
static gboolean
note_guest_clusters (Qcow2FileEnd *end, const Qcow2Image *image,
                     GError **error)
{
  const guint64 cluster_size = image->header.cluster_size;
  const guint64 size = byte_source_get_size (image->source);
  const guint64 first
      = (size / cluster_size + (size % cluster_size != 0)) * cluster_size;
  guint64 reached;

  if (!qcow2_l2_tables_reach (image, first, &reached, error))
    return FALSE;

  qcow2_file_end_note_needed (
      end, image, reached / cluster_size * cluster_size, cluster_size);
  return TRUE;
}

static void
report (const Qcow2FileEnd *end, Qcow2Image *image)
{
  const gboolean has_writer
      = qcow2_image_probe_writer (image) == BYTE_SOURCE_LOCKED;
  const Qcow2RuleIndex rule = has_writer        ? QCOW2_FILE_09_WRITER
                              : end->needed > 0 ? QCOW2_FILE_09
                                                : QCOW2_FILE_09_REFCOUNT;
  const guint64 size = byte_source_get_size (image->source);
  const Qcow2Subject subject = { .parts = QCOW2_PART_HEADER,
                                 .structure = "image",
                                 .extension = QCOW2_NO_INDEX,
                                 .bitmap = QCOW2_NO_INDEX };

  image->is_truncated = !has_writer;
  qcow2_problems_move_to_front (
      image->problems,
      qcow2_problems_add (image->problems, &subject, rule, size, 0,
                          "the file ends at " QCOW2_U
                          ", but clusters up to " QCOW2_U
                          " are in use: is the copy complete?",
                          size, MAX (end->needed, end->counted)));
}

/* Adds a finding to IMAGE, before all others, if END, where the caller has
 * noted what its metadata and its refcounts refer to, or the L1 table speak of
 * a cluster after the end of the file.  Fails with QCOW2_ERROR_READ, and then
 * has judged by what could be read. */
gboolean
qcow2_file_end_judge (Qcow2FileEnd *end, Qcow2Image *image, GError **error)
{
  Notes notes = { .end = end, .image = image };
  gboolean was_read
      = qcow2_l1_table_walk (image, note_l2_table, &notes, error);

  if (was_read && end->needed == 0 && end->counted > 0)
    was_read = note_guest_clusters (end, image, error);

  if (end->needed > 0 || end->counted > 0)
    report (end, image);
  return was_read;
}
