/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/mapping-check.h"

#include "qcow2/arithmetic.h"
#include "qcow2/l1-table.h"
#include "qcow2/l2-table.h"

/* The largest size of an L2 entry. */
#define MAX_ENTRY_SIZE 16

#define L1(member, raw)                                                       \
  qcow2_field_unpack (                                                        \
      QCOW2_FIELD (qcow2_l1_entry_record, Qcow2L1Entry, member), raw)
#define L2(member, raw)                                                       \
  qcow2_field_unpack (                                                        \
      QCOW2_FIELD (qcow2_l2_entry_record, Qcow2L2Entry, member), raw)

/* Initializes CHECK, which has only the function FAILED and its data so far,
 * for IMAGE.  All arguments must outlive it. */
void
qcow2_mapping_check_init (Qcow2MappingCheck *check, const Qcow2Image *image,
                          Qcow2Census *census, Qcow2Owners *owners,
                          ByteWindow *window)
{
  const Qcow2Header *h = &image->header;

  check->image = image;
  check->header = h;
  check->census = census;
  check->owners = owners;
  check->window = window;
  check->entry_size = qcow2_l2_get_entry_size (h);
  qcow2_plain_entries_init (&check->plain, census);
  check->table_covers = qcow2_l2_get_n_entries (h) * h->cluster_size;
  check->has_data_file
      = (h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0;
}

/* Takes ownership of ERROR, a read error.  Reports the first one only, as
 * tables are read several times. */
void
qcow2_mapping_check_fail (Qcow2MappingCheck *check, GError *error)
{
  if (check->has_failed)
    g_error_free (error);
  else
    check->failed (error, check->failed_data);
  check->has_failed = TRUE;
}

/* Counts N corruptions. */
void
qcow2_mapping_check_count (Qcow2MappingCheck *check, guint64 n)
{
  check->round.corruptions += n;
  check->is_wrong = TRUE;
}

/* Stores in *IS_WRONG whether the flag IS_COPIED of ENTRY contradicts the
 * refcount of the cluster at host offset HOST, and in ENTRY that refcount and
 * whether the references agree with it.  In each round, only clusters that it
 * covers are wrong; those after the end of the file count in the first one. */
static gboolean
check_copied (Qcow2MappingCheck *check, guint64 host, gboolean is_copied,
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
pass_problem (Qcow2MappingCheck *check, Qcow2Problem problem, guint64 n,
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
pass_problems (Qcow2MappingCheck *check, guint problems,
               gboolean copied_is_wrong, guint64 n, guint64 n_active,
               Qcow2FaultyEntry *entry)
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

/* A Qcow2L1ReferenceFunc for both passes; DATA is a Qcow2MappingCheck. */
gboolean
qcow2_mapping_check_l1_entry (const Qcow2L1Reference *entry, gpointer data,
                              GError **error)
{
  Qcow2MappingCheck *check = data;
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
is_read (const Qcow2MappingCheck *check, const Qcow2Mapping *mapping,
         guint problems)
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
count_mapping (Qcow2MappingCheck *check, TableWalk *walk,
               const Qcow2Mapping *mapping, guint problems)
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
    qcow2_mapping_check_count (check, walk->table->n);
}

/* Returns the problem that data of MAPPING, whose entry has PROBLEMS, are
 * after the end of the file, as a mask of QCOW2_PROBLEM_BIT (), and notes the
 * last cluster that is needed.  QEMU counts data in the cluster after the end
 * as inside. */
static guint
get_outside_problem (Qcow2MappingCheck *check, const Qcow2Mapping *mapping,
                     guint problems)
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
void
qcow2_mapping_check_note (Qcow2MappingCheck *check,
                          const Qcow2Reference *reference)
{
  if (qcow2_census_is_inside (check->census, reference->offset,
                              reference->size))
    qcow2_owners_note (check->owners, reference);
}

/* Notes the cluster of MAPPING, whose entry is ENTRY, as owned. */
static void
note_owner (Qcow2MappingCheck *check, const Qcow2Mapping *mapping,
            const Qcow2FaultyEntry *entry)
{
  const Qcow2Reference reference = { .owner = QCOW2_OWNER_GUEST,
                                     .offset = mapping->offset,
                                     .size = mapping->length,
                                     .pointer = entry->pointer,
                                     .index = entry->snapshot,
                                     .guest = entry->guest };

  if (!check->has_data_file)
    qcow2_mapping_check_note (check, &reference);
}

/* Passes that ENTRY, whose table has several L1 entries, leads to the offset
 * in the data file that is right for the first of them: the others lead QEMU
 * to parts of the disk that it cannot read. */
static void
pass_several_offsets (Qcow2MappingCheck *check, const Qcow2L2Table *table,
                      const Qcow2FaultyEntry *entry)
{
  Qcow2FaultyEntry other = *entry;

  other.problems = QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_SEVERAL_OFFSETS);
  other.guest += ((guint64) table->other - table->index) * check->table_covers;
  pass_problem (check, QCOW2_PROBLEM_SEVERAL_OFFSETS, table->n, &other);
}

/* Checks the entry at BYTES, entry INDEX of its table, in both passes. */
static gboolean
check_entry (Qcow2MappingCheck *check, TableWalk *walk, guint64 index,
             const guint8 *bytes, GError **error)
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
check_entries (Qcow2MappingCheck *check, TableWalk *walk, guint64 index,
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
read_table (Qcow2MappingCheck *check, TableWalk *walk, GError **error)
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
check_table (Qcow2MappingCheck *check, TableWalk *walk)
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
    qcow2_mapping_check_fail (check, error);
  if (check->report != NULL || !check->is_first)
    return;

  round->allocated_clusters += walk->fragments.allocated * table->n_active;
  round->fragmented_clusters += walk->fragments.fragmented * table->n_active;
  round->compressed_clusters += walk->compressed * table->n_active;
}

/* A Qcow2L2TableFunc for both passes; DATA is a Qcow2MappingCheck. */
gboolean
qcow2_mapping_check_l2_table (const Qcow2L2Table *table, gpointer data,
                              GError **error G_GNUC_UNUSED)
{
  Qcow2MappingCheck *check = data;
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
    qcow2_mapping_check_note (check, &reference);
  else if (!qcow2_census_add (check->census, table->offset, cluster_size,
                              table->n)
           && check->is_first)
    {
      check->needed
          = MAX (check->needed,
                 qcow2_round_up (table->offset + cluster_size, cluster_size));
      qcow2_mapping_check_count (check, table->n);
    }

  check_table (check, &walk);
  return TRUE;
}
