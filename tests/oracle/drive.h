/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs an image through everything that the program does with one, in process,
 * and ends the test program when one of the invariants listed in drive.c does
 * not hold. */

#pragma once

#include "qcow2/source.h"

G_BEGIN_DECLS

/* Ways of showing an image. */
typedef enum
{
  DRIVE_TEXT = 1 << 0,
  DRIVE_TEXT_LONG = 1 << 1, /* all columns of tables, one of several images */
  DRIVE_JSON = 1 << 2,
  DRIVE_JSONL = 1 << 3, /* all columns of tables */
  DRIVE_FIELDS = 1 << 4,
  DRIVE_LIST = 1 << 5,
  DRIVE_DUMP = 1 << 6,  /* in the format of QEMU's dumper, text and JSON */
  DRIVE_SHOW = 1 << 7,  /* the image itself, in any of the ways above */
  DRIVE_CHECK = 1 << 8, /* the findings of check, in any of the ways above */
  DRIVE_DISK = 1 << 9 /* the tables of the disk, and a check of all of it; see
                         drive-disk.c */
} DriveWays;

typedef struct
{
  guint ways; /* mask of DriveWays; 0: all */
  /* Called before each run to restore the source's initial state; NULL when it
   * has none. */
  void (*rewind) (ByteSource *source);
  /* The source may return other bytes for the same offset, or end early. */
  gboolean changes;
  /* No more blocks of bitmap table rows are printed after this many rows in a
   * run; 0: no limit. */
  guint64 max_rows;
  /* Whether to run a second time and compare the output. */
  gboolean twice;
} DriveOptions;

/* The result of one run over an image. */
typedef struct
{
  gboolean was_opened; /* the image could be opened */
  gboolean read_failed;
  guint64 n_bitmaps;
  guint64 n_usable; /* bitmaps that can be used */
  guint64 n_findings;
  guint64 n_errors;       /* findings of severity error */
  guint64 n_check_errors; /* of the check; 0 unless both are run */
  guint64 n_read;         /* bytes that the source returned */
  guint64 digest;         /* of all output */
} DriveResult;

DriveResult drive (ByteSource *source, const DriveOptions *options);

G_END_DECLS
