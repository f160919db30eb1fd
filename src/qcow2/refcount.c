/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/refcount.h"

#include <string.h>

#include "qcow2/arithmetic.h"

#define TABLE "refcount table"
#define BLOCK "refcount block"

/* The number of table entries that are read at a time in a search that starts
 * at the end of the table. */
#define ENTRIES_BACKWARDS 4096

/* The number of refcounts that are compared at a time, a multiple of 8. */
#define REFCOUNTS_AT_A_TIME 128

/* The largest size of a refcount, in bytes. */
#define MAX_REFCOUNT_SIZE 8

#define F(member, format, first, n)                                           \
  QCOW2_PACKED (Qcow2RefcountEntry, member, format, first, n, .in_place = TRUE)

/* qcow2 spec, refcount table entry. */
/* clang-format off */
static const Qcow2Field fields[] = {
  F (offset, QCOW2_HEX, 9, 55),
  F (reserved, QCOW2_HIDDEN, 0, 9),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_refcount_entry_record
    = { .name = TABLE, .fields = fields, .packed_size = QCOW2_ENTRY_LENGTH };

struct Qcow2Refcounts
{
  ByteSource *source;
  guint64 cluster_size; /* bytes */
  guint bits;           /* of a refcount */
  guint64 table;        /* host offset */
  guint64 n_blocks;     /* entries of the table in the file */
  guint64 n_used;       /* N_BLOCKS without those known to be 0 at the end */
  guint64 n_entries;    /* N_BLOCKS with one that the file truncates */
  guint64 block_covers; /* clusters */
  ByteWindow *on_table;
  ByteWindow *on_block;
  guint64 block; /* host offset of the block that was read last */
  guint64 work;  /* see qcow2_refcounts_get_work () */
};

/* Returns whether refcounts of IMAGE can be read.  If not, QEMU does not open
 * the image because of its cluster size, refcount width or refcount table:
 * HDR-04, HDR-18 or HDR-28. */
gboolean
qcow2_refcounts_are_usable (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;

  return h->cluster_size != QCOW2_ABSENT && h->refcount_bits != QCOW2_ABSENT
         && h->refcount_table_offset % h->cluster_size == 0
         && h->refcount_table_clusters * h->cluster_size
                <= QCOW2_MAX_REFTABLE_BYTES;
}

/* Returns the refcounts of IMAGE, which must outlive them.  The cluster size
 * must be known.  If the refcounts are not usable, only
 * qcow2_refcounts_find_used () may be called.  Like QEMU, takes the header for
 * the table if the table is at offset 0, and bytes after the end of the file
 * for zeroes.  A table that is too large ends where QEMU's limit is. */
Qcow2Refcounts *
qcow2_refcounts_new (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;
  const guint64 file_size = byte_source_get_size (image->source);
  const guint64 bytes = MIN (h->refcount_table_clusters * h->cluster_size,
                             QCOW2_MAX_REFTABLE_BYTES);
  const guint64 left = file_size - MIN (h->refcount_table_offset, file_size);
  const guint64 in_file = MIN (bytes, left);

  Qcow2Refcounts *refcounts = g_new0 (Qcow2Refcounts, 1);
  refcounts->source = image->source;
  refcounts->cluster_size = h->cluster_size;
  refcounts->table = h->refcount_table_offset;
  refcounts->n_blocks = in_file / QCOW2_ENTRY_LENGTH;
  refcounts->n_used = refcounts->n_blocks;
  refcounts->n_entries = qcow2_divide_up (in_file, QCOW2_ENTRY_LENGTH);
  refcounts->on_table
      = byte_window_new_streaming (image->source, refcounts->table + in_file);
  refcounts->on_block = byte_window_new_streaming (image->source, 0);
  if (h->refcount_bits != QCOW2_ABSENT)
    {
      refcounts->bits = (guint) h->refcount_bits;
      refcounts->block_covers = h->cluster_size * 8 / h->refcount_bits;
    }
  return refcounts;
}

guint64
qcow2_refcounts_get_n_blocks (const Qcow2Refcounts *refcounts)
{
  return refcounts->n_blocks;
}

/* Returns the number of the first cluster after those whose refcounts are in
 * the same block as that of CLUSTER, a cluster number. */
guint64
qcow2_refcounts_get_block_end (const Qcow2Refcounts *refcounts,
                               guint64 cluster)
{
  return cluster + refcounts->block_covers - cluster % refcounts->block_covers;
}

/* Returns a measure of the work done so far: the number of refcounts that were
 * compared, plus 1024 for each block that was read. */
guint64
qcow2_refcounts_get_work (const Qcow2Refcounts *refcounts)
{
  return refcounts->work;
}

/* Advances *INDEX to the first table entry, from *INDEX on, that is not 0, or
 * to the end of the table.  Fails with QCOW2_ERROR_READ; *INDEX is then the
 * index of an unreadable entry. */
gboolean
qcow2_refcounts_skip_unused (Qcow2Refcounts *refcounts, guint64 *index,
                             GError **error)
{
  const guint64 start = *index;

  while (*index < refcounts->n_used)
    {
      gsize n;
      const guint8 *bytes = byte_window_get_available (
          refcounts->on_table, refcounts->table + *index * QCOW2_ENTRY_LENGTH,
          QCOW2_ENTRY_LENGTH, BYTE_WINDOW_SIZE, &n, TABLE, error);

      if (bytes == NULL)
        return FALSE;

      const gsize n_zeroes = qcow2_count_zeroes (bytes, n);
      *index += n_zeroes / QCOW2_ENTRY_LENGTH;
      if (n_zeroes < n)
        return TRUE;
    }

  refcounts->n_used = MIN (start, refcounts->n_used);
  *index = MAX (start, refcounts->n_blocks);
  return TRUE;
}

/* Stores entry INDEX of the table, which is in the file or truncated by it, in
 * *ENTRY.  Fails with QCOW2_ERROR_READ. */
static gboolean
read_entry (Qcow2Refcounts *refcounts, guint64 index,
            Qcow2RefcountEntry *entry, GError **error)
{
  guint8 bytes[QCOW2_ENTRY_LENGTH];

  if (!byte_window_copy (refcounts->on_table,
                         refcounts->table + index * QCOW2_ENTRY_LENGTH, bytes,
                         sizeof bytes, TABLE, error))
    return FALSE;

  qcow2_record_decode (&qcow2_refcount_entry_record, bytes, sizeof bytes,
                       entry);
  return TRUE;
}

/* Advances *INDEX to the first table entry, from *INDEX on, that is not 0, and
 * stores that entry, as it is on disk, in *RAW.  Stores 0 there at the end of
 * the table.  The bytes that an entry has after the end of the file are
 * zeroes.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_refcounts_find_used (Qcow2Refcounts *refcounts, guint64 *index,
                           guint64 *raw, GError **error)
{
  Qcow2RefcountEntry entry = { .offset = 0 };

  if (!qcow2_refcounts_skip_unused (refcounts, index, error)
      || (*index < refcounts->n_entries
          && !read_entry (refcounts, *index, &entry, error)))
    return FALSE;

  *raw = entry.offset | entry.reserved;
  return TRUE;
}

/* Stores in *OFFSET the host offset of refcount block INDEX, or 0 if there is
 * no such block or the file does not hold the whole cluster.  Stores in *RAW,
 * unless RAW is NULL, the table entry as it is on disk.  Fails with
 * QCOW2_ERROR_READ. */
gboolean
qcow2_refcounts_get_block (Qcow2Refcounts *refcounts, guint64 index,
                           guint64 *offset, guint64 *raw, GError **error)
{
  const guint64 size = byte_source_get_size (refcounts->source);
  Qcow2RefcountEntry entry;

  if (!read_entry (refcounts, index, &entry, error))
    return FALSE;

  const guint64 block = entry.offset;
  const gboolean whole = block % refcounts->cluster_size == 0 && block < size
                         && refcounts->cluster_size <= size - block;
  *offset = whole ? block : 0;
  if (raw != NULL)
    *raw = entry.offset | entry.reserved;
  return TRUE;
}

/* Returns whether the REFCOUNTS_AT_A_TIME refcounts at BYTES, of BITS bits
 * each, are equal. */
static gboolean
are_equal (const guint8 *bytes, guint bits)
{
  const gsize unit = MAX (bits / 8, 1);
  const gsize len = (gsize) REFCOUNTS_AT_A_TIME * bits / 8;

  for (guint i = 1; i < 8 / bits; i++)
    {
      if (qcow2_refcount_load (bytes, i, bits)
          != qcow2_refcount_load (bytes, 0, bits))
        return FALSE;
    }

  return memcmp (bytes, bytes + unit, len - unit) == 0;
}

/* Returns how many of the N refcounts from refcount FIRST of BYTES on are
 * equal to it.  They have BITS bits each. */
static guint64
count_alike (const guint8 *bytes, guint64 first, guint64 n, guint bits)
{
  const guint64 refcount = qcow2_refcount_load (bytes, first, bits);
  guint64 alike = 1;

  while (alike < n
         && qcow2_refcount_load (bytes, first + alike, bits) == refcount)
    {
      const guint64 next = first + alike;
      const gboolean is_run = next % 8 == 0 && n - alike >= REFCOUNTS_AT_A_TIME
                              && are_equal (bytes + next * bits / 8, bits);

      alike += is_run ? REFCOUNTS_AT_A_TIME : 1;
    }

  return alike;
}

/* Stores in *REFCOUNT refcount INDEX of the block at host offset BLOCK.
 * Stores in *N_ALIKE how many of the N refcounts from INDEX on are known to be
 * equal to it. */
static gboolean
read_alike (Qcow2Refcounts *refcounts, guint64 block, guint64 index, guint64 n,
            guint64 *refcount, guint64 *n_alike, GError **error)
{
  const guint bits = refcounts->bits;
  const guint64 size = byte_source_get_size (refcounts->source);
  const guint64 len = MIN (refcounts->cluster_size, size - MIN (block, size));
  const guint64 at = index * bits / 8;
  const guint64 skipped = index - at * 8 / bits;
  const guint64 n_bytes
      = MIN (len - MIN (at, len), (guint64) BYTE_WINDOW_SIZE);
  const guint64 n_there = n_bytes * 8 / bits;
  const guint64 n_whole = MIN (n, n_there - MIN (skipped, n_there));

  byte_window_set_end (refcounts->on_block, block + len);
  if (n_whole == 0)
    {
      /* The file truncates this refcount, or has none from here on. */
      guint8 number[MAX_REFCOUNT_SIZE];

      if (!byte_window_copy (refcounts->on_block, block + at, number,
                             sizeof number, BLOCK, error))
        return FALSE;

      *refcount = qcow2_refcount_load (number, 0, bits);
      *n_alike = n_bytes == 0 ? n : 1;
      return TRUE;
    }

  gsize n_held;
  const guint8 *bytes = byte_window_get_available (
      refcounts->on_block, block + at, (gsize) MAX (bits / 8, 1),
      (gsize) n_bytes, &n_held, BLOCK, error);
  if (bytes == NULL)
    return FALSE;

  const guint64 n_known = MIN (n_whole, n_held * 8 / bits - skipped);
  *refcount = qcow2_refcount_load (bytes, skipped, bits);
  *n_alike = count_alike (bytes, skipped, n_known, bits);
  refcounts->work += *n_alike + (block != refcounts->block ? 1024 : 0);
  refcounts->block = block;
  return TRUE;
}

/* Stores in *REFCOUNT the refcount of CLUSTER, a cluster number.  Stores in
 * *N_ALIKE how many of the N_CLUSTERS clusters from CLUSTER on are known to
 * have the same refcount; more of them may have it.  Clusters without a
 * refcount block have the refcount 0.  So have those whose block QEMU does not
 * read: it is not at the start of a cluster, or ends after the largest file.
 * Unless IS_READABLE is NULL, stores FALSE there for them, and TRUE for
 * others.  Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_refcounts_get (Qcow2Refcounts *refcounts, guint64 cluster,
                     guint64 n_clusters, guint64 *refcount, guint64 *n_alike,
                     gboolean *is_readable, GError **error)
{
  const guint64 covers = refcounts->block_covers;
  const guint64 index = cluster / covers;
  const guint64 n = MIN (n_clusters, covers - cluster % covers);
  Qcow2RefcountEntry entry = { .offset = 0 };

  if (is_readable != NULL)
    *is_readable = TRUE;
  if (index >= refcounts->n_entries)
    {
      *refcount = 0;
      *n_alike = n_clusters;
      return TRUE;
    }
  if (!read_entry (refcounts, index, &entry, error))
    return FALSE;

  const gboolean is_block
      = entry.offset % refcounts->cluster_size == 0
        && entry.offset <= QCOW2_QEMU_MAX_LENGTH - refcounts->cluster_size;
  if (entry.offset != 0 && is_block)
    return read_alike (refcounts, entry.offset, cluster % covers, n, refcount,
                       n_alike, error);

  if (is_readable != NULL)
    *is_readable = is_block;
  *refcount = 0;
  *n_alike = n;
  return TRUE;
}

/* Returns the length of the LEN bytes at BYTES without trailing zeroes.  LEN
 * is a multiple of 8. */
static gsize
strip_zeroes (const guint8 *bytes, gsize len)
{
  while (len > 0 && qcow2_load_word (bytes + len - 8) == 0)
    len -= 8;
  while (len > 0 && bytes[len - 1] == 0)
    len--;

  return len;
}

/* Returns the number of refcounts, of BITS bits each, in the LEN bytes at
 * BYTES without trailing refcounts of 0.  LEN is a multiple of 8. */
static guint64
count_without_zeroes (const guint8 *bytes, gsize len, guint bits)
{
  const gsize left = strip_zeroes (bytes, len);

  if (left == 0)
    return 0;
  if (bits >= 8)
    return (left - 1) / (bits / 8) + 1;

  /* The lowest bits of a byte are its first refcount. */
  const guint per_byte = 8 / bits;
  const guint last = (guint) g_bit_nth_msf (bytes[left - 1], -1) / bits;
  return (left - 1) * per_byte + last + 1;
}

/* Stores in *END the number of the last cluster with a refcount other than 0
 * in block INDEX at host offset BLOCK, plus 1; 0 if there is none.  Fails with
 * QCOW2_ERROR_READ. */
static gboolean
find_last_in_block (Qcow2Refcounts *refcounts, guint64 block, guint64 index,
                    guint64 *end, GError **error)
{
  const guint bits = refcounts->bits;

  *end = 0;
  byte_window_set_end (refcounts->on_block, block + refcounts->cluster_size);
  for (guint64 done = 0; done < refcounts->cluster_size;)
    {
      const gsize len = (gsize) MIN (refcounts->cluster_size - done,
                                     (guint64) BYTE_WINDOW_SIZE / 2);
      const guint64 first = refcounts->cluster_size - done - len;
      const guint8 *bytes = byte_window_get (refcounts->on_block,
                                             block + first, len, BLOCK, error);
      if (bytes == NULL)
        return FALSE;

      const guint64 n = count_without_zeroes (bytes, len, bits);
      if (n > 0)
        {
          *end = index * refcounts->block_covers + first * 8 / bits + n;
          return TRUE;
        }
      done += len;
    }

  return TRUE;
}

/* Stores in *INDEX the index of the last table entry before entry *INDEX that
 * is not 0, plus 1; 0 if there is none.  Fails with QCOW2_ERROR_READ. */
static gboolean
find_used_before (Qcow2Refcounts *refcounts, guint64 *index, GError **error)
{
  while (*index > 0)
    {
      const guint64 first
          = (*index - 1) / ENTRIES_BACKWARDS * ENTRIES_BACKWARDS;
      const gsize len = (gsize) (*index - first) * QCOW2_ENTRY_LENGTH;
      const guint8 *bytes = byte_window_get (
          refcounts->on_table, refcounts->table + first * QCOW2_ENTRY_LENGTH,
          len, TABLE, error);

      if (bytes == NULL)
        return FALSE;

      const gsize left = strip_zeroes (bytes, len);
      *index = first + (left + QCOW2_ENTRY_LENGTH - 1) / QCOW2_ENTRY_LENGTH;
      if (left > 0)
        return TRUE;
    }

  return TRUE;
}

/* Stores in *END the number of the last cluster with a refcount other than 0,
 * plus 1; 0 if none was found.  Searches at most MAX_BLOCKS refcount blocks,
 * from the last one backwards.  Blocks outside the file are skipped.  Fails
 * with QCOW2_ERROR_READ. */
gboolean
qcow2_refcounts_find_end (Qcow2Refcounts *refcounts, guint max_blocks,
                          guint64 *end, GError **error)
{
  guint64 index = refcounts->n_used;

  *end = 0;
  while (*end == 0 && max_blocks > 0)
    {
      guint64 block;

      if (!find_used_before (refcounts, &index, error))
        return FALSE;
      if (index == 0)
        return TRUE;

      index--;
      if (!qcow2_refcounts_get_block (refcounts, index, &block, NULL, error))
        return FALSE;
      if (block == 0)
        continue;

      max_blocks--;
      if (!find_last_in_block (refcounts, block, index, end, error))
        return FALSE;
    }

  return TRUE;
}

void
qcow2_refcounts_free (Qcow2Refcounts *refcounts)
{
  if (refcounts == NULL)
    return;

  byte_window_free (refcounts->on_table);
  byte_window_free (refcounts->on_block);
  g_free (refcounts);
}
