/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/report.h"

#include <string.h>

#include "render/describe.h"
#include "render/format.h"

/* Messages of one rule, after which the rest is only counted. */
#define MESSAGES_PER_RULE 10

struct Report
{
  Output *output;
  const char *path;
  const Qcow2Problems *problems; /* of the image, NULL without one */
  GArray *pending;    /* guint: findings that were not in scope yet */
  guint n_seen;       /* findings that were looked at */
  GPtrArray *shown;   /* findings in scope, not owned */
  GHashTable *counts; /* rule -> how many errors are among them */
  guint parts;        /* of all scopes so far */
};

/* Returns a report on IMAGE, the file PATH, which both must outlive it.  IMAGE
 * is NULL when it cannot be opened. */
Report *
report_new (Output *output, const char *path, const Qcow2Image *image)
{
  Report *report = g_new0 (Report, 1);

  report->output = output;
  report->path = path;
  report->problems = image != NULL ? image->problems : NULL;
  report->pending = g_array_new (FALSE, FALSE, sizeof (guint));
  report->shown = g_ptr_array_new ();
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

  return (subject->parts & scope.parts) != 0
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

/* Whether PROBLEM has been told already: the bitmaps extension is judged both
 * as one of the extensions and as what the bitmaps hang on. */
static gboolean
is_shown (const Report *report, const Qcow2Problem *problem)
{
  for (guint i = 0; i < report->shown->len; i++)
    {
      const Qcow2Problem *other = g_ptr_array_index (report->shown, i);

      if (other->offset == problem->offset
          && g_str_equal (other->rule, problem->rule)
          && g_str_equal (other->message, problem->message))
        return TRUE;
    }

  return FALSE;
}

/* Writes a message for each error in SCOPE that has none yet; warnings and
 * notes are no messages.  What is not in scope may be in a later one. */
void
report_findings (Report *report, ReportScope scope)
{
  const Qcow2Problems *problems = report->problems;
  g_autoptr (GArray) candidates = g_steal_pointer (&report->pending);

  report->parts |= scope.parts;

  for (; report->n_seen < qcow2_problems_get_n (problems); report->n_seen++)
    g_array_append_val (candidates, report->n_seen);

  report->pending = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < candidates->len; i++)
    {
      const guint index = g_array_index (candidates, guint, i);
      const Qcow2Problem *problem = qcow2_problems_get (problems, index);

      if (!is_in_scope (problem, scope))
        {
          g_array_append_val (report->pending, index);
          continue;
        }

      if (is_shown (report, problem))
        continue;

      g_ptr_array_add (report->shown, (gpointer) problem);
      if (problem->severity == QCOW2_SEVERITY_ERROR)
        write_finding (report, problem);
    }
}

static gint
compare_rules (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

/* Whether a finding before INDEX is of the same rule and severity. */
static gboolean
has_like_before (const Report *report, guint index)
{
  const Qcow2Problem *problem = g_ptr_array_index (report->shown, index);

  for (guint i = 0; i < index; i++)
    {
      const Qcow2Problem *other = g_ptr_array_index (report->shown, i);

      if (other->severity == problem->severity
          && g_str_equal (other->rule, problem->rule))
        return TRUE;
    }

  return FALSE;
}

/* Says that N findings like LIKE were not kept. */
static void
describe_suppressed (Emitter *emitter, const Qcow2Problem *like, guint64 n)
{
  g_autofree char *message = g_strdup_printf (QCOW2_U " more like this", n);
  const Qcow2Problem rest = { .rule = like->rule,
                              .severity = like->severity,
                              .offset = QCOW2_ABSENT,
                              .subject.bitmap = QCOW2_NO_INDEX,
                              .subject.extension = QCOW2_NO_INDEX,
                              .value = 0,
                              .message = message };

  describe_problem (emitter, &rest, n);
}

/* Gives the findings in scope, and where there were too many of a rule to keep
 * them all, how many are left out. */
void
report_describe (const Report *report, Emitter *emitter)
{
  emitter_begin (emitter, EMITTER_LIST, "problems", NULL);
  for (guint i = 0; i < report->shown->len; i++)
    describe_problem (emitter, g_ptr_array_index (report->shown, i), 0);
  for (guint i = 0; i < report->shown->len; i++)
    {
      const Qcow2Problem *like = g_ptr_array_index (report->shown, i);
      const guint64 n = qcow2_problems_get_n_suppressed (
          report->problems, like->rule, like->severity, report->parts);

      if (n > 0 && !has_like_before (report, i))
        describe_suppressed (emitter, like, n);
    }
  emitter_end (emitter);
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
            + qcow2_problems_get_n_suppressed (
                report->problems, rule, QCOW2_SEVERITY_ERROR, report->parts);
      if (count <= MESSAGES_PER_RULE)
        continue;

      g_autofree char *message
          = g_strdup_printf (QCOW2_U " more [%s]: see qcow2tool check",
                             count - MESSAGES_PER_RULE, rule);
      output_message (report->output, report->path, message);
    }

  const gboolean clean = rules == NULL;
  g_array_unref (report->pending);
  g_ptr_array_unref (report->shown);
  g_hash_table_unref (report->counts);
  g_free (report);
  return clean;
}
