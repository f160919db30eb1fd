/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/each-extension.h"

/* Calls SHOW with DATA for each header extension of IMAGE that FILTER selects,
 * and reports the findings on it and on those before it.  The caller reports
 * the findings after the last selected one.  Emits null if the extensions
 * cannot be located.  Fails when SHOW fails, when output fails, or when an
 * extension cannot be read. */
gboolean
each_extension (Tool *tool, Qcow2Image *image, ExtensionFilter filter,
                ExtensionFunc show, gpointer data, GError **error)
{
  if (!image->has_extensions)
    {
      emitter_null (tool_get_emitter (tool), "extensions");
      return TRUE;
    }

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  const guint64 file_size = byte_source_get_size (image->source);
  g_autoptr (GError) local_error = NULL;
  Qcow2ExtensionHistory history = { .n = 0 };
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_EXTENSIONS);

  emitter_begin (tool_get_emitter (tool), EMITTER_LIST, "extensions", NULL);
  while (local_error == NULL)
    {
      g_auto (Qcow2Extension) extension = { 0 };

      if (!qcow2_extension_walk_next (walk, &extension, &local_error))
        break;

      const gboolean repeated
          = qcow2_extension_is_repeated (&extension, &history);
      if (!filter (&extension, data))
        continue;

      qcow2_extension_judge (&extension, &image->header, file_size, repeated,
                             QCOW2_PART_EXTENSIONS, image->problems);
      show (tool, image, &extension, data, &local_error);

      scope.max_extension = extension.index;
      tool_report (tool, scope);
      if (local_error == NULL)
        tool_flush (tool, &local_error);
    }
  emitter_end (tool_get_emitter (tool));

  if (local_error == NULL)
    return TRUE;

  g_propagate_error (error, g_steal_pointer (&local_error));
  return FALSE;
}
