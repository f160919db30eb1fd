/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reports what is damaged in a map of the guest's disk. */

#pragma once

#include "cli/tool.h"
#include "qcow2/guest-map.h"

G_BEGIN_DECLS

void guest_map_report (Tool *tool, const Qcow2GuestMap *map);

G_END_DECLS
