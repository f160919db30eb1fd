/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include <string.h>

#include "cli/commands.h"
#include "cli/selection.h"
#include "cli/usage.h"
#include "qcow2/check.h"
#include "render/advice.h"
#include "render/describe.h"
#include "render/format.h"

typedef struct
{
  Selection selection;
  char **ignored; /* --ignore, or NULL */
  gboolean strict;
  gboolean rules;
} Request;

/* A check of one image. */
typedef struct
{
  const Request *request;
  Tool *tool;
} Job;

static void
request_clear (Request *request)
{
  selection_clear (&request->selection);
  g_strfreev (request->ignored);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Request, request_clear)

static gboolean
wants (const Qcow2Bitmap *bitmap, gconstpointer data)
{
  const Job *job = data;

  return selection_matches (&job->request->selection, bitmap);
}

static void
go_on_after (GError *error, gpointer data)
{
  const Job *job = data;

  tool_go_on_after (job->tool, &error);
}

static void
set_status (Tool *tool, const Request *request, const DescribeCounts *counts,
            const Qcow2BitmapSummary *bitmaps)
{
  const gboolean blemished = counts->warnings > 0 || bitmaps->in_use > 0
                             || bitmaps->stale > 0 || bitmaps->damaged > 0;

  if (counts->errors > 0 || (request->strict && blemished))
    tool_set_status (tool, TOOL_DAMAGED);
}

static void
append_count (GString *out, guint64 n, const char *noun)
{
  g_string_append_printf (out, QCOW2_U " %s%s", n, noun, n == 1 ? "" : "s");
}

static void
print_summary (Tool *tool, const DescribeCounts *counts,
               const Qcow2BitmapSummary *bitmaps)
{
  const char *path = report_get_path (tool_get_report (tool));
  GString *out = tool_get_text (tool);

  format_escaped (out, path, strlen (path));
  g_string_append (out, ": ");
  append_count (out, counts->errors, "error");
  g_string_append (out, ", ");
  append_count (out, counts->warnings, "warning");
  if (!bitmaps->is_whole)
    {
      g_string_append (out, "; bitmaps: unknown\n");
      return;
    }

  g_string_append_printf (out,
                          "; bitmaps: " QCOW2_U " usable, " QCOW2_U
                          " in use, " QCOW2_U " stale, " QCOW2_U " damaged\n",
                          bitmaps->usable, bitmaps->in_use, bitmaps->stale,
                          bitmaps->damaged);
}

/* Gives the findings in SCOPE, and sets the status by them and BITMAPS; COUNTS
 * gets how many there are. */
static void
give_findings (Tool *tool, const Request *request, ReportScope scope,
               const Qcow2BitmapSummary *bitmaps, DescribeCounts *counts)
{
  Report *report = tool_get_report (tool);

  report_findings (report, scope);
  report_count (report, counts);
  set_status (tool, request, counts, bitmaps);
  if (!tool_get_emitter (tool)->for_programs)
    report_print (report, tool_get_text (tool));
}

static gboolean
show (Tool *tool, Qcow2Image *image, gpointer data, GError **error)
{
  const Request *request = data;
  const Job job = { .request = request, .tool = tool };
  const Qcow2CheckCalls calls
      = { .wants = wants, .failed = go_on_after, .data = (gpointer) &job };
  const gboolean selected = selection_is_given (&request->selection);
  ReportScope scope
      = REPORT_SCOPE (selected ? QCOW2_PART_BITMAPS : QCOW2_PART_ALL);
  Report *report = tool_get_report (tool);
  Qcow2BitmapSummary bitmaps = { 0 };
  DescribeCounts counts;
  GError *local_error = NULL;

  report_make_answer (report, (const char *const *) request->ignored);
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open (image, &local_error);
  if (directory == NULL)
    tool_go_on_after (tool, &local_error);
  if (selected && directory == NULL)
    return TRUE;
  if (selected
      && !selection_find (&request->selection, SELECTION_ALL, directory,
                          &scope.max_bitmap, error))
    {
      /* Damage on the way may be why it is not there. */
      give_findings (tool, request, scope, &bitmaps, &counts);
      return FALSE;
    }

  qcow2_image_check (image, directory, &calls, &bitmaps);
  give_findings (tool, request, scope, &bitmaps, &counts);
  if (tool_get_emitter (tool)->for_programs)
    describe_summary (tool_get_emitter (tool), &counts, &bitmaps);
  else
    print_summary (tool, &counts, &bitmaps);
  return TRUE;
}

/* A line per way to break a rule, with what follows and what to do. */
static void
print_rules (GString *out)
{
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      const Qcow2Rule *rule = &qcow2_rules[i];
      g_autofree char *effect = advice_describe_effect (rule);
      const char *remedy = advice_describe_remedy (rule);

      g_string_append_printf (
          out, "%-8s %-8s %s\n", rule->id,
          qcow2_label_find (qcow2_severities, rule->severity),
          rule->condition);
      if (rule->told_as != NULL)
        g_string_append_printf (out, "    told by %s\n", rule->told_as);
      if (effect != NULL)
        g_string_append_printf (out, "    %s\n", effect);
      if (remedy != NULL)
        g_string_append_printf (out, "    %s\n", remedy);
    }
}

static gboolean
list_rules (Tool *tool, GError **error)
{
  Emitter *emitter = tool_get_emitter (tool);

  if (!tool_want_no_image (tool, "--rules", error))
    return FALSE;

  if (!emitter->for_programs)
    {
      print_rules (tool_get_text (tool));
      return TRUE;
    }

  emitter_begin (emitter, EMITTER_LIST, "rules", NULL);
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    describe_rule (emitter, &qcow2_rules[i]);
  emitter_end (emitter);
  g_string_append_c (tool_get_text (tool), '\n');
  return TRUE;
}

static gboolean
check_ignored (const Request *request, GError **error)
{
  for (char **id = request->ignored; id != NULL && *id != NULL; id++)
    {
      if (qcow2_rule_exists (*id))
        continue;

      g_autofree char *shown = usage_escape (*id);
      usage_error (error, "--ignore: no rule is called '%s', see --rules",
                   shown);
      return FALSE;
    }

  return TRUE;
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&request.selection),
    { "strict", 0, 0, G_OPTION_ARG_NONE, &request.strict,
      "Exit with 2 for warnings and unusable bitmaps as well", NULL },
    { "ignore", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &request.ignored,
      "Leave out what breaks RULE; may be given again", "RULE" },
    { "rules", 0, 0, G_OPTION_ARG_NONE, &request.rules,
      "List all rules, and what follows when they are broken", NULL },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_check, entries, argv, error)
      || !selection_parse (&request.selection, error)
      || !check_ignored (&request, error))
    return FALSE;
  if (request.rules)
    return list_rules (tool, error);

  return tool_want_image (tool, error)
         && tool_for_each_image (tool, show, &request, error);
}

const Command cmd_check = {
  .name = "check",
  .operands = "IMAGE...",
  .summary = "Check the metadata by all rules, bitmap data included",
  .keys = { "summary" },
  .may_lack_image = TRUE,
  .run = run,
};
