/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/print-guest-map.h"

#include "qcow2/error.h"
#include "render/guest-map.h"

/* Writes a message for each damaged extent of MAP, up to a limit, after which
 * they are only counted.  If there is one, the exit status becomes
 * TOOL_DAMAGED. */
void
guest_map_report (Tool *tool, const Qcow2GuestMap *map)
{
  const guint64 n = qcow2_guest_map_get_n_damaged (map);

  for (guint i = 0; i < MIN (n, QCOW2_MAP_MAX_NOTES); i++)
    {
      g_autofree char *message
          = guest_map_explain (qcow2_guest_map_get_damaged (map, i));

      tool_warn (tool, TOOL_DAMAGED, message);
    }

  if (n > QCOW2_MAP_MAX_NOTES)
    {
      g_autofree char *message = g_strdup_printf (
          QCOW2_U64_FORMAT " more damaged extents", n - QCOW2_MAP_MAX_NOTES);

      tool_warn (tool, TOOL_DAMAGED, message);
    }
}
