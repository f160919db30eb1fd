/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/finding.h"

#define D(key, member, ...)                                                   \
  QCOW2_DERIVED (Qcow2Finding, key, member, __VA_ARGS__)

/* clang-format off */
const Qcow2Field qcow2_finding_fields[] = {
  D ("rule", rule, QCOW2_WORD),
  D ("severity", severity, QCOW2_NAME, .labels = qcow2_severities),
  D ("offset", offset, QCOW2_HEX),
  D ("message", message, QCOW2_WORD),
  D ("bitmap", subject.bitmap, QCOW2_DEC),
  D ("extension", subject.extension, QCOW2_DEC),
  D ("value", value, QCOW2_DEC,
     .presence = offsetof (Qcow2Finding, has_value)),
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

struct Qcow2Findings
{
  GPtrArray *list;
  GArray *counts; /* of Count, only for rules that were broken */
  Qcow2RuleUse uses[QCOW2_N_RULES];
  guint64 n_errors;
};

static void
finding_free (gpointer data)
{
  Qcow2Finding *finding = data;

  g_clear_pointer (&finding->subject.name, g_bytes_unref);
  g_free (finding->allowed_number);
  g_free (finding->message);
  g_free (finding);
}

static gboolean
is_same_rule (const char *a, const char *b)
{
  return a == b || g_str_equal (a, b);
}

/* Returns the count of findings of RULE that affect PARTS, or NULL if there
 * was none. */
static Count *
find_count (const Qcow2Findings *findings, const Qcow2Rule *rule, guint parts)
{
  for (guint i = 0; i < findings->counts->len; i++)
    {
      Count *count = &g_array_index (findings->counts, Count, i);

      if (count->severity == rule->severity && count->parts == parts
          && is_same_rule (count->rule, rule->id))
        return count;
    }

  return NULL;
}

/* Counts another finding of RULE that affects PARTS.  Returns how many there
 * were before. */
static guint64
count_one (Qcow2Findings *findings, const Qcow2Rule *rule, guint parts)
{
  Count *count = find_count (findings, rule, parts);

  if (count != NULL)
    return count->n++;

  const Count first = { rule->id, rule->severity, parts, 1 };
  g_array_append_val (findings->counts, first);
  return 0;
}

Qcow2Findings *
qcow2_findings_new (void)
{
  Qcow2Findings *findings = g_new0 (Qcow2Findings, 1);

  findings->list = g_ptr_array_new_with_free_func (finding_free);
  findings->counts = g_array_new (FALSE, FALSE, sizeof (Count));
  return findings;
}

void
qcow2_findings_free (Qcow2Findings *findings)
{
  if (findings == NULL)
    return;

  g_ptr_array_unref (findings->list);
  g_array_unref (findings->counts);
  g_free (findings);
}

static void
note_use (Qcow2Findings *findings, const Qcow2Subject *subject,
          Qcow2RuleIndex rule)
{
  Qcow2RuleUse *use = &findings->uses[rule];

  use->n++;
  use->loaded = use->loaded || !subject->in_use;
  use->last_extension = subject->extension;
}

/* Adds a finding without a place, with the message that FORMAT and ARGS make:
 * see qcow2_findings_add (). */
G_GNUC_PRINTF (4, 0)
static Qcow2Finding *
add (Qcow2Findings *findings, const Qcow2Subject *subject, Qcow2RuleIndex rule,
     const char *format, va_list args)
{
  const Qcow2Rule *row = &qcow2_rules[rule];
  const guint64 count = count_one (findings, row, subject->parts);

  note_use (findings, subject, rule);
  if (row->severity == QCOW2_SEVERITY_ERROR)
    findings->n_errors++;
  if (count >= QCOW2_FINDINGS_PER_RULE)
    return NULL;

  Qcow2Finding *finding = g_new0 (Qcow2Finding, 1);
  finding->index = rule;
  finding->rule = row->id;
  finding->severity = row->severity;
  finding->subject = *subject;
  finding->has_value = row->allowed != NULL;
  finding->allowed = row->allowed;
  finding->message = g_strdup_vprintf (format, args);
  if (subject->name != NULL)
    g_bytes_ref (subject->name);

  g_ptr_array_add (findings->list, finding);
  return finding;
}

/* Adds a finding: RULE is broken by SUBJECT at host offset OFFSET, which is
 * not that of a field.  VALUE is the wrong number at OFFSET; it is ignored
 * unless the rule says what is allowed.  FORMAT and the arguments after it
 * make the message.  Once QCOW2_FINDINGS_PER_RULE findings with the same rule,
 * severity and parts are kept, further ones are only counted.  Returns the
 * finding, which FINDINGS owns, or NULL if it was only counted. */
Qcow2Finding *
qcow2_findings_add (Qcow2Findings *findings, const Qcow2Subject *subject,
                    Qcow2RuleIndex rule, guint64 offset, guint64 value,
                    const char *format, ...)
{
  va_list args;

  va_start (args, format);
  Qcow2Finding *finding = add (findings, subject, rule, format, args);
  va_end (args);
  if (finding == NULL)
    return NULL;

  finding->offset = offset;
  finding->value = value;
  return finding;
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

/* Adds a finding as qcow2_findings_add () does, at PLACE, which gives the
 * offset and the wrong number. */
Qcow2Finding *
qcow2_findings_add_at (Qcow2Findings *findings, const Qcow2Subject *subject,
                       Qcow2RuleIndex rule, const Qcow2Place *place,
                       const char *format, ...)
{
  va_list args;

  va_start (args, format);
  Qcow2Finding *finding = add (findings, subject, rule, format, args);
  va_end (args);
  if (finding == NULL)
    return NULL;

  finding->record = place->record;
  finding->field = place->field;
  finding->offset = place->start;
  if (place->field != NULL)
    finding->offset += qcow2_record_get_offset (place->record, place->field);
  finding->value = get_value (place);
  return finding;
}

/* Takes back finding INDEX, which is the only one of its rule. */
void
qcow2_findings_remove (Qcow2Findings *findings, guint index)
{
  const Qcow2Finding *finding = qcow2_findings_get (findings, index);

  g_assert (findings->uses[finding->index].n == 1);

  findings->uses[finding->index] = (Qcow2RuleUse){ .n = 0 };
  if (finding->severity == QCOW2_SEVERITY_ERROR)
    findings->n_errors--;
  find_count (findings, &qcow2_rules[finding->index], finding->subject.parts)
      ->n--;
  g_ptr_array_remove_index (findings->list, index);
}

/* Moves FINDING, which must be the finding that was added last, before all
 * others.  Does nothing if FINDING is NULL. */
void
qcow2_findings_move_to_front (Qcow2Findings *findings, Qcow2Finding *finding)
{
  if (finding == NULL)
    return;

  g_ptr_array_steal_index (findings->list, findings->list->len - 1);
  g_ptr_array_insert (findings->list, 0, finding);
}

/* Sets NUMBER as the only right value for FINDING.  Does nothing if FINDING is
 * NULL. */
void
qcow2_finding_allow (Qcow2Finding *finding, guint64 number)
{
  if (finding == NULL)
    return;

  g_free (finding->allowed_number);
  finding->allowed_number = g_strdup_printf (QCOW2_U64_FORMAT, number);
  finding->allowed = finding->allowed_number;
}

/* Sets the message of FINDING to FORMAT with its arguments.  Does nothing if
 * FINDING is NULL. */
void
qcow2_finding_set_message (Qcow2Finding *finding, const char *format, ...)
{
  if (finding == NULL)
    return;

  va_list args;
  va_start (args, format);
  g_free (finding->message);
  finding->message = g_strdup_vprintf (format, args);
  va_end (args);
}

/* Returns the counts of findings of RULE, a row of qcow2_rules.  FINDINGS owns
 * them. */
const Qcow2RuleUse *
qcow2_findings_get_use (const Qcow2Findings *findings, Qcow2RuleIndex rule)
{
  return &findings->uses[rule];
}

/* Returns whether there is a finding of any of the N rows RULES. */
gboolean
qcow2_findings_have_any (const Qcow2Findings *findings,
                         const Qcow2RuleIndex *rules, guint n)
{
  for (guint i = 0; i < n; i++)
    {
      if (findings->uses[rules[i]].n > 0)
        return TRUE;
    }

  return FALSE;
}

/* Returns whether another finding of RULE that affects PARTS would only be
 * counted, so that the caller need not build its message. */
gboolean
qcow2_findings_is_full (const Qcow2Findings *findings, Qcow2RuleIndex rule,
                        guint parts)
{
  const Count *count = find_count (findings, &qcow2_rules[rule], parts);

  return count != NULL && count->n >= QCOW2_FINDINGS_PER_RULE;
}

/* Returns the number of findings that are kept. */
guint
qcow2_findings_get_n (const Qcow2Findings *findings)
{
  return findings->list->len;
}

/* Returns the kept finding INDEX.  Findings are in the order in which they
 * were added, apart from those that qcow2_findings_move_to_front () moved. */
const Qcow2Finding *
qcow2_findings_get (const Qcow2Findings *findings, guint index)
{
  g_assert (index < findings->list->len);

  return g_ptr_array_index (findings->list, index);
}

/* Returns the number of findings of severity error, whether kept or not. */
guint64
qcow2_findings_get_n_errors (const Qcow2Findings *findings)
{
  return findings->n_errors;
}

/* Returns how many findings of RULE and SEVERITY that affect any of PARTS were
 * counted but not kept. */
guint64
qcow2_findings_get_n_suppressed (const Qcow2Findings *findings,
                                 const char *rule, Qcow2Severity severity,
                                 guint parts)
{
  guint64 n = 0;

  for (guint i = 0; i < findings->counts->len; i++)
    {
      const Count *count = &g_array_index (findings->counts, Count, i);

      if (count->severity == severity && (count->parts & parts) != 0
          && count->n > QCOW2_FINDINGS_PER_RULE
          && is_same_rule (count->rule, rule))
        n += count->n - QCOW2_FINDINGS_PER_RULE;
    }

  return n;
}
