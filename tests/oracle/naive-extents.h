/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Works out bit by bit, from the bytes of the file, which parts of the disk a
 * bitmap marks.  This file uses nothing of the program, because it is what the
 * program is tested against. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Extent types, with the numbers that NBD uses. */
#define NAIVE_CLEAN 0
#define NAIVE_DIRTY 1
#define NAIVE_UNKNOWN 3

/* Where the bits of a bitmap are stored. */
typedef struct
{
  const GByteArray *bytes; /* of the file, followed by zeroes */
  guint64 file_size;
  guint64 bad_start; /* a read that touches the bytes from here ... */
  guint64 bad_end;   /* ... to before here fails */

  guint64 virtual_size;
  guint64 cluster_size;
  guint64 table_offset;
  guint64 n_entries;
  guint granularity_bits;
  guint type;
  guint64 clear; /* the type of a granule whose bit is not set */
} NaiveBitmap;

typedef struct
{
  guint64 offset;
  guint64 length;
  guint64 type;
} NaiveExtent;

/* The result for one range of the disk. */
typedef struct
{
  GArray *extents; /* of NaiveExtent */
  guint64 totals[NAIVE_UNKNOWN + 1];
  gboolean has_bits;    /* FALSE: the whole range is unknown */
  gboolean read_failed; /* a read in the range failed */
  gboolean lacks_bits;  /* some bits are missing or cannot be located */
} NaiveAnswer;

void naive_answer_init (NaiveAnswer *answer, const NaiveBitmap *bitmap,
                        guint64 start, guint64 length);
void naive_answer_clear (NaiveAnswer *answer);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NaiveAnswer, naive_answer_clear)

G_END_DECLS
