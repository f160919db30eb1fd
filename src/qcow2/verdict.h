/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether QEMU opens an image: the worst effect of all that is wrong with it.
 */

#pragma once

#include "qcow2/image.h"

G_BEGIN_DECLS

/* Why QEMU does not meet with a finding. */
typedef enum
{
  QCOW2_EXCUSE_NONE,
  QCOW2_EXCUSE_NO_EXTENSIONS, /* it reads no header extension */
  QCOW2_EXCUSE_OVERRIDDEN,    /* it uses a later bitmaps extension */
  QCOW2_EXCUSE_HIDDEN,        /* it hides the bitmaps */
  QCOW2_EXCUSE_IN_USE         /* it does not load the bitmap */
} Qcow2Excuse;

typedef struct
{
  Qcow2Effect effect;  /* QCOW2_EFFECT_REFUSED rather than _AT_LOAD */
  Qcow2RuleIndex rule; /* the row that decides, or QCOW2_NO_RULE */
} Qcow2Verdict;

#define QCOW2_VERDICT_INIT                                                    \
  {                                                                           \
    QCOW2_EFFECT_ACCEPTED, QCOW2_NO_RULE                                      \
  }

Qcow2Excuse qcow2_image_get_excuse (const Qcow2Image *image,
                                    Qcow2RuleIndex rule, gboolean loaded,
                                    guint64 extension);
void qcow2_verdict_add (Qcow2Verdict *verdict, const Qcow2Image *image,
                        const Qcow2Problems *problems);

G_END_DECLS
