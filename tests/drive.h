/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts an image through everything that the program does with one, in process,
 * and ends the test program when what must always hold does not: see the list
 * in drive.c. */

#pragma once

#include "qcow2/source.h"

G_BEGIN_DECLS

/* Ways in which an image is shown. */
typedef enum
{
  DRIVE_TEXT = 1 << 0,
  DRIVE_TEXT_LONG = 1 << 1, /* all columns of tables, one of several images */
  DRIVE_JSON = 1 << 2,
  DRIVE_JSONL = 1 << 3, /* all columns of tables */
  DRIVE_FIELDS = 1 << 4,
  DRIVE_LIST = 1 << 5,
  DRIVE_DUMP = 1 << 6, /* as QEMU's own dumper does, text and JSON */
  DRIVE_SHOW = 1 << 7,  /* the image by itself, in any of the ways above */
  DRIVE_CHECK = 1 << 8  /* the rules that need the whole picture, likewise */
} DriveWays;

typedef struct
{
  guint ways; /* mask of DriveWays; 0: all */
  /* Called before each run, to bring the source back into the state in which
   * it was first; NULL when it has none. */
  void (*rewind) (ByteSource *source);
  /* It may give other bytes for the same offset, or no longer all of them. */
  gboolean changes;
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
  guint64 n_usable; /* of them */
  guint64 n_findings;
  guint64 n_errors;       /* findings of severity error */
  guint64 n_check_errors; /* likewise of the check, if it was made */
  guint64 n_read;         /* bytes that the source gave */
  guint64 digest;         /* of all that was printed */
} DriveResult;

DriveResult drive (ByteSource *source, const DriveOptions *options);

G_END_DECLS
