/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/bitmap-chain.h"

#include "qcow2/bitmap.h"

/* Returns why the bitmaps that VERDICT is about are no chain, or why that is
 * not known, or NULL if they are one.  The caller frees it. */
char *
bitmap_chain_explain (const Qcow2BitmapChainVerdict *verdict)
{
  switch (verdict->answer)
    {
    case QCOW2_BITMAP_CHAIN_VALID:
      return NULL;
    case QCOW2_BITMAP_CHAIN_NOT_IN_TOP:
      return verdict->is_found
                 ? g_strdup_printf ("layer 0 has no such bitmap, but layer %u "
                                    "does",
                                    verdict->depth)
                 : g_strdup ("no layer has such a bitmap");
    case QCOW2_BITMAP_CHAIN_STATE:
      return g_strdup_printf (
          "layer %u: the bitmap is %s, not enabled", verdict->depth,
          qcow2_label_find (qcow2_bitmap_states, verdict->state));
    case QCOW2_BITMAP_CHAIN_REFUSED:
      return g_strdup_printf ("layer %u: QEMU refuses to open it: see "
                              "qcow2tool check",
                              verdict->depth);
    case QCOW2_BITMAP_CHAIN_GAP:
      return g_strdup_printf ("layer %u has no such bitmap, but layer %u, "
                              "below it, does",
                              verdict->n, verdict->depth);
    case QCOW2_BITMAP_CHAIN_UNKNOWN:
      return g_strdup_printf ("layer %u: %s", verdict->depth,
                              verdict->error->message);
    }

  g_assert_not_reached ();
}

typedef struct
{
  GBytes *name;
  guint64 valid;  /* 0, 1 or QCOW2_ABSENT: unknown */
  guint64 layers; /* number, from the top */
  guint64 layer;  /* that decides, or QCOW2_ABSENT */
  const char *reason;
} Described;

/* Emits VERDICT on the bitmaps called NAME. */
void
bitmap_chain_describe (Emitter *emitter, GBytes *name,
                       const Qcow2BitmapChainVerdict *verdict)
{
  static const Qcow2Field fields[]
      = { QCOW2_DERIVED (Described, "name", name, QCOW2_QUOTED,
                         .text = "chain of bitmap"),
          QCOW2_DERIVED (Described, "valid", valid, QCOW2_BOOL,
                         .absent = "unknown"),
          QCOW2_DERIVED (Described, "layers", layers, QCOW2_DEC),
          QCOW2_DERIVED (Described, "layer", layer, QCOW2_DEC, .text = ""),
          QCOW2_DERIVED (Described, "reason", reason, QCOW2_WORD),
          QCOW2_FIELD_END };
  const gboolean is_valid = verdict->answer == QCOW2_BITMAP_CHAIN_VALID;
  const guint64 known = is_valid ? 1 : 0;
  g_autofree char *reason = bitmap_chain_explain (verdict);
  const Described described
      = { .name = name,
          .valid = verdict->answer == QCOW2_BITMAP_CHAIN_UNKNOWN ? QCOW2_ABSENT
                                                                 : known,
          .layers = verdict->n,
          .layer = is_valid ? QCOW2_ABSENT : verdict->depth,
          .reason = reason };

  emitter_begin (emitter, EMITTER_BLOCK, NULL, NULL);
  for (const Qcow2Field *field = fields; field->name != NULL; field++)
    emitter_field (emitter, field, &described);
  emitter_end (emitter);
}
