/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/layers.h"

#include "cli/usage.h"
#include "qcow2/error.h"

/* Prepares TOOL for OPTIONS, and opens the directory of --root.  Fails with a
 * usage error if --root is used alone, or if there is no such directory. */
gboolean
layers_prepare (LayerOptions *options, Tool *tool, GError **error)
{
  g_autoptr (GError) root_error = NULL;

  options->fd = -1;
  if (options->root != NULL && !options->wanted)
    {
      usage_error (error, "--root goes with --backing-chain");
      return FALSE;
    }
  if (options->root != NULL)
    options->fd = byte_source_open_root (options->root, &root_error);
  if (root_error != NULL)
    {
      g_autofree char *escaped = usage_escape (options->root);

      usage_error (error, "--root: '%s': %s", escaped, root_error->message);
      return FALSE;
    }

  if (options->wanted)
    tool_want_layers (tool, options->fd);
  return TRUE;
}

/* Opens the layers below IMAGE, the current image of TOOL.  The caller frees
 * the chain before TOOL shows another image. */
Qcow2Chain *
layers_open (const LayerOptions *options, Tool *tool, Qcow2Image *image)
{
  return qcow2_chain_open (report_get_path (tool_get_report (tool)), image,
                           tool_get_findings (tool), options->fd);
}

/* Fails with QCOW2_ERROR_CHANGED if a layer of CHAIN has changed since it was
 * opened: an answer from all layers may be wrong. */
gboolean
layers_check_still (const Qcow2Chain *chain, GError **error)
{
  const guint n = qcow2_chain_get_n (chain);

  for (guint i = 1; i < n; i++)
    {
      const Qcow2Layer *layer = qcow2_chain_get (chain, i);

      if (layer->source == NULL || !byte_source_has_changed (layer->source))
        continue;

      qcow2_set_rule_error (error, QCOW2_ERROR_CHANGED, "FILE-08",
                            "layer %u changed while it was read: try again",
                            i);
      return FALSE;
    }

  return TRUE;
}

void
layers_clear (LayerOptions *options)
{
  g_clear_pointer (&options->root, g_free);
}
