/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/check-clusters.h"

#include "check/cluster-map.h"
#include "check/directory-rules.h"
#include "check/file-end.h"
#include "check/guard.h"
#include "check/references.h"
#include "check/snapshot-rules.h"
#include "qcow2/refcount.h"

/* Limits on the work: the number of rounds, the bytes of tables read again in
 * rounds after the first, and the units of qcow2_refcounts_get_work (). */
#define MAX_ROUNDS 16
#define MAX_REPEATED_BYTES (1024 * 1024 * 1024)
#define MAX_REFCOUNT_WORK (1 << 26)

struct Qcow2ClusterCheck
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
  Qcow2CheckFailed failed;
  gpointer failed_data;
  guint64 cluster_size;
  guint64 file_size;
  Qcow2Directory *directory; /* set while a round is finished */
  Qcow2ClusterMap *map;
  Qcow2Refcounts *refcounts; /* NULL when their table cannot be located */
  guint64 n_blocks;          /* readable entries of the refcount table */
  guint64 n_counted;         /* clusters that these entries cover */
  guint64 refcounts_done;    /* first cluster not checked yet */
  GArray *wanted;            /* guint64 by bitmap index: host offset of the
                                directory entry, or 0 when the bitmap was not
                                selected */
  GArray *tables;            /* of Qcow2BitmapTable by bitmap index; NULL when
                                they are not all known */

  Qcow2SnapshotTable snapshots; /* size 0 when there are none */
  Qcow2References *references;  /* without those of bitmaps */
  Qcow2FileEnd file_end;

  guint rounds; /* finished so far */
  guint64 cost; /* bytes of tables read per round */
  gboolean gave_up_refcounts;
  gboolean l1_failed;        /* a read error of the L1 table was reported */
  gboolean refcounts_failed; /* a read error of the refcounts was reported */
  gboolean snapshots_failed; /* a read error of their table was reported */
};

static gboolean
has_refcount_table (const Qcow2Header *header, guint64 file_size)
{
  return header->refcount_table_offset != 0
         && header->refcount_table_offset < file_size
         && header->refcount_table_clusters != 0;
}

/* Returns a new check of IMAGE that adds findings to FINDINGS, or NULL when
 * the cluster size of IMAGE is unknown.  Both must outlive the check.  The
 * check passes each read error (QCOW2_ERROR_READ) to FAILED, along with DATA,
 * and continues. */
Qcow2ClusterCheck *
qcow2_cluster_check_new (const Qcow2Image *image, Qcow2Findings *findings,
                         Qcow2CheckFailed failed, gpointer data)
{
  if (image->header.cluster_size == QCOW2_ABSENT)
    return NULL;

  Qcow2ClusterCheck *check = g_new0 (Qcow2ClusterCheck, 1);
  check->image = image;
  check->findings = findings;
  check->failed = failed;
  check->failed_data = data;
  check->cluster_size = image->header.cluster_size;
  check->file_size = byte_source_get_size (image->source);
  check->map = qcow2_cluster_map_new ();
  check->references = qcow2_references_new (image, NULL, &check->snapshots);
  /* Other rules report that there is no refcount table. */
  if (has_refcount_table (&image->header, check->file_size))
    check->refcounts = qcow2_refcounts_new (image);
  if (check->refcounts != NULL)
    check->n_blocks = qcow2_refcounts_get_n_blocks (check->refcounts);
  check->n_counted = G_MAXUINT64;
  check->wanted = g_array_new (FALSE, TRUE, sizeof (guint64));
  check->tables = g_array_new (FALSE, TRUE, sizeof (Qcow2BitmapTable));
  return check;
}

/* Adds those clusters of the SIZE bytes at host offset OFFSET that lie in the
 * file.  POINTER is the host offset of the field that holds OFFSET, and BITMAP
 * the index of the owning bitmap or QCOW2_NO_INDEX.  An OFFSET of 0 means that
 * there is no structure; other rules report an OFFSET that is not the start of
 * a cluster.  Neither is added.  All of the first cluster belongs to the
 * header. */
static void
add (Qcow2ClusterCheck *check, Qcow2Owner kind, guint64 bitmap, guint64 offset,
     guint64 size, guint64 pointer)
{
  /* These two may have unneeded entries: see note_header_tables (). */
  if (kind != QCOW2_OWNER_L1_TABLE && kind != QCOW2_OWNER_REFCOUNT_TABLE)
    qcow2_file_end_note_needed (&check->file_end, check->image, offset, size);
  if ((offset == 0 && kind != QCOW2_OWNER_HEADER)
      || offset % check->cluster_size != 0 || offset >= check->file_size)
    return;

  const guint64 bytes = MIN (size, check->file_size - offset);
  const Qcow2Run run
      = { .start = offset / check->cluster_size,
          .n = (guint32) MIN (G_MAXUINT32, qcow2_header_size_to_clusters (
                                               &check->image->header, bytes)),
          .pointer = pointer,
          .bitmap = (guint32) MIN (bitmap, QCOW2_RUN_NO_BITMAP) & 0xffffff,
          .kind = kind & 0x7f };

  qcow2_cluster_map_add (check->map, run);
}

/* Adds the table of BITMAP.  Findings are only reported for bitmaps that were
 * WANTED in at least one round. */
void
qcow2_cluster_check_add_bitmap (Qcow2ClusterCheck *check,
                                const Qcow2Bitmap *bitmap, gboolean wanted)
{
  if (bitmap->index >= check->wanted->len)
    g_array_set_size (check->wanted, (guint) bitmap->index + 1);

  if (wanted)
    g_array_index (check->wanted, guint64, bitmap->index)
        = bitmap->file_offset;
  if (bitmap->name != NULL)
    add (check, QCOW2_OWNER_TABLE, bitmap->index, bitmap->bitmap_table_offset,
         (guint64) bitmap->bitmap_table_size * QCOW2_ENTRY_LENGTH,
         bitmap->file_offset);
}

/* Adds the data clusters of the N_ENTRIES entries at ENTRIES, which are from
 * the table of BITMAP.  BROKEN holds, for each entry, the rule that it breaks
 * or QCOW2_NO_RULE; entries that break a rule are not added. */
void
qcow2_cluster_check_add_entries (Qcow2ClusterCheck *check,
                                 const Qcow2Bitmap *bitmap,
                                 const Qcow2TableEntry *entries,
                                 const Qcow2RuleIndex *broken, gsize n_entries)
{
  for (gsize i = 0; i < n_entries; i++)
    {
      if (broken[i] == QCOW2_BTAB_05)
        qcow2_file_end_note_needed (&check->file_end, check->image,
                                    entries[i].offset, check->cluster_size);
      if (entries[i].type == QCOW2_ENTRY_SERIALIZED
          && broken[i] == QCOW2_NO_RULE)
        add (check, QCOW2_OWNER_BITS, bitmap->index, entries[i].offset,
             check->cluster_size,
             bitmap->bitmap_table_offset
                 + entries[i].index * QCOW2_ENTRY_LENGTH);
    }
}

/* Notes where the table of BITMAP is, and whether it refers to data if that is
 * known. */
void
qcow2_cluster_check_note_table (Qcow2ClusterCheck *check,
                                const Qcow2Bitmap *bitmap)
{
  if (check->tables == NULL)
    return;

  if (bitmap->index >= check->tables->len)
    g_array_set_size (check->tables, (guint) bitmap->index + 1);
  g_array_index (check->tables, Qcow2BitmapTable, bitmap->index)
      = (Qcow2BitmapTable){ .offset = bitmap->bitmap_table_offset,
                            .pointer = bitmap->file_offset,
                            .n = bitmap->bitmap_table_size,
                            .has_data = !bitmap->has_counts
                                        || bitmap->counts.serialized > 0 };
}

/* Notes that bitmaps are missing: the directory could not be read. */
void
qcow2_cluster_check_forget_tables (Qcow2ClusterCheck *check)
{
  g_clear_pointer (&check->tables, g_array_unref);
}

/* Sets the number of BYTES of bitmap tables that are read in each round, which
 * limits the number of rounds. */
void
qcow2_cluster_check_set_cost (Qcow2ClusterCheck *check, guint64 bytes)
{
  check->cost = bytes;
}

/* HDR-18: reports that entry INDEX of the refcount table, RAW, is not just the
 * offset of a refcount block.  OFFSET is the host offset of the block, or 0
 * when RAW does not point to a whole cluster of the file. */
static void
report_bad_block (Qcow2ClusterCheck *check, guint64 index, guint64 raw,
                  guint64 offset)
{
  const Qcow2Subject subject
      = QCOW2_SUBJECT (QCOW2_PART_HEADER, "refcount table");
  const guint64 first_cluster
      = index * qcow2_refcounts_get_block_end (check->refcounts, 0);
  const gboolean is_needed
      = first_cluster * check->cluster_size < check->file_size;
  const gboolean is_after_end = offset == 0 && raw % check->cluster_size == 0;
  const Qcow2RuleIndex rule = !is_after_end ? QCOW2_HDR_18_BLOCK
                              : is_needed   ? QCOW2_HDR_18_BLOCK_END
                                            : QCOW2_HDR_18_BLOCK_SPARE;

  const Qcow2Field *place
      = QCOW2_FIELD (qcow2_refcount_entry_record, Qcow2RefcountEntry, offset);
  const Qcow2Field *reserved = QCOW2_FIELD (qcow2_refcount_entry_record,
                                            Qcow2RefcountEntry, reserved);
  const Qcow2RefcountEntry entry
      = { .offset = qcow2_field_unpack (place, raw),
          .reserved = qcow2_field_unpack (reserved, raw) };

  if (is_after_end && is_needed)
    qcow2_file_end_note_needed (&check->file_end, check->image, raw,
                                check->cluster_size);
  else if (is_after_end)
    qcow2_file_end_note_counted (&check->file_end, check->image, raw,
                                 check->cluster_size);

  qcow2_findings_add_at (
      check->findings, &subject, rule,
      &(const Qcow2Place){ .start = check->image->header.refcount_table_offset
                                    + index * QCOW2_ENTRY_LENGTH,
                           .record = &qcow2_refcount_entry_record,
                           .field = offset != 0 ? reserved : place,
                           .structure = &entry },
      "entry " QCOW2_U64_FORMAT " is " QCOW2_HEX_FORMAT ", %s", index, raw,
      offset != 0 ? "which has reserved bits"
                  : "not the start of a cluster inside the file");
}

static void
tell (const Qcow2ClusterCheck *check, GError *error)
{
  check->failed (error, check->failed_data);
}

/* Takes ownership of ERROR, a read error of the refcounts.  Reports only the
 * first one, as refcounts are read several times. */
static void
tell_of_refcounts (Qcow2ClusterCheck *check, GError *error)
{
  if (check->refcounts_failed)
    g_error_free (error);
  else
    tell (check, error);
  check->refcounts_failed = TRUE;
}

/* Adds the refcount blocks, up to the first entry of the refcount table that
 * cannot be read. */
static void
add_refcount_blocks (Qcow2ClusterCheck *check)
{
  GError *error = NULL;

  if (check->refcounts == NULL)
    return;

  for (guint64 i = 0; i < check->n_blocks; i++)
    {
      guint64 offset = 0;
      guint64 raw = 0;

      if (!qcow2_refcounts_skip_unused (check->refcounts, &i, &error)
          || (i < check->n_blocks
              && !qcow2_refcounts_get_block (check->refcounts, i, &offset,
                                             &raw, &error)))
        {
          tell (check, error);
          check->refcounts_failed = TRUE;
          check->n_blocks = i;
          check->n_counted
              = i * qcow2_refcounts_get_block_end (check->refcounts, 0);
          return;
        }
      if (offset != 0)
        add (check, QCOW2_OWNER_REFCOUNT_BLOCK, QCOW2_NO_INDEX, offset,
             check->cluster_size,
             check->image->header.refcount_table_offset
                 + i * QCOW2_ENTRY_LENGTH);
      if (raw != offset && check->rounds == 0)
        report_bad_block (check, i, raw, offset);
    }
}

/* Returns the number of bytes that are read of the structure at REFERENCE. */
static guint64
get_read_size (const Qcow2ClusterCheck *check, const Qcow2Reference *reference)
{
  if (reference->owner == QCOW2_OWNER_L1_TABLE)
    return reference->size <= QCOW2_MAX_L1_BYTES ? reference->size : 0;
  if (reference->owner == QCOW2_OWNER_REFCOUNT_TABLE)
    return MIN (reference->size, QCOW2_MAX_REFTABLE_BYTES);
  if (reference->owner == QCOW2_OWNER_SNAPSHOT_TABLE)
    return check->snapshots.size;

  return reference->size;
}

/* A Qcow2ReferenceFunc. */
static gboolean
add_structure (const Qcow2Reference *reference, gpointer data,
               GError **error G_GNUC_UNUSED)
{
  Qcow2ClusterCheck *check = data;

  add (check, reference->owner, QCOW2_NO_INDEX, reference->offset,
       get_read_size (check, reference), reference->pointer);
  return TRUE;
}

/* Adds all structures except the tables and data of bitmaps, which the caller
 * adds as it examines them. */
static void
add_structures (Qcow2ClusterCheck *check)
{
  const Qcow2Image *image = check->image;
  GError *error = NULL;

  add_refcount_blocks (check);
  if (check->rounds == 0)
    check->snapshots_failed = !qcow2_snapshot_table_check (
        image, &check->snapshots, check->findings, &error);
  if (check->rounds == 0 && check->snapshots_failed)
    tell (check, error);

  qcow2_references_walk_structures (check->references, add_structure, check,
                                    NULL);
  add (check, QCOW2_OWNER_DIRECTORY, QCOW2_NO_INDEX,
       image->bitmaps.bitmap_directory_offset,
       MIN (image->bitmaps.bitmap_directory_size, QCOW2_MAX_DIRECTORY_SIZE),
       image->bitmaps_offset
           + QCOW2_AT (qcow2_bitmaps_extension_record, Qcow2BitmapsExtension,
                       bitmap_directory_offset));
}

/* Returns whether RUN belongs to a selected bitmap. */
static gboolean
is_wanted (const Qcow2ClusterCheck *check, const Qcow2Run *run)
{
  return run->bitmap != QCOW2_RUN_NO_BITMAP
         && g_array_index (check->wanted, guint64, run->bitmap) != 0;
}

/* Fills in SUBJECT for a finding about RUN; add_name () adds the name.
 * Returns FALSE when RUN belongs to a bitmap that was not selected. */
static gboolean
fill_subject (const Qcow2ClusterCheck *check, const Qcow2Run *run,
              Qcow2Subject *subject)
{
  const gboolean is_bitmap = run->bitmap != QCOW2_RUN_NO_BITMAP;

  if (is_bitmap && !is_wanted (check, run))
    return FALSE;

  *subject = (Qcow2Subject){
    .parts = is_bitmap || run->kind == QCOW2_OWNER_DIRECTORY
                 ? QCOW2_PART_BITMAPS
                 : QCOW2_PART_HEADER,
    .structure = is_bitmap ? "bitmap" : qcow2_owner_get_name (run->kind),
    .extension = QCOW2_NO_INDEX,
    .bitmap = is_bitmap ? run->bitmap : QCOW2_NO_INDEX,
  };
  return TRUE;
}

/* Sets the name and in_use of SUBJECT if it is a bitmap.  Reads the directory
 * entry again, into BITMAP, which must outlive SUBJECT: the names of 65535
 * bitmaps are too much to keep in memory. */
static void
add_name (const Qcow2ClusterCheck *check, Qcow2Subject *subject,
          Qcow2Bitmap *bitmap)
{
  if (subject->bitmap == QCOW2_NO_INDEX)
    return;

  const guint64 offset
      = g_array_index (check->wanted, guint64, subject->bitmap);
  if (qcow2_directory_read (check->directory, subject->bitmap, offset, bitmap,
                            NULL)
      == QCOW2_NEXT_ITEM)
    {
      subject->name = bitmap->name;
      subject->in_use = (bitmap->flags & QCOW2_BITMAP_IN_USE) != 0;
    }
}

/* Fills in SUBJECT for the overlap of ONE and OTHER, which is reported for a
 * bitmap rather than the directory, and for the directory rather than another
 * structure.  Returns FALSE if neither is to be reported. */
static gboolean
choose_subject (const Qcow2ClusterCheck *check, const Qcow2Run *one,
                const Qcow2Run *other, Qcow2Subject *subject)
{
  const gboolean other_first
      = !is_wanted (check, one)
        && (is_wanted (check, other) || other->kind == QCOW2_OWNER_DIRECTORY);

  return fill_subject (check, other_first ? other : one, subject);
}

/* Returns a description of RUN and the host offset of the reference to
 * CLUSTER, which lies in RUN.  The caller frees it. */
static char *
name_run (const Qcow2Run *run, guint64 cluster)
{
  const guint64 n_before
      = run->kind == QCOW2_OWNER_BITS ? cluster - run->start : 0;
  const Qcow2Reference reference
      = { .owner = run->kind,
          .pointer = run->pointer + n_before * QCOW2_ENTRY_LENGTH,
          .index = run->bitmap != QCOW2_RUN_NO_BITMAP ? run->bitmap
                                                      : QCOW2_NO_INDEX };

  return qcow2_reference_describe (&reference);
}

/* Returns whether the overlap of ONE and OTHER keeps QEMU from rewriting the
 * bitmap directory (see guard.h). */
static gboolean
is_guarded_overlap (const Qcow2ClusterCheck *check, const Qcow2Run *one,
                    const Qcow2Run *other)
{
  const Qcow2Owner kind
      = one->kind == QCOW2_OWNER_DIRECTORY ? other->kind : one->kind;

  return (one->kind == QCOW2_OWNER_DIRECTORY
          || other->kind == QCOW2_OWNER_DIRECTORY)
         && kind < QCOW2_OWNER_CRYPTO_HEADER && check->directory != NULL
         && qcow2_directory_is_rewritten (check->directory);
}

/* Adds a finding that RUN, which starts inside OWNER, overlaps it. */
static void
report_overlap (const Qcow2ClusterCheck *check, const Qcow2Run *owner,
                const Qcow2Run *run)
{
  const gboolean one_table = owner->kind == QCOW2_OWNER_TABLE
                             && run->kind == QCOW2_OWNER_TABLE
                             && owner->start == run->start;
  const gboolean two_bitmaps = owner->kind == QCOW2_OWNER_BITS
                               && run->kind == QCOW2_OWNER_BITS
                               && owner->bitmap != run->bitmap;
  const Qcow2RuleIndex rule = one_table     ? QCOW2_OVL_02_TABLE
                              : two_bitmaps ? QCOW2_OVL_02_DATA
                              : is_guarded_overlap (check, owner, run)
                                  ? QCOW2_OVL_01_GUARDED
                                  : QCOW2_OVL_01;
  const guint64 offset = run->start * check->cluster_size;
  const guint64 n = MIN (owner->start + owner->n - run->start, run->n);
  Qcow2Findings *findings = check->findings;
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  g_autofree char *first = NULL;
  g_autofree char *second = NULL;
  Qcow2Subject subject;

  if (!choose_subject (check, run, owner, &subject))
    return;

  if (!qcow2_findings_is_full (findings, rule, subject.parts))
    {
      add_name (check, &subject, &bitmap);
      first = name_run (owner, run->start);
      second = name_run (run, run->start);
    }
  qcow2_findings_add (findings, &subject, rule,
                      one_table ? run->pointer : offset, 0,
                      QCOW2_HEX_FORMAT " bytes at " QCOW2_HEX_FORMAT
                                       " belong to %s as well as to %s",
                      n * check->cluster_size, offset, first, second);
}

/* Returns whether RUN starts inside OWNER, which may be NULL.  Two clipped
 * runs do not count: their overlap was reported in the previous round. */
static gboolean
starts_inside (const Qcow2Run *run, const Qcow2Run *owner)
{
  return owner != NULL && run->start < owner->start + owner->n
         && !(run->clipped && owner->clipped);
}

/* Returns OWNER, which may be NULL, or RUN, whichever ends later. */
static const Qcow2Run *
get_further (const Qcow2Run *owner, const Qcow2Run *run)
{
  return owner == NULL || run->start + run->n > owner->start + owner->n
             ? run
             : owner;
}

/* OVL-01, OVL-02: reports runs that start inside an earlier one. */
static void
find_overlaps (const Qcow2ClusterCheck *check)
{
  const guint n = qcow2_cluster_map_get_n (check->map);
  const Qcow2Run *owner = NULL; /* the run that ends last so far */
  const Qcow2Run *known = NULL; /* the same among structures and
                                   selected bitmaps */

  for (guint i = 0; i < n; i++)
    {
      const Qcow2Run *run = qcow2_cluster_map_get (check->map, i);
      const gboolean is_known
          = run->bitmap == QCOW2_RUN_NO_BITMAP || is_wanted (check, run);

      if (starts_inside (run, owner))
        report_overlap (check, owner, run);
      if (is_known && known != owner && starts_inside (run, known))
        report_overlap (check, known, run);

      owner = get_further (owner, run);
      if (is_known)
        known = get_further (known, run);
    }
}

/* Returns whether wrong refcounts are to be expected for RUN: the image is
 * dirty, or RUN belongs to bitmaps that may be out of date. */
static gboolean
are_refcounts_doubtful (const Qcow2Image *image, const Qcow2Run *run)
{
  const gboolean is_of_bitmaps = run->kind == QCOW2_OWNER_DIRECTORY
                                 || run->bitmap != QCOW2_RUN_NO_BITMAP;

  return (image->header.incompatible_features & QCOW2_INCOMPATIBLE_DIRTY) != 0
         || (is_of_bitmaps
             && !qcow2_header_bitmaps_are_consistent (&image->header));
}

static void
report_refcount (const Qcow2ClusterCheck *check, const Qcow2Run *run,
                 guint64 cluster, guint64 n, guint64 refcount)
{
  const Qcow2RuleIndex rule = refcount > 1 ? QCOW2_REF_01_SHARED
                              : are_refcounts_doubtful (check->image, run)
                                  ? QCOW2_REF_01_STALE
                                  : QCOW2_REF_01_FREE;
  const guint64 offset = cluster * check->cluster_size;
  Qcow2Findings *findings = check->findings;
  g_auto (Qcow2Bitmap) bitmap = { 0 };
  g_autofree char *name = NULL;
  Qcow2Subject subject;

  if (!fill_subject (check, run, &subject))
    return;

  if (!qcow2_findings_is_full (findings, rule, subject.parts))
    {
      add_name (check, &subject, &bitmap);
      name = name_run (run, cluster);
    }
  qcow2_findings_add (findings, &subject, rule, offset, 0,
                      "the refcount of " QCOW2_HEX_FORMAT
                      " bytes at " QCOW2_HEX_FORMAT
                      ", which belong to %s, is " QCOW2_U64_FORMAT,
                      n * check->cluster_size, offset, name, refcount);
}

/* Stores in *REFCOUNT the refcount of cluster AT, and in *N the number of
 * clusters from AT to before END that are known to have the same.  If the
 * refcount block cannot be read, reports the error, assumes the refcount 1 for
 * all its clusters and marks them as checked. */
static void
get_refcount (Qcow2ClusterCheck *check, guint64 at, guint64 end,
              guint64 *refcount, guint64 *n)
{
  GError *error = NULL;

  if (qcow2_refcounts_get (check->refcounts, at, end - at, refcount, n, NULL,
                           &error))
    return;

  tell (check, error);
  check->refcounts_failed = TRUE;
  check->refcounts_done = qcow2_refcounts_get_block_end (check->refcounts, at);
  *refcount = 1;
  *n = MIN (end, check->refcounts_done) - at;
}

/* Checks the refcounts of the clusters of RUN from START to before END. */
static void
check_refcounts_of (Qcow2ClusterCheck *check, const Qcow2Run *run,
                    guint64 start, guint64 end)
{
  guint64 bad = start; /* first cluster with the refcount LAST */
  guint64 last = 1;

  for (guint64 at = start; at < end;)
    {
      guint64 refcount;
      guint64 n;

      get_refcount (check, at, end, &refcount, &n);
      if (refcount != last)
        {
          if (last != 1)
            report_refcount (check, run, bad, at - bad, last);
          bad = at;
          last = refcount;
        }
      at += n;
    }

  if (last != 1)
    report_refcount (check, run, bad, end - bad, last);
}

static void
report_unexamined (const Qcow2ClusterCheck *check, Qcow2RuleIndex rule,
                   guint64 cluster, const char *what)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_BITMAPS, "image");
  const guint64 offset = cluster * check->cluster_size;

  qcow2_findings_add (check->findings, &subject, rule, offset, 0,
                      "%s from " QCOW2_HEX_FORMAT
                      " on were not examined: there are too many clusters",
                      what, offset);
}

/* REF-01: checks once the refcount of each cluster that belongs to a structure
 * or a selected bitmap. */
static void
check_refcounts (Qcow2ClusterCheck *check)
{
  const guint n = qcow2_cluster_map_get_n (check->map);

  for (guint i = 0; i < n && !check->gave_up_refcounts; i++)
    {
      const Qcow2Run *run = qcow2_cluster_map_get (check->map, i);
      const guint64 start = MAX (run->start, check->refcounts_done);
      const guint64 end = MIN (run->start + run->n, check->n_counted);

      if ((run->bitmap != QCOW2_RUN_NO_BITMAP && !is_wanted (check, run))
          || start >= end)
        continue;

      if (qcow2_refcounts_get_work (check->refcounts) > MAX_REFCOUNT_WORK)
        {
          report_unexamined (check, QCOW2_RES_06_REFCOUNTS, start,
                             "refcounts");
          check->gave_up_refcounts = TRUE;
          return;
        }
      check_refcounts_of (check, run, start, end);
      check->refcounts_done = MAX (end, check->refcounts_done);
    }
}

/* Notes where the tables that the header points to end. */
static void
note_header_tables (Qcow2ClusterCheck *check)
{
  const Qcow2Image *image = check->image;
  const Qcow2Header *h = &image->header;
  const guint64 l1_bytes = (guint64) h->l1_size * QCOW2_ENTRY_LENGTH;
  const guint64 l1_needed
      = qcow2_header_get_n_l1_needed (h) * QCOW2_ENTRY_LENGTH;
  const guint64 refcount_bytes
      = h->refcount_table_clusters * check->cluster_size;
  const guint64 refcount_needed
      = qcow2_header_get_refcount_table_needed (h, check->file_size);
  Qcow2FileEnd *end = &check->file_end;

  qcow2_file_end_note_needed (end, image, h->l1_table_offset,
                              MIN (l1_bytes, l1_needed));
  qcow2_file_end_note_needed (end, image, h->refcount_table_offset,
                              refcount_needed);
  if (l1_bytes <= QCOW2_MAX_L1_BYTES)
    qcow2_file_end_note_counted (end, image, h->l1_table_offset, l1_bytes);
  if (refcount_bytes <= QCOW2_MAX_REFTABLE_BYTES)
    qcow2_file_end_note_counted (end, image, h->refcount_table_offset,
                                 refcount_bytes);
  if (h->nb_snapshots <= QCOW2_MAX_SNAPSHOTS)
    qcow2_file_end_note_needed (end, image, h->snapshot_offset,
                                (guint64) h->nb_snapshots
                                    * QCOW2_SNAPSHOT_HEAD);
}

static void
check_file_end (Qcow2ClusterCheck *check)
{
  GError *error = NULL;

  note_header_tables (check);
  if (check->refcounts != NULL
      && !qcow2_file_end_note_refcounts (&check->file_end, check->image,
                                         check->refcounts, &error))
    tell_of_refcounts (check, error);

  error = NULL;
  check->l1_failed = !qcow2_file_end_check (&check->file_end, check->image,
                                            check->findings, &error);
  if (check->l1_failed)
    tell (check, error);
}

/* OVL-01: reports what keeps QEMU from writing the bitmap directory, unless an
 * overlap that does was found already.  A read error is not reported if the L1
 * table or the refcounts could not be read before: it may be the same one. */
static void
check_guard (Qcow2ClusterCheck *check)
{
  const Qcow2RuleUse *use
      = qcow2_findings_get_use (check->findings, QCOW2_OVL_01_GUARDED);

  GError *error = NULL;

  if (check->directory != NULL && use->n == 0
      && qcow2_directory_is_rewritten (check->directory)
      && !qcow2_guard_check (check->image, &check->snapshots, check->findings,
                             &error)
      && !check->l1_failed && !check->refcounts_failed)
    tell (check, g_steal_pointer (&error));
  g_clear_error (&error);
}

/* Starts another round if clusters are left and the work is not too much.
 * Returns whether it did. */
static gboolean
start_next_round (Qcow2ClusterCheck *check)
{
  const guint64 high = qcow2_cluster_map_get_high (check->map);

  if (high == G_MAXUINT64)
    return FALSE;

  check->rounds++;
  if (check->rounds == MAX_ROUNDS
      || check->rounds * check->cost > MAX_REPEATED_BYTES)
    {
      report_unexamined (check, QCOW2_RES_06, high, "overlaps and refcounts");
      return FALSE;
    }

  qcow2_cluster_map_start (check->map, high);
  return TRUE;
}

/* Checks the clusters added since the last round and adds findings to the
 * findings.  DIRECTORY is the bitmap directory, or NULL when
 * there is none; the caller has to rewind it afterwards.  Returns whether
 * another round is needed, for which the caller adds all bitmaps again.  After
 * the last round, no clusters may be added. */
gboolean
qcow2_cluster_check_finish_round (Qcow2ClusterCheck *check,
                                  Qcow2Directory *directory)
{
  check->directory = directory;
  add_structures (check);
  qcow2_cluster_map_sort (check->map);
  find_overlaps (check);
  if (qcow2_cluster_map_is_crowded (check->map))
    report_unexamined (check, QCOW2_RES_06,
                       qcow2_cluster_map_get_low (check->map),
                       "further overlaps of the cluster");
  if (check->refcounts != NULL)
    check_refcounts (check);
  if (check->rounds == 0)
    {
      check_file_end (check);
      check_guard (check);
    }
  if (start_next_round (check))
    return TRUE;

  /* The check of the disk needs the memory. */
  g_clear_pointer (&check->map, qcow2_cluster_map_free);
  return FALSE;
}

/* Returns the snapshot table, which the first round reads, or NULL if it could
 * not be read.  Its size is 0 if there are no snapshots. */
const Qcow2SnapshotTable *
qcow2_cluster_check_get_snapshots (const Qcow2ClusterCheck *check)
{
  return check->snapshots_failed ? NULL : &check->snapshots;
}

/* Returns the tables that were noted, an array of Qcow2BitmapTable by bitmap
 * index, or NULL if they are not all known. */
GArray *
qcow2_cluster_check_get_tables (const Qcow2ClusterCheck *check)
{
  return check->tables;
}

void
qcow2_cluster_check_free (Qcow2ClusterCheck *check)
{
  if (check == NULL)
    return;

  qcow2_cluster_map_free (check->map);
  qcow2_references_free (check->references);
  qcow2_refcounts_free (check->refcounts);
  g_array_unref (check->wanted);
  g_clear_pointer (&check->tables, g_array_unref);
  qcow2_snapshot_table_clear (&check->snapshots);
  g_free (check);
}
