/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/guard.h"

#include "qcow2/arithmetic.h"
#include "qcow2/l1-table.h"
#include "qcow2/refcount.h"

typedef struct
{
  const Qcow2Image *image;
  guint64 start;    /* host offset of the first cluster of the directory */
  guint64 end;      /* host offset after its last cluster */
  const char *what; /* the structure that overlaps the directory, or NULL */
} Guard;

/* Returns OFFSET, a host offset below 2^63, rounded up to a multiple of the
 * cluster size. */
static guint64
round_up (const Guard *guard, guint64 offset)
{
  return qcow2_round_up (offset, guard->image->header.cluster_size);
}

/* Records WHAT in GUARD if its SIZE bytes at host offset OFFSET share a
 * cluster with the directory, and no other structure was recorded before. */
static void
check_range (Guard *guard, const char *what, guint64 offset, guint64 size)
{
  const guint64 cluster_size = guard->image->header.cluster_size;

  if (size == 0 || guard->what != NULL || offset >= guard->end
      || size > QCOW2_QEMU_MAX_LENGTH)
    return;

  const guint64 start = offset / cluster_size * cluster_size;
  if (start < guard->end && round_up (guard, offset + size) > guard->start)
    guard->what = what;
}

/* A Qcow2OffsetFunc. */
static Qcow2Next
check_l2_table (guint64 offset, guint64 pointer G_GNUC_UNUSED, gpointer data,
                GError **error G_GNUC_UNUSED)
{
  Guard *guard = data;

  check_range (guard, "an L2 table", offset,
               guard->image->header.cluster_size);
  return guard->what == NULL ? QCOW2_NEXT_ITEM : QCOW2_NEXT_END;
}

static gboolean
check_refcount_blocks (Guard *guard, Qcow2Refcounts *refcounts, GError **error)
{
  const Qcow2Field *place
      = QCOW2_FIELD (qcow2_refcount_entry_record, Qcow2RefcountEntry, offset);
  guint64 raw = 0;

  for (guint64 i = 0; guard->what == NULL; i++)
    {
      if (!qcow2_refcounts_find_used (refcounts, &i, &raw, error))
        return FALSE;
      if (raw == 0)
        break;

      check_range (guard, "a refcount block", qcow2_field_unpack (place, raw),
                   guard->image->header.cluster_size);
    }

  return TRUE;
}

static void
check_snapshots (Guard *guard, const Qcow2SnapshotTable *snapshots)
{
  check_range (guard, "the snapshot table",
               guard->image->header.snapshot_offset, snapshots->size);
  for (guint i = 0;
       snapshots->l1_tables != NULL && i < snapshots->l1_tables->len; i++)
    {
      const Qcow2SnapshotL1 *l1
          = &g_array_index (snapshots->l1_tables, Qcow2SnapshotL1, i);

      check_range (guard, "the L1 table of a snapshot", l1->offset,
                   (guint64) l1->size * QCOW2_ENTRY_LENGTH);
    }
}

static void
report (const Guard *guard, Qcow2Findings *findings)
{
  const Qcow2Subject subject
      = QCOW2_SUBJECT (QCOW2_PART_BITMAPS, "bitmap directory");

  qcow2_findings_add (findings, &subject, QCOW2_OVL_01_GUARDED, guard->start,
                      0,
                      "QEMU does not write the directory: it shares a cluster "
                      "with %s",
                      guard->what);
}

/* OVL-01: adds a finding to FINDINGS if QEMU would have to rewrite the bitmap
 * directory of IMAGE but does not, because the directory shares a cluster with
 * other metadata.  SNAPSHOTS is the snapshot table; it is empty if there are
 * no snapshots.  REFCOUNTS are those of IMAGE.  Fails with QCOW2_ERROR_READ.
 * (QEMU, block/qcow2-refcount.c: qcow2_check_metadata_overlap.) */
gboolean
qcow2_guard_check (const Qcow2Image *image,
                   const Qcow2SnapshotTable *snapshots,
                   Qcow2Refcounts *refcounts, Qcow2Findings *findings,
                   GError **error)
{
  const Qcow2Header *h = &image->header;
  const guint64 offset = image->bitmaps.bitmap_directory_offset;
  const guint64 size = image->bitmaps.bitmap_directory_size;
  const guint64 refcount_bytes = MIN (
      h->refcount_table_clusters * h->cluster_size, QCOW2_MAX_REFTABLE_BYTES);
  Guard guard = { .image = image, .start = offset };

  if (offset == 0 || size == 0 || offset % h->cluster_size != 0
      || offset > QCOW2_QEMU_MAX_LENGTH || size > QCOW2_MAX_DIRECTORY_SIZE)
    return TRUE;

  guard.end = round_up (&guard, offset + size);
  /* QEMU does not open an image with a larger L1 table at all. */
  if ((guint64) h->l1_size * QCOW2_ENTRY_LENGTH <= QCOW2_MAX_L1_BYTES)
    check_range (&guard, "the L1 table", h->l1_table_offset,
                 (guint64) h->l1_size * QCOW2_ENTRY_LENGTH);
  check_range (&guard, "the refcount table", h->refcount_table_offset,
               refcount_bytes);
  check_snapshots (&guard, snapshots);
  if (!qcow2_l1_table_walk (image, check_l2_table, &guard, error)
      || !check_refcount_blocks (&guard, refcounts, error))
    return FALSE;

  if (guard.what != NULL)
    report (&guard, findings);
  return TRUE;
}
