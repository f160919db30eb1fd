/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/check-text.h"

#include <string.h>

#include "render/advice.h"
#include "render/format.h"

static void
append_count (GString *out, guint64 n, const char *noun)
{
  g_string_append_printf (out, QCOW2_U64_FORMAT " %s%s", n, noun,
                          n == 1 ? "" : "s");
}

static void
append_bitmaps (GString *out, const Qcow2BitmapSummary *bitmaps)
{
  if (bitmaps->is_complete)
    g_string_append_printf (
        out,
        "; bitmaps: " QCOW2_U64_FORMAT " enabled, " QCOW2_U64_FORMAT
        " disabled, " QCOW2_U64_FORMAT " in use, " QCOW2_U64_FORMAT
        " stale, " QCOW2_U64_FORMAT " damaged",
        bitmaps->enabled, bitmaps->disabled, bitmaps->in_use, bitmaps->stale,
        bitmaps->damaged);
  else
    g_string_append (out, "; bitmaps: unknown");
}

/* Appends SUMMARY, of the image at PATH, as a line. */
void
check_text_summary (GString *out, const char *path,
                    const DescribeSummary *summary)
{
  const char *word;

  format_escaped (out, path, strlen (path));
  g_string_append (out, ": ");
  append_count (out, summary->counts.errors, "error");
  g_string_append (out, ", ");
  append_count (out, summary->counts.warnings, "warning");
  if (summary->verdict != NULL)
    g_string_append_printf (out, "; %s",
                            advice_describe_verdict (summary->verdict, &word));
  append_bitmaps (out, &summary->bitmaps);
  for (guint i = 0; summary->not_examined[i] != NULL; i++)
    g_string_append_printf (out, "%s%s", i == 0 ? "; not looked at: " : ", ",
                            describe_not_examined (summary->not_examined[i]));
  g_string_append_c (out, '\n');
}

/* Appends a line for each way to break a rule, with the consequence and the
 * remedy. */
void
check_text_rules (GString *out)
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
      if (rule->reported_by != NULL)
        g_string_append_printf (out, "    told by %s\n", rule->reported_by);
      if (effect != NULL)
        g_string_append_printf (out, "    %s\n", effect);
      if (remedy != NULL)
        g_string_append_printf (out, "    %s\n", remedy);
    }
}
