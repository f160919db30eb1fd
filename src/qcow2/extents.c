/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Turns the bits of a bitmap into extents. */

#include "config.h"

#include "qcow2/contents.h"

#include <string.h>

#include "qcow2/bit-walk.h"

/* The current extent, and the function that receives extents. */
typedef struct
{
  Qcow2ExtentFunc func;
  gpointer func_data;
  guint64 start; /* guest offset */
  Qcow2ExtentType type;
  Qcow2Next next; /* last result of FUNC */
} State;

/* Ends the current extent at bit AT, and starts one of TYPE there. */
static gboolean
change (Qcow2BitWalk *walk, guint64 at, Qcow2ExtentType type, GError **error)
{
  State *state = walk->data;
  const guint64 end = qcow2_bit_walk_to_guest (walk, at);
  const Qcow2Extent extent = { .offset = state->start,
                               .length = end - state->start,
                               .type = state->type };

  state->start = end;
  state->type = type;
  if (extent.length > 0)
    state->next = state->func (&extent, state->func_data, error);
  return state->next == QCOW2_NEXT_ITEM;
}

static gboolean
on_run (Qcow2BitWalk *walk, guint64 first, guint64 end G_GNUC_UNUSED,
        Qcow2ExtentType type, GError **error)
{
  State *state = walk->data;

  return type == state->type || change (walk, first, type, error);
}

/* Returns the index of the first of the words I to N - 1 at BYTES that differs
 * from EQUAL, or N if there is none.  A word has 8 bytes. */
static guint64
skip_equal (const guint8 *bytes, guint64 i, guint64 n, guint64 equal)
{
  for (; i < n; i++)
    {
      guint64 word;

      memcpy (&word, bytes + i * 8, sizeof word);
      if (word != equal)
        break;
    }

  return i;
}

/* Ends the current extent at bit AT, and starts one of the other type there:
 * dirty, or that of a clear bit. */
static gboolean
flip (Qcow2BitWalk *walk, guint64 at, GError **error)
{
  State *state = walk->data;

  return change (walk, at,
                 state->type == QCOW2_EXTENT_DIRTY ? walk->clear
                                                   : QCOW2_EXTENT_DIRTY,
                 error);
}

static gboolean
on_bits (Qcow2BitWalk *walk, guint64 first, guint64 end, const guint8 *bytes,
         GError **error)
{
  State *state = walk->data;

  const guint64 base = first - first % QCOW2_WORD_BITS;
  const guint64 n_bytes = qcow2_bits_get_n_bytes (first, end);
  const guint64 n_words = (n_bytes + 7) / 8;
  guint64 mask = ~(((guint64) 1 << first % QCOW2_WORD_BITS) - 1);

  /* If the first bit is set, the loop flips the type again; empty extents are
   * dropped. */
  if (state->type != QCOW2_EXTENT_DIRTY && state->type != walk->clear
      && !change (walk, first, walk->clear, error))
    return FALSE;

  for (guint64 i = 0; i < n_words; i++)
    {
      const guint64 same = state->type == QCOW2_EXTENT_DIRTY ? G_MAXUINT64 : 0;
      const guint64 word
          = qcow2_bits_load_word (bytes + i * 8, n_bytes - i * 8);

      if (word == same)
        {
          i = skip_equal (bytes, i + 1, n_bytes / 8, same) - 1;
          mask = G_MAXUINT64;
          continue;
        }

      /* A bit of FLIPS is set where the bitmap's bit differs from the one
       * before it.  Bits outside MASK, which precede FIRST, count as equal to
       * the current extent. */
      const guint64 counted = (word & mask) | (same & ~mask);
      guint64 flips = counted ^ ((counted & G_MAXINT64) << 1 | (same & 1));

      for (; flips != 0; flips &= flips - 1)
        {
          const guint64 at
              = base + i * QCOW2_WORD_BITS + (guint64) __builtin_ctzll (flips);

          if (at >= end)
            return TRUE;
          if (!flip (walk, at, error))
            return FALSE;
        }
      mask = G_MAXUINT64;
    }

  return TRUE;
}

/* Calls FUNC with DATA for each extent of QUERY, in order.  The extents are
 * contiguous, and adjacent ones differ in type.  Fails with QCOW2_ERROR_READ
 * or QCOW2_ERROR_LIMIT, or as FUNC does. */
gboolean
qcow2_extent_query_walk (const Qcow2ExtentQuery *query, Qcow2ExtentFunc func,
                         gpointer data, GError **error)
{
  static const Qcow2BitSink sink = { .on_run = on_run, .on_bits = on_bits };
  State state = { .func = func, .func_data = data, .next = QCOW2_NEXT_ITEM };
  Qcow2BitWalk walk = { .query = query, .sink = &sink, .data = &state };

  if (query->length == 0)
    return TRUE;
  if (!qcow2_bit_walk_is_possible (query))
    {
      const Qcow2Extent all = { .offset = query->start,
                                .length = query->length,
                                .type = QCOW2_EXTENT_UNKNOWN };

      return func (&all, data, error) != QCOW2_NEXT_FAILED;
    }

  qcow2_bit_walk_begin (&walk);
  state.start = query->start;
  state.type = walk.clear;
  return (qcow2_bit_walk_run (&walk, error)
          && change (&walk, walk.end, state.type, error))
         || state.next == QCOW2_NEXT_END;
}
