/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/layer-name.h"

#include <string.h>

#include "qcow2/c-string.h"
#include "qcow2/json-name.h"

#define FILE_PREFIX "file:"
#define JSON_PREFIX "json:"

/* Returns whether NAME begins with the name of a protocol. */
static gboolean
has_protocol (const char *name)
{
  return name[strcspn (name, ":/")] == ':';
}

/* Returns NAME relative to the directory of the file OVERLAY.  No part of the
 * path is resolved.  The caller frees it. */
static char *
join (const char *overlay, const char *name)
{
  const char *slash = strrchr (overlay, '/');
  const gsize len = slash != NULL ? (gsize) (slash - overlay) + 1 : 0;
  g_autofree char *directory = g_strndup (overlay, len);

  return g_strconcat (directory, name, NULL);
}

/* Sets the place of NAME, and its path, from FILENAME, which is relative to
 * the process. */
static void
take_filename (Qcow2LayerName *name, const char *filename)
{
  const char *path = g_str_has_prefix (filename, FILE_PREFIX)
                         ? filename + strlen (FILE_PREFIX)
                         : filename;

  if (path == filename && has_protocol (filename))
    return;

  name->place = QCOW2_LAYER_FILE;
  name->path = g_strdup (path);
}

/* Sets the place of NAME, and what else is known, from TEXT: the options of a
 * block device as JSON. */
static void
take_options (Qcow2LayerName *name, const char *text)
{
  g_auto (Qcow2JsonName) options = { 0 };

  name->place = QCOW2_LAYER_UNKNOWN;
  if (!qcow2_json_name_parse (&options, text))
    return;

  name->place = QCOW2_LAYER_FILE;
  name->path = g_steal_pointer (&options.filename);
  name->format = g_steal_pointer (&options.format);
}

/* Stores in NAME, which must be all 0, where BACKING_FILE leads from the file
 * that was opened as OVERLAY.  BACKING_FILE is the name in the header of that
 * file, or NULL: qcow2 specification, section "Backing file name".  As in
 * QEMU, it ends at its first NUL. */
void
qcow2_layer_name_resolve (Qcow2LayerName *name, const char *overlay,
                          GBytes *backing_file)
{
  g_autofree char *given = qcow2_c_string_dup (backing_file);

  name->place = QCOW2_LAYER_NONE;
  if (given == NULL)
    return;

  const gboolean is_complete = *given == '/' || has_protocol (given);
  name->place = QCOW2_LAYER_ELSEWHERE;
  name->full = is_complete ? g_steal_pointer (&given) : join (overlay, given);
  if (is_complete && g_str_has_prefix (name->full, JSON_PREFIX))
    take_options (name, name->full + strlen (JSON_PREFIX));
  else
    take_filename (name, name->full);
}

/* Returns whether NAME begins with a protocol, even one for files. */
gboolean
qcow2_layer_name_has_protocol (const Qcow2LayerName *name)
{
  return name->full != NULL && has_protocol (name->full);
}

void
qcow2_layer_name_clear (Qcow2LayerName *name)
{
  g_clear_pointer (&name->full, g_free);
  g_clear_pointer (&name->path, g_free);
  g_clear_pointer (&name->format, g_free);
}
