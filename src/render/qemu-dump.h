/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reproduces the output of QEMU's own dumper, qcow2.py, byte for byte.  Its
 * layouts differ from ours on purpose and must not be changed. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/extension.h"
#include "qcow2/table.h"

G_BEGIN_DECLS

/* A dump that is appended to a string of the caller's, as JSON or as text. */
typedef struct QemuDump QemuDump;

gboolean qemu_dump_is_plain (GBytes *name);
gboolean qemu_dump_is_ascii (GBytes *name);
QemuDump *qemu_dump_new (GString *out, gboolean json);
void qemu_dump_header (QemuDump *dump, const Qcow2Header *header);
void qemu_dump_begin_extensions (QemuDump *dump);
void qemu_dump_begin_extension (QemuDump *dump,
                                const Qcow2Extension *extension);
void qemu_dump_begin_bitmap (QemuDump *dump, const Qcow2Bitmap *bitmap);
void qemu_dump_rows (QemuDump *dump, const Qcow2TableEntry *entries,
                     gsize n_entries);
void qemu_dump_end_bitmap (QemuDump *dump);
void qemu_dump_end_extension (QemuDump *dump);
void qemu_dump_end_extensions (QemuDump *dump);
void qemu_dump_free (QemuDump *dump);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (QemuDump, qemu_dump_free)

G_END_DECLS
