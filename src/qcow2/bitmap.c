/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/bitmap.h"

#include "qcow2/arithmetic.h"

static const Qcow2Label flag_bits[] = {
  { 0, "in-use" },
  { 1, "auto" },
  { 2, "extra-data-compatible" },
  { 0, NULL },
};

const Qcow2Label qcow2_bitmap_states[] = {
  { QCOW2_BITMAP_STATE_DAMAGED, "damaged" },
  { QCOW2_BITMAP_STATE_STALE, "stale" },
  { QCOW2_BITMAP_STATE_IN_USE, "in-use" },
  { QCOW2_BITMAP_STATE_IN_USE_WRITER, "in-use (writer present)" },
  { QCOW2_BITMAP_STATE_DISABLED, "disabled" },
  { QCOW2_BITMAP_STATE_ENABLED, "enabled" },
  { 0, NULL },
};

#define F(member, ...) QCOW2_STORED (Qcow2Bitmap, member, __VA_ARGS__)
#define D(member, ...)                                                        \
  QCOW2_DERIVED (Qcow2Bitmap, #member, member, __VA_ARGS__)

#define R(member, ...)                                                        \
  QCOW2_DERIVED (Qcow2Bitmap, #member, result.member, __VA_ARGS__)

#define C(member) QCOW2_DERIVED (Qcow2TableCounts, #member, member, QCOW2_DEC)
#define S(member)                                                             \
  QCOW2_DERIVED (Qcow2BitmapSummary, #member, member, QCOW2_DEC)

/* clang-format off */
static const Qcow2Field fields[] = {
  D (index, QCOW2_DEC, .text = ""),
  D (name, QCOW2_STRING, .text = "Bitmap name", .absent = "<unreadable>"),
  F (bitmap_table_offset, QCOW2_HEX),
  F (bitmap_table_size, QCOW2_DEC),
  F (flags, QCOW2_BITS, .labels = flag_bits),
  F (type, QCOW2_DEC),
  F (granularity_bits, QCOW2_DEC),
  F (name_size, QCOW2_DEC),
  F (extra_data_size, QCOW2_DEC),
  D (granularity, QCOW2_DEC, .text = ""),
  R (state, QCOW2_NAME, .labels = qcow2_bitmap_states),
  R (usable, QCOW2_BOOL, .text = ""),
  QCOW2_FIELD_END
};
/* These follow the counts of the table.  In text they come last. */
const Qcow2Field qcow2_bitmap_size_fields[] = {
  R (disk_bytes, QCOW2_DEC, .text = ""),
  R (dirty_bytes, QCOW2_DEC),
  D (file_offset, QCOW2_HEX),
  QCOW2_FIELD_END
};

/* The heading of a table that is shown alone. */
const Qcow2Field qcow2_bitmap_table_fields[] = {
  D (index, QCOW2_DEC, .text = ""),
  D (name, QCOW2_STRING, .text = "Bitmap name", .absent = "<unreadable>"),
  F (bitmap_table_offset, QCOW2_HEX, .text = ""),
  F (bitmap_table_size, QCOW2_DEC, .text = ""),
  QCOW2_FIELD_END
};

const Qcow2Field qcow2_table_counts_fields[] = {
  C (serialized),
  C (all_ones),
  C (all_zeroes),
  C (reserved),
  QCOW2_FIELD_END
};

const Qcow2Field qcow2_bitmap_summary_fields[] = {
  S (enabled),
  S (disabled),
  S (in_use),
  S (stale),
  S (damaged),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_bitmap_record
    = { .name = "bitmap directory", .fields = fields };

/* Decodes the fields of BITMAP at its file_offset.  Fields after the end of
 * WINDOW are decoded as zeroes.  Fails with
 * QCOW2_ERROR_READ.  (qcow2 spec, bitmap directory.) */
gboolean
qcow2_bitmap_read_head (Qcow2Bitmap *bitmap, ByteWindow *window,
                        GError **error)
{
  guint8 head[QCOW2_BITMAP_HEAD_LENGTH];

  if (!byte_window_copy (window, bitmap->file_offset, head, sizeof head,
                         qcow2_bitmap_record.name, error))
    return FALSE;

  qcow2_record_decode (&qcow2_bitmap_record, head, sizeof head, bitmap);
  bitmap->granularity = bitmap->granularity_bits < 64
                            ? G_GUINT64_CONSTANT (1)
                                  << bitmap->granularity_bits
                            : QCOW2_ABSENT;
  return TRUE;
}

void
qcow2_bitmap_clear (Qcow2Bitmap *bitmap)
{
  g_clear_pointer (&bitmap->name, g_bytes_unref);
}

/* Returns the state of BITMAP for text output, which tells whether a writer
 * has the image open. */
Qcow2BitmapState
qcow2_bitmap_get_shown_state (const Qcow2Bitmap *bitmap)
{
  if (bitmap->result.state == QCOW2_BITMAP_STATE_IN_USE
      && bitmap->result.has_writer)
    return QCOW2_BITMAP_STATE_IN_USE_WRITER;

  return (Qcow2BitmapState) bitmap->result.state;
}

/* Returns the state of BITMAP for text output as a single word. */
const char *
qcow2_bitmap_get_state_word (const Qcow2Bitmap *bitmap)
{
  const Qcow2BitmapState state = qcow2_bitmap_get_shown_state (bitmap);

  if (state == QCOW2_BITMAP_STATE_IN_USE_WRITER)
    return "in-use+writer";

  return qcow2_label_find (qcow2_bitmap_states, state);
}

/* Sets the state of BITMAP.  The bitmap becomes usable if STATE is sound. */
void
qcow2_bitmap_set_state (Qcow2Bitmap *bitmap, Qcow2BitmapState state)
{
  bitmap->result.state = state;
  bitmap->result.usable = qcow2_bitmap_is_sound (bitmap);
}

/* Returns whether a clear bit of BITMAP proves that its granule is clean.
 * Otherwise writes may be missing from the bitmap, so only its set bits mean
 * anything. */
gboolean
qcow2_bitmap_is_sound (const Qcow2Bitmap *bitmap)
{
  return bitmap->result.state == QCOW2_BITMAP_STATE_DISABLED
         || bitmap->result.state == QCOW2_BITMAP_STATE_ENABLED;
}

/* Returns the number of bits of BITMAP for the virtual size in HEADER: one for
 * each granule, including a partial last one.  The granularity must be
 * known. */
guint64
qcow2_bitmap_get_n_bits (const Qcow2Bitmap *bitmap, const Qcow2Header *header)
{
  return qcow2_divide_up (header->size, bitmap->granularity);
}

/* Stores in *SIZE the number of bytes of bitmap data of BITMAP for the virtual
 * size in HEADER.  Returns FALSE if granularity_bits is 64 or more. */
gboolean
qcow2_bitmap_get_data_size (const Qcow2Bitmap *bitmap,
                            const Qcow2Header *header, guint64 *size)
{
  if (bitmap->granularity == QCOW2_ABSENT)
    return FALSE;

  *size = qcow2_divide_up (qcow2_bitmap_get_n_bits (bitmap, header), 8);
  return TRUE;
}

/* Returns the number of table entries for DATA_SIZE bytes of bitmap data.  The
 * cluster size in HEADER must be known. */
guint64
qcow2_header_size_to_clusters (const Qcow2Header *header, guint64 data_size)
{
  return qcow2_divide_up (data_size, header->cluster_size);
}
