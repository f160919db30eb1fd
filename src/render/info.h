/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints what qemu-img info prints about a qcow2 image, as JSON or text. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/header.h"
#include "qcow2/luks.h"
#include "qcow2/snapshot-walk.h"
#include "render/qemu-tree.h"

G_BEGIN_DECLS

/* The image, except for its snapshots and bitmaps. */
typedef struct
{
  const char *filename;  /* as it was opened */
  const char *full_name; /* by which the backing file is opened, or NULL */
  const Qcow2Header *header;
  gboolean extensions_ignored; /* QEMU reads no header extension */
  const Qcow2Luks *luks;       /* or NULL */
  guint64 file_size;           /* in QEMU, bytes */
  guint64 disk_size;           /* bytes of the disk that the file takes, or
                                  QCOW2_ABSENT */
  gboolean is_device;          /* the file is a block device */
  gboolean with_children;      /* print the file as a child of the image */
  GBytes *refusal; /* QEMU's message if it refuses to open the image,
                      or NULL */
} InfoFacts;

/* A layer of a chain about which only the file is known. */
typedef struct
{
  const char *filename; /* as it was opened */
  const char *format;   /* that its overlay states, or NULL */
  gboolean is_raw;      /* the next two are those of the disk */
  guint64 file_size;    /* in QEMU, bytes */
  guint64 disk_size;    /* bytes of the disk that the file takes, or
                           QCOW2_ABSENT */
  const char *error;    /* why nothing else is known */
} InfoUnshown;

/* The output for an image.  Snapshots and bitmaps are added one by one, in
 * this order, between info_begin () and info_end (). */
typedef struct Info Info;

Info *info_begin (const InfoFacts *facts, QemuTree *tree, GString *out);
void info_add_snapshot (Info *info, const Qcow2Snapshot *snapshot);
void info_begin_data (Info *info);
void info_add_bitmap (Info *info, const Qcow2Bitmap *bitmap);
void info_end (Info *info);
void info_print_unshown (const InfoUnshown *layer, QemuTree *tree,
                         GString *out);

G_END_DECLS
