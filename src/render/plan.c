/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/plan.h"

#include <string.h>

#include "edit/plan-parse.h"
#include "qcow2/header.h"
#include "render/digits.h"
#include "render/format.h"

/* The number of bytes of a run in a part of the text. */
#define PART_SIZE 4096

/* A run as JSON shows it. */
typedef struct
{
  guint64 step;
  guint64 offset;
  const char *old; /* in hexadecimal */
  const char *new;
  const char *field;
  const char *note;
} Change;

#define T(member, format) QCOW2_DERIVED (PlanTitle, #member, member, format)
#define C(member, format) QCOW2_DERIVED (Change, #member, member, format)

static const Qcow2Field title_fields[]
    = { T (command, QCOW2_WORD), T (size, QCOW2_DEC), QCOW2_FIELD_END };

static const Qcow2Field change_fields[]
    = { C (step, QCOW2_DEC), C (offset, QCOW2_DEC), C (old, QCOW2_WORD),
        C (new, QCOW2_WORD), C (field, QCOW2_WORD), C (note, QCOW2_WORD),
        QCOW2_FIELD_END };

/* Appends the bytes of RUN from START to END, in hexadecimal. */
static void
append_hex (GString *out, const EditRun *run, gboolean old, gsize start,
            gsize end)
{
  const guint8 *bytes = edit_run_get_bytes (run, old);

  for (gsize i = start; i < end; i++)
    digits_append_byte (out, bytes[i]);
}

/* Appends NOTE, escaped except for its backslashes: in a note that was read
 * from a plan, they are the escapes of what was written there. */
static void
append_note (GString *out, const char *note)
{
  for (;;)
    {
      const gsize len = strcspn (note, "\\");

      format_escaped (out, note, len);
      if (note[len] == '\0')
        return;

      g_string_append_c (out, '\\');
      note += len + 1;
    }
}

static void
append_comment (GString *out, const EditRun *run)
{
  if (run->field == NULL && run->note == NULL)
    return;

  g_string_append (out, "    # ");
  if (run->field != NULL)
    g_string_append (out, run->field);
  if (run->field != NULL && run->note != NULL)
    g_string_append (out, ": ");
  if (run->note != NULL)
    append_note (out, run->note);
}

static void
append_title (GString *out, const PlanTitle *title)
{
  g_string_append (out, EDIT_PLAN_MAGIC);
  format_escaped (out, title->command, strlen (title->command));
  g_string_append (out, ", ");
  format_escaped (out, title->path, strlen (title->path));
  g_string_append_printf (out, ", %" G_GUINT64_FORMAT " bytes\n", title->size);
}

/* Appends the next part of the line of the run at AT: of its old bytes, or
 * then of its new ones.  Returns FALSE after the last part. */
static gboolean
append_bytes (GString *out, PlanPosition *at)
{
  const EditRun *run = at->run;
  const gsize size = edit_run_get_size (run);
  const gboolean old = !at->in_new;
  const gsize end = at->pos + MIN (PART_SIZE, size - at->pos);

  if (old && at->pos == 0)
    g_string_append_printf (out, "0x%" G_GINT64_MODIFIER "x: ", run->offset);
  append_hex (out, run, old, at->pos, end);
  at->pos = end;
  if (end < size)
    return TRUE;

  g_string_append (out, old ? " -> " : "");
  at->in_new = old;
  at->pos = 0;
  return old;
}

/* Appends the part of the text of PLAN that is at AT to OUT, and moves AT to
 * the next one.  The parts are short, apart from the title and notes.  Returns
 * FALSE if there was none left. */
gboolean
plan_append_part (GString *out, const PlanTitle *title, const EditPlan *plan,
                  PlanPosition *at)
{
  if (!at->is_begun)
    {
      append_title (out, title);
      at->is_begun = TRUE;
      at->run = edit_plan_next_run (plan, &at->next);
      return TRUE;
    }
  if (at->run == NULL)
    return FALSE;
  if (append_bytes (out, at))
    return TRUE;

  const guint step = at->next.step;
  append_comment (out, at->run);
  g_string_append_c (out, '\n');
  at->run = edit_plan_next_run (plan, &at->next);
  if (at->run == NULL || at->next.step != step)
    g_string_append (out, EDIT_PLAN_SYNC "\n");
  return TRUE;
}

/* Appends PLAN to OUT as text, which edit_plan_parse () reads back. */
void
plan_append_text (GString *out, const PlanTitle *title, const EditPlan *plan)
{
  PlanPosition at = { 0 };

  while (plan_append_part (out, title, plan, &at))
    ;
}

/* Appends the line that says that a plan was carried out and left the file as
 * in STAMP. */
void
plan_append_done (GString *out, const EditStamp *stamp)
{
  g_string_append_printf (out,
                          EDIT_PLAN_DONE "%" G_GUINT64_FORMAT
                                         " %" G_GINT64_FORMAT
                                         " %" G_GINT64_FORMAT "\n",
                          stamp->size, stamp->mtime, stamp->ctime);
}

/* Returns the name of the header field that contains RUN, or NULL. */
static const char *
find_field (const EditRun *run)
{
  for (const Qcow2Field *field = qcow2_header_record.fields;
       field->name != NULL; field++)
    {
      const guint start
          = qcow2_record_get_offset (&qcow2_header_record, field);

      if (field->stored && run->offset >= start
          && run->offset - start + edit_run_get_size (run) <= field->size)
        return field->name;
    }

  return NULL;
}

/* Returns the note of RUN, which changes FIELD, without the name of FIELD:
 * notes that were read from a plan begin with it. */
static const char *
strip_field (const EditRun *run, const char *field)
{
  const char *note = run->note;

  if (field == NULL || note == NULL || !g_str_has_prefix (note, field))
    return note;

  note += strlen (field);
  if (*note == '\0')
    return NULL;

  return g_str_has_prefix (note, ": ") ? note + 2 : run->note;
}

static void
describe_run (Emitter *emitter, guint step, const EditRun *run)
{
  g_autoptr (GString) old = g_string_new (NULL);
  g_autoptr (GString) new = g_string_new (NULL);
  const char *field = run->field != NULL ? run->field : find_field (run);
  Change change = { .step = step,
                    .offset = run->offset,
                    .field = field,
                    .note = strip_field (run, field) };

  append_hex (old, run, TRUE, 0, edit_run_get_size (run));
  append_hex (new, run, FALSE, 0, edit_run_get_size (run));
  change.old = old->str;
  change.new = new->str;

  emitter_begin (emitter, EMITTER_ROW, NULL, NULL);
  for (const Qcow2Field *key = change_fields; key->name != NULL; key++)
    emitter_field (emitter, key, &change);
  emitter_end (emitter);
}

/* Emits PLAN as the object of an image. */
void
plan_describe (Emitter *emitter, const PlanTitle *title, const EditPlan *plan)
{
  static const char *const keys[] = { "changes", NULL };
  EditPosition at = { 0, 0 };
  const EditRun *run;

  emitter_begin_image (emitter, title->path, FALSE);
  for (const Qcow2Field *field = title_fields; field->name != NULL; field++)
    emitter_field (emitter, field, title);
  emitter_begin (emitter, EMITTER_LIST, "changes", NULL);
  while ((run = edit_plan_next_run (plan, &at)) != NULL)
    describe_run (emitter, at.step, run);
  emitter_end (emitter);
  emitter_end_groups (emitter, keys);
  emitter_end_image (emitter);
}
