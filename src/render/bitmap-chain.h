/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts into words whether the bitmaps of several layers are a chain. */

#pragma once

#include "check/bitmap-chain.h"
#include "render/emitter.h"

G_BEGIN_DECLS

char *bitmap_chain_explain (const Qcow2BitmapChainVerdict *verdict);
void bitmap_chain_describe (Emitter *emitter, GBytes *name,
                            const Qcow2BitmapChainVerdict *verdict);

G_END_DECLS
