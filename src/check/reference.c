/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/reference.h"

#include "qcow2/error.h"
#include "qcow2/record.h"

static const char *const names[] = {
  [QCOW2_OWNER_HEADER] = "header",
  [QCOW2_OWNER_L1_TABLE] = "L1 table",
  [QCOW2_OWNER_REFCOUNT_TABLE] = "refcount table",
  [QCOW2_OWNER_REFCOUNT_BLOCK] = "refcount block",
  [QCOW2_OWNER_SNAPSHOT_TABLE] = "snapshot table",
  [QCOW2_OWNER_SNAPSHOT_L1_TABLE] = "L1 table of a snapshot",
  [QCOW2_OWNER_CRYPTO_HEADER] = "crypto header",
  [QCOW2_OWNER_DIRECTORY] = "bitmap directory",
  [QCOW2_OWNER_TABLE] = "table",
  [QCOW2_OWNER_BITS] = "data",
  [QCOW2_OWNER_L2_TABLE] = "L2 table",
  [QCOW2_OWNER_GUEST] = "guest data",
};

/* The words before an index or a guest offset. */
static const char *const words[] = {
  [QCOW2_OWNER_SNAPSHOT_L1_TABLE] = "the L1 table of snapshot",
  [QCOW2_OWNER_TABLE] = "the table of bitmap",
  [QCOW2_OWNER_BITS] = "the data of bitmap",
  [QCOW2_OWNER_L2_TABLE] = "the L2 table of guest offset",
  [QCOW2_OWNER_GUEST] = "guest offset",
};

/* Returns the name of OWNER. */
const char *
qcow2_owner_get_name (Qcow2Owner owner)
{
  return names[owner];
}

/* Returns a description of REFERENCE, with the host offset of the field or
 * entry that holds it.  The caller frees the string. */
char *
qcow2_reference_describe (const Qcow2Reference *reference)
{
  const Qcow2Owner owner = reference->owner;

  if (owner == QCOW2_OWNER_HEADER)
    return g_strdup_printf ("the %s", names[owner]);
  if (owner >= QCOW2_OWNER_L2_TABLE)
    return g_strdup_printf (
        "%s " QCOW2_HEX_FORMAT " (by " QCOW2_HEX_FORMAT ")", words[owner],
        reference->guest, reference->pointer);
  if (reference->index == QCOW2_NO_INDEX)
    return g_strdup_printf ("the %s (by " QCOW2_HEX_FORMAT ")", names[owner],
                            reference->pointer);

  return g_strdup_printf ("%s " QCOW2_U64_FORMAT " (by " QCOW2_HEX_FORMAT ")",
                          words[owner], reference->index, reference->pointer);
}
