/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the refcounts of the clusters of an image file: qcow2 specification,
 * section "Host cluster management". */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

/* An entry of the refcount table. */
typedef struct
{
  guint64 offset;   /* host, of the refcount block */
  guint64 reserved; /* bits 0-8, in place */
} Qcow2RefcountEntry;

extern const Qcow2Record qcow2_refcount_entry_record;

/* Returns refcount INDEX of the block that begins with BYTES.  Refcounts of
 * less than 8 bits fill a byte from its lowest bits up. */
static inline guint64
qcow2_refcount_load (const guint8 *bytes, guint64 index, guint bits)
{
  if (bits >= 8)
    return qcow2_load_be (bytes + index * (bits / 8), bits / 8);

  const guint64 bit = index * bits;
  return (guint64) (bytes[bit / 8] >> (bit % 8)) & ((1u << bits) - 1);
}

typedef struct Qcow2Refcounts Qcow2Refcounts;

gboolean qcow2_refcounts_are_usable (const Qcow2Image *image);
Qcow2Refcounts *qcow2_refcounts_new (const Qcow2Image *image);
gboolean qcow2_refcounts_get (Qcow2Refcounts *refcounts, guint64 cluster,
                              guint64 n_clusters, guint64 *refcount,
                              guint64 *n_alike, gboolean *is_readable,
                              GError **error);
gboolean qcow2_refcounts_skip_unused (Qcow2Refcounts *refcounts,
                                      guint64 *index, GError **error);
gboolean qcow2_refcounts_find_used (Qcow2Refcounts *refcounts, guint64 *index,
                                    guint64 *raw, GError **error);
gboolean qcow2_refcounts_get_block (Qcow2Refcounts *refcounts, guint64 index,
                                    guint64 *offset, guint64 *raw,
                                    GError **error);
guint64 qcow2_refcounts_get_block_end (const Qcow2Refcounts *refcounts,
                                       guint64 cluster);
guint64 qcow2_refcounts_get_n_blocks (const Qcow2Refcounts *refcounts);
guint64 qcow2_refcounts_get_work (const Qcow2Refcounts *refcounts);
gboolean qcow2_refcounts_find_end (Qcow2Refcounts *refcounts, guint max_blocks,
                                   guint64 *end, GError **error);
void qcow2_refcounts_free (Qcow2Refcounts *refcounts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Refcounts, qcow2_refcounts_free)

G_END_DECLS
