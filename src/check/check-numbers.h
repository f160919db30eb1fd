/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The numbers that qemu-img check prints. */

#pragma once

#include "qcow2/record.h"

G_BEGIN_DECLS

/* They are QCOW2_ABSENT if QEMU does
 * not finish a check of the image, or if this program did not. */
typedef struct
{
  guint64 image_end_offset; /* host */
  guint64 total_clusters;   /* of the disk, as the next ones */
  guint64 allocated_clusters;
  guint64 fragmented_clusters;
  guint64 compressed_clusters;
  guint64 corruptions;
  guint64 leaks;
  guint64 check_errors;
  gboolean is_incomplete; /* not all of the disk was examined */
} Qcow2CheckNumbers;

extern const Qcow2Field qcow2_check_number_fields[];

void qcow2_check_numbers_forget (Qcow2CheckNumbers *numbers);

G_END_DECLS
