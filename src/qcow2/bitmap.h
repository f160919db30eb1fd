/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A persistent bitmap as its directory entry describes it: qcow2
 * specification, section "Bitmaps". */

#pragma once

#include "qcow2/header.h"

G_BEGIN_DECLS

/* Bits of flags. */
#define QCOW2_BITMAP_IN_USE (1u << 0)
#define QCOW2_BITMAP_AUTO (1u << 1)
#define QCOW2_BITMAP_EXTRA_DATA_COMPATIBLE (1u << 2)
#define QCOW2_BITMAP_KNOWN_FLAGS ((1u << 3) - 1)

/* The fixed part of an entry of the bitmap directory, in bytes. */
#define QCOW2_BITMAP_HEAD_LENGTH 24

/* The largest number of bytes of bitmap data that QEMU accepts
 * (block/qcow2-bitmap.c: BME_MAX_PHYS_SIZE). */
#define QCOW2_QEMU_MAX_BITMAP_SIZE (512 * 1024 * 1024)

/* QEMU, block/qcow2-bitmap.c: BME_MIN_GRANULARITY_BITS,
 * BME_MAX_GRANULARITY_BITS. */
#define QCOW2_QEMU_MIN_GRANULARITY_BITS 9
#define QCOW2_QEMU_MAX_GRANULARITY_BITS 31

/* Value of type. */
#define QCOW2_BITMAP_DIRTY_TRACKING 1

/* Number of bytes of extra data that are kept for messages. */
#define QCOW2_BITMAP_EXTRA_PREVIEW 32

/* Numbers of table entries by type.  RESERVED counts entries of any type with
 * bits set that must be 0. */
typedef struct
{
  guint64 serialized;
  guint64 all_ones;
  guint64 all_zeroes;
  guint64 reserved;
} Qcow2TableCounts;

typedef enum
{
  QCOW2_BITMAP_STATE_UNKNOWN, /* not checked yet */
  QCOW2_BITMAP_STATE_DAMAGED,
  QCOW2_BITMAP_STATE_STALE,
  QCOW2_BITMAP_STATE_IN_USE,
  QCOW2_BITMAP_STATE_DISABLED,
  QCOW2_BITMAP_STATE_ENABLED,
  QCOW2_BITMAP_STATE_IN_USE_WRITER /* only in text output: a writer has the
                                      image open */
} Qcow2BitmapState;

/* The result of the check of a bitmap and its table. */
typedef struct
{
  guint32 state;       /* Qcow2BitmapState */
  gboolean has_writer; /* in use, and a writer has the image open */
  guint32 usable;      /* gboolean: sound, in an image that QEMU opens */

  gboolean is_table_refused; /* QEMU does not load the table, for what is in
                                it */
  gboolean has_counts; /* COUNTS are known: the whole table was examined */
  Qcow2TableCounts counts;
  guint64 disk_bytes;  /* size of table and data clusters, or QCOW2_ABSENT */
  guint64 dirty_bytes; /* of the guest disk, or QCOW2_ABSENT */
} Qcow2BitmapResult;

#define QCOW2_BITMAP_RESULT_INIT                                              \
  {                                                                           \
    .disk_bytes = QCOW2_ABSENT, .dirty_bytes = QCOW2_ABSENT                   \
  }

typedef struct
{
  /* On disk, in this order. */
  guint64 bitmap_table_offset; /* host */
  guint32 bitmap_table_size;   /* entries */
  guint32 flags;
  guint8 type;
  guint8 granularity_bits;
  guint16 name_size;       /* bytes */
  guint32 extra_data_size; /* bytes */

  guint64 index;
  guint64 file_offset; /* host, of the entry */
  GBytes *name;        /* NULL if the directory or the file truncates it */
  guint64 name_offset; /* host */
  guint8 extra_data[QCOW2_BITMAP_EXTRA_PREVIEW]; /* the first bytes of it */
  guint64 bad_padding; /* host, of the first byte that is not 0, or 0 */
  gboolean padding_truncated;
  gboolean truncated_by_file; /* the entry fits into the directory but not into
                                 the file: QEMU reads zeroes for the rest */

  guint64 granularity; /* bytes, or QCOW2_ABSENT */

  Qcow2BitmapResult result; /* QCOW2_BITMAP_RESULT_INIT until it is checked */
} Qcow2Bitmap;

/* Numbers of requested bitmaps by state. */
typedef struct
{
  guint64 enabled;
  guint64 disabled;
  guint64 in_use;
  guint64 stale;
  guint64 damaged;
  gboolean is_complete; /* all requested bitmaps could be examined */
} Qcow2BitmapSummary;

extern const Qcow2Field qcow2_bitmap_summary_fields[];

extern const Qcow2Label qcow2_bitmap_states[];
extern const Qcow2Record qcow2_bitmap_record;
extern const Qcow2Field qcow2_bitmap_size_fields[];
extern const Qcow2Field qcow2_bitmap_table_fields[];
extern const Qcow2Field qcow2_table_counts_fields[];

gboolean qcow2_bitmap_read_head (Qcow2Bitmap *bitmap, ByteWindow *window,
                                 GError **error);
void qcow2_bitmap_clear (Qcow2Bitmap *bitmap);
Qcow2BitmapState qcow2_bitmap_get_shown_state (const Qcow2Bitmap *bitmap);
const char *qcow2_bitmap_get_state_word (const Qcow2Bitmap *bitmap);
void qcow2_bitmap_set_state (Qcow2Bitmap *bitmap, Qcow2BitmapState state);
gboolean qcow2_bitmap_is_sound (const Qcow2Bitmap *bitmap);
guint64 qcow2_bitmap_get_n_bits (const Qcow2Bitmap *bitmap,
                                 const Qcow2Header *header);
gboolean qcow2_bitmap_get_data_size (const Qcow2Bitmap *bitmap,
                                     const Qcow2Header *header, guint64 *size);
guint64 qcow2_header_size_to_clusters (const Qcow2Header *header,
                                       guint64 data_size);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2Bitmap, qcow2_bitmap_clear)

G_END_DECLS
