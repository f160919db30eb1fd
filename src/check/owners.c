/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/owners.h"

#include "qcow2/arithmetic.h"

/* The most runs whose owners are looked for, and the most overlaps. */
#define MAX_RUNS 1000
#define MAX_OVERLAPS 1000

/* A run of clusters, and two references to its first cluster: the first ones,
 * except that one to a structure or an L2 table precedes those of guest data.
 */
typedef struct
{
  Qcow2CensusRun run;
  gboolean is_overlap; /* of a structure or an L2 table with something else:
                          the run is one cluster, its refcount may be right */
  gboolean has_guest;  /* an L2 table or guest data is part of it */
  guint n_owners;      /* at most 2 */
  Qcow2Reference owners[2];
} OwnedRun;

struct Qcow2Owners
{
  const Qcow2Image *image;
  Qcow2Findings *findings;
  GArray *runs;     /* of OwnedRun; those with wrong refcounts, at most
                       MAX_RUNS, until the overlaps are merged into them */
  GArray *overlaps; /* of guint64, clusters, at most twice MAX_OVERLAPS; some
                       more than once until trim_overlaps () */
  gboolean has_more_overlaps;
  guint64 next_overlap; /* cluster of the first one that is not in OVERLAPS */
};

/* Returns an empty list of runs of clusters of IMAGE, about which findings are
 * added to FINDINGS.  Both must outlive it. */
Qcow2Owners *
qcow2_owners_new (const Qcow2Image *image, Qcow2Findings *findings)
{
  Qcow2Owners *owners = g_new0 (Qcow2Owners, 1);

  owners->image = image;
  owners->findings = findings;
  owners->runs = g_array_new (FALSE, TRUE, sizeof (OwnedRun));
  owners->overlaps = g_array_new (FALSE, FALSE, sizeof (guint64));
  return owners;
}

/* Returns whether REFERENCE is to a structure whose overlaps (OVL-01, OVL-02)
 * and refcounts (REF-01) are reported as such. */
static gboolean
is_structure (const Qcow2Reference *reference)
{
  return reference->owner < QCOW2_OWNER_L2_TABLE;
}

/* Returns whether nothing else may refer to the clusters of REFERENCE: they
 * are those of a structure.  Snapshots share L2 tables. */
static gboolean
is_unique (const Qcow2Reference *reference)
{
  return reference->owner != QCOW2_OWNER_GUEST;
}

static void
report_overlap (const Qcow2Owners *owners, const OwnedRun *owned,
                guint64 offset, guint64 size)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_HEADER, "cluster");
  g_autofree char *one = qcow2_reference_describe (&owned->owners[0]);
  g_autofree char *other = qcow2_reference_describe (&owned->owners[1]);

  qcow2_findings_add (owners->findings, &subject, QCOW2_OVL_03, offset, 0,
                      QCOW2_HEX_FORMAT " bytes at " QCOW2_HEX_FORMAT
                                       " belong to %s as well as to %s",
                      size, offset, one, other);
}

static void
report_refcount (const Qcow2Owners *owners, const OwnedRun *owned,
                 guint64 offset, guint64 size)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_HEADER, "cluster");
  const Qcow2CensusRun *run = &owned->run;
  const Qcow2RuleIndex rule
      = run->refcount > run->references ? QCOW2_RC_02
        : run->references
                > qcow2_census_get_refcount_max (&owners->image->header)
            ? QCOW2_RC_01_OVERFLOW
        : qcow2_header_is_dirty (&owners->image->header) ? QCOW2_RC_01_DIRTY
                                                         : QCOW2_RC_01;
  g_autofree char *one = owned->n_owners > 0
                             ? qcow2_reference_describe (&owned->owners[0])
                             : NULL;
  g_autofree char *other = owned->n_owners > 1
                               ? qcow2_reference_describe (&owned->owners[1])
                               : NULL;

  qcow2_findings_add (owners->findings, &subject, rule, offset, 0,
                      "the refcount of " QCOW2_HEX_FORMAT
                      " bytes at " QCOW2_HEX_FORMAT " is " QCOW2_U64_FORMAT
                      ", the number of references " QCOW2_U64_FORMAT
                      "%s%s%s%s",
                      size, offset, run->refcount, run->references,
                      one != NULL ? ": " : "", one != NULL ? one : "",
                      other != NULL ? ", " : "", other != NULL ? other : "");
}

/* Adds the finding about OWNED, unless others report it.  Owners of the first
 * cluster of a longer run say nothing about an overlap of the other ones. */
static void
report (const Qcow2Owners *owners, const OwnedRun *owned)
{
  const guint64 cluster_size = owners->image->header.cluster_size;
  const guint64 offset = owned->run.start * cluster_size;
  const guint64 size = owned->run.n * cluster_size;
  const gboolean is_shared = owned->is_overlap && owned->n_owners == 2
                             && is_unique (&owned->owners[0]);

  if (is_shared && !is_structure (&owned->owners[1]))
    report_overlap (owners, owned, offset, size);
  else if (owned->run.refcount != owned->run.references
           && (owned->n_owners == 0 || owned->has_guest))
    report_refcount (owners, owned, offset, size);
}

/* Adds RUN, whose refcounts are wrong.  If there are too many runs already,
 * adds the finding without its owners. */
void
qcow2_owners_add_run (Qcow2Owners *owners, const Qcow2CensusRun *run)
{
  const OwnedRun owned = { .run = *run };

  if (owners->runs->len < MAX_RUNS)
    g_array_append_val (owners->runs, owned);
  else
    report (owners, &owned);
}

static gint
compare_clusters (gconstpointer a, gconstpointer b)
{
  return qcow2_compare (*(const guint64 *) a, *(const guint64 *) b);
}

/* Sorts the overlaps, and keeps the first MAX_OVERLAPS of them, each once. */
static void
trim_overlaps (Qcow2Owners *owners)
{
  GArray *overlaps = owners->overlaps;
  guint n = 0;

  g_array_sort (overlaps, compare_clusters);
  for (guint i = 0; i < overlaps->len; i++)
    {
      const guint64 cluster = g_array_index (overlaps, guint64, i);

      if (n == 0 || cluster != g_array_index (overlaps, guint64, n - 1))
        g_array_index (overlaps, guint64, n++) = cluster;
    }
  if (n > MAX_OVERLAPS)
    {
      owners->has_more_overlaps = TRUE;
      owners->next_overlap = g_array_index (overlaps, guint64, MAX_OVERLAPS);
    }
  g_array_set_size (overlaps, MIN (n, MAX_OVERLAPS));
}

/* Adds CLUSTER, which belongs to a structure or is an L2 table, and is
 * referred to more often than that alone is.  If there are too many overlaps,
 * remembers that: qcow2_owners_report () adds a finding without owners. */
void
qcow2_owners_add_overlap (Qcow2Owners *owners, guint64 cluster)
{
  if (owners->has_more_overlaps)
    return;

  g_array_append_val (owners->overlaps, cluster);
  if (owners->overlaps->len == 2 * MAX_OVERLAPS)
    trim_overlaps (owners);
}

/* Returns whether there are runs whose owners are to be noted. */
gboolean
qcow2_owners_are_wanted (const Qcow2Owners *owners)
{
  return owners->runs->len > 0;
}

/* Appends to RUNS the clusters of RUN from START to before END, if there are
 * any. */
static void
append_part (GArray *runs, const Qcow2CensusRun *run, guint64 start,
             guint64 end)
{
  OwnedRun owned = { .run = *run };

  if (start == end)
    return;

  owned.run.start = start;
  owned.run.n = end - start;
  g_array_append_val (runs, owned);
}

/* Appends to RUNS the overlap at CLUSTER, whose refcount is that of RUN, or is
 * right if RUN is NULL. */
static void
append_overlap (GArray *runs, const Qcow2CensusRun *run, guint64 cluster)
{
  OwnedRun owned = { .is_overlap = TRUE };

  if (run != NULL)
    owned.run = *run;
  owned.run.start = cluster;
  owned.run.n = 1;
  g_array_append_val (runs, owned);
}

/* Prepares for qcow2_owners_note () when all runs, in their order in the file,
 * and all overlaps have been added.  Each overlap becomes a run of its own: a
 * run with a wrong refcount ends before it and continues after it. */
void
qcow2_owners_sort (Qcow2Owners *owners)
{
  GArray *overlaps = owners->overlaps;
  GArray *runs = g_array_new (FALSE, TRUE, sizeof (OwnedRun));
  guint k = 0;

  trim_overlaps (owners);
  for (guint i = 0; i < owners->runs->len; i++)
    {
      const Qcow2CensusRun *run
          = &g_array_index (owners->runs, OwnedRun, i).run;
      const guint64 end = run->start + run->n;
      guint64 start = run->start;

      for (; k < overlaps->len; k++)
        {
          const guint64 cluster = g_array_index (overlaps, guint64, k);

          if (cluster >= end)
            break;
          if (cluster < start)
            append_overlap (runs, NULL, cluster);
          else
            {
              append_part (runs, run, start, cluster);
              append_overlap (runs, run, cluster);
              start = cluster + 1;
            }
        }
      append_part (runs, run, start, end);
    }
  for (; k < overlaps->len; k++)
    append_overlap (runs, NULL, g_array_index (overlaps, guint64, k));

  g_array_set_size (overlaps, 0);
  g_array_unref (owners->runs);
  owners->runs = runs;
}

/* Returns the index of the first run that ends after CLUSTER. */
static guint
find_run (const Qcow2Owners *owners, guint64 cluster)
{
  guint low = 0;
  guint high = owners->runs->len;

  while (low < high)
    {
      const guint middle = low + (high - low) / 2;
      const Qcow2CensusRun *run
          = &g_array_index (owners->runs, OwnedRun, middle).run;

      if (run->start + run->n <= cluster)
        low = middle + 1;
      else
        high = middle;
    }

  return low;
}

/* Keeps REFERENCE as an owner of OWNED.  A unique owner precedes those that
 * are not, and is kept even if two of them are known: without it there would
 * be no overlap. */
static void
add_owner (OwnedRun *owned, const Qcow2Reference *reference)
{
  if (owned->n_owners > 0 && is_unique (reference)
      && !is_unique (&owned->owners[0]))
    {
      owned->owners[1] = owned->owners[0];
      owned->owners[0] = *reference;
      owned->n_owners = 2;
    }
  else if (owned->n_owners < G_N_ELEMENTS (owned->owners))
    owned->owners[owned->n_owners++] = *reference;
}

/* Notes REFERENCE as an owner of the runs that it refers to. */
void
qcow2_owners_note (Qcow2Owners *owners, const Qcow2Reference *reference)
{
  const guint64 cluster_size = owners->image->header.cluster_size;

  if (reference->size == 0)
    return;

  const guint64 first = reference->offset / cluster_size;
  const guint64 last
      = (reference->offset + (reference->size - 1)) / cluster_size;
  for (guint i = find_run (owners, first); i < owners->runs->len; i++)
    {
      OwnedRun *owned = &g_array_index (owners->runs, OwnedRun, i);

      if (owned->run.start > last)
        return;
      owned->has_guest |= !is_structure (reference);
      if (first <= owned->run.start)
        add_owner (owned, reference);
    }
}

/* Adds a finding about the overlaps that are not in the list. */
static void
report_more_overlaps (const Qcow2Owners *owners)
{
  const Qcow2Subject subject = QCOW2_SUBJECT (QCOW2_PART_HEADER, "cluster");
  const guint64 cluster_size = owners->image->header.cluster_size;
  const guint64 offset = owners->next_overlap * cluster_size;

  qcow2_findings_add (owners->findings, &subject, QCOW2_OVL_03, offset, 0,
                      QCOW2_HEX_FORMAT
                      " bytes at " QCOW2_HEX_FORMAT
                      " belong to metadata as well as to something else; "
                      "the owners of such clusters were not all examined: "
                      "there are too many",
                      cluster_size, offset);
}

/* Adds the findings about all runs and overlaps, and removes them. */
void
qcow2_owners_report (Qcow2Owners *owners)
{
  for (guint i = 0; i < owners->runs->len; i++)
    report (owners, &g_array_index (owners->runs, OwnedRun, i));
  if (owners->has_more_overlaps)
    report_more_overlaps (owners);
  g_array_set_size (owners->runs, 0);
  owners->has_more_overlaps = FALSE;
}

void
qcow2_owners_free (Qcow2Owners *owners)
{
  if (owners == NULL)
    return;

  g_array_unref (owners->overlaps);
  g_array_unref (owners->runs);
  g_free (owners);
}
