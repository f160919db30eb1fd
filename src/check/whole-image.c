/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/whole-image.h"

#include "check/file-end.h"
#include "check/mapping-check.h"
#include "qcow2/arithmetic.h"

/* Limits on the work: the number of rounds, and the bytes of L2 tables that
 * are read in each. */
#define MAX_ROUNDS 16
#define MAX_L2_BYTES G_GUINT64_CONSTANT (0x200000000)

/* QEMU, block/qcow2-refcount.c: no more clusters are examined. */
#define QEMU_MAX_CLUSTERS G_MAXINT32

/* A check of an image.  In each round, which covers a part of the file, the
 * first pass counts.  If it finds anything wrong, the second pass adds the
 * findings. */
typedef struct
{
  Qcow2MappingCheck mapping;
  Qcow2Findings *findings;
  const Qcow2SnapshotTable *snapshots;
  Qcow2References *references;
  gboolean is_refused; /* by QEMU: what refers to a cluster may not be known */
  gboolean is_aborted; /* QEMU does not finish its check */
  Qcow2CensusTotals totals;
} Check;

/* A Qcow2ReferenceFunc. */
static gboolean
count_structure (const Qcow2Reference *reference, gpointer data,
                 GError **error G_GNUC_UNUSED)
{
  Check *check = data;

  /* QEMU takes sizes for signed numbers, and ignores a negative one.  It fails
   * to read a table that ends after the largest file, but does not read all of
   * a crypto header. */
  const gboolean is_read = reference->owner != QCOW2_OWNER_CRYPTO_HEADER;

  if (reference->size > G_MAXINT64)
    return TRUE;
  if (reference->size > 0
      && (reference->offset > QCOW2_QEMU_MAX_LENGTH
          || (is_read
              && reference->size > QCOW2_QEMU_MAX_LENGTH - reference->offset)))
    check->is_aborted = TRUE;
  else if (!qcow2_census_add (check->mapping.census, reference->offset,
                              reference->size, 1)
           && check->mapping.is_first)
    qcow2_mapping_check_count (&check->mapping, 1);
  return TRUE;
}

/* A Qcow2ReferenceFunc.  Other rules report an entry that is invalid.  (QEMU,
 * block/qcow2-refcount.c: check_refblocks.) */
static gboolean
count_block (const Qcow2Reference *reference, gpointer data,
             GError **error G_GNUC_UNUSED)
{
  Check *check = data;
  Qcow2Census *census = check->mapping.census;
  const guint64 raw = reference->offset;
  const guint64 cluster = raw / census->cluster_size;
  const guint64 reserved = qcow2_field_unpack (
      QCOW2_FIELD (qcow2_refcount_entry_record, Qcow2RefcountEntry, reserved),
      raw);

  if (reserved != 0 || raw % census->cluster_size != 0
      || cluster > census->n_clusters)
    {
      if (check->mapping.is_first)
        qcow2_mapping_check_count (&check->mapping, 1);
      return TRUE;
    }
  if (!qcow2_census_covers (census, cluster))
    return TRUE;
  if (cluster >= qcow2_census_get_end (census)
      || !qcow2_census_add (census, raw, reference->size, 1))
    {
      qcow2_mapping_check_count (&check->mapping, 1);
      return TRUE;
    }

  const guint64 n = qcow2_census_get_references (census, cluster);
  if (MIN (n, census->refcount_max) != 1)
    qcow2_mapping_check_count (&check->mapping, 1);
  return TRUE;
}

/* Returns whether REFERENCE is an entry of the refcount table that does not
 * point to a block. */
static gboolean
is_no_block (const Check *check, const Qcow2Reference *reference)
{
  return reference->owner == QCOW2_OWNER_REFCOUNT_BLOCK
         && reference->offset % check->mapping.header->cluster_size != 0;
}

/* Adds to the owners the clusters of a structure at REFERENCE that other
 * things refer to as well.  N references are its own. */
static void
find_overlap (Check *check, const Qcow2Reference *reference, guint64 n)
{
  const Qcow2Census *census = check->mapping.census;

  if (reference->size == 0
      || !qcow2_census_is_inside (census, reference->offset, reference->size))
    return;

  const guint64 first = reference->offset >> census->cluster_bits;
  const guint64 last
      = (reference->offset + reference->size - 1) >> census->cluster_bits;
  const guint64 end = MIN (last + 1, census->low + census->n);
  for (guint64 i = MAX (first, census->low); i < end; i++)
    {
      i = qcow2_census_find_more (census, i, end, n);
      if (i < end)
        qcow2_owners_add_overlap (check->mapping.owners, i);
    }
}

/* A Qcow2ReferenceFunc. */
static gboolean
find_structure_overlap (const Qcow2Reference *reference, gpointer data,
                        GError **error G_GNUC_UNUSED)
{
  if (!is_no_block (data, reference))
    find_overlap (data, reference, 1);
  return TRUE;
}

/* A Qcow2L2TableFunc. */
static gboolean
find_l2_table_overlap (const Qcow2L2Table *table, gpointer data,
                       GError **error G_GNUC_UNUSED)
{
  Check *check = data;
  const Qcow2Reference reference
      = { .offset = table->offset,
          .size = check->mapping.header->cluster_size };

  find_overlap (check, &reference, table->n);
  return TRUE;
}

/* A Qcow2ReferenceFunc. */
static gboolean
note_structure (const Qcow2Reference *reference, gpointer data,
                GError **error G_GNUC_UNUSED)
{
  Check *check = data;

  if (!is_no_block (check, reference))
    qcow2_mapping_check_note (&check->mapping, reference);
  return TRUE;
}

/* Adds the finding about RUN, whose clusters hold compressed data that QEMU
 * reads but does not count. */
static void
report_used (Check *check, const Qcow2CensusRun *run)
{
  const guint64 cluster_size = check->mapping.header->cluster_size;
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_HEADER, "cluster");

  qcow2_findings_add (check->findings, &subject, QCOW2_RC_02_USED,
                      run->start * cluster_size, 0,
                      "the refcount of " QCOW2_HEX_FORMAT
                      " bytes at " QCOW2_HEX_FORMAT " is " QCOW2_U64_FORMAT
                      ", the number of references " QCOW2_U64_FORMAT
                      ", without that of an entry that breaks L2-03 or L2-07",
                      run->n * cluster_size, run->start * cluster_size,
                      run->refcount, run->references);
}

/* A Qcow2CensusFunc. */
static void
add_run (const Qcow2CensusRun *run, gpointer data)
{
  Check *check = data;

  /* Tables that were not read may have references. */
  if (run->refcount > run->references
      && (check->is_refused || check->mapping.has_failed
          || check->mapping.is_too_much))
    return;

  if (run->is_used)
    report_used (check, run);
  else
    qcow2_owners_add_run (check->mapping.owners, run);
}

/* Counts the references to the part of the file that the census covers. */
static gboolean
count_references (Check *check, GError **error)
{
  Qcow2References *references = check->references;
  Qcow2MappingCheck *mapping = &check->mapping;

  mapping->round = (Qcow2CheckNumbers){ 0 };
  mapping->is_wrong = FALSE;
  mapping->l2_bytes_left = MAX_L2_BYTES;
  return qcow2_references_walk_structures (references, count_structure, check,
                                           error)
         && qcow2_references_walk_l1_tables (
             references, qcow2_mapping_check_l1_entry, mapping, error)
         && qcow2_references_walk_l2_tables (
             references, qcow2_mapping_check_l2_table, mapping, error)
         && qcow2_references_walk_blocks (references, count_block, check,
                                          error);
}

/* Compares the references with the refcounts. */
static gboolean
compare (Check *check, GError **error)
{
  Qcow2References *references = check->references;

  if (!qcow2_census_compare (check->mapping.census, add_run, check,
                             &check->totals, error)
      || !qcow2_references_walk_structures (references, find_structure_overlap,
                                            check, error)
      || !qcow2_references_walk_blocks (references, find_structure_overlap,
                                        check, error)
      || !qcow2_references_walk_l2_tables (references, find_l2_table_overlap,
                                           check, error))
    return FALSE;

  qcow2_owners_sort (check->mapping.owners);
  return TRUE;
}

/* Adds the findings about the part of the file that the census covers. */
static gboolean
report (Check *check, GError **error)
{
  Qcow2References *references = check->references;
  Qcow2MappingCheck *mapping = &check->mapping;
  g_autoptr (Qcow2MappingReport) mapping_report
      = qcow2_mapping_report_new (mapping->image, check->findings);

  mapping->report = mapping_report;
  mapping->l2_bytes_left = MAX_L2_BYTES;
  const gboolean walked
      = qcow2_references_walk_structures (references, note_structure, check,
                                          error)
        && qcow2_references_walk_blocks (references, note_structure, check,
                                         error)
        && qcow2_references_walk_l1_tables (
            references, qcow2_mapping_check_l1_entry, mapping, error)
        && qcow2_references_walk_l2_tables (
            references, qcow2_mapping_check_l2_table, mapping, error);
  mapping->report = NULL;
  qcow2_mapping_report_finish (mapping_report);
  qcow2_owners_report (mapping->owners);
  return walked;
}

static void
add_round (Check *check, Qcow2CheckNumbers *numbers)
{
  const Qcow2CheckNumbers *round = &check->mapping.round;

  numbers->allocated_clusters += round->allocated_clusters;
  numbers->fragmented_clusters += round->fragmented_clusters;
  numbers->compressed_clusters += round->compressed_clusters;
  numbers->corruptions += round->corruptions;
}

/* Checks the part of the file from cluster LOW on.  Stores in *END the cluster
 * after that part. */
static gboolean
check_part (Check *check, guint64 low, guint64 *end,
            Qcow2CheckNumbers *numbers, GError **error)
{
  Qcow2MappingCheck *mapping = &check->mapping;

  mapping->is_first = low == 0;
  if (!qcow2_census_start (mapping->census, low, QCOW2_CENSUS_CLUSTERS, error)
      || !count_references (check, error))
    return FALSE;
  if (mapping->census->is_crowded
      && (!qcow2_census_start (mapping->census, low, QCOW2_CENSUS_FEW_CLUSTERS,
                               error)
          || !count_references (check, error)))
    return FALSE;

  /* Tables that were left out may have references. */
  mapping->is_too_much |= qcow2_references_are_too_many (check->references);
  *end = low + mapping->census->n;
  add_round (check, numbers);
  return compare (check, error)
         && ((!mapping->is_wrong && !qcow2_owners_are_wanted (mapping->owners))
             || report (check, error));
}

/* Adds what the snapshot table itself counts for QEMU, and its findings.
 * (QEMU, block/qcow2-snapshot.c: qcow2_check_read_snapshot_table, and
 * block/qcow2-refcount.c: calculate_refcounts.) */
static void
check_snapshots (Check *check, Qcow2CheckNumbers *numbers)
{
  const Qcow2Header *h = check->mapping.header;
  const GArray *l1_tables = check->snapshots->l1_tables;
  const guint n_read = l1_tables != NULL ? l1_tables->len : 0;
  const guint32 n = MIN (h->nb_snapshots, QCOW2_MAX_SNAPSHOTS);

  if (check->mapping.has_data_file && n > 0)
    numbers->corruptions++;
  /* Entries after the end of the file are zeroes, without extra data. */
  if (h->version >= 3)
    numbers->corruptions += n - MIN (n_read, n);

  for (guint i = 0; i < n_read; i++)
    numbers->corruptions += qcow2_snapshot_check (
        check->mapping.image, &g_array_index (l1_tables, Qcow2SnapshotL1, i),
        i, check->findings);
}

static void
report_too_many (Check *check, const char *what, guint64 offset)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_HEADER, "image");

  qcow2_findings_add (check->findings, &subject, QCOW2_RES_08, offset, 0,
                      "%s were not all examined: there are too many", what);
}

/* Checks all parts of the file. */
static void
check_parts (Check *check, Qcow2CheckNumbers *numbers)
{
  Qcow2MappingCheck *mapping = &check->mapping;
  const guint64 n = mapping->census->n_clusters + 1;
  GError *error = NULL;
  guint64 low = 0;

  for (guint i = 0; low < n && i < MAX_ROUNDS; i++)
    {
      if (!check_part (check, low, &low, numbers, &error))
        {
          qcow2_mapping_check_fail (mapping, error);
          return;
        }
    }

  if (low < n)
    {
      /* The cluster that is left out may be the one after the file. */
      report_too_many (
          check, "clusters",
          MIN (low * mapping->header->cluster_size, mapping->census->size));
      mapping->is_too_much = TRUE;
    }
  else if (mapping->is_too_much || mapping->census->is_overflown
           || qcow2_references_are_too_many (check->references))
    {
      report_too_many (check, "references", 0);
      mapping->is_too_much = TRUE;
    }
}

/* Returns whether the part of the active L1 table that maps the disk is in the
 * file, where QEMU reads it: FILE-09, HDR-15, HDR-17. */
static gboolean
has_l1_table (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;
  const guint64 size = byte_source_get_size (image->source);
  const guint64 n_needed = qcow2_header_get_n_l1_needed (h);

  return (guint64) h->l1_size * QCOW2_ENTRY_LENGTH <= QCOW2_MAX_L1_BYTES
         && h->l1_size >= n_needed && h->l1_table_offset % h->cluster_size == 0
         && (n_needed == 0
             || (h->l1_table_offset < size
                 && n_needed * QCOW2_ENTRY_LENGTH
                        <= size - h->l1_table_offset));
}

static void
set_numbers (const Check *check, Qcow2CheckNumbers *numbers)
{
  const Qcow2MappingCheck *mapping = &check->mapping;
  const Qcow2Header *h = mapping->header;
  const Qcow2CensusTotals *totals = &check->totals;
  const guint64 end = MAX (totals->end, 1);

  numbers->is_incomplete = mapping->is_too_much || mapping->has_failed
                           || check->snapshots->is_none
                           || !has_l1_table (mapping->image);
  numbers->image_end_offset = end * h->cluster_size;
  numbers->total_clusters
      = qcow2_divide_up (qcow2_header_get_qemu_size (h), h->cluster_size);
  numbers->corruptions += totals->too_low + totals->overflows;
  numbers->leaks = totals->too_high;
  numbers->check_errors = totals->unreadable;
  if (mapping->has_failed || check->is_aborted || mapping->is_too_much
      || mapping->census->n_clusters > QEMU_MAX_CLUSTERS)
    qcow2_check_numbers_forget (numbers);
}

/* Checks the tables that map the disk of IMAGE and the refcounts of all
 * clusters, and adds findings to FINDINGS.  DIRECTORY is the bitmap directory,
 * or NULL if it cannot be read; it is rewound.  CLUSTERS has read the snapshot
 * table and the tables of bitmaps; if it is NULL, because the cluster size is
 * unknown, or could not read the former, nothing is checked.  Stores in
 * NUMBERS what qemu-img check counts.  IS_REFUSED says that QEMU does not open
 * the image: then a refcount that is too high means nothing, since this
 * program may not know all that refers to a cluster.  Passes the first read
 * error (QCOW2_ERROR_READ) to FAILED, along with DATA, and continues.  Needs
 * at most 64 MiB. */
void
qcow2_whole_image_check (const Qcow2Image *image, Qcow2Findings *findings,
                         Qcow2Directory *directory,
                         const Qcow2ClusterCheck *clusters,
                         gboolean is_refused, Qcow2CheckFailed failed,
                         gpointer data, Qcow2CheckNumbers *numbers)
{
  const Qcow2SnapshotTable *snapshots
      = clusters != NULL ? qcow2_cluster_check_get_snapshots (clusters) : NULL;
  Qcow2Refcounts *refcounts
      = clusters != NULL ? qcow2_cluster_check_get_refcounts (clusters) : NULL;
  g_autoptr (Qcow2Census) census
      = refcounts != NULL ? qcow2_census_new (image, refcounts) : NULL;
  Check check = { .mapping = { .failed = failed, .failed_data = data },
                  .findings = findings,
                  .snapshots = snapshots,
                  .is_refused = is_refused };

  *numbers = (Qcow2CheckNumbers){ 0 };
  qcow2_check_numbers_forget (numbers);
  if (census == NULL || snapshots == NULL)
    {
      numbers->is_incomplete = TRUE;
      return;
    }

  g_autoptr (Qcow2References) references
      = qcow2_references_new (image, directory, snapshots, refcounts);
  g_autoptr (Qcow2Owners) owners = qcow2_owners_new (image, findings);
  g_autoptr (ByteWindow) window = byte_window_new_streaming (image->source, 0);
  GArray *tables = qcow2_cluster_check_get_tables (clusters);
  if (tables != NULL)
    qcow2_references_set_tables (references, tables);
  check.references = references;
  qcow2_mapping_check_init (&check.mapping, image, census, owners, window);

  *numbers = (Qcow2CheckNumbers){ 0 };
  check.is_aborted = qcow2_references_have_refused_table (references);
  check_snapshots (&check, numbers);
  check_parts (&check, numbers);
  if (check.mapping.needed > 0)
    qcow2_file_end_report (image, check.mapping.needed, findings);
  set_numbers (&check, numbers);
}
