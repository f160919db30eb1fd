/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows the images of a command line, one after the other. */

#include "config.h"

#include "check/image-rules.h"
#include "cli/image-list.h"
#include "cli/suggest.h"
#include "cli/tool-private.h"
#include "cli/usage.h"
#include "qcow2/error.h"
#include "render/describe.h"

/* JSON keys of an image that is shown as a list of its layers. */
static const char *const layers_keys[] = { "layers", "chains", NULL };

/* Maximum number of messages about failed reads per image; further ones are
 * only counted. */
#define READ_ERRORS 10

/* Writes a message for each error in SCOPE of the current image, once. */
void
tool_report (Tool *tool, ReportScope scope)
{
  report_findings (tool->current.report, scope);
}

/* Returns the name of the current image for its rows in a table, or NULL if it
 * is the only image. */
const char *
tool_get_row_image (const Tool *tool)
{
  return tool->current.row_image;
}

/* Returns the report on the current image. */
Report *
tool_get_report (Tool *tool)
{
  return tool->current.report;
}

/* Returns the findings about the current image. */
Qcow2Findings *
tool_get_findings (Tool *tool)
{
  return tool->current.findings;
}

/* Writes MESSAGE about the image PATH. */
void
tool_tell (Tool *tool, const char *path, const char *message)
{
  output_message (tool->output, path, message);
}

/* Writes MESSAGE about the current image, and makes STATUS the exit status
 * unless there is a worse one already. */
void
tool_warn (Tool *tool, ToolStatus status, const char *message)
{
  tool_set_status (tool, status);
  output_message (tool->output, report_get_path (tool->current.report),
                  message);
}

/* Returns the option that was probably meant by PATH, in words, if the image
 * cannot be opened because of ERROR and is the name of an item, beside an
 * image.  The caller frees it.  Returns NULL otherwise. */
static char *
suggest_option (const Tool *tool, const char *path, const GError *error)
{
  char **operands = tool->options.operands;

  if (!tool->lacks_name || operands == NULL || g_strv_length (operands) != 2
      || !g_error_matches (error, QCOW2_ERROR, QCOW2_ERROR_OPEN))
    return NULL;

  const guint other = g_str_equal (operands[0], path) ? 1 : 0;
  if (!suggest_is_bitmap (path, operands[other]))
    return NULL;

  g_autofree char *escaped = usage_escape (path);
  return g_strdup_printf (
      " (to select a %s, use --name=%s)",
      tool->command->item != NULL ? tool->command->item : "bitmap", escaped);
}

static void
report_error (Tool *tool, const char *path, const GError *error)
{
  g_autofree char *hint = suggest_option (tool, path, error);
  g_autofree char *message = g_strconcat (error->message, hint, NULL);

  tool_set_status (tool, status_of_error (tool->purpose, error));
  output_message (tool->output, path, message);
}

/* Takes ownership of READ_ERROR.  If that is QCOW2_ERROR_READ or
 * QCOW2_ERROR_LIMIT, after which the current image can still be shown, writes
 * a message about it and returns TRUE.  Fails with any other error. */
gboolean
tool_recover (Tool *tool, GError *read_error, GError **error)
{
  if (!g_error_matches (read_error, QCOW2_ERROR, QCOW2_ERROR_READ)
      && !g_error_matches (read_error, QCOW2_ERROR, QCOW2_ERROR_LIMIT))
    {
      g_propagate_error (error, read_error);
      return FALSE;
    }

  if (tool->current.n_read_errors++ < READ_ERRORS)
    tool_warn (tool, status_of_error (tool->purpose, read_error),
               read_error->message);
  if (tool->current.read_error == NULL)
    tool->current.read_error = read_error;
  else
    g_error_free (read_error);
  return TRUE;
}

/* Appends a hint to the message of ERROR, because of which PATH could not be
 * opened, if QEMU's programs would have opened a file. */
static void
add_hint (GError *error, const char *path)
{
  if (!suggest_has_qemu_prefix (path))
    return;

  char *message
      = g_strconcat (error->message,
                     "; an image is named by its path alone, without "
                     "'" SUGGEST_QEMU_PREFIX "'",
                     NULL);
  g_free (error->message);
  error->message = message;
}

static Qcow2Image *
open_image (const Tool *tool, const char *path, Qcow2Findings *findings,
            GError **error)
{
  GError *open_error = NULL;
  ByteSource *source
      = tool->root < 0
            ? byte_source_open_file (path, &open_error)
            : byte_source_open_named (path, tool->root, &open_error);

  if (source != NULL)
    {
      byte_source_use_cache (source);
      return qcow2_image_open_checked (source, findings, error);
    }

  add_hint (open_error, path);
  g_propagate_error (error, open_error);
  return NULL;
}

/* Returns whether IMAGE, which may be NULL, has a writer, as describe_end ()
 * takes it. */
static guint64
get_writer (const Qcow2Image *image)
{
  const ByteSourceLock lock = image != NULL ? qcow2_image_probe_writer (image)
                                            : BYTE_SOURCE_LOCK_UNKNOWN;

  return lock == BYTE_SOURCE_LOCK_UNKNOWN ? QCOW2_ABSENT
                                          : lock == BYTE_SOURCE_LOCKED;
}

/* Ends the output for IMAGE, which is NULL if it could not be opened and has
 * KEYS in JSON.  ERROR is the error that occurred, or NULL. */
static void
end_image (Tool *tool, const Qcow2Image *image, const char *const *keys,
           const GError *error)
{
  DescribeEnd end = { .error_code = NULL };

  emitter_end_groups (tool->emitter, keys);
  if (tool->emitter->machine_readable)
    {
      end.writer = get_writer (image);
      if (error != NULL)
        {
          end.error_code = status_get_error_word (error);
          end.error_message = error->message;
        }
      describe_end (tool->emitter, &end);
      report_describe (tool->current.report, tool->emitter);
    }
  emitter_end_image (tool->emitter);
}

static void
report_more_read_errors (Tool *tool, const char *path)
{
  if (tool->current.n_read_errors > READ_ERRORS)
    {
      g_autofree char *message
          = g_strdup_printf (QCOW2_U64_FORMAT " more reads failed",
                             tool->current.n_read_errors - READ_ERRORS);

      output_message (tool->output, path, message);
    }
}

/* Returns whether the result for the current image, with ERROR or NULL, is
 * valid only if the file has not changed in the meantime.  That is true of an
 * answer, of a verdict, and of the absence of something, but not of contents
 * that are merely shown. */
static gboolean
needs_still_image (const Tool *tool, const GError *error)
{
  if (error != NULL)
    return status_of_error (tool->purpose, error) != TOOL_FAILED;
  if (tool->status == TOOL_FAILED)
    return FALSE;

  return tool->purpose != TOOL_SHOWS || tool->status == TOOL_DAMAGED
         || report_has_errors (tool->current.report);
}

/* Shows IMAGE by calling SHOW with DATA.  If IMAGE has changed in the meantime
 * and the result depends on it, fails with QCOW2_ERROR_CHANGED, because the
 * errors that were found and the answer may be wrong. */
static gboolean
show_still (Tool *tool, Qcow2Image *image, ToolImageFunc show, gpointer data,
            GError **error)
{
  const ToolStatus status_before = tool->status;
  GError *local_error = NULL;

  tool->status = TOOL_OK;
  show (tool, image, data, &local_error);
  const gboolean spoilt
      = (local_error == NULL || local_error->domain == QCOW2_ERROR)
        && needs_still_image (tool, local_error)
        && byte_source_has_changed (image->source);
  tool_set_status (tool, status_before);

  if (spoilt)
    {
      g_clear_error (&local_error);
      qcow2_set_rule_error (&local_error, QCOW2_ERROR_CHANGED, "FILE-08",
                            "changed while it was read: try again");
    }
  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, local_error);
  return FALSE;
}

/* Returns whether the command prints a line per image for programs. */
static gboolean
has_lines (const Tool *tool)
{
  return tool->options.output == OPTIONS_OUTPUT_JSONL
         && (tool->emitter->machine_readable || tool->command->own_object);
}

/* Prints a line about the image at PATH, which could not be read because of
 * ERROR, for a command whose objects are its own. */
static void
describe_unread (Tool *tool, const char *path, const GError *error)
{
  g_autoptr (Emitter) emitter
      = emitter_new_json (output_get_text (tool->output), FALSE);
  const DescribeEnd end = { .error_code = status_get_error_word (error),
                            .error_message = error->message };

  emitter_begin_image (emitter, path, TRUE);
  describe_error (emitter, &end);
  emitter_end_image (emitter);
}

/* Ends IMAGE, the current one, at PATH.  Takes ownership of *IMAGE_ERROR,
 * which says why it could not be shown, unless it is NULL.  Fails only when
 * the tool cannot go on. */
static gboolean
finish_image (Tool *tool, const char *path, const Qcow2Image *image,
              const char *const *keys, GError **image_error, GError **error)
{
  g_autoptr (GError) local_error = g_steal_pointer (image_error);

  if (local_error == NULL || local_error->domain == QCOW2_ERROR)
    end_image (tool, image, keys,
               local_error != NULL ? local_error : tool->current.read_error);

  if (!report_close (g_steal_pointer (&tool->current.report)))
    tool_set_status (tool, TOOL_DAMAGED);
  report_more_read_errors (tool, path);
  g_clear_error (&tool->current.read_error);
  tool->current = (ToolImage){ .report = NULL };

  if (local_error != NULL && local_error->domain != QCOW2_ERROR)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (local_error != NULL)
    report_error (tool, path, local_error);
  return TRUE;
}

/* Shows the image at PATH, one of SEVERAL or the only one, without flushing
 * the output.  Fails only when the tool cannot go on with the next image. */
static gboolean
show_unflushed (Tool *tool, const char *path, gboolean several,
                ToolImageFunc show, gpointer data, GError **error)
{
  const gsize printed_before = output_get_text (tool->output)->len;
  g_autoptr (GError) local_error = NULL;
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  g_autoptr (Qcow2Image) image
      = open_image (tool, path, findings, &local_error);

  tool->current = (ToolImage){ .row_image = several ? path : NULL,
                               .findings = findings };
  tool->current.report = report_new (tool->output, path, image, findings);
  if (image != NULL || tool->emitter->machine_readable)
    emitter_begin_image (tool->emitter, path,
                         several && !tool->one_table && !tool->with_layers);
  if (image != NULL)
    show_still (tool, image, show, data, &local_error);
  if (local_error != NULL && local_error->domain == QCOW2_ERROR
      && tool->command->own_object && has_lines (tool)
      && output_get_text (tool->output)->len == printed_before)
    describe_unread (tool, path, local_error);
  return finish_image (tool, path, image,
                       tool->with_layers ? layers_keys : tool->command->keys,
                       &local_error, error);
}

/* Writes a message about LAYER, the current image, and sets the exit status,
 * if there is something wrong with its name or its file. */
static void
report_layer (Tool *tool, const Qcow2Layer *layer)
{
  if (layer->is_guessed)
    tool_warn (tool, TOOL_DAMAGED,
               "looks like qcow2, but its overlay states no format: to guess "
               "it is unsafe, as a guest may have written that");
  if (layer->error == NULL)
    return;

  tool_warn (tool,
             g_error_matches (layer->error, QCOW2_ERROR, QCOW2_ERROR_REFUSED)
                 ? TOOL_FAILED
                 : TOOL_DAMAGED,
             layer->error->message);
}

/* Shows LAYER of the current image by calling SHOW with DATA, unless it cannot
 * be opened.  For programs it is an image within the current list.  Fails only
 * when the tool cannot go on. */
gboolean
tool_show_layer (Tool *tool, const Qcow2Layer *layer, ToolImageFunc show,
                 gpointer data, GError **error)
{
  const ToolImage outer = tool->current;
  const char *path = layer->filename;
  GError *local_error = NULL;

  tool->current = (ToolImage){ .row_image = outer.row_image,
                               .findings = layer->findings };
  tool->current.report
      = report_new (tool->output, path, layer->image, layer->findings);
  emitter_begin_image (tool->emitter, path, !tool->one_table);
  describe_layer (tool->emitter, layer);
  report_layer (tool, layer);
  if (layer->image != NULL)
    show_still (tool, layer->image, show, data, &local_error);
  else
    tool->current.read_error = g_error_copy (layer->error);

  const gboolean ended = finish_image (
      tool, path, layer->image, tool->command->keys, &local_error, error);
  tool->current = outer;
  return ended;
}

/* Shows the image at PATH like show_unflushed (), and flushes the output.
 * With jsonl, the line of the image is completed before any message about it,
 * and written at once. */
static gboolean
show_image (Tool *tool, const char *path, gboolean several, ToolImageFunc show,
            gpointer data, GError **error)
{
  const gboolean is_line = has_lines (tool);

  if (is_line)
    output_hold (tool->output);
  const gboolean shown
      = show_unflushed (tool, path, several, show, data, error);
  if (is_line)
    return output_release (tool->output, shown ? error : NULL) && shown;

  return shown && tool_flush (tool, error);
}

/* Returns the name of the next image, which the caller frees, or NULL at the
 * end.  Lists that cannot be read are reported. */
static char *
next_image (Tool *tool, ImageList *list)
{
  GError *error = NULL;
  char *path = NULL;

  while (image_list_next (list, &path, &error) == QCOW2_NEXT_FAILED)
    {
      g_autofree char *message = usage_escape (error->message);

      tool_set_status (tool, TOOL_FAILED);
      output_message (tool->output, NULL, message);
      g_clear_error (&error);
    }

  return path;
}

/* Calls SHOW with DATA for each image of the command line, whatever the result
 * for those before it.  Fails when output fails, or with a usage error if the
 * number of images does not suit the command. */
gboolean
tool_for_each_image (Tool *tool, ToolImageFunc show, gpointer data,
                     GError **error)
{
  g_autoptr (ImageList) list
      = image_list_new (tool->options.operands, tool->options.line_files,
                        tool->options.nul_files);
  g_autofree char *path = next_image (tool, list);

  /* The next name is read before the first image is shown only if a second
   * image changes the output: a program that writes the list may be waiting
   * for an answer. */
  const gboolean look_ahead = tool->options.output != OPTIONS_OUTPUT_JSONL
                              || tool->one_image != NULL;
  g_autofree char *next
      = look_ahead && path != NULL ? next_image (tool, list) : NULL;
  const gboolean several = !look_ahead || next != NULL;
  const gboolean decides = tool->purpose == TOOL_DECIDES;

  /* An empty list is not an error, but --field and similar options need an
   * answer. */
  const gboolean json = tool->options.output == OPTIONS_OUTPUT_JSON;
  if (tool->one_image != NULL && (several || (path == NULL && !json)))
    {
      usage_error (error, "%s takes exactly one image", tool->one_image);
      return FALSE;
    }

  if (path == NULL && decides && tool->status == TOOL_OK)
    {
      usage_error (error, "there is no image to answer for");
      return FALSE;
    }

  while (path != NULL)
    {
      if (!show_image (tool, path, several && !decides, show, data, error))
        return FALSE;

      g_free (path);
      path = next != NULL ? g_steal_pointer (&next) : NULL;
      if (path == NULL && several)
        path = next_image (tool, list);
    }

  return TRUE;
}
