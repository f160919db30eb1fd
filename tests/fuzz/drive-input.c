/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is done with every input: all of the readers and emitters, then one
 * command line of the program. */

#include "config.h"

#include "fuzz.h"

#include "command.h"

/* Inputs are driven a second time, to compare, if so many bits of their digest
 * are clear. */
#define TWICE_MASK 0xf

static guint64
digest (const guint8 *data, gsize size)
{
  guint64 sum = size;

  for (gsize i = 0; i < size; i++)
    sum = (sum ^ data[i]) * G_GUINT64_CONSTANT (0x100000001b3);

  return sum ^ sum >> 29;
}

/* One emitter at a time is enough, and each of the others now and then. */
static guint
choose_ways (guint64 sum)
{
  static const guint others[]
      = { DRIVE_CHECK, DRIVE_FIELDS, DRIVE_LIST, DRIVE_DUMP };

  return (1u << (sum >> 40 & 3)) | others[sum >> 42 & 3];
}

/* Drives the program over SOURCE, which the input of SIZE bytes in DATA
 * describes: the input, and nothing else, decides what is done. */
void
fuzz_drive (ByteSource *source, const guint8 *data, gsize size,
            const DriveOptions *options)
{
  const guint64 sum = digest (data, size);
  DriveOptions given = *options;

  given.ways = choose_ways (sum);
  given.twice = (sum & TWICE_MASK) == 0;
  const DriveResult result = drive (source, &given);
  command_run (source, (guint) (sum >> 8), &given, &result);
}
