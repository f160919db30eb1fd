/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/whole-image.h"

#include "check/census.h"
#include "check/file-end.h"
#include "check/mapping-rules.h"
#include "check/owners.h"
#include "check/plain-entries.h"
#include "check/references.h"
#include "qcow2/arithmetic.h"
#include "qcow2/l1-table.h"
#include "qcow2/l2-table.h"
#include "qcow2/refcount.h"

/* Limits on the work: the number of rounds, and the bytes of L2 tables that
 * are read in each. */
#define MAX_ROUNDS 16
#define MAX_L2_BYTES G_GUINT64_CONSTANT (0x200000000)

/* QEMU, block/qcow2-refcount.c: no more clusters are examined. */
#define QEMU_MAX_CLUSTERS G_MAXINT32

/* QEMU rounds the size of the disk to sectors. */
#define SECTOR_SIZE 512

/* The largest size of an L2 entry. */
#define MAX_ENTRY_SIZE 16

#define L1(member, raw)                                                       \
  qcow2_field_unpack (                                                        \
      QCOW2_FIELD (qcow2_l1_entry_record, Qcow2L1Entry, member), raw)
#define L2(member, raw)                                                       \
  qcow2_field_unpack (                                                        \
      QCOW2_FIELD (qcow2_l2_entry_record, Qcow2L2Entry, member), raw)

/* A check of an image.  In each round, which covers a part of the file, the
 * first pass counts.  If it finds anything wrong, the second pass adds the
 * findings. */
typedef struct
{
  const Qcow2Image *image;
  const Qcow2Header *header;
  Qcow2Findings *findings;
  Qcow2CheckFailed failed;
  gpointer failed_data;
  const Qcow2SnapshotTable *snapshots;
  Qcow2Census *census;
  Qcow2References *references;
  Qcow2Owners *owners;
  Qcow2MappingReport *report; /* NULL in the first pass */
  ByteWindow *window;         /* on L2 tables */
  Qcow2PlainEntries plain;
  gsize entry_size;     /* bytes, of an L2 entry */
  guint64 table_covers; /* bytes of the disk that an L2 table maps */
  gboolean has_data_file;
  gboolean is_refused; /* by QEMU: what refers to a cluster may not be known */
  gboolean is_first;   /* the round covers the start of the file; it also
                          counts what does not depend on the part */
  gboolean is_wrong;   /* the first pass has found something wrong */
  gboolean has_failed; /* a read error was reported */
  gboolean is_aborted; /* QEMU does not finish its check */
  guint64 l2_bytes_left; /* of MAX_L2_BYTES */
  gboolean is_too_much;  /* these bytes ran out */
  guint64 needed;        /* host offset of the end of the last cluster that an
                            entry refers to after the end of the file, or 0 */
  Qcow2CheckNumbers round; /* what this round adds */
  Qcow2CensusTotals totals;
} Check;

/* Takes ownership of ERROR, a read error.  Reports the first one only, as
 * tables are read several times. */
static void
fail (Check *check, GError *error)
{
  if (check->has_failed)
    g_error_free (error);
  else
    check->failed (error, check->failed_data);
  check->has_failed = TRUE;
}

static void
count_corruptions (Check *check, guint64 n)
{
  check->round.corruptions += n;
  check->is_wrong = TRUE;
}

/* Counts N references to the SIZE bytes at host offset OFFSET, which are after
 * the end of the file. */
static void
count_outside (Check *check, guint64 offset, guint64 size, guint64 n)
{
  check->needed
      = MAX (check->needed,
             qcow2_round_up (offset + size, check->header->cluster_size));
  count_corruptions (check, n);
}

/* A Qcow2ReferenceFunc. */
static gboolean
count_structure (const Qcow2Reference *reference, gpointer data,
                 GError **error G_GNUC_UNUSED)
{
  Check *check = data;

  /* QEMU takes offsets and sizes for signed numbers: it ignores a negative
   * size, and fails with a negative offset. */
  if (reference->size > G_MAXINT64)
    return TRUE;
  if (reference->size > 0 && reference->offset > QCOW2_QEMU_MAX_LENGTH)
    check->is_aborted = TRUE;
  else if (!qcow2_census_add (check->census, reference->offset,
                              reference->size, 1)
           && check->is_first)
    count_corruptions (check, 1);
  return TRUE;
}

/* A Qcow2ReferenceFunc.  Other rules report an entry that is invalid.  (QEMU,
 * block/qcow2-refcount.c: check_refblocks.) */
static gboolean
count_block (const Qcow2Reference *reference, gpointer data,
             GError **error G_GNUC_UNUSED)
{
  Check *check = data;
  Qcow2Census *census = check->census;
  const guint64 raw = reference->offset;
  const guint64 cluster = raw / census->cluster_size;
  const guint64 reserved = qcow2_field_unpack (
      QCOW2_FIELD (qcow2_refcount_entry_record, Qcow2RefcountEntry, reserved),
      raw);

  if (reserved != 0 || raw % census->cluster_size != 0
      || cluster > census->n_clusters)
    {
      if (check->is_first)
        count_corruptions (check, 1);
      return TRUE;
    }
  if (!qcow2_census_covers (census, cluster))
    return TRUE;
  if (cluster >= qcow2_census_get_end (census)
      || !qcow2_census_add (census, raw, reference->size, 1))
    {
      count_corruptions (check, 1);
      return TRUE;
    }

  const guint64 n = qcow2_census_get_references (census, cluster);
  if (MIN (n, census->refcount_max) != 1)
    count_corruptions (check, 1);
  return TRUE;
}

/* Stores in *IS_WRONG whether the flag IS_COPIED of ENTRY contradicts the
 * refcount of the cluster at host offset HOST, and in ENTRY that refcount and
 * whether the references agree with it.  In each round, only clusters that it
 * covers are wrong; those after the end of the file count in the first one. */
static gboolean
check_copied (Check *check, guint64 host, gboolean is_copied,
              gboolean *is_wrong, Qcow2FaultyEntry *entry, GError **error)
{
  Qcow2Census *census = check->census;
  const guint64 cluster = host >> census->cluster_bits;
  const gboolean is_after = cluster > census->n_clusters;
  guint64 refcount;
  gboolean unreadable;

  *is_wrong = FALSE;
  if (is_after ? !check->is_first : !qcow2_census_covers (census, cluster))
    return TRUE;
  if (!qcow2_census_get_refcount (census, cluster, &refcount, &unreadable,
                                  error))
    return FALSE;

  *is_wrong = !unreadable && (refcount == 1) != is_copied;
  if (*is_wrong)
    {
      entry->refcount = refcount;
      entry->is_counted
          = !is_after
            && qcow2_census_get_references (census, cluster) == refcount;
    }
  return TRUE;
}

/* Counts or reports the PROBLEM of ENTRY, to which there are N references as
 * far as QEMU counts them. */
static void
pass_problem (Check *check, Qcow2Problem problem, guint64 n,
              const Qcow2FaultyEntry *entry)
{
  check->is_wrong = TRUE;
  if (check->report != NULL)
    qcow2_mapping_report_add (check->report, problem, entry);
  else if ((QCOW2_PROBLEMS_OF_QEMU & QCOW2_PROBLEM_BIT (problem)) != 0)
    check->round.corruptions += n;
}

/* Passes the PROBLEMS of ENTRY, to which there are N references, in the first
 * round, and that its copied flag is wrong, for N_ACTIVE of them, if
 * COPIED_IS_WRONG. */
static void
pass_problems (Check *check, guint problems, gboolean copied_is_wrong,
               guint64 n, guint64 n_active, Qcow2FaultyEntry *entry)
{
  entry->problems = problems;
  if (copied_is_wrong)
    entry->problems |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COPIED);
  if (entry->problems == 0)
    return;

  for (guint i = 0; check->is_first && i < QCOW2_N_PROBLEMS; i++)
    {
      if ((problems & QCOW2_PROBLEM_BIT (i)) != 0)
        pass_problem (check, i, n, entry);
    }
  if (copied_is_wrong)
    pass_problem (check, QCOW2_PROBLEM_COPIED, n_active, entry);
}

/* A Qcow2L1ReferenceFunc for both passes. */
static gboolean
check_l1_entry (const Qcow2L1Reference *entry, gpointer data, GError **error)
{
  Check *check = data;
  Qcow2FaultyEntry faulty = { .raw = entry->raw,
                              .pointer = entry->pointer,
                              .host = L1 (offset, entry->raw),
                              .guest = entry->index * check->table_covers,
                              .guest_length = check->table_covers,
                              .snapshot = entry->snapshot,
                              .is_l1 = TRUE };
  const gboolean is_copied = L1 (copied, entry->raw) != 0;
  const guint64 size = check->census->size;
  const guint64 table_size = check->header->cluster_size;
  gboolean is_wrong = FALSE;
  guint problems = qcow2_l1_entry_get_problems (check->header, entry->raw);

  /* The file may end in a cluster of data, but not in a table. */
  if (faulty.host > size || table_size > size - faulty.host)
    problems |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_OUTSIDE);
  if (entry->snapshot == QCOW2_NO_INDEX && faulty.host != 0
      && !check_copied (check, faulty.host, is_copied, &is_wrong, &faulty,
                        error))
    return FALSE;

  pass_problems (check, problems, is_wrong, 1, 1, &faulty);
  return TRUE;
}

/* A walk over the entries of an L2 table. */
typedef struct
{
  const Qcow2L2Table *table;
  guint64 n_active; /* references whose COPIED flags count */
  Qcow2Fragments fragments;
  guint64 compressed; /* clusters; they are fragments, too */
} TableWalk;

/* Returns whether QEMU reads the compressed data of MAPPING, whose entry has
 * PROBLEMS, although it may not count them: they begin in the file. */
static gboolean
is_read (const Check *check, const Qcow2Mapping *mapping, guint problems)
{
  return mapping->type == QCOW2_CLUSTER_COMPRESSED
         && (problems & QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COMPRESSED_DATA_FILE))
                == 0
         && mapping->offset < check->census->size;
}

/* Problems of an entry whose data QEMU does not count. */
#define UNCOUNTED                                                             \
  (QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COMPRESSED_DATA_FILE)                     \
   | QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COMPRESSED_SUBCLUSTERS))

/* Counts the cluster of MAPPING, whose entry has PROBLEMS. */
static void
count_mapping (Check *check, TableWalk *walk, const Qcow2Mapping *mapping,
               guint problems)
{
  if (mapping->length == 0)
    return;
  if ((problems & UNCOUNTED) != 0)
    {
      if (is_read (check, mapping, problems))
        qcow2_census_mark_used (check->census, mapping->offset,
                                mapping->length);
      return;
    }

  if (mapping->type == QCOW2_CLUSTER_COMPRESSED)
    {
      walk->fragments.allocated++;
      walk->fragments.fragmented++;
      walk->compressed++;
    }
  else
    qcow2_fragments_add (&walk->fragments, mapping->offset, 1,
                         mapping->length);
  if (check->has_data_file)
    return;

  const gboolean is_inside = qcow2_census_is_inside (
      check->census, mapping->offset, mapping->length);
  if (check->report == NULL)
    qcow2_census_add (check->census, mapping->offset, mapping->length,
                      walk->table->n);
  if (!is_inside && is_read (check, mapping, problems))
    qcow2_census_mark_used (check->census, mapping->offset, mapping->length);
  if (check->report == NULL && !is_inside && check->is_first)
    count_outside (check, mapping->offset, mapping->length, walk->table->n);
}

/* Returns the problem that data of MAPPING, whose entry has PROBLEMS, are
 * after the end of the file, as a mask of QCOW2_PROBLEM_BIT (); QEMU counts
 * those as inside that are in the cluster after it. */
static guint
get_outside_problem (Check *check, const Qcow2Mapping *mapping, guint problems)
{
  const guint64 cluster_size = check->header->cluster_size;

  if (check->has_data_file || mapping->length == 0
      || (problems & UNCOUNTED) != 0
      || !qcow2_mapping_is_outside (mapping, check->header,
                                    check->census->size))
    return 0;

  const guint64 last = (mapping->offset + (mapping->length - 1)) / cluster_size
                       * cluster_size;
  if (last >= check->census->size)
    check->needed = MAX (check->needed, last + cluster_size);
  return QCOW2_PROBLEM_BIT (is_read (check, mapping, problems)
                                ? QCOW2_PROBLEM_COMPRESSED_LONG
                                : QCOW2_PROBLEM_OUTSIDE);
}

/* Notes REFERENCE as an owner, if QEMU counts it. */
static void
note_reference (Check *check, const Qcow2Reference *reference)
{
  if (qcow2_census_is_inside (check->census, reference->offset,
                              reference->size))
    qcow2_owners_note (check->owners, reference);
}

/* Notes the cluster of MAPPING, whose entry is ENTRY, as owned. */
static void
note_owner (Check *check, const Qcow2Mapping *mapping,
            const Qcow2FaultyEntry *entry)
{
  const Qcow2Reference reference = { .owner = QCOW2_OWNER_GUEST,
                                     .offset = mapping->offset,
                                     .size = mapping->length,
                                     .pointer = entry->pointer,
                                     .index = entry->snapshot,
                                     .guest = entry->guest };

  if (!check->has_data_file)
    note_reference (check, &reference);
}

/* Passes that ENTRY, whose table has several L1 entries, leads to the offset
 * in the data file that is right for the first of them: the others lead QEMU
 * to parts of the disk that it cannot read. */
static void
pass_several_offsets (Check *check, const Qcow2L2Table *table,
                      const Qcow2FaultyEntry *entry)
{
  Qcow2FaultyEntry other = *entry;

  other.problems = QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_SEVERAL_OFFSETS);
  other.guest += ((guint64) table->other - table->index) * check->table_covers;
  pass_problem (check, QCOW2_PROBLEM_SEVERAL_OFFSETS, table->n, &other);
}

/* Checks the entry at BYTES, entry INDEX of its table, in both passes. */
static gboolean
check_entry (Check *check, TableWalk *walk, guint64 index, const guint8 *bytes,
             GError **error)
{
  const Qcow2L2Table *table = walk->table;
  Qcow2Mapping mapping;

  qcow2_l2_decode (check->header, bytes, &mapping);

  Qcow2FaultyEntry entry
      = { .raw = mapping.raw,
          .pointer = table->offset + index * check->entry_size,
          .host = mapping.offset,
          .guest = table->index * check->table_covers
                   + index * check->header->cluster_size,
          .guest_length = check->header->cluster_size,
          .snapshot = table->n_active > 0 ? QCOW2_NO_INDEX : table->snapshot };
  guint problems = qcow2_mapping_get_problems (check->header, &mapping);
  gboolean is_wrong = FALSE;

  count_mapping (check, walk, &mapping, problems);
  problems |= get_outside_problem (check, &mapping, problems);
  /* QEMU, block/qcow2-cluster.c: qcow2_get_host_offset. */
  const gboolean is_in_data_file = check->has_data_file && mapping.length > 0
                                   && mapping.type != QCOW2_CLUSTER_COMPRESSED;
  if (is_in_data_file && mapping.offset != entry.guest)
    problems |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_OTHER_OFFSET);
  else if (is_in_data_file && table->n_active > 1 && check->is_first)
    pass_several_offsets (check, table, &entry);
  if (check->report != NULL && mapping.length > 0)
    note_owner (check, &mapping, &entry);

  const gboolean has_copied = walk->n_active > 0 && mapping.length > 0
                              && mapping.type != QCOW2_CLUSTER_COMPRESSED;
  const gboolean is_copied = L2 (copied, mapping.raw) != 0;
  if (has_copied && check->has_data_file)
    {
      is_wrong = check->is_first && !is_copied;
      entry.refcount = 1;
      entry.is_counted = TRUE;
    }
  else if (has_copied
           && !check_copied (check, mapping.offset, is_copied, &is_wrong,
                             &entry, error))
    return FALSE;

  pass_problems (check, problems, is_wrong, table->n, walk->n_active, &entry);
  return TRUE;
}

/* Checks the entries in the LEN bytes at BYTES, of which entry INDEX is the
 * first. */
static gboolean
check_entries (Check *check, TableWalk *walk, guint64 index,
               const guint8 *bytes, gsize len, GError **error)
{
  const gsize size = check->entry_size;
  const gboolean is_plain = check->report == NULL && !check->has_data_file
                            && size == QCOW2_ENTRY_LENGTH;

  for (gsize at = 0; at < len;)
    {
      if (is_plain)
        {
          at += qcow2_plain_entries_count (&check->plain, &walk->fragments,
                                           bytes + at, len - at);
          if (at == len)
            break;
        }
      if (!check_entry (check, walk, index + at / size, bytes + at, error))
        return FALSE;
      at += size;
    }

  return TRUE;
}

/* Reads the entries of the L2 table of WALK.  An entry that the file truncates
 * continues with zeroes. */
static gboolean
read_table (Check *check, TableWalk *walk, GError **error)
{
  const guint64 start = walk->table->offset;
  const guint64 left = check->census->size - MIN (start, check->census->size);
  const guint64 bytes = MIN (check->header->cluster_size, left);
  const guint64 whole = bytes / check->entry_size * check->entry_size;
  guint8 last[MAX_ENTRY_SIZE];

  byte_window_set_end (check->window, start + bytes);
  for (guint64 done = 0; done < whole;)
    {
      gsize len;
      const guint8 *entries = byte_window_get_available (
          check->window, start + done, check->entry_size, BYTE_WINDOW_SIZE,
          &len, qcow2_l2_entry_record.name, error);

      if (entries == NULL
          || !check_entries (check, walk, done / check->entry_size, entries,
                             len, error))
        return FALSE;
      done += len;
    }
  if (whole == bytes)
    return TRUE;

  return byte_window_copy (check->window, start + whole, last,
                           check->entry_size, qcow2_l2_entry_record.name,
                           error)
         && check_entry (check, walk, whole / check->entry_size, last, error);
}

/* Reads the L2 table of WALK and adds what was counted. */
static void
check_table (Check *check, TableWalk *walk)
{
  const Qcow2L2Table *table = walk->table;
  Qcow2CheckNumbers *round = &check->round;
  GError *error = NULL;

  if (check->l2_bytes_left < check->header->cluster_size)
    {
      check->is_too_much = TRUE;
      return;
    }

  check->l2_bytes_left -= check->header->cluster_size;
  qcow2_plain_entries_set_table (&check->plain, table->n, walk->n_active > 0);
  if (!read_table (check, walk, &error))
    fail (check, error);
  if (check->report != NULL || !check->is_first)
    return;

  round->allocated_clusters += walk->fragments.allocated * table->n_active;
  round->fragmented_clusters += walk->fragments.fragmented * table->n_active;
  round->compressed_clusters += walk->compressed * table->n_active;
}

/* A Qcow2L2TableFunc for both passes. */
static gboolean
check_l2_table (const Qcow2L2Table *table, gpointer data,
                GError **error G_GNUC_UNUSED)
{
  Check *check = data;
  const guint64 cluster_size = check->header->cluster_size;
  /* QEMU takes offset 0 for no table when it checks COPIED. */
  TableWalk walk = { .table = table,
                     .n_active = table->offset != 0 ? table->n_active : 0 };
  const Qcow2Reference reference
      = { .owner = QCOW2_OWNER_L2_TABLE,
          .offset = table->offset,
          .size = cluster_size,
          .pointer = table->pointer,
          .index = QCOW2_NO_INDEX,
          .guest = table->index * check->table_covers };

  if (check->report != NULL)
    note_reference (check, &reference);
  else if (!qcow2_census_add (check->census, table->offset, cluster_size,
                              table->n)
           && check->is_first)
    count_outside (check, table->offset, cluster_size, table->n);

  check_table (check, &walk);
  return TRUE;
}

/* Returns whether REFERENCE is an entry of the refcount table that does not
 * point to a block. */
static gboolean
is_no_block (const Check *check, const Qcow2Reference *reference)
{
  return reference->owner == QCOW2_OWNER_REFCOUNT_BLOCK
         && reference->offset % check->header->cluster_size != 0;
}

/* Adds to the owners the clusters of a structure at REFERENCE that other
 * things refer to as well.  N references are its own. */
static void
find_overlap (Check *check, const Qcow2Reference *reference, guint64 n)
{
  const Qcow2Census *census = check->census;

  if (reference->size == 0
      || !qcow2_census_is_inside (census, reference->offset, reference->size))
    return;

  const guint64 first = reference->offset >> census->cluster_bits;
  const guint64 last
      = (reference->offset + reference->size - 1) >> census->cluster_bits;
  for (guint64 i = MAX (first, census->low);
       i <= last && qcow2_census_covers (census, i); i++)
    {
      if (qcow2_census_get_references (census, i) > n)
        qcow2_owners_add_overlap (check->owners, i);
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
      = { .offset = table->offset, .size = check->header->cluster_size };

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
    note_reference (check, reference);
  return TRUE;
}

/* Adds the finding about RUN, whose clusters hold compressed data that QEMU
 * reads but does not count. */
static void
report_used (Check *check, const Qcow2CensusRun *run)
{
  const guint64 cluster_size = check->header->cluster_size;
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

  if (check->is_refused && run->refcount > run->references)
    return;

  if (run->is_used)
    report_used (check, run);
  else
    qcow2_owners_add_run (check->owners, run);
}

/* Counts the references to the part of the file that the census covers. */
static gboolean
count_references (Check *check, GError **error)
{
  Qcow2References *references = check->references;

  check->round = (Qcow2CheckNumbers){ 0 };
  check->is_wrong = FALSE;
  check->l2_bytes_left = MAX_L2_BYTES;
  return qcow2_references_walk_structures (references, count_structure, check,
                                           error)
         && qcow2_references_walk_l1_tables (references, check_l1_entry, check,
                                             error)
         && qcow2_references_walk_l2_tables (references, check_l2_table, check,
                                             error)
         && qcow2_references_walk_blocks (references, count_block, check,
                                          error);
}

/* Compares the references with the refcounts. */
static gboolean
compare (Check *check, GError **error)
{
  Qcow2References *references = check->references;

  if (!qcow2_census_compare (check->census, add_run, check, &check->totals,
                             error)
      || !qcow2_references_walk_structures (references, find_structure_overlap,
                                            check, error)
      || !qcow2_references_walk_blocks (references, find_structure_overlap,
                                        check, error)
      || !qcow2_references_walk_l2_tables (references, find_l2_table_overlap,
                                           check, error))
    return FALSE;

  qcow2_owners_sort (check->owners);
  return TRUE;
}

/* Adds the findings about the part of the file that the census covers. */
static gboolean
report (Check *check, GError **error)
{
  Qcow2References *references = check->references;
  g_autoptr (Qcow2MappingReport) mapping_report
      = qcow2_mapping_report_new (check->image, check->findings);

  check->report = mapping_report;
  check->l2_bytes_left = MAX_L2_BYTES;
  const gboolean walked
      = qcow2_references_walk_structures (references, note_structure, check,
                                          error)
        && qcow2_references_walk_blocks (references, note_structure, check,
                                         error)
        && qcow2_references_walk_l1_tables (references, check_l1_entry, check,
                                            error)
        && qcow2_references_walk_l2_tables (references, check_l2_table, check,
                                            error);
  check->report = NULL;
  qcow2_mapping_report_finish (mapping_report);
  qcow2_owners_report (check->owners);
  return walked;
}

static void
add_round (Check *check, Qcow2CheckNumbers *numbers)
{
  const Qcow2CheckNumbers *round = &check->round;

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
  check->is_first = low == 0;
  if (!qcow2_census_start (check->census, low, QCOW2_CENSUS_CLUSTERS, error)
      || !count_references (check, error))
    return FALSE;
  if (check->census->is_crowded
      && (!qcow2_census_start (check->census, low, QCOW2_CENSUS_FEW_CLUSTERS,
                               error)
          || !count_references (check, error)))
    return FALSE;

  *end = low + check->census->n;
  add_round (check, numbers);
  return compare (check, error)
         && ((!check->is_wrong && !qcow2_owners_are_wanted (check->owners))
             || report (check, error));
}

/* Adds what the snapshot table itself counts for QEMU, and its findings.
 * (QEMU, block/qcow2-snapshot.c: qcow2_check_read_snapshot_table, and
 * block/qcow2-refcount.c: calculate_refcounts.) */
static void
check_snapshots (Check *check, Qcow2CheckNumbers *numbers)
{
  const Qcow2Header *h = check->header;
  const GArray *l1_tables = check->snapshots->l1_tables;
  const guint n_read = l1_tables != NULL ? l1_tables->len : 0;
  const guint32 n = MIN (h->nb_snapshots, QCOW2_MAX_SNAPSHOTS);

  if (check->has_data_file && n > 0)
    numbers->corruptions++;
  /* Entries after the end of the file are zeroes, without extra data. */
  if (h->version >= 3)
    numbers->corruptions += n - MIN (n_read, n);

  for (guint i = 0; i < n_read; i++)
    numbers->corruptions += qcow2_snapshot_check (
        check->image, &g_array_index (l1_tables, Qcow2SnapshotL1, i), i,
        check->findings);
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
  const guint64 n = check->census->n_clusters + 1;
  GError *error = NULL;
  guint64 low = 0;

  for (guint i = 0; low < n && i < MAX_ROUNDS; i++)
    {
      if (!check_part (check, low, &low, numbers, &error))
        {
          fail (check, error);
          return;
        }
    }

  if (low < n)
    {
      report_too_many (check, "clusters", low * check->header->cluster_size);
      check->is_too_much = TRUE;
    }
  else if (check->is_too_much || check->census->is_overflown
           || qcow2_references_are_too_many (check->references))
    {
      report_too_many (check, "references", 0);
      check->is_too_much = TRUE;
    }
}

static void
set_numbers (const Check *check, Qcow2CheckNumbers *numbers)
{
  const Qcow2Header *h = check->header;
  const Qcow2CensusTotals *totals = &check->totals;
  const guint64 end = MAX (totals->end, 1);

  numbers->is_incomplete = check->is_too_much;
  numbers->image_end_offset = end * h->cluster_size;
  numbers->total_clusters
      = qcow2_divide_up (h->size / SECTOR_SIZE * SECTOR_SIZE, h->cluster_size);
  numbers->corruptions += totals->too_low + totals->overflows;
  numbers->leaks = totals->too_high;
  numbers->check_errors = totals->unreadable;
  if (check->has_failed || check->is_aborted || check->is_too_much
      || check->census->n_clusters > QEMU_MAX_CLUSTERS)
    qcow2_check_numbers_forget (numbers);
}

/* Checks the tables that map the disk of IMAGE and the refcounts of all
 * clusters, and adds findings to FINDINGS.  DIRECTORY is the bitmap directory,
 * or NULL if it cannot be read; it is rewound.  SNAPSHOTS describes the
 * snapshot table; if it is NULL, the table cannot be read, and nothing is
 * checked.  Stores in NUMBERS what qemu-img check counts.  IS_REFUSED says
 * that QEMU does not open the image: then a refcount that is too high means
 * nothing, since this program may not know all that refers to a cluster.
 * Passes the first read error (QCOW2_ERROR_READ) to FAILED, along with DATA,
 * and continues.  Needs at most 64 MiB. */
void
qcow2_whole_image_check (const Qcow2Image *image, Qcow2Findings *findings,
                         Qcow2Directory *directory,
                         const Qcow2SnapshotTable *snapshots,
                         gboolean is_refused, Qcow2CheckFailed failed,
                         gpointer data, Qcow2CheckNumbers *numbers)
{
  const Qcow2Header *h = &image->header;
  g_autoptr (Qcow2Census) census = qcow2_census_new (image);
  Check check = { .image = image,
                  .header = h,
                  .findings = findings,
                  .failed = failed,
                  .failed_data = data,
                  .snapshots = snapshots,
                  .is_refused = is_refused,
                  .census = census };

  *numbers = (Qcow2CheckNumbers){ 0 };
  qcow2_check_numbers_forget (numbers);
  if (census == NULL)
    {
      numbers->is_incomplete = TRUE;
      return;
    }
  if (snapshots == NULL)
    return;

  g_autoptr (Qcow2References) references
      = qcow2_references_new (image, directory, snapshots);
  g_autoptr (Qcow2Owners) owners = qcow2_owners_new (image, findings);
  g_autoptr (ByteWindow) window = byte_window_new (image->source, 0);
  check.references = references;
  check.owners = owners;
  check.window = window;
  check.entry_size = qcow2_l2_get_entry_size (h);
  qcow2_plain_entries_init (&check.plain, census);
  check.table_covers = qcow2_l2_get_n_entries (h) * h->cluster_size;
  check.has_data_file
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;

  *numbers = (Qcow2CheckNumbers){ 0 };
  check_snapshots (&check, numbers);
  check_parts (&check, numbers);
  if (check.needed > 0)
    qcow2_file_end_report (image, check.needed, findings);
  set_numbers (&check, numbers);
}
