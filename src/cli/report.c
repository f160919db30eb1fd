/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/report.h"

#include <string.h>

#include "render/format.h"

/* Messages of one rule, after which the rest is only counted. */
#define MESSAGES_PER_RULE 10

struct Report
{
  Output *output;
  const char *path;
  const Qcow2Image *image;
  GArray *pending;    /* guint: findings that were not in scope yet */
  guint n_seen;       /* findings that were looked at */
  GHashTable *counts; /* rule -> how many findings of it were in scope */
};

/* Returns a report on IMAGE, the file PATH, which both must outlive it. */
Report *
report_new (Output *output, const char *path, const Qcow2Image *image)
{
  Report *report = g_new0 (Report, 1);

  report->output = output;
  report->path = path;
  report->image = image;
  report->pending = g_array_new (FALSE, FALSE, sizeof (guint));
  report->counts = g_hash_table_new (g_str_hash, g_str_equal);
  return report;
}

const char *
report_get_path (const Report *report)
{
  return report->path;
}

static gboolean
is_in_scope (const Qcow2Problem *problem, ReportScope scope)
{
  const Qcow2Subject *subject = &problem->subject;

  return problem->severity == QCOW2_SEVERITY_ERROR
         && (subject->parts & scope.parts) != 0
         && (subject->extension == QCOW2_NO_INDEX
             || subject->extension <= scope.max_extension)
         && (subject->bitmap == QCOW2_NO_INDEX
             || subject->bitmap <= scope.max_bitmap);
}

static guint
get_count (const Report *report, const char *rule)
{
  return GPOINTER_TO_UINT (g_hash_table_lookup (report->counts, rule));
}

static void
write_finding (Report *report, const Qcow2Problem *problem)
{
  const guint count = get_count (report, problem->rule);

  g_hash_table_insert (report->counts, (gpointer) problem->rule,
                       GUINT_TO_POINTER (count + 1));
  if (count >= MESSAGES_PER_RULE)
    return;

  g_autoptr (GString) message = g_string_new (NULL);
  format_problem (message, problem);
  output_message (report->output, report->path, message->str);
}

/* Writes a message for each error in SCOPE that has none yet; warnings and
 * notes are no messages.  What is not in scope may be in a later one. */
void
report_findings (Report *report, ReportScope scope)
{
  const Qcow2Problems *problems = report->image->problems;
  g_autoptr (GArray) candidates = g_steal_pointer (&report->pending);

  for (; report->n_seen < qcow2_problems_get_n (problems); report->n_seen++)
    g_array_append_val (candidates, report->n_seen);

  report->pending = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < candidates->len; i++)
    {
      const guint index = g_array_index (candidates, guint, i);
      const Qcow2Problem *problem = qcow2_problems_get (problems, index);

      if (is_in_scope (problem, scope))
        write_finding (report, problem);
      else if (problem->severity == QCOW2_SEVERITY_ERROR)
        g_array_append_val (report->pending, index);
    }
}

static gint
compare_rules (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

/* Says how many findings went without a message and frees REPORT.  Returns
 * whether nothing was found. */
gboolean
report_close (Report *report)
{
  g_autoptr (GList) rules
      = g_list_sort (g_hash_table_get_keys (report->counts), compare_rules);

  for (const GList *it = rules; it != NULL; it = it->next)
    {
      const char *rule = it->data;
      const guint64 count
          = get_count (report, rule)
            + qcow2_problems_get_n_suppressed (report->image->problems, rule,
                                               QCOW2_SEVERITY_ERROR);
      if (count <= MESSAGES_PER_RULE)
        continue;

      g_autofree char *message
          = g_strdup_printf (QCOW2_U " more [%s]: see qcow2tool check",
                             count - MESSAGES_PER_RULE, rule);
      output_message (report->output, report->path, message);
    }

  const gboolean clean = rules == NULL;
  g_array_unref (report->pending);
  g_hash_table_unref (report->counts);
  g_free (report);
  return clean;
}
