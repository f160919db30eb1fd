/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks a bitmap directory that the file truncates as QEMU does. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extension.h"

G_BEGIN_DECLS

gboolean
qcow2_directory_ends_in_zeroes (ByteSource *source, const Qcow2Header *header,
                                const Qcow2BitmapsExtension *extension,
                                gboolean *sound, GError **error);

G_END_DECLS
