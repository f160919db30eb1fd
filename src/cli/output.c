/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/output.h"

#include <string.h>

#include "render/format.h"

/* Output shorter than this, in bytes, is written in one piece, if at all. */
#define FLUSH_SIZE (128 * 1024)

/* Like FLUSH_SIZE, but while a line is held together, see output_hold ().
 * This also limits the memory that a line takes. */
#define HOLD_SIZE (16 * 1024 * 1024)

struct Output
{
  OutputWriteFunc write;
  gpointer data;     /* for WRITE */
  GString *text;     /* collected, not written yet */
  GString *messages; /* held until the line ends, or NULL */
  GError *error;     /* error of the first write that failed */
};

/* clang-format off */
G_DEFINE_QUARK (output-error-quark, output_error)
/* clang-format on */

/* Returns an output that is written by WRITE, called with DATA. */
Output *
output_new (OutputWriteFunc write, gpointer data)
{
  Output *output = g_new0 (Output, 1);

  output->write = write;
  output->data = data;
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
    output->write (OUTPUT_STREAM_ANSWER, text->str, text->len, output->data,
                   &output->error);

  g_string_truncate (text, 0);
  return output->error == NULL;
}

/* Writes the collected text.  Returns FALSE, with OUTPUT_ERROR, once a write
 * has failed: without a reader of the output, the caller need not go on. */
gboolean
output_flush_all (Output *output, GError **error)
{
  if (write_text (output))
    return TRUE;

  g_set_error (error, OUTPUT_ERROR, OUTPUT_ERROR_FAILED, "output failed");
  return FALSE;
}

/* Writes the collected text if there is much of it.  Otherwise like
 * output_flush_all (). */
gboolean
output_flush (Output *output, GError **error)
{
  const gsize size = output->messages != NULL ? HOLD_SIZE : FLUSH_SIZE;

  if (output->text->len < size && output->error == NULL)
    return TRUE;

  return output_flush_all (output, error);
}

/* Begins a line to be kept together when other programs write to the same
 * file.  Until output_release (), messages wait, and the text is written in
 * one piece, up to HOLD_SIZE. */
void
output_hold (Output *output)
{
  if (output->messages == NULL)
    output->messages = g_string_new (NULL);
}

/* Ends the line that output_hold () began: writes the line, then the messages.
 * Fails like output_flush_all (). */
gboolean
output_release (Output *output, GError **error)
{
  g_autoptr (GString) messages = g_steal_pointer (&output->messages);
  const gboolean written = output_flush_all (output, error);

  if (messages != NULL && messages->len > 0)
    output->write (OUTPUT_STREAM_MESSAGES, messages->str, messages->len,
                   output->data, NULL);
  return written;
}

/* Writes LINE and a newline to standard error, after the output that precedes
 * it.  A failure is ignored: there is nowhere to report it. */
void
output_unprefixed_message (Output *output, const char *line)
{
  g_autofree char *text = g_strconcat (line, "\n", NULL);

  if (output->messages != NULL)
    {
      g_string_append (output->messages, text);
      return;
    }

  write_text (output);
  output->write (OUTPUT_STREAM_MESSAGES, text, strlen (text), output->data,
                 NULL);
}

/* Writes MESSAGE about IMAGE, a path or NULL, to standard error. */
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
  output_unprefixed_message (output, line->str);
}

/* Writes the remaining output.  Returns whether all output was written.  If
 * not, reports the error, unless the reader has closed the pipe. */
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
