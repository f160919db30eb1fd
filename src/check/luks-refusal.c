/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/luks-refusal.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/luks.h"

/* Returns the sector at which the key material of slot I ends in QEMU, whose
 * products and sums wrap around at 32 bits.  A slot whose number of stripes is
 * wrong has as many here. */
static guint32
get_end (const Qcow2Luks *luks, guint i)
{
  const Qcow2LuksSlot *slot = &luks->slots[i];
  const guint64 bytes
      = ((guint64) luks->key_bytes * slot->stripes) & G_MAXUINT32;
  const guint64 n_sectors = qcow2_round_up (
      qcow2_divide_up (bytes, QCOW2_LUKS_SECTOR), QCOW2_LUKS_ALIGNMENT);

  return (guint32) ((slot->key_material_offset + n_sectors) & G_MAXUINT32);
}

/* Returns the index of the first slot after slot I whose key material overlaps
 * that of slot I, or QCOW2_LUKS_N_SLOTS if there is none. */
static guint
find_overlap (const Qcow2Luks *luks, guint i)
{
  const Qcow2LuksSlot *slots = luks->slots;
  guint j = i + 1;

  while (j < QCOW2_LUKS_N_SLOTS
         && (get_end (luks, i) <= slots[j].key_material_offset
             || get_end (luks, j) <= slots[i].key_material_offset))
    j++;
  return j;
}

/* Returns what QEMU says about slot I, or NULL. */
static char *
refuse_slot (const Qcow2Luks *luks, guint i)
{
  const Qcow2LuksSlot *slot = &luks->slots[i];
  const gboolean is_active = slot->active == QCOW2_LUKS_SLOT_ACTIVE;

  if (slot->stripes != QCOW2_LUKS_STRIPES)
    return g_strdup_printf ("Keyslot %u is corrupted (stripes %d != %u)", i,
                            (gint32) slot->stripes, QCOW2_LUKS_STRIPES);
  if (!is_active && slot->active != QCOW2_LUKS_SLOT_INACTIVE)
    return g_strdup_printf ("Keyslot %u state (active/disable) is corrupted",
                            i);
  if (is_active && slot->iterations == 0)
    return g_strdup_printf ("Keyslot %u iteration count is zero", i);
  if (slot->key_material_offset < QCOW2_LUKS_ALIGNMENT)
    return g_strdup_printf ("Keyslot %u is overlapping with the LUKS header",
                            i);
  if (get_end (luks, i) > luks->payload_offset)
    return g_strdup_printf (
        "Keyslot %u is overlapping with the encrypted payload", i);

  const guint other = find_overlap (luks, i);
  return other == QCOW2_LUKS_N_SLOTS
             ? NULL
             : g_strdup_printf (
                 "Keyslots %u and %u are overlapping in the header", i, other);
}

/* Returns QEMU's message about the first key slot of the LUKS header of IMAGE
 * that it refuses, or NULL if there is none or the header cannot be read. */
GBytes *
qcow2_image_get_slots_refusal (const Qcow2Image *image)
{
  Qcow2Luks luks;

  if (!qcow2_luks_read (image->source, image->crypto.crypto_header_offset,
                        &luks, NULL))
    return NULL;

  for (guint i = 0; i < QCOW2_LUKS_N_SLOTS; i++)
    {
      char *message = refuse_slot (&luks, i);

      if (message != NULL)
        return g_bytes_new_take (message, strlen (message));
    }

  return NULL;
}
