/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-extensions.h"

/* Returns whether FINDING is about the list of extensions as a whole. */
static gboolean
is_about_list (const Qcow2Finding *finding)
{
  return finding->subject.extension == QCOW2_NO_INDEX
         || (finding->subject.parts & QCOW2_PART_HEADER) != 0;
}

/* Returns whether FINDING is about the extension with the index DATA, or about
 * the list. */
static gboolean
bears_on_extension (const Qcow2Finding *finding, gconstpointer data)
{
  const guint64 *index = data;

  return is_about_list (finding) || finding->subject.extension == *index;
}

/* Returns whether FINDING is about the list, or about the end of the list of
 * the image DATA. */
static gboolean
bears_on_list (const Qcow2Finding *finding, gconstpointer data)
{
  const Qcow2Image *image = data;

  return is_about_list (finding)
         || finding->subject.extension >= image->end.index;
}

/* Returns the scope of the findings on the list of extensions of IMAGE and on
 * its end, for PARTS (Qcow2Parts).  IMAGE must outlive the result. */
ReportScope
each_extension_get_scope (const Qcow2Image *image, guint parts)
{
  ReportScope scope = REPORT_SCOPE (parts);

  scope.bears_on = bears_on_list;
  scope.data = image;
  return scope;
}

/* The arguments of each_extension (). */
typedef struct
{
  Tool *tool;
  ExtensionFilter filter;
  ExtensionFunc show;
  gpointer data;
} Printing;

/* A Qcow2ExtensionFunc. */
static gboolean
print_extension (const Qcow2Extension *extension, gpointer data,
                 GError **error)
{
  const Printing *printing = data;
  Tool *tool = printing->tool;
  ReportScope scope = REPORT_SCOPE (QCOW2_PART_EXTENSIONS);

  if (!printing->filter (extension, printing->data))
    return TRUE;

  const gboolean shown
      = printing->show (tool, extension, printing->data, error);
  scope.max_extension = extension->index;
  scope.bears_on = bears_on_extension;
  scope.data = &extension->index;
  tool_report (tool, scope);
  return shown && tool_flush (tool, error);
}

/* Calls SHOW with DATA for each header extension of IMAGE that FILTER selects,
 * and reports the findings on it.  The caller reports the findings on the
 * whole list.  Emits null if the extensions cannot be located.  Fails when
 * SHOW fails, when output fails, or when an extension cannot be read. */
gboolean
each_extension (Tool *tool, Qcow2Image *image, ExtensionFilter filter,
                ExtensionFunc show, gpointer data, GError **error)
{
  Emitter *emitter = tool_get_emitter (tool);
  Printing printing
      = { .tool = tool, .filter = filter, .show = show, .data = data };

  if (!image->has_extensions)
    {
      emitter_null (emitter, "extensions");
      return TRUE;
    }

  g_autoptr (Qcow2ExtensionWalk) walk
      = qcow2_extension_walk_new (image->source, &image->header);
  emitter_begin (emitter, EMITTER_LIST, "extensions", NULL);
  const gboolean printed
      = qcow2_extension_walk_each (walk, print_extension, &printing, error);
  emitter_end (emitter);
  return printed;
}
