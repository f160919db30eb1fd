/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/info-encryption.h"

#include <string.h>

#include "render/format.h"

/* Adds WORD, which is from the image, as KEY unless it is NULL. */
static void
add_if_known (QemuTree *tree, const char *key, const char *word)
{
  if (word != NULL)
    qemu_tree_add_string (tree, key, word, strlen (word));
}

/* Adds the name of the cipher with the size of its key in bits.  XTS has two
 * keys. */
static void
add_cipher (QemuTree *tree, const Qcow2Luks *luks, const Qcow2LuksWords *words)
{
  const guint64 n_keys = g_strcmp0 (words->mode, "xts") == 0 ? 2 : 1;

  if (words->cipher == NULL)
    return;

  g_autofree char *name
      = g_strdup_printf ("%s-" QCOW2_U64_FORMAT, words->cipher,
                         (guint64) luks->key_bytes / n_keys * 8);
  add_if_known (tree, "cipher-alg", name);
}

static void
add_slot (QemuTree *tree, const Qcow2LuksSlot *slot)
{
  const gboolean active = slot->active == QCOW2_LUKS_SLOT_ACTIVE;

  qemu_tree_begin_object (tree, NULL);
  qemu_tree_add_boolean (tree, "active", active);
  if (active)
    qemu_tree_add_number (tree, "iters", slot->iterations);
  qemu_tree_add_number (tree, "key-offset",
                        (guint64) slot->key_material_offset
                            * QCOW2_LUKS_SECTOR);
  if (active)
    qemu_tree_add_number (tree, "stripes", slot->stripes);
  qemu_tree_end (tree);
}

static void
add_luks (QemuTree *tree, const Qcow2Luks *luks)
{
  g_auto (Qcow2LuksWords) words = { 0 };

  qcow2_luks_get_words (luks, &words);
  add_if_known (tree, "ivgen-alg", words.ivgen);
  add_if_known (tree, "hash-alg", words.hash);
  add_cipher (tree, luks, &words);
  add_if_known (tree, "uuid", words.uuid);
  if (g_strcmp0 (words.ivgen, "essiv") == 0)
    add_if_known (tree, "ivgen-hash-alg", words.ivgen_hash);
  qemu_tree_add_word (tree, "format", "luks");
  add_if_known (tree, "cipher-mode", words.mode);
  qemu_tree_begin_list (tree, "slots");
  for (guint i = 0; i < QCOW2_LUKS_N_SLOTS; i++)
    add_slot (tree, &luks->slots[i]);
  qemu_tree_end (tree);
  qemu_tree_add_number (tree, "payload-offset",
                        (guint64) luks->payload_offset * QCOW2_LUKS_SECTOR);
  qemu_tree_add_number (tree, "master-key-iters", luks->mk_digest_iter);
}

/* Adds the encryption of the image with HEADER, unless it has none.  LUKS is
 * its LUKS header, or NULL. */
void
info_encryption_add (QemuTree *tree, const Qcow2Header *header,
                     const Qcow2Luks *luks)
{
  if (luks == NULL && header->crypt_method != QCOW2_CRYPT_AES)
    return;

  qemu_tree_begin_object (tree, "encrypt");
  if (luks != NULL)
    add_luks (tree, luks);
  else
    qemu_tree_add_word (tree, "format", "aes");
  qemu_tree_end (tree);
}
