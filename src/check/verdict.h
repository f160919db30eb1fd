/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Determines whether QEMU opens an image, from the worst effect of all
 * findings. */

#pragma once

#include "check/finding.h"
#include "qcow2/image.h"

G_BEGIN_DECLS

/* The reason why QEMU does not encounter a finding. */
typedef enum
{
  QCOW2_EXCUSE_NONE,
  QCOW2_EXCUSE_NO_EXTENSIONS, /* QEMU reads no header extension */
  QCOW2_EXCUSE_OVERRIDDEN,    /* QEMU uses a later bitmaps extension */
  QCOW2_EXCUSE_HIDDEN,        /* QEMU hides the bitmaps */
  QCOW2_EXCUSE_IN_USE         /* QEMU does not load the bitmap */
} Qcow2Excuse;

typedef struct
{
  Qcow2Effect effect;  /* never _AT_LOAD, which counts as _REFUSED */
  Qcow2RuleIndex rule; /* the row that determines EFFECT, or QCOW2_NO_RULE */
} Qcow2Verdict;

#define QCOW2_VERDICT_INIT                                                    \
  {                                                                           \
    QCOW2_EFFECT_ACCEPTED, QCOW2_NO_RULE                                      \
  }

Qcow2Excuse qcow2_image_get_excuse (const Qcow2Image *image,
                                    Qcow2RuleIndex rule, gboolean loaded,
                                    guint64 extension);
void qcow2_verdict_add (Qcow2Verdict *verdict, const Qcow2Image *image,
                        const Qcow2Findings *findings);
gboolean qcow2_image_is_refused (const Qcow2Image *image,
                                 const Qcow2Findings *findings,
                                 Qcow2RuleIndex ignored);
Qcow2Effect qcow2_image_get_obstacle (const Qcow2Image *image,
                                      const Qcow2Findings *findings,
                                      Qcow2Remedy remedy);
gboolean qcow2_image_has_damage_in_use (const Qcow2Image *image,
                                        const Qcow2Findings *findings);
gboolean qcow2_findings_hide_references (const Qcow2Findings *findings);
gboolean
qcow2_findings_hide_references_of_disk (const Qcow2Findings *findings);
gboolean qcow2_file_is_truncated (const Qcow2Findings *findings);
gboolean qcow2_image_may_lose_snapshots (const Qcow2Image *image);

G_END_DECLS
