/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/report.h"

#include <string.h>

#include "render/advice.h"
#include "render/describe.h"
#include "render/format.h"

/* Maximum number of messages per rule; further errors are only counted. */
#define MESSAGES_PER_RULE 10

struct Report
{
  Output *output;
  const char *path;
  const Qcow2Image *image;       /* NULL if it cannot be opened */
  const Qcow2Findings *findings; /* those of IMAGE */
  gboolean is_answer;            /* see report_make_answer () */
  const char *const *ignored;    /* IDs of rules, or NULL */
  GArray *pending;    /* guint: indexes of findings not in scope yet */
  guint n_seen;       /* number of findings examined so far */
  GPtrArray *shown;   /* findings in scope, not owned */
  GHashTable *counts; /* rule -> number of errors that were found */
  guint parts;        /* union of the parts of all scopes so far */
};

/* Returns a report on IMAGE, the file at PATH, and its FINDINGS.  All must
 * outlive the report.  IMAGE is NULL if it cannot be opened. */
Report *
report_new (Output *output, const char *path, const Qcow2Image *image,
            const Qcow2Findings *findings)
{
  Report *report = g_new0 (Report, 1);

  report->output = output;
  report->path = path;
  report->image = image;
  report->findings = findings;
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

/* Returns whether messages about errors were written. */
gboolean
report_has_errors (const Report *report)
{
  return g_hash_table_size (report->counts) > 0;
}

/* Makes the findings of REPORT the requested output, so that no messages are
 * written about them.  IGNORED, which is NULL or a NULL-terminated array that
 * must outlive REPORT, has the IDs of rules whose findings are left out. */
void
report_make_answer (Report *report, const char *const *ignored)
{
  report->is_answer = TRUE;
  report->ignored = ignored;
}

static gboolean
is_in_scope (const Qcow2Finding *finding, ReportScope scope)
{
  const Qcow2Subject *subject = &finding->subject;

  return (subject->parts & scope.parts) != 0
         && (subject->extension == QCOW2_NO_INDEX
             || subject->extension <= scope.max_extension)
         && (subject->bitmap == QCOW2_NO_INDEX
             || subject->bitmap <= scope.max_bitmap)
         && (scope.bears_on == NULL || scope.bears_on (finding, scope.data));
}

static guint
get_count (const Report *report, const char *rule)
{
  return GPOINTER_TO_UINT (g_hash_table_lookup (report->counts, rule));
}

static void
write_finding (Report *report, const Qcow2Finding *finding)
{
  const guint count = get_count (report, finding->rule);

  g_hash_table_insert (report->counts, (gpointer) finding->rule,
                       GUINT_TO_POINTER (count + 1));
  if (count >= MESSAGES_PER_RULE)
    return;

  g_autoptr (GString) message = g_string_new (NULL);
  format_finding_message (message, finding);
  output_message (report->output, report->path, message->str);
}

static gboolean
is_ignored (const Report *report, const char *rule)
{
  return report->ignored != NULL && g_strv_contains (report->ignored, rule);
}

/* Writes a message for each error in SCOPE that has none yet.  Warnings and
 * notes have no messages.  A finding that is not in SCOPE may be in a later
 * one. */
void
report_findings (Report *report, ReportScope scope)
{
  const Qcow2Findings *findings = report->findings;
  g_autoptr (GArray) candidates = g_steal_pointer (&report->pending);

  report->parts |= scope.parts;

  for (; report->n_seen < qcow2_findings_get_n (findings); report->n_seen++)
    g_array_append_val (candidates, report->n_seen);

  report->pending = g_array_new (FALSE, FALSE, sizeof (guint));
  for (guint i = 0; i < candidates->len; i++)
    {
      const guint index = g_array_index (candidates, guint, i);
      const Qcow2Finding *finding = qcow2_findings_get (findings, index);

      if (!is_in_scope (finding, scope))
        {
          g_array_append_val (report->pending, index);
          continue;
        }

      if (is_ignored (report, finding->rule))
        continue;

      g_ptr_array_add (report->shown, (gpointer) finding);
      if (finding->severity == QCOW2_SEVERITY_ERROR && !report->is_answer)
        write_finding (report, finding);
    }
}

static gint
compare_rules (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

/* Returns whether one of the findings shown from START to END has the same
 * rule and severity as the one shown at INDEX. */
static gboolean
has_like (const Report *report, guint index, guint start, guint end)
{
  const Qcow2Finding *finding = g_ptr_array_index (report->shown, index);

  for (guint i = start; i < end; i++)
    {
      const Qcow2Finding *other = g_ptr_array_index (report->shown, i);

      if (other->severity == finding->severity
          && g_str_equal (other->rule, finding->rule))
        return TRUE;
    }

  return FALSE;
}

/* Returns the number of findings of the rule and severity of the one shown at
 * INDEX that were not kept. */
static guint64
count_suppressed (const Report *report, guint index)
{
  const Qcow2Finding *like = g_ptr_array_index (report->shown, index);

  return qcow2_findings_get_n_suppressed (report->findings, like->rule,
                                          like->severity, report->parts);
}

/* Returns that number if the finding shown at INDEX is the first of its rule
 * and severity, and 0 otherwise. */
static guint64
count_rest (const Report *report, guint index)
{
  const guint64 n = count_suppressed (report, index);

  return n > 0 && !has_like (report, index, 0, index) ? n : 0;
}

static void
describe (const Report *report, Emitter *emitter, const Qcow2Finding *finding,
          guint64 n_suppressed)
{
  if (report->is_answer)
    describe_checked_finding (emitter, finding, report->image,
                              report->findings, n_suppressed);
  else
    describe_finding (emitter, finding, n_suppressed);
}

/* Emits an entry for N findings like LIKE that were not kept. */
static void
describe_suppressed (const Report *report, Emitter *emitter,
                     const Qcow2Finding *like, guint64 n)
{
  g_autofree char *message
      = g_strdup_printf (QCOW2_U64_FORMAT " more like this", n);
  const Qcow2Finding rest = { .index = like->index,
                              .rule = like->rule,
                              .severity = like->severity,
                              .offset = QCOW2_ABSENT,
                              .subject.bitmap = QCOW2_NO_INDEX,
                              .subject.extension = QCOW2_NO_INDEX,
                              .message = message };

  describe (report, emitter, &rest, n);
}

/* Emits the findings in scope and, for each rule with too many findings to
 * keep, the number of those left out. */
void
report_describe (const Report *report, Emitter *emitter)
{
  emitter_begin (emitter, EMITTER_LIST, "problems", NULL);
  for (guint i = 0; i < report->shown->len; i++)
    describe (report, emitter, g_ptr_array_index (report->shown, i), 0);
  for (guint i = 0; i < report->shown->len; i++)
    {
      const guint64 n = count_rest (report, i);

      if (n > 0)
        describe_suppressed (report, emitter,
                             g_ptr_array_index (report->shown, i), n);
    }
  emitter_end (emitter);
}

/* Appends those of the LINES that were not SAID before, indented.  Takes
 * ownership of LINES, which may be NULL. */
static void
print_comment (GString *out, GHashTable *said, char *lines)
{
  if (lines == NULL)
    return;

  g_auto (GStrv) each = g_strsplit (lines, "\n", -1);
  for (char **line = each; *line != NULL; line++)
    {
      if (g_hash_table_add (said, g_strdup (*line)))
        g_string_append_printf (out, "    %s\n", *line);
    }
  g_free (lines);
}

/* Appends the findings in scope to OUT, for people.  Each line about a
 * consequence or a remedy is printed only once. */
void
report_print (const Report *report, GString *out)
{
  g_autoptr (GHashTable) said
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < report->shown->len; i++)
    {
      const Qcow2Finding *finding = g_ptr_array_index (report->shown, i);
      const guint64 rest = count_suppressed (report, i);

      format_finding (out, finding);
      print_comment (
          out, said,
          advice_get_consequence (finding, report->image, report->findings));
      print_comment (
          out, said,
          advice_get_remedy (finding, report->image, report->findings));
      if (rest > 0 && !has_like (report, i, i + 1, report->shown->len))
        g_string_append_printf (out,
                                "    and " QCOW2_U64_FORMAT
                                " more of %s that are not "
                                "shown\n",
                                rest, finding->rule);
    }
}

/* Stores the number of findings in scope in *COUNTS, including those that were
 * not kept. */
void
report_count (const Report *report, DescribeCounts *counts)
{
  *counts = (DescribeCounts){ 0 };

  for (guint i = 0; i < report->shown->len; i++)
    {
      const Qcow2Finding *finding = g_ptr_array_index (report->shown, i);
      const guint64 n = 1 + count_rest (report, i);

      switch (finding->severity)
        {
        case QCOW2_SEVERITY_ERROR:
          counts->errors += n;
          break;
        case QCOW2_SEVERITY_WARNING:
          counts->warnings += n;
          break;
        case QCOW2_SEVERITY_NOTE:
          counts->notes += n;
          break;
        }
    }
}

/* Writes how many errors had no message of their own, and frees REPORT.
 * Returns whether there were no messages about errors. */
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
            + qcow2_findings_get_n_suppressed (
                report->findings, rule, QCOW2_SEVERITY_ERROR, report->parts);
      if (count <= MESSAGES_PER_RULE)
        continue;

      g_autofree char *message = g_strdup_printf (
          QCOW2_U64_FORMAT " more [%s]: see qcow2tool check",
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
