/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a bitmap says about the disk, found out bit by bit from the bytes of
 * the file.  Nothing of the program is used here: it is what the program is
 * tested against. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Numbers as NBD has them. */
#define NAIVE_CLEAN 0
#define NAIVE_DIRTY 1
#define NAIVE_UNKNOWN 3

/* Where the bits are. */
typedef struct
{
  const GByteArray *bytes; /* of the file, zeroes behind them */
  guint64 file_size;
  guint64 bad_start; /* a read that touches the bytes from here ... */
  guint64 bad_end;   /* ... to before here fails */

  guint64 virtual_size;
  guint64 cluster_size;
  guint64 table_offset;
  guint64 n_entries;
  guint granularity_bits;
  guint type;
  guint64 clear; /* what a bit says that is not set */
} NaiveBitmap;

typedef struct
{
  guint64 offset;
  guint64 length;
  guint64 type;
} NaiveExtent;

/* What was found. */
typedef struct
{
  GArray *extents; /* of NaiveExtent */
  guint64 totals[NAIVE_UNKNOWN + 1];
  gboolean has_bits;    /* otherwise nothing can be known */
  gboolean read_failed; /* a read that was wanted */
  gboolean lacks_bits;  /* some are not in the file, or cannot be found */
} NaiveAnswer;

void naive_answer_init (NaiveAnswer *answer, const NaiveBitmap *bitmap,
                        guint64 start, guint64 length);
void naive_answer_clear (NaiveAnswer *answer);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NaiveAnswer, naive_answer_clear)

G_END_DECLS
