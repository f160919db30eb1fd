/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tables IMAGE: reads each L2 table and each refcount block of a qcow2 image
 * once, and does nothing with them.  No check of these tables can be faster
 * without reading less. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* qcow2 spec: the offsets of fields in the header, and its size in version 2.
 */
#define CLUSTER_BITS 20
#define L1_SIZE 36
#define L1_TABLE_OFFSET 40
#define REFCOUNT_TABLE_OFFSET 48
#define REFCOUNT_TABLE_CLUSTERS 56
#define HEADER_SIZE 72

/* qcow2 spec: bits 9-55 of an L1 entry.  The benchmark's images have no higher
 * offsets in the refcount table. */
#define OFFSET UINT64_C (0x00fffffffffffe00)

static int fd;

static void
get (void *data, size_t size, uint64_t offset)
{
  if (pread (fd, data, size, (off_t) offset) != (ssize_t) size)
    {
      perror ("tables");
      exit (2);
    }
}

static uint64_t
decode (const unsigned char *bytes, size_t size)
{
  uint64_t value = 0;

  for (size_t i = 0; i < size; i++)
    value = value << 8 | bytes[i];
  return value;
}

/* Returns N bytes at OFFSET, which the caller frees. */
static unsigned char *
get_all (uint64_t offset, size_t n)
{
  unsigned char *data = malloc (n + 1);

  if (data == NULL)
    exit (2);
  get (data, n, offset);
  return data;
}

/* Reads the clusters of SIZE bytes to which the N entries of the table at
 * OFFSET refer. */
static void
read_clusters (uint64_t offset, size_t n, size_t size)
{
  unsigned char *table = get_all (offset, 8 * n);
  unsigned char *cluster = get_all (0, size);

  for (size_t i = 0; i < n; i++)
    {
      const uint64_t at = decode (table + 8 * i, 8) & OFFSET;

      if (at != 0)
        get (cluster, size, at);
    }
  free (cluster);
  free (table);
}

int
main (int argc, char **argv)
{
  if (argc != 2 || (fd = open (argv[1], O_RDONLY)) < 0)
    return 2;

  unsigned char header[HEADER_SIZE];
  get (header, sizeof header, 0);

  const size_t size = (size_t) 1 << decode (header + CLUSTER_BITS, 4);
  read_clusters (decode (header + L1_TABLE_OFFSET, 8),
                 decode (header + L1_SIZE, 4), size);
  read_clusters (decode (header + REFCOUNT_TABLE_OFFSET, 8),
                 decode (header + REFCOUNT_TABLE_CLUSTERS, 4) * (size / 8),
                 size);
  return close (fd) == 0 ? 0 : 2;
}
