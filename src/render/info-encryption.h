/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints the encryption of an image as qemu-img info does. */

#pragma once

#include "qcow2/header.h"
#include "qcow2/luks.h"
#include "render/qemu-tree.h"

G_BEGIN_DECLS

void info_encryption_add (QemuTree *tree, const Qcow2Header *header,
                          const Qcow2Luks *luks);

G_END_DECLS
