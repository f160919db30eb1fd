/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/plan-parse.h"

#include <string.h>

#include "edit/error.h"
#include "qcow2/error.h"

/* The characters between the old and the new bytes of a run. */
#define ARROW " -> "

/* A plan that is being read. */
typedef struct
{
  const char *at;
  const char *end;
  guint line; /* number of the current line, from 1 */
  guint n_runs;
  EditPlan *plan;
} Parser;

static gboolean
fail (const Parser *parser, const char *what, GError **error)
{
  g_set_error (error, EDIT_ERROR, EDIT_ERROR_PLAN, "line %u: %s", parser->line,
               what);
  return FALSE;
}

/* Moves *AT past WORD if that is what is there. */
static gboolean
take_word (const char **at, const char *end, const char *word)
{
  const gsize len = strlen (word);

  if ((gsize) (end - *at) < len || memcmp (*at, word, len) != 0)
    return FALSE;

  *at += len;
  return TRUE;
}

/* Parses a hexadecimal number below 2^63, and moves *AT past it. */
static gboolean
take_offset (const char **at, const char *end, guint64 *offset)
{
  const char *start;

  if (!take_word (at, end, "0x"))
    return FALSE;

  *offset = 0;
  start = *at;
  for (; *at < end && g_ascii_isxdigit (**at); (*at)++)
    {
      if (*offset > G_MAXINT64 >> 4)
        return FALSE;

      *offset = *offset << 4 | (guint) g_ascii_xdigit_value (**at);
    }

  return *at > start;
}

/* Parses bytes, two hexadecimal digits each, and moves *AT past them.  Returns
 * NULL if there are none. */
static GBytes *
take_bytes (const char **at, const char *end)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();

  for (; end - *at >= 2 && g_ascii_isxdigit ((*at)[0])
         && g_ascii_isxdigit ((*at)[1]);
       *at += 2)
    {
      const guint8 byte = (guint8) (g_ascii_xdigit_value ((*at)[0]) * 16
                                    + g_ascii_xdigit_value ((*at)[1]));

      g_byte_array_append (bytes, &byte, 1);
    }

  return bytes->len > 0 ? g_byte_array_free_to_bytes (g_steal_pointer (&bytes))
                        : NULL;
}

/* Parses a decimal number, and moves *AT past it. */
static gboolean
take_number (const char **at, const char *end, guint64 *number)
{
  const char *start = *at;

  *number = 0;
  for (; *at < end && g_ascii_isdigit (**at); (*at)++)
    {
      const guint digit = (guint) g_ascii_digit_value (**at);

      if (*number > ((guint64) G_MAXINT64 - digit) / 10)
        return FALSE;

      *number = *number * 10 + digit;
    }

  return *at > start;
}

/* Returns whether only white space, and a comment, is left before END.  Stores
 * a copy of the comment in *NOTE, or NULL. */
static gboolean
is_rest (const char *at, const char *end, char **note)
{
  *note = NULL;
  while (at < end && (*at == ' ' || *at == '\t'))
    at++;
  if (at == end)
    return TRUE;
  if (*at != '#')
    return FALSE;

  at++;
  while (at < end && (*at == ' ' || *at == '\t'))
    at++;
  *note = g_strndup (at, (gsize) (end - at));
  return TRUE;
}

/* Adds the run on the line from START to END to the current step. */
static gboolean
parse_run (Parser *parser, const char *start, const char *end, GError **error)
{
  const char *at = start;
  g_autofree char *note = NULL;
  guint64 offset = 0;

  if (!take_offset (&at, end, &offset) || !take_word (&at, end, ": "))
    return fail (parser, "this is not an offset, 0x... below 2^63 and a colon",
                 error);

  g_autoptr (GBytes) old_bytes = take_bytes (&at, end);
  if (old_bytes == NULL || !take_word (&at, end, ARROW))
    return fail (parser, "there are no old bytes, in hexadecimal, and ->",
                 error);

  g_autoptr (GBytes) new_bytes = take_bytes (&at, end);
  if (new_bytes == NULL
      || g_bytes_get_size (new_bytes) != g_bytes_get_size (old_bytes))
    return fail (parser, "there are not as many new bytes as old ones", error);
  if (!is_rest (at, end, &note))
    return fail (parser, "something other than a comment follows", error);
  if (offset > (guint64) G_MAXINT64 - g_bytes_get_size (new_bytes))
    return fail (parser, "the bytes end after 2^63", error);
  if (++parser->n_runs > EDIT_PLAN_MAX_RUNS)
    return fail (parser, "the plan has too many lines", error);

  edit_plan_add_bytes (parser->plan, offset, old_bytes, new_bytes, NULL, note);
  return TRUE;
}

/* Parses "# done SIZE MTIME CTIME". */
static gboolean
parse_done (Parser *parser, const char *at, const char *end, GError **error)
{
  guint64 numbers[3] = { 0, 0, 0 };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++)
    {
      if ((i > 0 && !take_word (&at, end, " "))
          || !take_number (&at, end, &numbers[i]))
        return fail (parser, "after '# done' there are not three numbers",
                     error);
    }
  if (at != end || parser->plan->is_done)
    return fail (parser, "a line '# done' has something after it", error);

  parser->plan->is_done = TRUE;
  parser->plan->stamp = (EditStamp){ .size = numbers[0],
                                     .mtime = (gint64) numbers[1],
                                     .ctime = (gint64) numbers[2] };
  return TRUE;
}

/* Returns whether the line from START to END is empty or a comment. */
static gboolean
is_ignored (const char *start, const char *end)
{
  g_autofree char *note = NULL;

  return is_rest (start, end, &note);
}

/* Parses the line from START to END.  *IN_STEP says whether a step has
 * begun. */
static gboolean
parse_line (Parser *parser, const char *start, const char *end,
            gboolean *in_step, GError **error)
{
  const char *at = start;
  g_autofree char *note = NULL;

  if (take_word (&at, end, EDIT_PLAN_DONE))
    return !*in_step ? parse_done (parser, at, end, error)
                     : fail (parser, "the last step has no sync", error);
  if (is_ignored (start, end))
    return TRUE;
  if (parser->plan->is_done)
    return fail (parser, "the line '# done' is not the last one", error);

  at = start;
  if (take_word (&at, end, EDIT_PLAN_SYNC) && is_rest (at, end, &note))
    {
      if (!*in_step)
        return fail (parser, "sync ends a step without bytes", error);

      *in_step = FALSE;
      return TRUE;
    }

  if (!*in_step)
    edit_plan_begin_step (parser->plan);
  *in_step = TRUE;
  return parse_run (parser, start, end, error);
}

/* Returns whether the text from START to END is the start of the line that
 * says that the plan was carried out.  That line is written last, so a full
 * disk or a power failure may have cut it; the plan is complete without. */
static gboolean
is_cut_done (const char *start, const char *end)
{
  const gsize size = MIN ((gsize) (end - start), strlen (EDIT_PLAN_DONE));

  return memcmp (start, EDIT_PLAN_DONE, size) == 0;
}

/* Returns the plan in the LEN bytes at TEXT.  Each line is a run of bytes,
 * "sync", which ends a step, or a comment.  Fails with EDIT_ERROR_PLAN if TEXT
 * is anything else, is not complete, or contradicts itself. */
EditPlan *
edit_plan_parse (const char *text, gsize len, GError **error)
{
  g_autoptr (EditPlan) plan = edit_plan_new ();
  Parser parser = { .at = text, .end = text + len, .line = 1, .plan = plan };
  const char *magic = text;
  gboolean in_step = FALSE;

  if (!take_word (&magic, parser.end, EDIT_PLAN_MAGIC))
    {
      fail (&parser, "it does not begin with '" EDIT_PLAN_MAGIC "'", error);
      return NULL;
    }

  for (; parser.at < parser.end; parser.line++)
    {
      const char *end
          = memchr (parser.at, '\n', (gsize) (parser.end - parser.at));

      if (end == NULL && !in_step && is_cut_done (parser.at, parser.end))
        break;
      if (end == NULL)
        {
          fail (&parser, "the last line is not complete", error);
          return NULL;
        }
      if (!parse_line (&parser, parser.at, end, &in_step, error))
        return NULL;

      parser.at = end + 1;
    }
  if (in_step)
    {
      fail (&parser, "the last step has no sync", error);
      return NULL;
    }

  return edit_plan_check (plan, error) ? g_steal_pointer (&plan) : NULL;
}
