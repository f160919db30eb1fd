/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/problem.h"

struct Qcow2Problems
{
  GPtrArray *list;
  /* By severity: rule -> how many were found. */
  GHashTable *counts[QCOW2_SEVERITY_NOTE + 1];
  guint64 n_errors;
};

static void
problem_free (gpointer data)
{
  Qcow2Problem *problem = data;

  g_clear_pointer (&problem->subject.name, g_bytes_unref);
  g_free (problem->message);
  g_free (problem);
}

static guint
count_of (const Qcow2Problems *problems, const char *rule,
          Qcow2Severity severity)
{
  return GPOINTER_TO_UINT (
      g_hash_table_lookup (problems->counts[severity], rule));
}

Qcow2Problems *
qcow2_problems_new (void)
{
  Qcow2Problems *problems = g_new0 (Qcow2Problems, 1);

  problems->list = g_ptr_array_new_with_free_func (problem_free);
  for (guint i = 0; i < G_N_ELEMENTS (problems->counts); i++)
    problems->counts[i] = g_hash_table_new (g_str_hash, g_str_equal);
  return problems;
}

void
qcow2_problems_free (Qcow2Problems *problems)
{
  if (problems == NULL)
    return;

  g_ptr_array_unref (problems->list);
  for (guint i = 0; i < G_N_ELEMENTS (problems->counts); i++)
    g_hash_table_unref (problems->counts[i]);
  g_free (problems);
}

/* Adds a finding by RULE, a static string, about the structure at host offset
 * OFFSET; FORMAT makes its message.  After QCOW2_PROBLEMS_PER_RULE findings of
 * a rule and severity the rest is only counted. */
void
qcow2_problems_add (Qcow2Problems *problems, const Qcow2Subject *subject,
                    const char *rule, Qcow2Severity severity, guint64 offset,
                    const char *format, ...)
{
  const guint count = count_of (problems, rule, severity);

  g_hash_table_insert (problems->counts[severity], (gpointer) rule,
                       GUINT_TO_POINTER (MIN (count, G_MAXUINT - 1) + 1));
  if (severity == QCOW2_SEVERITY_ERROR)
    problems->n_errors++;
  if (count >= QCOW2_PROBLEMS_PER_RULE)
    return;

  Qcow2Problem *problem = g_new0 (Qcow2Problem, 1);
  problem->rule = rule;
  problem->severity = severity;
  problem->offset = offset;
  problem->subject = *subject;
  if (subject->name != NULL)
    g_bytes_ref (subject->name);

  va_list args;
  va_start (args, format);
  problem->message = g_strdup_vprintf (format, args);
  va_end (args);

  g_ptr_array_add (problems->list, problem);
}

/* Returns how many findings are kept. */
guint
qcow2_problems_get_n (const Qcow2Problems *problems)
{
  return problems->list->len;
}

/* Returns the kept finding INDEX, in the order in which they were added. */
const Qcow2Problem *
qcow2_problems_get (const Qcow2Problems *problems, guint index)
{
  g_assert (index < problems->list->len);

  return g_ptr_array_index (problems->list, index);
}

/* Returns how many findings of severity error there were, kept or not. */
guint64
qcow2_problems_get_n_errors (const Qcow2Problems *problems)
{
  return problems->n_errors;
}

/* Returns how many findings of RULE and SEVERITY were counted but not kept. */
guint64
qcow2_problems_get_n_suppressed (const Qcow2Problems *problems,
                                 const char *rule, Qcow2Severity severity)
{
  const guint count = count_of (problems, rule, severity);

  return count > QCOW2_PROBLEMS_PER_RULE ? count - QCOW2_PROBLEMS_PER_RULE : 0;
}
