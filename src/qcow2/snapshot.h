/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The snapshot table: qcow2 specification, section "Snapshots". */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

gboolean qcow2_snapshot_table_get_size (const Qcow2Image *image, guint64 *size,
                                        gboolean *whole, GError **error);

G_END_DECLS
