/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/luks.h"

#include <string.h>

#define F(member, format) QCOW2_STORED (Qcow2Luks, member, format)
#define S(member, format) QCOW2_STORED (Qcow2LuksSlot, member, format)

/* clang-format off */
static const Qcow2Field fields[] = {
  F (magic, QCOW2_BYTES),
  F (version, QCOW2_DEC),
  F (cipher_name, QCOW2_BYTES),
  F (cipher_mode, QCOW2_BYTES),
  F (hash_spec, QCOW2_BYTES),
  F (payload_offset, QCOW2_DEC),
  F (key_bytes, QCOW2_DEC),
  F (mk_digest, QCOW2_BYTES),
  F (mk_digest_salt, QCOW2_BYTES),
  F (mk_digest_iter, QCOW2_DEC),
  F (uuid, QCOW2_BYTES),
  QCOW2_FIELD_END
};

static const Qcow2Field slot_fields[] = {
  S (active, QCOW2_HEX),
  S (iterations, QCOW2_DEC),
  S (salt, QCOW2_BYTES),
  S (key_material_offset, QCOW2_DEC),
  S (stripes, QCOW2_DEC),
  QCOW2_FIELD_END
};
/* clang-format on */

const Qcow2Record qcow2_luks_record
    = { .name = "LUKS header", .fields = fields };
const Qcow2Record qcow2_luks_slot_record
    = { .name = "key slot", .fields = slot_fields };

/* Returns the offset of key slot SLOT in bytes from the start of the
 * header. */
guint
qcow2_luks_get_slot_offset (guint slot)
{
  return qcow2_record_get_size (&qcow2_luks_record)
         + slot * qcow2_record_get_size (&qcow2_luks_slot_record);
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
         && extension->length
                == qcow2_record_get_size (&qcow2_crypto_extension_record)
         && qcow2_extension_is_decoded (extension)
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
      && !byte_source_read (source, offset, bytes, len, qcow2_luks_record.name,
                            error))
    return FALSE;

  qcow2_record_decode (&qcow2_luks_record, bytes, sizeof bytes, luks);
  for (guint i = 0; i < QCOW2_LUKS_N_SLOTS; i++)
    {
      const guint at = qcow2_luks_get_slot_offset (i);

      qcow2_record_decode (&qcow2_luks_slot_record, bytes + at,
                           sizeof bytes - at, &luks->slots[i]);
    }
  return TRUE;
}

/* Returns the text in a field of SIZE bytes at BYTES, or NULL if it is not
 * terminated by a NUL or is empty.  The caller frees it. */
static char *
get_word (const char *bytes, gsize size)
{
  const gsize len = strnlen (bytes, size);

  return len > 0 && len < size ? g_strndup (bytes, len) : NULL;
}

/* Ends WORD, or NULL, at the first SEPARATOR.  Returns a copy of the part
 * after it, which the caller frees, or NULL if there is none. */
static char *
split (char *word, char separator)
{
  char *at = word != NULL ? strchr (word, separator) : NULL;

  if (at == NULL)
    return NULL;

  *at = '\0';
  return g_strdup (at + 1);
}

/* Stores the words in LUKS in *WORDS, which the caller clears.  The field
 * cipher_mode has the form MODE-IVGEN or MODE-IVGEN:HASH. */
void
qcow2_luks_get_words (const Qcow2Luks *luks, Qcow2LuksWords *words)
{
  Qcow2LuksWords w = { .cipher = NULL };

  w.cipher = get_word (luks->cipher_name, sizeof luks->cipher_name);
  w.mode = get_word (luks->cipher_mode, sizeof luks->cipher_mode);
  w.ivgen = split (w.mode, '-');
  w.ivgen_hash = split (w.ivgen, ':');
  w.hash = get_word (luks->hash_spec, sizeof luks->hash_spec);
  w.uuid = g_strndup (luks->uuid, sizeof luks->uuid);
  *words = w;
}

void
qcow2_luks_words_clear (Qcow2LuksWords *words)
{
  g_clear_pointer (&words->cipher, g_free);
  g_clear_pointer (&words->mode, g_free);
  g_clear_pointer (&words->ivgen, g_free);
  g_clear_pointer (&words->ivgen_hash, g_free);
  g_clear_pointer (&words->hash, g_free);
  g_clear_pointer (&words->uuid, g_free);
}
