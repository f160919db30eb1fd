/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/output.h"

#include <string.h>

#include "render/format.h"

/* Output below this is written in one piece, or not at all. */
#define FLUSH_SIZE (128 * 1024)

/* The same while a line is held together, see output_hold (): no more memory
 * than this is taken for one. */
#define HOLD_SIZE (16 * 1024 * 1024)

struct Output
{
  OutputWriteFunc write;
  GString *text;     /* not written yet */
  GString *messages; /* held back for the line to end, or NULL */
  GError *error;     /* of the first write that failed */
};

G_DEFINE_QUARK (output - error - quark, output_error)

Output *
output_new (OutputWriteFunc write)
{
  Output *output = g_new0 (Output, 1);

  output->write = write;
  output->text = g_string_new (NULL);
  return output;
}

/* Returns the text to which emitters and commands append. */
GString *
output_get_text (Output *output)
{
  return output->text;
}

static gboolean
write_text (Output *output)
{
  GString *text = output->text;

  if (output->error == NULL && text->len > 0)
    output->write (OUTPUT_STREAM_ANSWER, text->str, text->len, &output->error);

  g_string_truncate (text, 0);
  return output->error == NULL;
}

/* Writes the text.  Returns FALSE, with OUTPUT_ERROR, when a write has failed:
 * nobody reads any more, so the reading ends. */
gboolean
output_flush_all (Output *output, GError **error)
{
  if (write_text (output))
    return TRUE;

  g_set_error (error, OUTPUT_ERROR, OUTPUT_ERROR_FAILED, "output failed");
  return FALSE;
}

/* Writes the text when it has become much; otherwise as output_flush_all ().
 */
gboolean
output_flush (Output *output, GError **error)
{
  const gsize size = output->messages != NULL ? HOLD_SIZE : FLUSH_SIZE;

  if (output->text->len < size && output->error == NULL)
    return TRUE;

  return output_flush_all (output, error);
}

/* Begins a line that other programs may write between: until output_release ()
 * messages wait, and the text is written in one piece, up to HOLD_SIZE. */
void
output_hold (Output *output)
{
  if (output->messages == NULL)
    output->messages = g_string_new (NULL);
}

/* Ends the line that output_hold () began: writes it, then the messages.
 * Otherwise as output_flush_all (). */
gboolean
output_release (Output *output, GError **error)
{
  g_autoptr (GString) messages = g_steal_pointer (&output->messages);
  const gboolean written = output_flush_all (output, error);

  if (messages != NULL && messages->len > 0)
    output->write (OUTPUT_STREAM_MESSAGES, messages->str, messages->len, NULL);
  return written;
}

/* Puts LINE on standard error, after the output that came before it.  There is
 * nobody to tell when that fails. */
void
output_plain_message (Output *output, const char *line)
{
  g_autofree char *text = g_strconcat (line, "\n", NULL);

  if (output->messages != NULL)
    {
      g_string_append (output->messages, text);
      return;
    }

  write_text (output);
  output->write (OUTPUT_STREAM_MESSAGES, text, strlen (text), NULL);
}

/* Puts MESSAGE about IMAGE, a path or NULL, on standard error. */
void
output_message (Output *output, const char *image, const char *message)
{
  g_autoptr (GString) line = g_string_new ("qcow2tool: ");

  if (image != NULL)
    {
      if (*image == '\0')
        g_string_append (line, "''");
      format_escaped (line, image, strlen (image));
      g_string_append (line, ": ");
    }
  g_string_append (line, message);
  output_plain_message (output, line->str);
}

/* Writes what is left.  Returns whether all output was written; if not, says
 * why, unless it was that the reader is gone. */
gboolean
output_close (Output *output)
{
  if (write_text (output))
    return TRUE;

  if (!g_error_matches (output->error, G_FILE_ERROR, G_FILE_ERROR_PIPE))
    output_message (output, NULL, output->error->message);
  return FALSE;
}

void
output_free (Output *output)
{
  if (output == NULL)
    return;

  g_string_free (output->text, TRUE);
  if (output->messages != NULL)
    g_string_free (output->messages, TRUE);
  g_clear_error (&output->error);
  g_free (output);
}
