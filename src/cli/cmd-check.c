/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* qcow2tool check: checks the metadata of images and prints the findings, for
 * people.  --is and the exit status are for scripts. */

#include "config.h"

#include "check/check.h"
#include "check/directory-rules.h"
#include "cli/commands.h"
#include "cli/fields.h"
#include "cli/selection.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/advice.h"
#include "render/check-text.h"
#include "render/describe.h"

typedef struct
{
  Selection selection;
  FieldOptions fields;
  char **ignored; /* --ignore, or NULL */
  char *is;       /* --is, or NULL */
  gboolean metadata;
  gboolean strict;
  gboolean quiet;
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
  fields_clear (&request->fields);
  g_strfreev (request->ignored);
  g_free (request->is);
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

  tool_recover (job->tool, error, NULL);
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

/* Stores in SUMMARY the parts that a check of IMAGE does not examine, or did
 * not.  SELECTED says that only some bitmaps are checked. */
static void
list_not_examined (const Qcow2Image *image, gboolean selected,
                   DescribeSummary *summary)
{
  const Qcow2Header *h = &image->header;
  const char **next = summary->not_examined;

  if (selected)
    *next++ = DESCRIBE_REST_OF_IMAGE;
  if (summary->numbers == NULL || summary->numbers->is_incomplete)
    *next++ = DESCRIBE_GUEST_CLUSTERS;
  if (h->backing_file_offset != 0 && h->backing_file_size != 0)
    *next++ = DESCRIBE_BACKING_FILE;
  if ((h->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0)
    *next++ = DESCRIBE_DATA_FILE;
}

/* Stores the number of findings in SCOPE in SUMMARY.  Sets the exit status
 * according to the findings and the bitmaps of SUMMARY. */
static void
count_findings (Tool *tool, const Request *request, ReportScope scope,
                DescribeSummary *summary)
{
  Report *report = tool_get_report (tool);

  report_findings (report, scope);
  report_count (report, &summary->counts);
  set_status (tool, request, &summary->counts, &summary->bitmaps);
}

/* Prints the findings in SCOPE, and counts them as count_findings () does. */
static void
give_findings (Tool *tool, const Request *request, ReportScope scope,
               DescribeSummary *summary)
{
  Report *report = tool_get_report (tool);

  count_findings (tool, request, scope, summary);
  if (!tool_get_emitter (tool)->machine_readable && !request->quiet)
    report_print (report, tool_get_text (tool));
}

static void
give_summary (Tool *tool, const Request *request,
              const DescribeSummary *summary)
{
  if (tool_get_emitter (tool)->machine_readable)
    describe_summary (tool_get_emitter (tool), summary);
  else if (!request->quiet)
    check_text_summary (tool_get_text (tool),
                        report_get_path (tool_get_report (tool)), summary);
}

/* Answers --is through the exit status: whether QEMU opens the image.  Fails
 * with QCOW2_ERROR_CORRUPT if that is uncertain. */
static gboolean
answer (Tool *tool, const Request *request, const Qcow2Verdict *verdict,
        GError **error)
{
  const gboolean for_writing = g_str_equal (request->is, "opens-rw");
  const char *word;

  if (verdict->effect >= QCOW2_EFFECT_REFUSED
      || (for_writing && verdict->effect == QCOW2_EFFECT_READ_ONLY))
    tool_set_status (tool, TOOL_DAMAGED);
  else if (verdict->effect == QCOW2_EFFECT_UNKNOWN
           || (for_writing && verdict->effect == QCOW2_EFFECT_REPAIRED))
    {
      qcow2_set_rule_error (error, QCOW2_ERROR_CORRUPT,
                            qcow2_rules[verdict->rule].id, "%s",
                            advice_describe_verdict (verdict, &word));
      return FALSE;
    }

  return TRUE;
}

/* Prints the NUMBERS that --field asks for. */
static gboolean
print_fields (Tool *tool, const Request *request,
              const Qcow2CheckNumbers *numbers, GError **error)
{
  const FieldSource sources[]
      = { { qcow2_check_number_fields, numbers, G_MAXUINT },
          { .fields = NULL } };

  return fields_print (&request->fields, sources, TRUE, tool_get_text (tool),
                       error);
}

/* Returns whether REQUEST needs more of IMAGE than its metadata: whether QEMU
 * opens it for writing depends on the rest only if QEMU has to repair it. */
static gboolean
examines_disk (const Request *request, const Qcow2Image *image)
{
  const gboolean is_dirty = qcow2_header_is_dirty (&image->header);

  return !selection_is_given (&request->selection) && !request->metadata
         && (request->is == NULL
             || (is_dirty && g_str_equal (request->is, "opens-rw")));
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
  Qcow2Findings *findings = tool_get_findings (tool);
  Qcow2Verdict verdict;
  Qcow2CheckNumbers numbers = { 0 };
  DescribeSummary summary
      = { .verdict = selected ? NULL : &verdict,
          .numbers = examines_disk (request, image) ? &numbers : NULL };
  GError *read_error = NULL;

  report_make_answer (tool_get_report (tool),
                      (const char *const *) request->ignored);
  g_autoptr (Qcow2Directory) directory
      = qcow2_directory_open_checked (image, findings, &read_error);
  if (directory == NULL)
    tool_recover (tool, read_error, NULL);
  if (selected && directory == NULL)
    return TRUE;
  if (selected
      && !selection_find (&request->selection, SELECTION_ALL, directory,
                          &scope.max_bitmap, error))
    {
      /* Damage on the way to a bitmap may be why it was not found. */
      give_findings (tool, request, scope, &summary);
      return FALSE;
    }

  qcow2_image_check (image, findings, directory, &calls, &summary.bitmaps,
                     selected ? NULL : &verdict,
                     summary.numbers != NULL ? &numbers : NULL);
  list_not_examined (image, selected, &summary);
  if (request->is != NULL)
    return answer (tool, request, &verdict, error);

  if (request->fields.keys != NULL)
    {
      count_findings (tool, request, scope, &summary);
      return print_fields (tool, request, &numbers, error);
    }

  give_findings (tool, request, scope, &summary);
  give_summary (tool, request, &summary);
  return TRUE;
}

static gboolean
list_rules (Tool *tool, GError **error)
{
  Emitter *emitter = tool_get_emitter (tool);

  if (!tool_want_no_image (tool, "--rules", error))
    return FALSE;

  if (!emitter->machine_readable)
    {
      check_text_rules (tool_get_text (tool));
      return TRUE;
    }

  emitter_begin (emitter, EMITTER_LIST, "rules", NULL);
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    describe_rule (emitter, &qcow2_rules[i]);
  emitter_end (emitter);
  g_string_append_c (tool_get_text (tool), '\n');
  return TRUE;
}

/* Sets ERROR to a usage error, since no rule has the id ID. */
static void
unknown_rule (const char *id, GError **error)
{
  const char *ids[QCOW2_N_RULES + 1] = { NULL };

  for (guint i = 0; i < QCOW2_N_RULES; i++)
    ids[i] = qcow2_rules[i].id;

  g_autofree char *shown = usage_escape (id);
  g_autofree char *hint = usage_suggest (id, ids);
  usage_error (error, "--ignore: no rule is called '%s', see --rules%s", shown,
               hint);
}

static gboolean
check_ignored (const Request *request, GError **error)
{
  for (char **id = request->ignored; id != NULL && *id != NULL; id++)
    {
      if (qcow2_rule_exists (*id))
        continue;

      unknown_rule (*id, error);
      return FALSE;
    }

  return TRUE;
}

static gboolean
check_combinations (Tool *tool, const Request *request, GError **error)
{
  static const char *const verdicts[] = { "opens", "opens-rw", NULL };
  const Selection *selection = &request->selection;
  const char *const given[] = { request->is != NULL ? "--is" : "",
                                request->rules             ? "--rules"
                                : request->strict          ? "--strict"
                                : request->ignored != NULL ? "--ignore"
                                : selection->name != NULL  ? "--name"
                                : selection->index.given   ? "--index"
                                                           : "",
                                NULL };
  const char *const printed[] = { request->quiet ? "--quiet" : "",
                                  request->rules ? "--rules" : "", NULL };

  if (!usage_check_choice ("--is", request->is, verdicts, error)
      || !usage_check_exclusive (printed, error))
    return FALSE;
  if (request->is != NULL && !usage_check_exclusive (given, error))
    return FALSE;
  if (request->is != NULL && !tool_want_text (tool, "--is", error))
    return FALSE;

  if (request->quiet)
    tool_want_nothing (tool);
  return TRUE;
}

static gboolean
check_fields (Tool *tool, const Request *request, GError **error)
{
  const FieldOptions *fields = &request->fields;
  const FieldSource sources[]
      = { { .fields = qcow2_check_number_fields }, { .fields = NULL } };
  const char *const given[] = { fields->keys != NULL ? "--field" : "",
                                request->is != NULL ? "--is"
                                : request->rules    ? "--rules"
                                : request->metadata ? "--metadata"
                                : request->selection.name != NULL ? "--name"
                                : request->selection.index.given  ? "--index"
                                                                  : "",
                                NULL };

  if (!fields_check (fields, sources, error))
    return FALSE;
  if (fields->keys == NULL && !fields->nul)
    return TRUE;
  if (fields->keys == NULL)
    {
      usage_error (error, "-0 goes with --field");
      return FALSE;
    }

  tool_want_one_image (tool, "--field");
  return usage_check_exclusive (given, error)
         && tool_want_text (tool, "--field", error);
}

static gboolean
run (Tool *tool, char **argv, GError **error)
{
  g_auto (Request) request = { 0 };
  /* clang-format off */
  const GOptionEntry entries[] = {
    SELECTION_OPTIONS (&request.selection),
    { "metadata", 0, 0, G_OPTION_ARG_NONE, &request.metadata,
      "Leave out the L2 tables and the refcounts of the disk's clusters, to "
      "take the same short time for any disk", NULL },
    { "is", 0, 0, G_OPTION_ARG_FILENAME, &request.is,
      "Print nothing, but exit with 0 if QEMU opens every IMAGE (opens), or "
      "opens it for writing (opens-rw), and with 2 if not", "VERDICT" },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &request.quiet,
      "Print no findings and no summary: the exit status is the answer", NULL },
    { "strict", 0, 0, G_OPTION_ARG_NONE, &request.strict,
      "Exit with 2 for warnings, too, and for bitmaps that are in use, stale "
      "or damaged", NULL },
    { "ignore", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &request.ignored,
      "Leave out findings of RULE, also for the exit status; may be given "
      "again", "RULE" },
    FIELD_OPTIONS (&request.fields),
    { "rules", 0, 0, G_OPTION_ARG_NONE, &request.rules,
      "List all rules, and the consequences of breaking them; takes no IMAGE",
      NULL },
    { NULL }
  };
  /* clang-format on */

  if (!tool_parse (tool, &cmd_check, entries, argv, error)
      || !selection_check (&request.selection, error)
      || !check_combinations (tool, &request, error)
      || !check_ignored (&request, error)
      || !check_fields (tool, &request, error))
    return FALSE;
  if (request.rules)
    return list_rules (tool, error);
  if (request.is != NULL)
    tool_set_purpose (tool, TOOL_DECIDES);

  return tool_want_image (tool, error)
         && tool_for_each_image (tool, show, &request, error);
}

const Command cmd_check = {
  .name = "check",
  .operands = "IMAGE...",
  .group = COMMAND_CHECKS,
  .summary = "Say what is wrong, what helps, whether QEMU opens it",
  .statuses = "0 no errors, 1 cannot check, 2 errors, 3 not in the image; "
              "with --is, 0 is yes and 2 is no",
  .example = "--strict disk.qcow2",
  .page = "qcow2tool-check",
  .keys = { "summary", "qemu", "qemu_rule" },
  .may_lack_image = TRUE,
  .run = run,
};
