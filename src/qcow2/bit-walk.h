/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks the bits of a bitmap in order: through its table, and through the data
 * that the table refers to.  contents.h is the interface for others. */

#pragma once

#include "qcow2/extent-query.h"
#include "qcow2/table.h"

G_BEGIN_DECLS

/* Number of bits in a word of bitmap data. */
#define QCOW2_WORD_BITS 64

typedef struct Qcow2BitWalk Qcow2BitWalk;

/* Callbacks that receive the bits of a bitmap in order.  on_run receives the
 * bits from FIRST to before END, all of TYPE.  on_bits receives them as they
 * are in memory: bit FIRST is bit FIRST % 64 of the 8 bytes at BYTES. */
typedef struct
{
  gboolean (*on_run) (Qcow2BitWalk *walk, guint64 first, guint64 end,
                      Qcow2ExtentType type, GError **error);
  /* If NULL, no data is read. */
  gboolean (*on_bits) (Qcow2BitWalk *walk, guint64 first, guint64 end,
                       const guint8 *bytes, GError **error);
} Qcow2BitSink;

struct Qcow2BitWalk
{
  const Qcow2ExtentQuery *query;
  const Qcow2BitSink *sink;
  gpointer data; /* state of the sink */

  Qcow2Table table;
  guint64 n_bits;     /* of the whole bitmap */
  guint64 first;      /* first requested bit */
  guint64 end;        /* bit after the last requested one */
  guint64 entry_bits; /* bits per table entry */
  ByteWindow *entries;
  ByteWindow *bytes;
  Qcow2ExtentType clear; /* type of a granule whose bit is clear */
  guint64 data_left;     /* remaining bytes of QCOW2_MAX_DATA_BYTES */
};

gboolean qcow2_bit_walk_is_possible (const Qcow2ExtentQuery *query);
void qcow2_bit_walk_begin (Qcow2BitWalk *walk);
gboolean qcow2_bit_walk_run (Qcow2BitWalk *walk, GError **error);
guint64 qcow2_bit_walk_to_guest (const Qcow2BitWalk *walk, guint64 bit);
guint64 qcow2_bits_load_word (const guint8 *bytes, guint64 left);

/* Returns the number of bytes that hold the bits from FIRST to before END,
 * counted from the 8-byte word with bit FIRST. */
static inline guint64
qcow2_bits_get_n_bytes (guint64 first, guint64 end)
{
  return (end - first + first % QCOW2_WORD_BITS + 7) / 8;
}

G_END_DECLS
