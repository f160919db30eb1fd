/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The input is the file, byte for byte. */

#include "config.h"

#include "fuzz.h"

#include "buffer.h"

#define MAX_ROWS 1024

const char *const fuzz_name = "image";

int
LLVMFuzzerTestOneInput (const guint8 *data, gsize size)
{
  static const DriveOptions options = { .max_rows = MAX_ROWS };
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, size);
  g_autoptr (ByteSource) source = byte_source_new_memory (bytes);

  fuzz_drive (source, data, size, &options);
  return 0;
}

/* Half of the calls make libFuzzer's changes, as libFuzzer knows the
 * dictionary; half of these make ours as well.  Returns the new size of the
 * input in bytes. */
gsize
LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size,
                         unsigned int seed)
{
  if (seed % 2 == 0)
    size = LLVMFuzzerMutate (data, size, max_size);
  if (seed % 4 == 0)
    return size;

  return buffer_mutate (data, size, max_size, seed | 1ull << 40);
}

/* Returns IMAGE as the only variant of the seed.  Returns NULL for other
 * variants, or if IMAGE is too large. */
GBytes *
fuzz_get_seed (const Image *image, guint variant)
{
  if (variant > 0 || image->size > FUZZ_MAX_SIZE)
    return NULL;

  return image_get_bytes (image);
}
