/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/mapping-rules.h"

#include "qcow2/l1-table.h"

typedef struct
{
  Qcow2RuleIndex l1_rule; /* or QCOW2_NO_RULE */
  Qcow2RuleIndex l2_rule;
  const char *complaint;
} Problem;

static const Problem problems[QCOW2_N_PROBLEMS] = {
  [QCOW2_PROBLEM_RESERVED] = { QCOW2_L1_01, QCOW2_L2_01, "has reserved bits" },
  [QCOW2_PROBLEM_UNALIGNED]
  = { QCOW2_L1_02, QCOW2_L2_02, "is not the start of a cluster" },
  [QCOW2_PROBLEM_COMPRESSED_COPIED]
  = { QCOW2_NO_RULE, QCOW2_L2_05, "is compressed, and has the copied flag" },
  [QCOW2_PROBLEM_COMPRESSED_DATA_FILE]
  = { QCOW2_NO_RULE, QCOW2_L2_06,
      "is compressed, and the image has an external data file" },
  [QCOW2_PROBLEM_COMPRESSED_SUBCLUSTERS]
  = { QCOW2_NO_RULE, QCOW2_L2_07, "is compressed, and has subclusters" },
  [QCOW2_PROBLEM_SUBCLUSTERS_BOTH]
  = { QCOW2_NO_RULE, QCOW2_L2_08,
      "has subclusters that are both allocated and zero" },
  [QCOW2_PROBLEM_SUBCLUSTERS_UNALLOCATED]
  = { QCOW2_NO_RULE, QCOW2_L2_09, "has allocated subclusters in no cluster" },
  [QCOW2_PROBLEM_COPIED] = { QCOW2_L1_04, QCOW2_L2_04, NULL },
  [QCOW2_PROBLEM_OUTSIDE]
  = { QCOW2_L1_03, QCOW2_L2_03, "leads outside the file" },
  [QCOW2_PROBLEM_COMPRESSED_LONG]
  = { QCOW2_NO_RULE, QCOW2_L2_03_COMPRESSED,
      "is compressed, and leads to after the end of the file" },
  [QCOW2_PROBLEM_ZERO_VERSION_2]
  = { QCOW2_NO_RULE, QCOW2_L2_10,
      "has the zero flag, which version 2 does not have" },
  [QCOW2_PROBLEM_ZERO_EXTENDED]
  = { QCOW2_NO_RULE, QCOW2_L2_01,
      "has the zero flag, which extended entries do not have" },
  [QCOW2_PROBLEM_COMPRESSED_FAR]
  = { QCOW2_NO_RULE, QCOW2_L2_11,
      "is compressed, with an offset from 2^56 on" },
  [QCOW2_PROBLEM_OTHER_OFFSET]
  = { QCOW2_NO_RULE, QCOW2_L2_12, "leads to another offset in the data file" },
  [QCOW2_PROBLEM_SEVERAL_OFFSETS]
  = { QCOW2_NO_RULE, QCOW2_L2_12,
      "is in a table of several L1 entries, and leads to the offset in the "
      "data file that is right for another one" },
};

/* A run of faulty entries. */
typedef struct
{
  guint64 n; /* entries; 0 if there is no run */
  Qcow2FaultyEntry first;
  guint64 guest_end;
} Run;

struct Qcow2MappingReport
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
  gboolean is_dirty; /* wrong refcounts are to be expected */
  gboolean is_raw;   /* the external data file is a raw image of the disk */
  Run runs[QCOW2_N_PROBLEMS];
};

/* Returns the bits of a field of an entry RAW. */
#define BITS(record, type, member, raw)                                       \
  qcow2_field_unpack (QCOW2_FIELD (record, type, member), raw)

static guint
get_standard_problems (const Qcow2Header *header, const Qcow2Mapping *mapping)
{
  const guint64 reserved_low
      = BITS (qcow2_l2_entry_record, Qcow2L2Entry, reserved_low, mapping->raw);
  const guint64 reserved_high = BITS (qcow2_l2_entry_record, Qcow2L2Entry,
                                      reserved_high, mapping->raw);
  const guint32 allocated = qcow2_mapping_get_allocated (mapping);
  const guint32 zeroes = qcow2_mapping_get_zeroes (mapping);
  guint found = 0;

  if (reserved_low != 0 || reserved_high != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_RESERVED);
  if (mapping->offset % header->cluster_size != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_UNALIGNED);
  if (mapping->type == QCOW2_CLUSTER_UNALLOCATED && allocated != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_SUBCLUSTERS_UNALLOCATED);
  if (mapping->type == QCOW2_CLUSTER_NORMAL && (allocated & zeroes) != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_SUBCLUSTERS_BOTH);
  if (header->version == 2
      && (mapping->type == QCOW2_CLUSTER_ZERO
          || mapping->type == QCOW2_CLUSTER_ZERO_ALLOCATED))
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_ZERO_VERSION_2);
  if ((header->incompatible_features & QCOW2_INCOMPATIBLE_EXTENDED_L2) != 0
      && BITS (qcow2_l2_entry_record, Qcow2L2Entry, all_zeroes, mapping->raw)
             != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_ZERO_EXTENDED);
  return found;
}

static guint
get_compressed_problems (const Qcow2Header *header,
                         const Qcow2Mapping *mapping)
{
  guint found = 0;

  if (BITS (qcow2_l2_entry_record, Qcow2L2Entry, copied, mapping->raw) != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COMPRESSED_COPIED);
  if ((header->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COMPRESSED_DATA_FILE);
  else if (mapping->subclusters != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COMPRESSED_SUBCLUSTERS);
  if (qcow2_mapping_get_far_bits (mapping) != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COMPRESSED_FAR);
  return found;
}

/* Returns the problems of MAPPING that can be told from the entry alone, as a
 * mask of QCOW2_PROBLEM_BIT ().  (QEMU, block/qcow2-refcount.c:
 * check_refcounts_l2.) */
guint
qcow2_mapping_get_problems (const Qcow2Header *header,
                            const Qcow2Mapping *mapping)
{
  return mapping->type == QCOW2_CLUSTER_COMPRESSED
             ? get_compressed_problems (header, mapping)
             : get_standard_problems (header, mapping);
}

/* Returns the problems of RAW, an entry of an L1 table that is not 0, as
 * qcow2_mapping_get_problems () does.  (QEMU, block/qcow2-refcount.c:
 * check_refcounts_l1.) */
guint
qcow2_l1_entry_get_problems (const Qcow2Header *header, guint64 raw)
{
  guint found = 0;

  if (BITS (qcow2_l1_entry_record, Qcow2L1Entry, reserved_low, raw) != 0
      || BITS (qcow2_l1_entry_record, Qcow2L1Entry, reserved_high, raw) != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_RESERVED);
  if (BITS (qcow2_l1_entry_record, Qcow2L1Entry, offset, raw)
          % header->cluster_size
      != 0)
    found |= QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_UNALIGNED);
  return found;
}

/* Returns a new report of entries of IMAGE, which adds to FINDINGS.  Both must
 * outlive it. */
Qcow2MappingReport *
qcow2_mapping_report_new (const Qcow2Image *image, Qcow2Findings *findings)
{
  Qcow2MappingReport *report = g_new0 (Qcow2MappingReport, 1);

  report->image = image;
  report->findings = findings;
  report->is_dirty = qcow2_header_is_dirty (&image->header);
  report->is_raw
      = (image->header.autoclear_features & QCOW2_AUTOCLEAR_RAW_DATA) != 0;
  return report;
}

/* Returns the rule that an entry with PROBLEM breaks. */
static Qcow2RuleIndex
get_rule (const Qcow2MappingReport *report, Qcow2Problem problem,
          gboolean is_l1)
{
  if (problem == QCOW2_PROBLEM_COPIED && report->is_dirty)
    return is_l1 ? QCOW2_L1_04_DIRTY : QCOW2_L2_04_DIRTY;
  if ((problem == QCOW2_PROBLEM_OTHER_OFFSET
       || problem == QCOW2_PROBLEM_SEVERAL_OFFSETS)
      && !report->is_raw)
    return QCOW2_L2_12_NOT_RAW;

  return is_l1 ? problems[problem].l1_rule : problems[problem].l2_rule;
}

/* Returns the complaint about ENTRY, which has PROBLEM.  The caller frees
 * it. */
static char *
get_complaint (Qcow2Problem problem, const Qcow2FaultyEntry *entry)
{
  const gboolean is_copied
      = BITS (qcow2_l2_entry_record, Qcow2L2Entry, copied, entry->raw) != 0;

  if (problem != QCOW2_PROBLEM_COPIED)
    return g_strdup (problems[problem].complaint);

  return g_strdup_printf (
      "%s the copied flag, but the refcount of the cluster "
      "at " QCOW2_HEX_FORMAT " is " QCOW2_U64_FORMAT,
      is_copied ? "has" : "lacks", entry->host, entry->refcount);
}

#define MASK(record, type, member)                                            \
  qcow2_field_get_mask (QCOW2_FIELD (record, type, member))

/* Returns the bits of an entry that are wrong if it has PROBLEM: the only
 * right value is the one with all of them clear, or with the copied flag
 * changed.  Returns 0 if there is more than one right value, or none. */
static guint64
get_wrong_bits (const Qcow2MappingReport *report, Qcow2Problem problem,
                gboolean is_l1)
{
  const guint64 all_zeroes
      = MASK (qcow2_l2_entry_record, Qcow2L2Entry, all_zeroes);
  const gboolean is_extended = (report->image->header.incompatible_features
                                & QCOW2_INCOMPATIBLE_EXTENDED_L2)
                               != 0;

  if (problem == QCOW2_PROBLEM_COPIED
      || problem == QCOW2_PROBLEM_COMPRESSED_COPIED)
    return is_l1 ? MASK (qcow2_l1_entry_record, Qcow2L1Entry, copied)
                 : MASK (qcow2_l2_entry_record, Qcow2L2Entry, copied);
  if (problem == QCOW2_PROBLEM_ZERO_VERSION_2)
    return all_zeroes;
  if (problem == QCOW2_PROBLEM_RESERVED && is_l1)
    return MASK (qcow2_l1_entry_record, Qcow2L1Entry, reserved_low)
           | MASK (qcow2_l1_entry_record, Qcow2L1Entry, reserved_high);
  if (problem == QCOW2_PROBLEM_RESERVED
      || problem == QCOW2_PROBLEM_ZERO_EXTENDED)
    return MASK (qcow2_l2_entry_record, Qcow2L2Entry, reserved_low)
           | MASK (qcow2_l2_entry_record, Qcow2L2Entry, reserved_high)
           | (is_extended ? all_zeroes : 0);

  return 0;
}

/* Sets the only right value of FINDING, about ENTRY, if there is just one: it
 * has none of the entry's problems.  If the refcount of the cluster is wrong,
 * so may be any value of the copied flag. */
static void
allow (const Qcow2MappingReport *report, const Qcow2FaultyEntry *entry,
       Qcow2Finding *finding)
{
  guint64 right = entry->raw;

  for (guint i = 0; i < QCOW2_N_PROBLEMS; i++)
    {
      if ((entry->problems & QCOW2_PROBLEM_BIT (i)) == 0)
        continue;

      const guint64 wrong = get_wrong_bits (report, i, entry->is_l1);
      if (wrong == 0 || (i == QCOW2_PROBLEM_COPIED && !entry->is_counted))
        return;
      right = i == QCOW2_PROBLEM_COPIED ? right ^ wrong : right & ~wrong;
    }

  qcow2_finding_allow (finding, right);
}

/* Returns the number of bytes of the disk that the entries of RUN map.  The
 * last table maps more than the disk has; a snapshot may have another size. */
static guint64
get_guest_length (const Qcow2MappingReport *report, const Run *run)
{
  const guint64 size = report->image->header.size;
  const gboolean ends_later = run->first.snapshot == QCOW2_NO_INDEX
                              && run->first.guest < size
                              && run->guest_end > size;

  return (ends_later ? size : run->guest_end) - run->first.guest;
}

static void
end_run (Qcow2MappingReport *report, Qcow2Problem problem)
{
  Run *run = &report->runs[problem];
  const Qcow2FaultyEntry *first = &run->first;
  const Qcow2Subject subject = QCOW2_SUBJECT (
      QCOW2_PART_HEADER,
      first->is_l1 ? qcow2_l1_entry_record.name : qcow2_l2_entry_record.name);

  if (run->n == 0)
    return;

  const Qcow2RuleIndex rule = get_rule (report, problem, first->is_l1);
  g_autofree char *complaint = NULL;
  g_autofree char *whose = NULL;
  g_autofree char *more = NULL;
  if (!qcow2_findings_is_full (report->findings, rule, subject.parts))
    {
      complaint = get_complaint (problem, first);
      if (first->snapshot != QCOW2_NO_INDEX)
        whose = g_strdup_printf (" of snapshot " QCOW2_U64_FORMAT,
                                 first->snapshot);
      if (run->n > 1)
        more = g_strdup_printf (", like the next " QCOW2_U64_FORMAT ",",
                                run->n - 1);
    }
  Qcow2Finding *finding = qcow2_findings_add (
      report->findings, &subject, rule, first->pointer, first->raw,
      "entry " QCOW2_HEX_FORMAT "%s %s: " QCOW2_HEX_FORMAT
      " bytes at guest offset " QCOW2_HEX_FORMAT "%s",
      first->raw, more != NULL ? more : "", complaint,
      get_guest_length (report, run), first->guest,
      whose != NULL ? whose : "");
  allow (report, first, finding);
  run->n = 0;
}

/* Returns whether ENTRY continues RUN: it maps the next part of the same
 * disk. */
static gboolean
continues (const Run *run, const Qcow2FaultyEntry *entry)
{
  return run->n > 0 && entry->is_l1 == run->first.is_l1
         && entry->snapshot == run->first.snapshot
         && entry->guest == run->guest_end
         && entry->refcount == run->first.refcount
         && entry->is_counted == run->first.is_counted;
}

/* Adds ENTRY, which has PROBLEM.  Entries come in the order of their guest
 * offsets, as far as possible: only then do they make runs. */
void
qcow2_mapping_report_add (Qcow2MappingReport *report, Qcow2Problem problem,
                          const Qcow2FaultyEntry *entry)
{
  Run *run = &report->runs[problem];

  if (!continues (run, entry))
    {
      end_run (report, problem);
      run->first = *entry;
    }
  run->n++;
  run->guest_end = entry->guest + entry->guest_length;
}

/* Adds the findings about the last entries. */
void
qcow2_mapping_report_finish (Qcow2MappingReport *report)
{
  for (guint i = 0; i < QCOW2_N_PROBLEMS; i++)
    end_run (report, i);
}

void
qcow2_mapping_report_free (Qcow2MappingReport *report)
{
  g_free (report);
}
