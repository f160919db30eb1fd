/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The LUKS partition header of an encrypted image: LUKS1 on-disk format, and
 * qcow2 specification, section "Full disk encryption header pointer". */

#pragma once

#include "qcow2/extension.h"

G_BEGIN_DECLS

/* LUKS1 on-disk format: sizes in bytes of the header, of a key slot in it, and
 * of a sector, which is the unit of offsets. */
#define QCOW2_LUKS_LENGTH 592
#define QCOW2_LUKS_SLOT_LENGTH 48
#define QCOW2_LUKS_SECTOR 512

#define QCOW2_LUKS_N_SLOTS 8

/* Values of the field active of a key slot. */
#define QCOW2_LUKS_SLOT_ACTIVE 0x00ac71f3
#define QCOW2_LUKS_SLOT_INACTIVE 0x0000dead

/* Byte offsets of fields, from the start of the header; those of the fields of
 * a slot (QCOW2_LUKS_AT_SLOT_...) are from the start of the slot. */
#define QCOW2_LUKS_AT_VERSION 6
#define QCOW2_LUKS_AT_CIPHER_NAME 8
#define QCOW2_LUKS_AT_CIPHER_MODE 40
#define QCOW2_LUKS_AT_HASH_SPEC 72
#define QCOW2_LUKS_AT_PAYLOAD_OFFSET 104
#define QCOW2_LUKS_AT_KEY_BYTES 108
#define QCOW2_LUKS_AT_MK_DIGEST_ITER 164
#define QCOW2_LUKS_AT_SLOTS 208
#define QCOW2_LUKS_AT_SLOT_ACTIVE 0
#define QCOW2_LUKS_AT_SLOT_ITERATIONS 4
#define QCOW2_LUKS_AT_SLOT_MATERIAL 40
#define QCOW2_LUKS_AT_SLOT_STRIPES 44

typedef struct
{
  guint32 active;
  guint32 iterations;
  guint32 key_material_offset; /* sectors, from the start of the header */
  guint32 stripes;
} Qcow2LuksSlot;

/* The LUKS header without digest, salts and UUID: the digest and salts cannot
 * be judged without the secret. */
typedef struct
{
  guint8 magic[6];
  guint16 version;
  char cipher_name[32]; /* valid names are NUL-terminated */
  char cipher_mode[32];
  char hash_spec[32];
  guint32 payload_offset; /* sectors */
  guint32 key_bytes;
  guint32 mk_digest_iter;
  Qcow2LuksSlot slots[QCOW2_LUKS_N_SLOTS];
} Qcow2Luks;

gboolean qcow2_luks_is_located (const Qcow2Extension *extension,
                                const Qcow2Header *header);
gboolean qcow2_luks_read (ByteSource *source, guint64 offset, Qcow2Luks *luks,
                          GError **error);

G_END_DECLS
