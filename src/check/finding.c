/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/problem.h"

#define D(key, member, ...)                                                   \
  QCOW2_DERIVED (Qcow2Problem, key, member, __VA_ARGS__)

/* clang-format off */
const Qcow2Field qcow2_problem_fields[] = {
  D ("rule", rule, QCOW2_WORD),
  D ("severity", severity, QCOW2_NAME, .labels = qcow2_severities),
  D ("offset", offset, QCOW2_HEX),
  D ("message", message, QCOW2_WORD),
  D ("bitmap", subject.bitmap, QCOW2_DEC),
  D ("extension", subject.extension, QCOW2_DEC),
  D ("value", value, QCOW2_DEC,
     .presence = offsetof (Qcow2Problem, has_value)),
  D ("allowed", allowed, QCOW2_WORD),
  QCOW2_FIELD_END
};
/* clang-format on */

/* The number of findings with the same rule, severity and parts. */
typedef struct
{
  const char *rule;
  Qcow2Severity severity;
  guint parts;
  guint64 n;
} Count;

struct Qcow2Problems
{
  GPtrArray *list;
  GArray *counts; /* of Count, only for rules that were broken */
  Qcow2RuleUse uses[QCOW2_N_RULES];
  guint64 n_errors;
};

static void
problem_free (gpointer data)
{
  Qcow2Problem *problem = data;

  g_clear_pointer (&problem->subject.name, g_bytes_unref);
  g_free (problem->allowed_number);
  g_free (problem->message);
  g_free (problem);
}

static gboolean
is_same_rule (const char *a, const char *b)
{
  return a == b || g_str_equal (a, b);
}

/* Returns the count of findings of RULE that affect PARTS, or NULL if there
 * was none. */
static Count *
find_count (const Qcow2Problems *problems, const Qcow2Rule *rule, guint parts)
{
  for (guint i = 0; i < problems->counts->len; i++)
    {
      Count *count = &g_array_index (problems->counts, Count, i);

      if (count->severity == rule->severity && count->parts == parts
          && is_same_rule (count->rule, rule->id))
        return count;
    }

  return NULL;
}

/* Counts another finding of RULE that affects PARTS.  Returns how many there
 * were before. */
static guint64
count_one (Qcow2Problems *problems, const Qcow2Rule *rule, guint parts)
{
  Count *count = find_count (problems, rule, parts);

  if (count != NULL)
    return count->n++;

  const Count first = { rule->id, rule->severity, parts, 1 };
  g_array_append_val (problems->counts, first);
  return 0;
}

Qcow2Problems *
qcow2_problems_new (void)
{
  Qcow2Problems *problems = g_new0 (Qcow2Problems, 1);

  problems->list = g_ptr_array_new_with_free_func (problem_free);
  problems->counts = g_array_new (FALSE, FALSE, sizeof (Count));
  return problems;
}

void
qcow2_problems_free (Qcow2Problems *problems)
{
  if (problems == NULL)
    return;

  g_ptr_array_unref (problems->list);
  g_array_unref (problems->counts);
  g_free (problems);
}

static void
note_use (Qcow2Problems *problems, const Qcow2Subject *subject,
          Qcow2RuleIndex rule)
{
  Qcow2RuleUse *use = &problems->uses[rule];

  use->n++;
  use->loaded = use->loaded || !subject->in_use;
  use->last_extension = subject->extension;
}

/* Adds a finding without place and message: see qcow2_problems_add (). */
static Qcow2Problem *
add (Qcow2Problems *problems, const Qcow2Subject *subject, Qcow2RuleIndex rule)
{
  const Qcow2Rule *row = &qcow2_rules[rule];
  const guint64 count = count_one (problems, row, subject->parts);

  note_use (problems, subject, rule);
  if (row->severity == QCOW2_SEVERITY_ERROR)
    problems->n_errors++;
  if (count >= QCOW2_PROBLEMS_PER_RULE)
    return NULL;

  Qcow2Problem *problem = g_new0 (Qcow2Problem, 1);
  problem->index = rule;
  problem->rule = row->id;
  problem->severity = row->severity;
  problem->subject = *subject;
  problem->has_value = row->allowed != NULL;
  problem->allowed = row->allowed;
  if (subject->name != NULL)
    g_bytes_ref (subject->name);

  g_ptr_array_add (problems->list, problem);
  return problem;
}

/* Adds a finding: RULE is broken by SUBJECT at host offset OFFSET, which is
 * not that of a field.  VALUE is the wrong number at OFFSET; it is ignored
 * unless the rule says what is allowed.  FORMAT and the arguments after it
 * make the message.  Once QCOW2_PROBLEMS_PER_RULE findings with the same rule,
 * severity and parts are kept, further ones are only counted.  Returns the
 * finding, which PROBLEMS owns, or NULL if it was only counted. */
Qcow2Problem *
qcow2_problems_add (Qcow2Problems *problems, const Qcow2Subject *subject,
                    Qcow2RuleIndex rule, guint64 offset, guint64 value,
                    const char *format, ...)
{
  Qcow2Problem *problem = add (problems, subject, rule);

  if (problem == NULL)
    return NULL;

  problem->offset = offset;
  problem->value = value;

  va_list args;
  va_start (args, format);
  problem->message = g_strdup_vprintf (format, args);
  va_end (args);
  return problem;
}

/* Returns the number at PLACE: that of the field, or all of a packed entry.
 * Returns 0 if there is none. */
static guint64
get_value (const Qcow2Place *place)
{
  guint8 entry[QCOW2_ENTRY_LENGTH];

  if (place->field == NULL || place->structure == NULL
      || place->field->format == QCOW2_BYTES)
    return 0;
  if (place->record->packed_size == 0)
    return qcow2_field_get_number (place->field, place->structure);

  qcow2_record_encode (place->record, place->structure, entry, sizeof entry);
  return qcow2_load_be (entry, place->record->packed_size);
}

/* Adds a finding as qcow2_problems_add () does, at PLACE, which gives the
 * offset and the wrong number. */
Qcow2Problem *
qcow2_problems_add_at (Qcow2Problems *problems, const Qcow2Subject *subject,
                       Qcow2RuleIndex rule, const Qcow2Place *place,
                       const char *format, ...)
{
  Qcow2Problem *problem = add (problems, subject, rule);

  if (problem == NULL)
    return NULL;

  problem->record = place->record;
  problem->field = place->field;
  problem->offset = place->start;
  if (place->field != NULL)
    problem->offset += qcow2_record_get_offset (place->record, place->field);
  problem->value = get_value (place);

  va_list args;
  va_start (args, format);
  problem->message = g_strdup_vprintf (format, args);
  va_end (args);
  return problem;
}

/* Moves PROBLEM, which must be the finding that was added last, before all
 * others.  Does nothing if PROBLEM is NULL. */
void
qcow2_problems_move_to_front (Qcow2Problems *problems, Qcow2Problem *problem)
{
  if (problem == NULL)
    return;

  g_ptr_array_steal_index (problems->list, problems->list->len - 1);
  g_ptr_array_insert (problems->list, 0, problem);
}

/* Sets NUMBER as the only right value for PROBLEM.  Does nothing if PROBLEM is
 * NULL. */
void
qcow2_problem_allow (Qcow2Problem *problem, guint64 number)
{
  if (problem == NULL)
    return;

  g_free (problem->allowed_number);
  problem->allowed_number = g_strdup_printf (QCOW2_U, number);
  problem->allowed = problem->allowed_number;
}

/* Sets the message of PROBLEM to FORMAT with its arguments.  Does nothing if
 * PROBLEM is NULL. */
void
qcow2_problem_set_message (Qcow2Problem *problem, const char *format, ...)
{
  if (problem == NULL)
    return;

  va_list args;
  va_start (args, format);
  g_free (problem->message);
  problem->message = g_strdup_vprintf (format, args);
  va_end (args);
}

/* Returns the counts of findings of RULE, a row of qcow2_rules.  PROBLEMS owns
 * them. */
const Qcow2RuleUse *
qcow2_problems_get_use (const Qcow2Problems *problems, Qcow2RuleIndex rule)
{
  return &problems->uses[rule];
}

/* Returns whether another finding of RULE that affects PARTS would only be
 * counted, so that the caller need not build its message. */
gboolean
qcow2_problems_is_full (const Qcow2Problems *problems, Qcow2RuleIndex rule,
                        guint parts)
{
  const Count *count = find_count (problems, &qcow2_rules[rule], parts);

  return count != NULL && count->n >= QCOW2_PROBLEMS_PER_RULE;
}

/* Returns the number of findings that are kept. */
guint
qcow2_problems_get_n (const Qcow2Problems *problems)
{
  return problems->list->len;
}

/* Returns the kept finding INDEX.  Findings are in the order in which they
 * were added, apart from those that qcow2_problems_move_to_front () moved. */
const Qcow2Problem *
qcow2_problems_get (const Qcow2Problems *problems, guint index)
{
  g_assert (index < problems->list->len);

  return g_ptr_array_index (problems->list, index);
}

/* Returns the number of findings of severity error, whether kept or not. */
guint64
qcow2_problems_get_n_errors (const Qcow2Problems *problems)
{
  return problems->n_errors;
}

/* Returns how many findings of RULE and SEVERITY that affect any of PARTS were
 * counted but not kept. */
guint64
qcow2_problems_get_n_suppressed (const Qcow2Problems *problems,
                                 const char *rule, Qcow2Severity severity,
                                 guint parts)
{
  guint64 n = 0;

  for (guint i = 0; i < problems->counts->len; i++)
    {
      const Count *count = &g_array_index (problems->counts, Count, i);

      if (count->severity == severity && (count->parts & parts) != 0
          && count->n > QCOW2_PROBLEMS_PER_RULE
          && is_same_rule (count->rule, rule))
        n += count->n - QCOW2_PROBLEMS_PER_RULE;
    }

  return n;
}
