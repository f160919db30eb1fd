/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules about the header extensions, apart from those that the header is
 * needed for, which are in image-rules.c. */

#pragma once

#include "check/finding.h"
#include "qcow2/extension-walk.h"

G_BEGIN_DECLS

/* The number of different unknown magics that are remembered to find repeated
 * extensions. */
#define QCOW2_EXTENSION_HISTORY 64

/* The magics that a walk has found so far. */
typedef struct
{
  guint64 known; /* mask of indices in qcow2_extension_types */
  guint32 magics[QCOW2_EXTENSION_HISTORY]; /* unknown magics */
  guint n;
} Qcow2ExtensionHistory;

gboolean qcow2_extension_is_repeated (const Qcow2Extension *extension,
                                      Qcow2ExtensionHistory *history);
gboolean qcow2_extension_check (const Qcow2Extension *extension,
                                const Qcow2Header *header, ByteSource *source,
                                gboolean repeated, Qcow2Findings *findings,
                                GError **error);
void qcow2_extensions_check_end (const Qcow2WalkPosition *end,
                                 const Qcow2Header *header,
                                 gboolean have_bitmaps,
                                 Qcow2Findings *findings);
gboolean qcow2_extensions_can_be_misread (ByteSource *source,
                                          const Qcow2Header *header,
                                          Qcow2Findings *findings,
                                          gboolean *accepted, GError **error);

G_END_DECLS
