/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/check-numbers.h"

#define N(member, key)                                                        \
  QCOW2_DERIVED (Qcow2CheckNumbers, key, member, QCOW2_DEC)

/* The keys of qemu-img check. */
/* clang-format off */
const Qcow2Field qcow2_check_number_fields[] = {
  N (image_end_offset, "image-end-offset"),
  N (total_clusters, "total-clusters"),
  N (allocated_clusters, "allocated-clusters"),
  N (fragmented_clusters, "fragmented-clusters"),
  N (compressed_clusters, "compressed-clusters"),
  N (corruptions, "corruptions"),
  N (leaks, "leaks"),
  N (check_errors, "check-errors"),
  QCOW2_FIELD_END
};
/* clang-format on */

/* Marks all NUMBERS as unknown. */
void
qcow2_check_numbers_forget (Qcow2CheckNumbers *numbers)
{
  const gboolean is_incomplete = numbers->is_incomplete;

  *numbers = (Qcow2CheckNumbers){ .image_end_offset = QCOW2_ABSENT,
                                  .total_clusters = QCOW2_ABSENT,
                                  .allocated_clusters = QCOW2_ABSENT,
                                  .fragmented_clusters = QCOW2_ABSENT,
                                  .compressed_clusters = QCOW2_ABSENT,
                                  .corruptions = QCOW2_ABSENT,
                                  .leaks = QCOW2_ABSENT,
                                  .check_errors = QCOW2_ABSENT,
                                  .is_incomplete = is_incomplete };
}
