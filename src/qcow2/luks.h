/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The LUKS partition header of an encrypted image: LUKS1 on-disk format, and
 * qcow2 specification, section "Full disk encryption header pointer". */

#pragma once

#include "qcow2/extension.h"

G_BEGIN_DECLS

/* LUKS1 on-disk format: sizes in bytes of the header with its key slots, and
 * of a sector, which is the unit of offsets. */
#define QCOW2_LUKS_LENGTH 592
#define QCOW2_LUKS_SECTOR 512

#define QCOW2_LUKS_N_SLOTS 8

/* LUKS1 on-disk format: LUKS_STRIPES, and LUKS_ALIGN_KEYSLOTS in sectors,
 * which is also the first sector that may hold key material. */
#define QCOW2_LUKS_STRIPES 4000
#define QCOW2_LUKS_ALIGNMENT 8

/* Values of the field active of a key slot. */
#define QCOW2_LUKS_SLOT_ACTIVE 0x00ac71f3
#define QCOW2_LUKS_SLOT_INACTIVE 0x0000dead

typedef struct
{
  guint32 active;
  guint32 iterations;
  guint8 salt[32];
  guint32 key_material_offset; /* sectors, from the start of the header */
  guint32 stripes;
} Qcow2LuksSlot;

/* The LUKS header.  Digest, salts and UUID are not checked: that takes the
 * secret. */
typedef struct
{
  guint8 magic[6];
  guint16 version;
  char cipher_name[32]; /* valid names are NUL-terminated */
  char cipher_mode[32];
  char hash_spec[32];
  guint32 payload_offset; /* sectors */
  guint32 key_bytes;
  guint8 mk_digest[20];
  guint8 mk_digest_salt[32];
  guint32 mk_digest_iter;
  char uuid[40];

  Qcow2LuksSlot slots[QCOW2_LUKS_N_SLOTS]; /* follow on disk */
} Qcow2Luks;

/* The words in a LUKS header, one by one.  Each is NULL if the header does not
 * have it. */
typedef struct
{
  char *cipher;     /* such as "aes" */
  char *mode;       /* such as "cbc" */
  char *ivgen;      /* generator of initial vectors, such as "essiv" */
  char *ivgen_hash; /* such as "sha256" */
  char *hash;
  char *uuid;
} Qcow2LuksWords;

extern const Qcow2Record qcow2_luks_record; /* without the slots */
extern const Qcow2Record qcow2_luks_slot_record;

gboolean qcow2_luks_is_located (const Qcow2Extension *extension,
                                const Qcow2Header *header);
gboolean qcow2_luks_read (ByteSource *source, guint64 offset, Qcow2Luks *luks,
                          GError **error);

guint qcow2_luks_get_slot_offset (guint slot);
void qcow2_luks_get_words (const Qcow2Luks *luks, Qcow2LuksWords *words);
void qcow2_luks_words_clear (Qcow2LuksWords *words);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Qcow2LuksWords, qcow2_luks_words_clear)

G_END_DECLS
