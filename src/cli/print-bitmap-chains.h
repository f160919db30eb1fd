/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints whether the bitmaps of the same name in the layers of a backing chain
 * are a chain, too, and answers --is valid. */

#pragma once

#include "check/bitmap-chain.h"
#include "cli/selection.h"

G_BEGIN_DECLS

gboolean bitmap_chains_have_name (Qcow2BitmapChain *bitmaps, const char *name,
                                  GError **error);
gboolean bitmap_chains_answer (Tool *tool, const Qcow2Chain *chain,
                               Qcow2BitmapChain *bitmaps, const char *name,
                               GError **error);
gboolean bitmap_chains_show (Tool *tool, const Qcow2Chain *chain,
                             Qcow2BitmapChain *bitmaps,
                             const Selection *selection, GError **error);

G_END_DECLS
