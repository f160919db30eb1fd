/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules L1-* and L2-*, about single entries of L1 and L2 tables: qcow2
 * specification, section "Cluster mapping". */

#pragma once

#include "check/finding.h"
#include "check/references.h"
#include "qcow2/l2-table.h"

G_BEGIN_DECLS

/* The problems that an entry can have. */
typedef enum
{
  QCOW2_PROBLEM_RESERVED,
  QCOW2_PROBLEM_UNALIGNED,
  QCOW2_PROBLEM_COMPRESSED_COPIED,
  QCOW2_PROBLEM_COMPRESSED_DATA_FILE,
  QCOW2_PROBLEM_COMPRESSED_SUBCLUSTERS,
  QCOW2_PROBLEM_SUBCLUSTERS_BOTH,
  QCOW2_PROBLEM_SUBCLUSTERS_UNALLOCATED,
  QCOW2_PROBLEM_COPIED, /* COPIED contradicts the refcount */

  /* QEMU does not count the following ones, or counts them elsewhere. */
  QCOW2_PROBLEM_OUTSIDE,         /* of the file */
  QCOW2_PROBLEM_COMPRESSED_LONG, /* from in the file to after its end */
  QCOW2_PROBLEM_ZERO_VERSION_2,
  QCOW2_PROBLEM_ZERO_EXTENDED,
  QCOW2_PROBLEM_COMPRESSED_FAR,
  QCOW2_PROBLEM_OTHER_OFFSET,    /* in the data file than on the disk */
  QCOW2_PROBLEM_SEVERAL_OFFSETS, /* the same, for all but the first of several
                                    L1 entries */
  QCOW2_N_PROBLEMS
} Qcow2Problem;

#define QCOW2_PROBLEM_BIT(problem) (1u << (problem))
#define QCOW2_PROBLEMS_OF_QEMU                                                \
  (QCOW2_PROBLEM_BIT (QCOW2_PROBLEM_COPIED + 1) - 1)

/* A faulty entry of an L1 or L2 table. */
typedef struct
{
  guint64 raw;
  guint64 pointer;      /* host offset of the entry */
  guint64 host;         /* host offset in the entry */
  guint64 guest;        /* guest offset of what it maps */
  guint64 guest_length; /* bytes */
  guint64 snapshot;     /* index, or QCOW2_NO_INDEX */
  gboolean is_l1;
  guint problems;      /* a mask of QCOW2_PROBLEM_BIT () */
  guint64 refcount;    /* of HOST, if COPIED contradicts it */
  gboolean is_counted; /* then: the references to HOST are as many */
} Qcow2FaultyEntry;

/* Collects faulty entries into findings, one for each run of entries with the
 * same fault. */
typedef struct Qcow2MappingReport Qcow2MappingReport;

guint qcow2_mapping_get_problems (const Qcow2Header *header,
                                  const Qcow2Mapping *mapping);
guint qcow2_l1_entry_get_problems (const Qcow2Header *header, guint64 raw);
Qcow2MappingReport *qcow2_mapping_report_new (const Qcow2Image *image,
                                              Qcow2Findings *findings);
void qcow2_mapping_report_add (Qcow2MappingReport *report,
                               Qcow2Problem problem,
                               const Qcow2FaultyEntry *entry);
void qcow2_mapping_report_finish (Qcow2MappingReport *report);
void qcow2_mapping_report_free (Qcow2MappingReport *report);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2MappingReport, qcow2_mapping_report_free)

G_END_DECLS
