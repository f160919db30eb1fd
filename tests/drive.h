/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts an image through everything that the program does with one, in process,
 * and ends the test program when what must always hold does not: see the list
 * in drive.c. */

#pragma once

#include "qcow2/source.h"

G_BEGIN_DECLS

typedef struct
{
  /* Called before each run, to bring the source back into the state in which
   * it was first; NULL when it has none. */
  void (*rewind) (ByteSource *source);
  /* After so many rows of bitmap tables no more are printed; 0: all are. */
  guint64 max_rows;
  /* Whether to do it again and compare what is printed. */
  gboolean twice;
} DriveOptions;

/* What came of it. */
typedef struct
{
  gboolean was_opened; /* there is an image */
  gboolean read_failed;
  guint64 n_bitmaps;
  guint64 n_findings;
  guint64 n_errors; /* findings of severity error */
  guint64 n_read;   /* bytes that the source gave */
  guint64 digest;   /* of all that was printed */
} DriveResult;

DriveResult drive (ByteSource *source, const DriveOptions *options);

G_END_DECLS
