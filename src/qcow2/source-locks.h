/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which locks of other programs are visible. */

#pragma once

#include "qcow2/source.h"

G_BEGIN_DECLS

gboolean byte_source_sees_all_locks (int fd);

G_END_DECLS
