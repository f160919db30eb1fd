/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bitmaps with one name in the layers of a chain, which together say what
 * has changed since the lowest of them was added.  libvirt takes them for an
 * incremental backup if all are enabled, in consecutive layers from the top
 * (src/qemu/qemu_block.c: qemuBlockBitmapChainIsValid). */

#pragma once

#include "check/chain.h"
#include "check/checked-directory.h"
#include "qcow2/bitmap.h"

G_BEGIN_DECLS

typedef enum
{
  QCOW2_BITMAP_CHAIN_VALID,
  QCOW2_BITMAP_CHAIN_NOT_IN_TOP, /* the top has no such bitmap; the layer that
                                    decides may */
  QCOW2_BITMAP_CHAIN_STATE,      /* a bitmap is not enabled */
  QCOW2_BITMAP_CHAIN_REFUSED,    /* QEMU does not open a layer */
  QCOW2_BITMAP_CHAIN_GAP,        /* a layer has one below one that has not */
  QCOW2_BITMAP_CHAIN_UNKNOWN     /* a layer cannot be read */
} Qcow2BitmapChainAnswer;

typedef struct
{
  Qcow2BitmapChainAnswer answer;
  guint n;             /* layers from the top, without a gap, whose bitmap is
                          enabled */
  guint depth;         /* of the layer that decides, unless VALID */
  guint state;         /* Qcow2BitmapState, for QCOW2_BITMAP_CHAIN_STATE */
  gboolean is_found;   /* in any layer */
  const GError *error; /* for QCOW2_BITMAP_CHAIN_UNKNOWN; not owned */
} Qcow2BitmapChainVerdict;

typedef struct Qcow2BitmapChain Qcow2BitmapChain;

Qcow2BitmapChain *qcow2_bitmap_chain_new (const Qcow2Chain *chain);
Qcow2CheckedDirectory *
qcow2_bitmap_chain_open_directory (Qcow2BitmapChain *self, guint depth,
                                   GError **error);
void qcow2_bitmap_chain_judge (Qcow2BitmapChain *self, const char *name,
                               gsize len, Qcow2BitmapChainVerdict *verdict);
const Qcow2Bitmap *qcow2_bitmap_chain_get (const Qcow2BitmapChain *self,
                                           guint depth);
void qcow2_bitmap_chain_free (Qcow2BitmapChain *self);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2BitmapChain, qcow2_bitmap_chain_free)

G_END_DECLS
