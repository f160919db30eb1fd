/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The entries of a bitmap table: qcow2 specification, section "Bitmap
 * table". */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

typedef enum
{
  QCOW2_ENTRY_SERIALIZED,
  QCOW2_ENTRY_ALL_ZEROES,
  QCOW2_ENTRY_ALL_ONES
} Qcow2EntryType;

#define QCOW2_N_ENTRY_TYPES 3

typedef struct
{
  /* On disk. */
  guint64 offset;        /* host, of the bitmap data */
  guint64 all_ones;      /* 1: without an offset, all bits are set */
  guint64 reserved_low;  /* bits 1-8, in place */
  guint64 reserved_high; /* bits 56-63, in place */

  guint64 raw; /* as on disk */
  guint64 index;
  Qcow2EntryType type;
  guint64 size;         /* bytes of bitmap data that the entry describes */
  guint64 reserved;     /* bits that are set but must be 0 */
  guint64 guest_offset; /* bytes; QCOW2_ABSENT outside the disk */
  guint64 guest_length; /* bytes; QCOW2_ABSENT outside the disk */
} Qcow2TableEntry;

extern const Qcow2Label qcow2_entry_types[];
extern const Qcow2Record qcow2_table_entry_record;

/* The largest number of entries that QEMU accepts in a table
 * (block/qcow2-bitmap.c: BME_MAX_TABLE_SIZE).  It also limits how many entries
 * of all tables together are examined, and how many are shown unless the user
 * asks for a number. */
#define QCOW2_MAX_TABLE_ENTRIES G_GUINT64_CONSTANT (0x8000000)

/* A bitmap table and what is needed to read and check its entries. */
typedef struct
{
  ByteSource *source;
  const Qcow2Header *header; /* checking needs its cluster size */
  guint64 offset;            /* host, of entry 0 */
  guint64 n_entries;         /* as declared */
  guint64 granularity;       /* bytes, or QCOW2_ABSENT */
} Qcow2Table;

Qcow2Table qcow2_image_get_table (const Qcow2Image *image,
                                  const Qcow2Bitmap *bitmap);
guint64 qcow2_table_get_n_readable (const Qcow2Table *table);
gboolean qcow2_table_count_uniform (const Qcow2Table *table,
                                    ByteWindow *window, guint64 start,
                                    guint64 n_entries, guint64 *n_zeroes,
                                    guint64 *n_ones, GError **error);
gsize qcow2_table_read (const Qcow2Table *table, ByteWindow *window,
                        guint64 start, Qcow2TableEntry *entries,
                        gsize n_entries, GError **error);
gsize qcow2_table_read_offsets (const Qcow2Table *table, ByteWindow *window,
                                guint64 start, guint64 *offsets,
                                gsize n_entries, GError **error);

G_END_DECLS
