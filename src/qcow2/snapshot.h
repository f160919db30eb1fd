/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The snapshot table: qcow2 specification, section "Snapshots". */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

/* QEMU, block/qcow2.h: QCOW_MAX_SNAPSHOTS_SIZE. */
#define QCOW2_MAX_SNAPSHOT_BYTES (1024 * 65536)

/* The fixed part of an entry of the snapshot table. */
typedef struct
{
  guint64 l1_table_offset; /* host */
  guint32 l1_size;         /* entries */
  guint16 id_str_size;     /* bytes */
  guint16 name_size;       /* bytes */
  guint32 date_sec;        /* since 1970 */
  guint32 date_nsec;
  guint64 vm_clock_nsec;
  guint32 vm_state_size;   /* bytes */
  guint32 extra_data_size; /* bytes */
} Qcow2SnapshotEntry;

/* The extra data of an entry, as far as they are known. */
typedef struct
{
  guint64 vm_state_size_large; /* bytes */
  guint64 disk_size;           /* bytes */
  guint64 icount;              /* instructions, or G_MAXUINT64 */
} Qcow2SnapshotExtra;

/* The size of Qcow2SnapshotExtra on disk, in bytes. */
#define QCOW2_SNAPSHOT_EXTRA_LENGTH 24

extern const Qcow2Record qcow2_snapshot_record;
extern const Qcow2Record qcow2_snapshot_extra_record;

/* The L1 table of a snapshot. */
typedef struct
{
  guint64 offset;          /* host */
  guint64 pointer;         /* host offset of the snapshot table entry, which
                              starts with OFFSET */
  guint32 size;            /* entries; may be 0 */
  guint32 extra_data_size; /* of the snapshot table entry, in bytes */
} Qcow2SnapshotL1;

/* The properties of a snapshot table that can be determined without decoding
 * all of it. */
typedef struct
{
  guint64 size;   /* bytes of the file that the entries take, at most 64 MiB */
  guint64 needed; /* bytes of all entries, without padding after the last */
  gboolean truncated; /* the file truncates the entries */
  gboolean too_big;   /* QEMU refuses it */
  guint64 bad;    /* index of the first entry with more extra data than QEMU
                     accepts, or QCOW2_NO_INDEX */
  guint64 bad_at; /* host offset of entry BAD */
  Qcow2SnapshotEntry bad_entry;
  GArray *l1_tables; /* of Qcow2SnapshotL1, one for each snapshot */
  gboolean is_none;  /* set by others: this is no such table, and has neither
                        bytes nor L1 tables */
} Qcow2SnapshotTable;

gboolean qcow2_snapshot_table_measure (const Qcow2Image *image,
                                       Qcow2SnapshotTable *table,
                                       GError **error);
void qcow2_snapshot_table_clear (Qcow2SnapshotTable *table);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2SnapshotTable,
                                  qcow2_snapshot_table_clear)

G_END_DECLS
