/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The input describes when and how reads fail.  The rest of the input is the
 * file. */

#include "config.h"

#include "fuzz.h"

#include <errno.h>
#include <string.h>

#include "buffer.h"

#define MAX_ROWS 1024

/* Two faults of six bytes each: the kind, the number of the first read that
 * the fault affects, an offset in the file (2 bytes), and an amount.  The last
 * byte of the first fault tells whether another process writes to the file. */
#define N_FAULTS 2
#define FAULT_SIZE 6
#define FAULTS_SIZE (N_FAULTS * FAULT_SIZE)
#define AT_LOCK 5

typedef enum
{
  FAULT_NONE,
  FAULT_ONCE,      /* read number .first fails */
  FAULT_EVER,      /* all reads from .first on fail */
  FAULT_SECTOR,    /* reads that touch .amount bytes at .offset fail */
  FAULT_SHORT,     /* reads return at most 16 + .amount bytes */
  FAULT_INTERRUPT, /* every other read is interrupted */
  FAULT_SHRINK,    /* the file ends at .offset */
  FAULT_CHANGE,    /* the byte at .offset changes */
  N_FAULT_KINDS
} FaultKind;

typedef struct
{
  FaultKind kind;
  guint64 first; /* number of a read */
  guint64 offset;
  guint8 amount;
} Fault;

typedef struct
{
  ByteSource base;
  const guint8 *data;
  Fault faults[N_FAULTS];
  ByteSourceLock lock;
  guint64 n_reads;
} FaultySource;

const char *const fuzz_name = "faults";

/* Returns whether the read of *LEN bytes at OFFSET succeeds despite FAULT,
 * which may reduce *LEN.  Otherwise, errno is set. */
static gboolean
survives (const FaultySource *self, const Fault *fault, guint64 offset,
          gsize *len)
{
  const guint64 bad_end = fault->offset + fault->amount;

  if (self->n_reads < fault->first)
    return TRUE;

  switch (fault->kind)
    {
    case FAULT_ONCE:
      errno = EIO;
      return self->n_reads != fault->first;
    case FAULT_EVER:
      errno = ENXIO;
      return FALSE;
    case FAULT_SECTOR:
      errno = EIO;
      return offset >= bad_end || fault->offset >= offset + *len;
    case FAULT_INTERRUPT:
      errno = EINTR;
      return self->n_reads % 2 != 0;
    case FAULT_SHORT:
      *len = MIN (*len, 16 + (gsize) fault->amount);
      return TRUE;
    case FAULT_SHRINK:
      *len = MIN (*len, fault->offset - MIN (offset, fault->offset));
      return TRUE;
    case FAULT_NONE:
    case FAULT_CHANGE:
    case N_FAULT_KINDS:
      return TRUE;
    }

  g_assert_not_reached ();
}

static gssize
faulty_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  FaultySource *self = (FaultySource *) source;

  for (guint i = 0; i < N_FAULTS; i++)
    {
      if (!survives (self, &self->faults[i], offset, &len))
        {
          self->n_reads++;
          return -1;
        }
    }

  memcpy (buffer, self->data + offset, len);
  for (guint i = 0; i < N_FAULTS; i++)
    {
      const Fault *fault = &self->faults[i];

      if (fault->kind == FAULT_CHANGE && self->n_reads >= fault->first
          && fault->offset >= offset && fault->offset - offset < len)
        buffer[fault->offset - offset] ^= fault->amount;
    }

  self->n_reads++;
  return (gssize) len;
}

static ByteSourceLock
faulty_probe_lock (ByteSource *source, guint64 offset G_GNUC_UNUSED)
{
  return ((FaultySource *) source)->lock;
}

static void
faulty_rewind (ByteSource *source)
{
  ((FaultySource *) source)->n_reads = 0;
}

static ByteSourceLock
decode_lock (guint8 byte)
{
  static const ByteSourceLock locks[]
      = { BYTE_SOURCE_LOCK_UNKNOWN, BYTE_SOURCE_UNLOCKED, BYTE_SOURCE_LOCKED };

  return locks[byte % G_N_ELEMENTS (locks)];
}

static Fault
decode_fault (const guint8 *bytes)
{
  const Fault fault = { .kind = (FaultKind) (bytes[0] % N_FAULT_KINDS),
                        .first = bytes[1],
                        .offset = (guint64) bytes[2] << 8 | bytes[3],
                        .amount = bytes[4] };

  return fault;
}

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static const ByteSourceClass faulty_class
      = { .read = faulty_read, .probe_lock = faulty_probe_lock };
  const DriveOptions options
      = { .rewind = faulty_rewind, .max_rows = MAX_ROWS, .changes = TRUE };
  FaultySource source = { .base.klass = &faulty_class };

  if (size < FAULTS_SIZE)
    return 0;

  source.base.size = size - FAULTS_SIZE;
  source.data = data + FAULTS_SIZE;
  for (guint i = 0; i < N_FAULTS; i++)
    source.faults[i] = decode_fault (data + i * FAULT_SIZE);
  source.lock = decode_lock (data[AT_LOCK]);

  fuzz_drive (&source.base, data, size, &options);
  return 0;
}

gsize
LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size,
                         unsigned int seed)
{
  if (size < FAULTS_SIZE || seed % 3 == 0)
    return LLVMFuzzerMutate (data, size, max_size);

  if (seed % 3 == 1)
    {
      LLVMFuzzerMutate (data, FAULTS_SIZE, FAULTS_SIZE);
      return size;
    }

  return FAULTS_SIZE
         + buffer_mutate (data + FAULTS_SIZE, size - FAULTS_SIZE,
                          max_size - FAULTS_SIZE, seed | 1ull << 40);
}

/* Returns a seed with IMAGE and a fault of kind VARIANT at one of the first
 * reads, or NULL if there is no such kind or IMAGE is too large. */
GBytes *
fuzz_get_seed (const Image *image, guint variant)
{
  guint8 faults[FAULTS_SIZE] = { (guint8) variant };

  if (variant >= N_FAULT_KINDS || image->size > FUZZ_MAX_SIZE - FAULTS_SIZE)
    return NULL;

  g_autoptr (GBytes) bytes = image_get_bytes (image);
  const guint8 *data = g_bytes_get_data (bytes, NULL);
  GByteArray *seed = g_byte_array_new ();

  faults[1] = (guint8) (variant * 3);
  faults[2] = (guint8) (image->size >> 9);
  faults[4] = 1;
  faults[AT_LOCK] = (guint8) variant;
  g_byte_array_append (seed, faults, sizeof faults);
  g_byte_array_append (seed, data, (guint) image->size);
  return g_byte_array_free_to_bytes (seed);
}
