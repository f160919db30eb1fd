/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A reference to clusters of an image file, and the structure that they belong
 * to. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The contents of clusters. */
typedef enum
{
  QCOW2_OWNER_HEADER,
  QCOW2_OWNER_L1_TABLE,
  QCOW2_OWNER_REFCOUNT_TABLE,
  QCOW2_OWNER_REFCOUNT_BLOCK,
  QCOW2_OWNER_SNAPSHOT_TABLE,
  QCOW2_OWNER_SNAPSHOT_L1_TABLE,
  QCOW2_OWNER_CRYPTO_HEADER,
  QCOW2_OWNER_DIRECTORY,
  QCOW2_OWNER_TABLE, /* of a bitmap, as is the next one */
  QCOW2_OWNER_BITS,
  QCOW2_OWNER_L2_TABLE,
  QCOW2_OWNER_GUEST /* data of the guest's disk */
} Qcow2Owner;

/* A reference to a range of the file. */
typedef struct
{
  Qcow2Owner owner;
  guint64 offset;  /* host, bytes */
  guint64 size;    /* bytes */
  guint64 pointer; /* host offset of the field or entry that refers to it */
  guint64 index;   /* of the bitmap or the snapshot, or QCOW2_NO_INDEX */
  guint64 guest;   /* guest offset of an L2 table or of data */
} Qcow2Reference;

const char *qcow2_owner_get_name (Qcow2Owner owner);
char *qcow2_reference_describe (const Qcow2Reference *reference);

G_END_DECLS
