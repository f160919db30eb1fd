/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/l1-table.h"

#include "qcow2/l2-table.h"

#define TABLE "table of offsets"
#define L2_TABLE "L2 table"

#define L1(member, format, first, n, ...)                                     \
  QCOW2_PACKED (Qcow2L1Entry, member, format, first, n, __VA_ARGS__)

/* The row that is used here. */
enum
{
  OFFSET
};

/* qcow2 spec, cluster mapping. */
/* clang-format off */
static const Qcow2Field l1_fields[] = {
  [OFFSET] = L1 (offset, QCOW2_HEX, 9, 47, .in_place = TRUE),
  L1 (reserved_low, QCOW2_HIDDEN, 0, 9, .in_place = TRUE),
  L1 (reserved_high, QCOW2_HIDDEN, 56, 7, .in_place = TRUE),
  L1 (copied, QCOW2_BOOL, 63, 1),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_l1_entry_record = {
  .name = "L1 table", .fields = l1_fields, .packed_size = QCOW2_ENTRY_LENGTH
};

/* The most bytes of L2 tables that are read. */
#define MAX_L2_BYTES (256 * 1024 * 1024)

/* Returns the offset in ENTRIES of the first entry at AT or later that is not
 * 0, or LEN if there is none.  AT and LEN are in bytes. */
static gsize
skip_zeroes (const guint8 *entries, gsize at, gsize len)
{
  at += qcow2_count_zeroes (entries + at, len - at);
  return at - at % QCOW2_ENTRY_LENGTH;
}

/* Passes the entry at host offset POINTER, which the file truncates or does
 * not have, as qcow2_offsets_walk () does. */
static gboolean
walk_truncated (ByteWindow *window, guint64 pointer, guint64 mask,
                Qcow2OffsetFunc func, gpointer data, GError **error)
{
  guint8 entry[QCOW2_ENTRY_LENGTH];

  if (!byte_window_copy (window, pointer, entry, sizeof entry, TABLE, error))
    return FALSE;

  const guint64 offset = qcow2_load_be64 (entry) & mask;
  return offset == 0
         || func (offset, pointer, data, error) != QCOW2_NEXT_FAILED;
}

/* Calls FUNC with DATA for each entry of a table of offsets that is not 0
 * under MASK.  The table has BYTES bytes and starts at host offset START of
 * SOURCE.  Bytes after the end of the file count as zeroes, as for QEMU.
 * Fails with QCOW2_ERROR_READ, or as FUNC does. */
gboolean
qcow2_offsets_walk (ByteSource *source, guint64 start, guint64 bytes,
                    guint64 mask, Qcow2OffsetFunc func, gpointer data,
                    GError **error)
{
  const guint64 size = byte_source_get_size (source);
  const guint64 in_file = MIN (bytes, size - MIN (start, size));
  const guint64 n = in_file / QCOW2_ENTRY_LENGTH;
  g_autoptr (ByteWindow) window = byte_window_new (source, start + in_file);

  for (guint64 i = 0; i < n;)
    {
      gsize len;
      const guint8 *entries = byte_window_get_available (
          window, start + i * QCOW2_ENTRY_LENGTH, QCOW2_ENTRY_LENGTH,
          BYTE_WINDOW_SIZE, &len, TABLE, error);

      if (entries == NULL)
        return FALSE;

      for (gsize at = skip_zeroes (entries, 0, len); at < len;
           at = skip_zeroes (entries, at + QCOW2_ENTRY_LENGTH, len))
        {
          const guint64 offset = qcow2_load_be64 (entries + at) & mask;

          if (offset == 0)
            continue;

          const Qcow2Next next = func (
              offset, start + i * QCOW2_ENTRY_LENGTH + at, data, error);
          if (next != QCOW2_NEXT_ITEM)
            return next == QCOW2_NEXT_END;
        }
      i += len / QCOW2_ENTRY_LENGTH;
    }

  return n == bytes / QCOW2_ENTRY_LENGTH
         || walk_truncated (window, start + n * QCOW2_ENTRY_LENGTH, mask, func,
                            data, error);
}

/* Calls FUNC with DATA for each entry of the active L1 table of IMAGE that
 * points to an L2 table.  Entries outside the file are ignored.  If the table
 * is larger than QEMU allows, only the entries that the disk needs are read.
 * Fails with QCOW2_ERROR_READ, or as FUNC does. */
gboolean
qcow2_l1_table_walk (const Qcow2Image *image, Qcow2OffsetFunc func,
                     gpointer data, GError **error)
{
  const Qcow2Header *h = &image->header;
  guint64 bytes = (guint64) h->l1_size * QCOW2_ENTRY_LENGTH;

  if (h->cluster_size == QCOW2_ABSENT
      || h->l1_table_offset % h->cluster_size != 0)
    return TRUE;

  if (bytes > QCOW2_MAX_L1_BYTES)
    bytes = MIN (qcow2_header_get_n_l1_needed (h) * QCOW2_ENTRY_LENGTH,
                 QCOW2_MAX_L1_BYTES);

  return qcow2_offsets_walk (image->source, h->l1_table_offset, bytes,
                             qcow2_field_get_mask (&l1_fields[OFFSET]), func,
                             data, error);
}

/* A search for guest clusters that start at host offset END or later. */
typedef struct
{
  const Qcow2Image *image;
  ByteWindow *window;
  guint64 end;
  guint64 reached;    /* highest host offset of such a cluster so far, or 0 */
  guint64 bytes_left; /* of MAX_L2_BYTES */
} Search;

/* A Qcow2OffsetFunc: searches the L2 table at host offset OFFSET. */
static Qcow2Next
search_l2_table (guint64 offset, guint64 pointer G_GNUC_UNUSED, gpointer data,
                 GError **error)
{
  Search *search = data;
  const Qcow2Header *h = &search->image->header;
  const guint64 file_size = byte_source_get_size (search->image->source);
  const gsize step = qcow2_l2_get_entry_size (h);
  const guint64 left = file_size - MIN (offset, file_size);
  const guint64 bytes = MIN (h->cluster_size, left) / step * step;

  if (offset % h->cluster_size != 0)
    return QCOW2_NEXT_ITEM;
  if (bytes > search->bytes_left)
    return QCOW2_NEXT_END;

  search->bytes_left -= bytes;
  byte_window_set_end (search->window, offset + bytes);
  for (guint64 done = 0; done < bytes;)
    {
      gsize len;
      const guint8 *entries = byte_window_get_available (
          search->window, offset + done, step, BYTE_WINDOW_SIZE, &len,
          L2_TABLE, error);

      if (entries == NULL)
        return QCOW2_NEXT_FAILED;

      for (gsize at = 0; at < len; at += step)
        {
          Qcow2Mapping mapping;

          qcow2_l2_decode (h, entries + at, &mapping);
          if (mapping.offset >= search->end)
            search->reached = MAX (search->reached, mapping.offset);
        }
      done += len;
    }

  return QCOW2_NEXT_ITEM;
}

/* Stores in *REACHED the highest host offset, from END on, of a cluster that
 * the L2 tables of the active L1 table of IMAGE refer to, or 0 if there is
 * none.  Reads only L2 tables in the file, and at most 256 MiB of them.  With
 * an external data file, L2 entries refer to that file, and *REACHED is 0.
 * Fails with QCOW2_ERROR_READ. */
gboolean
qcow2_l2_tables_reach (const Qcow2Image *image, guint64 end, guint64 *reached,
                       GError **error)
{
  g_autoptr (ByteWindow) window = byte_window_new_streaming (image->source, 0);
  Search search = {
    .image = image, .window = window, .end = end, .bytes_left = MAX_L2_BYTES
  };

  *reached = 0;
  if ((image->header.incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE)
      != 0)
    return TRUE;
  if (!qcow2_l1_table_walk (image, search_l2_table, &search, error))
    return FALSE;

  *reached = search.reached;
  return TRUE;
}
