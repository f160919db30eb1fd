/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/sharing.h"

#include "check/l2-references.h"
#include "qcow2/arithmetic.h"
#include "qcow2/l2-table.h"

/* The bytes of L2 tables that are decoded at a time. */
#define BLOCK_SIZE 4096

typedef struct
{
  const Qcow2Image *image;
  guint64 start; /* host offsets of the clusters of the directory */
  guint64 end;
  guint64 removed; /* index of the bitmap that is taken out */
  ByteWindow *window;
  EditRefusals *refusals;
} Search;

static const char *const owners[] = {
  [QCOW2_OWNER_HEADER] = "the header",
  [QCOW2_OWNER_L1_TABLE] = "the L1 table",
  [QCOW2_OWNER_SNAPSHOT_L1_TABLE] = "the L1 table of a snapshot",
  [QCOW2_OWNER_SNAPSHOT_TABLE] = "the snapshot table",
  [QCOW2_OWNER_REFCOUNT_TABLE] = "the refcount table",
  [QCOW2_OWNER_REFCOUNT_BLOCK] = "a refcount block",
  [QCOW2_OWNER_CRYPTO_HEADER] = "the crypto header",
  [QCOW2_OWNER_DIRECTORY] = "another bitmap directory",
  [QCOW2_OWNER_TABLE] = "the table of a bitmap",
  [QCOW2_OWNER_BITS] = "the data of a bitmap",
  [QCOW2_OWNER_L2_TABLE] = "an L2 table",
  [QCOW2_OWNER_GUEST] = "data of the disk",
};

/* Returns whether a write to clusters of OWNER is out of the question. */
static gboolean
is_precious (Qcow2Owner owner)
{
  switch (owner)
    {
    case QCOW2_OWNER_L1_TABLE:
    case QCOW2_OWNER_SNAPSHOT_L1_TABLE:
    case QCOW2_OWNER_REFCOUNT_TABLE:
    case QCOW2_OWNER_REFCOUNT_BLOCK:
    case QCOW2_OWNER_L2_TABLE:
    case QCOW2_OWNER_GUEST:
      return TRUE;
    case QCOW2_OWNER_HEADER:
    case QCOW2_OWNER_SNAPSHOT_TABLE:
    case QCOW2_OWNER_CRYPTO_HEADER:
    case QCOW2_OWNER_DIRECTORY:
    case QCOW2_OWNER_TABLE:
    case QCOW2_OWNER_BITS:
      return FALSE;
    }

  g_assert_not_reached ();
}

static void
note (Search *search, Qcow2Owner owner, guint64 offset, guint64 size,
      guint64 pointer)
{
  static const char format[] = QCOW2_HEX_FORMAT
      ": bitmap directory: it shares a cluster with %s (by " QCOW2_HEX_FORMAT
      "), which a write could destroy";

  if (size == 0 || (offset == 0 && owner != QCOW2_OWNER_HEADER)
      || offset >= search->end
      || (offset < search->start && size <= search->start - offset))
    return;

  if (is_precious (owner))
    edit_refuse_always (search->refusals, format, search->start, owners[owner],
                        pointer);
  else
    edit_refuse (search->refusals, format, search->start, owners[owner],
                 pointer);
}

/* A Qcow2ReferenceFunc. */
static gboolean
note_reference (const Qcow2Reference *reference, gpointer data,
                GError **error G_GNUC_UNUSED)
{
  Search *search = data;
  const gboolean is_removed = (reference->owner == QCOW2_OWNER_TABLE
                               || reference->owner == QCOW2_OWNER_BITS)
                              && reference->index == search->removed;

  if (reference->owner != QCOW2_OWNER_DIRECTORY && !is_removed)
    note (search, reference->owner, reference->offset, reference->size,
          reference->pointer);
  return TRUE;
}

/* A Qcow2L2TableFunc. */
static gboolean
note_l2_table (const Qcow2L2Table *table, gpointer data, GError **error)
{
  Search *search = data;
  const Qcow2Header *h = &search->image->header;
  const gsize entry_size = qcow2_l2_get_entry_size (h);
  const guint64 file_size = byte_source_get_size (search->image->source);
  const gboolean is_elsewhere
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;

  note (search, QCOW2_OWNER_L2_TABLE, table->offset, h->cluster_size,
        table->pointer);
  if (is_elsewhere || table->offset >= file_size)
    return TRUE;

  const guint64 end
      = table->offset + MIN (h->cluster_size, file_size - table->offset);
  byte_window_set_end (search->window, end);
  for (guint64 at = table->offset; end - at >= entry_size;)
    {
      const gsize len = (gsize) MIN (BLOCK_SIZE, end - at);
      const guint8 *bytes = byte_window_get (
          search->window, at, len, qcow2_l2_entry_record.name, error);

      if (bytes == NULL)
        return FALSE;

      for (gsize i = 0; len - i >= entry_size; i += entry_size)
        {
          Qcow2Mapping mapping;

          qcow2_l2_decode (h, bytes + i, &mapping);
          note (search, QCOW2_OWNER_GUEST, mapping.offset, mapping.length,
                at + i);
        }
      at += len / entry_size * entry_size;
    }

  return TRUE;
}

/* Notes everything that refers to the clusters of the directory. */
static gboolean
search_all (Search *search, Qcow2References *references, GError **error)
{
  return qcow2_references_walk_structures (references, note_reference, search,
                                           error)
         && qcow2_references_walk_blocks (references, note_reference, search,
                                          error)
         && qcow2_references_walk_l2_tables (references, note_l2_table, search,
                                             error);
}

/* Adds reasons to REFUSALS if anything but a bitmap directory has a part of
 * the clusters of the SIZE bytes at host offset START in the image of
 * JUDGEMENT.  --force lifts those about structures that are not the disk's.
 * The clusters of bitmap REMOVED do not count; that is an index, or
 * QCOW2_NO_INDEX if none is taken out. */
void
edit_judge_sharing (EditJudgement *judgement, guint64 start, guint64 size,
                    guint64 removed, EditRefusals *refusals)
{
  Qcow2Image *image = judgement->image;

  if (image == NULL || judgement->directory == NULL)
    {
      edit_refuse_always (refusals,
                          "the image could not be read again to tell whether "
                          "the bitmap directory is only that");
      return;
    }

  const guint64 cluster_size = image->header.cluster_size;
  g_autoptr (ByteWindow) window = byte_window_new (image->source, 0);
  g_autoptr (GError) error = NULL;
  Qcow2SnapshotTable snapshots = { 0 };
  Search search = { .image = image,
                    .start = start / cluster_size * cluster_size,
                    .end = qcow2_round_up (start + size, cluster_size),
                    .removed = removed,
                    .window = window,
                    .refusals = refusals };

  /* The tables and data of bitmaps count even if the bitmaps are stale. */
  image->header.autoclear_features |= QCOW2_AUTOCLEAR_BITMAPS;
  g_autoptr (Qcow2Findings) ignored = qcow2_findings_new ();
  if (!qcow2_snapshot_table_check (image, &snapshots, ignored, &error))
    {
      edit_refuse_always (refusals, "%s", error->message);
      return;
    }

  g_autoptr (Qcow2Refcounts) refcounts = qcow2_refcounts_new (image);
  g_autoptr (Qcow2References) references = qcow2_references_new (
      image, judgement->directory, &snapshots, refcounts);
  if (!search_all (&search, references, &error))
    edit_refuse_always (refusals, "%s", error->message);
  else if (qcow2_references_are_too_many (references))
    edit_refuse_always (refusals,
                        "too many tables would have to be read to tell "
                        "whether the bitmap directory is only that");
  qcow2_snapshot_table_clear (&snapshots);
}
