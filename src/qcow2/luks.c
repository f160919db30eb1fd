/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/luks.h"

#include <string.h>

#define CRYPTO_LENGTH 16

/* A field of a structure on disk that has strings as well as numbers. */
typedef struct
{
  gsize at;         /* bytes, from the start of the structure on disk */
  gsize size;       /* bytes, on disk and in memory */
  gsize offset;     /* bytes, from the start of the decoded struct */
  gboolean is_text; /* copied as is, not a big-endian number */
} Field;

#define NUMBER(type, on_disk, member)                                         \
  {                                                                           \
    .at = (on_disk), .size = sizeof (((type *) 0)->member),                   \
    .offset = offsetof (type, member)                                         \
  }
#define TEXT(type, on_disk, member)                                           \
  {                                                                           \
    .at = (on_disk), .size = sizeof (((type *) 0)->member),                   \
    .offset = offsetof (type, member), .is_text = TRUE                        \
  }

/* clang-format off */
static const Field head_fields[] = {
  TEXT (Qcow2Luks, 0, magic),
  NUMBER (Qcow2Luks, QCOW2_LUKS_AT_VERSION, version),
  TEXT (Qcow2Luks, QCOW2_LUKS_AT_CIPHER_NAME, cipher_name),
  TEXT (Qcow2Luks, QCOW2_LUKS_AT_CIPHER_MODE, cipher_mode),
  TEXT (Qcow2Luks, QCOW2_LUKS_AT_HASH_SPEC, hash_spec),
  NUMBER (Qcow2Luks, QCOW2_LUKS_AT_PAYLOAD_OFFSET, payload_offset),
  NUMBER (Qcow2Luks, QCOW2_LUKS_AT_KEY_BYTES, key_bytes),
  NUMBER (Qcow2Luks, QCOW2_LUKS_AT_MK_DIGEST_ITER, mk_digest_iter),
};

static const Field slot_fields[] = {
  NUMBER (Qcow2LuksSlot, QCOW2_LUKS_AT_SLOT_ACTIVE, active),
  NUMBER (Qcow2LuksSlot, QCOW2_LUKS_AT_SLOT_ITERATIONS, iterations),
  NUMBER (Qcow2LuksSlot, QCOW2_LUKS_AT_SLOT_MATERIAL, key_material_offset),
  NUMBER (Qcow2LuksSlot, QCOW2_LUKS_AT_SLOT_STRIPES, stripes),
};
/* clang-format on */

static void
decode (const Field *fields, gsize n, const guint8 *bytes, gpointer record)
{
  for (gsize i = 0; i < n; i++)
    {
      guint8 *to = (guint8 *) record + fields[i].offset;
      const guint8 *from = bytes + fields[i].at;

      if (fields[i].is_text)
        {
          memcpy (to, from, fields[i].size);
          continue;
        }

      const guint64 value = qcow2_load_be (from, fields[i].size);
      const guint16 value16 = (guint16) value;
      const guint32 value32 = (guint32) value;

      if (fields[i].size == sizeof value16)
        memcpy (to, &value16, sizeof value16);
      else
        memcpy (to, &value32, sizeof value32);
    }
}

/* Returns whether EXTENSION, which belongs to an image with HEADER, is a
 * crypto extension that locates a LUKS header.  Findings about a crypto
 * extension that does not are by EXT-13 or EXT-15. */
gboolean
qcow2_luks_is_located (const Qcow2Extension *extension,
                       const Qcow2Header *header)
{
  const guint64 offset = extension->crypto.crypto_header_offset;

  return extension->magic == QCOW2_EXTENSION_CRYPTO
         && extension->length == CRYPTO_LENGTH && extension->n_decoded == 2
         && header->crypt_method == QCOW2_CRYPT_LUKS && offset != 0
         && offset % header->cluster_size == 0
         && offset <= QCOW2_QEMU_MAX_LENGTH - QCOW2_LUKS_LENGTH
         && extension->crypto.crypto_header_length >= QCOW2_LUKS_LENGTH;
}

/* Reads the LUKS header at host offset OFFSET of SOURCE into *LUKS.  As in
 * QEMU, bytes after the end of the file are zeroes.  Fails only with
 * QCOW2_ERROR_READ. */
gboolean
qcow2_luks_read (ByteSource *source, guint64 offset, Qcow2Luks *luks,
                 GError **error)
{
  const guint64 size = byte_source_get_size (source);
  const gsize len = (gsize) MIN (size - MIN (offset, size), QCOW2_LUKS_LENGTH);
  guint8 bytes[QCOW2_LUKS_LENGTH] = { 0 };

  if (len > 0
      && !byte_source_read (source, offset, bytes, len, "LUKS header", error))
    return FALSE;

  decode (head_fields, G_N_ELEMENTS (head_fields), bytes, luks);
  for (guint i = 0; i < QCOW2_LUKS_N_SLOTS; i++)
    decode (slot_fields, G_N_ELEMENTS (slot_fields),
            bytes + QCOW2_LUKS_AT_SLOTS + i * QCOW2_LUKS_SLOT_LENGTH,
            &luks->slots[i]);
  return TRUE;
}
