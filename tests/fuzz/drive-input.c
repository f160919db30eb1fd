/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The work that is done with every input: the readers and emitters, or a part
 * of them, and the program's command lines. */

#include "config.h"

#include "fuzz.h"

#include "command.h"
#include "oracle/answer.h"

/* One of WHOLE_WAY inputs takes the whole way; one of four of these takes it
 * twice, to compare the results.  The other inputs take one leg of the way
 * each, so that many more of them can be tried. */
#define WHOLE_WAY 32

/* Rows of bitmap tables that a leg prints. */
#define LEG_ROWS 48

static guint
choose (guint64 sum, guint bit, guint n)
{
  return (guint) (sum >> bit) % n;
}

/* Drives all passes over SOURCE, with one emitter and at most one of the other
 * ways.  Then runs a command line. */
static void
drive_whole_way (ByteSource *source, guint64 sum, const DriveOptions *options)
{
  static const guint others[] = { 0, DRIVE_FIELDS, DRIVE_LIST, DRIVE_DUMP };
  DriveOptions given = *options;

  given.ways = DRIVE_SHOW | DRIVE_CHECK | DRIVE_DISK
               | 1u << choose (sum, 40, 4) | others[choose (sum, 42, 4)];
  given.twice = choose (sum, 44, 4) == 0;
  const DriveResult result = drive (source, &given);
  command_run (source, choose (sum, 8, 1 << 16), &given, &result);
}

static void
drive_leg (ByteSource *source, guint64 sum, const DriveOptions *options)
{
  static const guint ways[] = { DRIVE_SHOW | DRIVE_TEXT,
                                DRIVE_SHOW | DRIVE_TEXT_LONG,
                                DRIVE_SHOW | DRIVE_JSON,
                                DRIVE_SHOW | DRIVE_JSONL,
                                DRIVE_SHOW | DRIVE_FIELDS,
                                DRIVE_SHOW | DRIVE_LIST,
                                DRIVE_SHOW | DRIVE_DUMP,
                                DRIVE_CHECK,
                                DRIVE_CHECK | DRIVE_TEXT,
                                DRIVE_CHECK | DRIVE_JSON,
                                DRIVE_DISK };
  const guint leg = choose (sum, 40, 2 * G_N_ELEMENTS (ways));
  DriveOptions given = *options;

  given.max_rows = LEG_ROWS;
  if (leg >= G_N_ELEMENTS (ways))
    {
      command_run (source, choose (sum, 8, 1 << 16), &given, NULL);
      return;
    }

  given.ways = ways[leg];
  drive (source, &given);
}

/* Drives the program over SOURCE, which is the decoded input of SIZE bytes in
 * DATA.  Only the input decides which parts of the program run. */
void
fuzz_drive (ByteSource *source, const guint8 *data, gsize size,
            const DriveOptions *options)
{
  const guint64 sum = answer_add_to_digest (size, data, size);

  if (choose (sum, 0, WHOLE_WAY) == 0)
    drive_whole_way (source, sum, options);
  else
    drive_leg (source, sum, options);
}
