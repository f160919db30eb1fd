/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules for checking an image.  A rule says what must hold, how serious a
 * violation is, what effect it has on QEMU, and how to remedy it. */

#pragma once

#include "qcow2/record.h"

G_BEGIN_DECLS

typedef enum
{
  QCOW2_SEVERITY_ERROR,   /* the structure cannot be trusted */
  QCOW2_SEVERITY_WARNING, /* suspicious, or only QEMU refuses it */
  QCOW2_SEVERITY_NOTE
} Qcow2Severity;

/* The effect on QEMU of an image that breaks a rule, from best to worst:
 * the worst effect of all findings is the verdict on the image. */
typedef enum
{
  QCOW2_EFFECT_NONE,      /* this program reads no further, or another finding
                             has the effect */
  QCOW2_EFFECT_ACCEPTED,  /* QEMU opens the image */
  QCOW2_EFFECT_REPAIRED,  /* QEMU opens the image for reading, and for writing
                             only if it can repair it */
  QCOW2_EFFECT_READ_ONLY, /* QEMU opens the image for reading, not for
                             writing */
  QCOW2_EFFECT_UNKNOWN,   /* too little was examined to tell */
  QCOW2_EFFECT_REFUSED,   /* QEMU does not open the image */
  QCOW2_EFFECT_AT_LOAD    /* QEMU does not open the image because it cannot
                             load the bitmap; it never loads a bitmap in use */
} Qcow2Effect;

typedef enum
{
  QCOW2_REMEDY_NONE,
  QCOW2_REMEDY_CLEAR_BITMAPS_BIT, /* QEMU then ignores the bitmaps */
  QCOW2_REMEDY_REMOVE,            /* remove the bitmap, which is unreliable */
  QCOW2_REMEDY_REPAIR,            /* qemu-img check -r all */
  QCOW2_REMEDY_REPAIR_DROPS_SNAPSHOTS, /* the same, which drops snapshots */
  QCOW2_REMEDY_CONVERT /* copy the guest's data to a new image */
} Qcow2Remedy;

/* A way to break a rule.  The rows of a rule are adjacent. */
typedef struct
{
  const char *id; /* of the rule, such as "BDIR-05" */
  Qcow2Severity severity;
  const char *condition; /* what must hold */
  const char *allowed;   /* which values are right for the wrong number, or
                            NULL */
  Qcow2Effect effect;
  const char *qemu_error;  /* QEMU's message if it refuses the image, with
                              "{name}" for the bitmap's name and "{value}" for
                              the wrong value; may be NULL */
  const char *note;        /* the consequence if QEMU does not refuse the
                              image; may be NULL */
  const char *reported_by; /* the rules that report a violation instead, or
                              NULL */
  Qcow2Remedy remedy;
  gboolean only_last;        /* if there are several bitmaps extensions, QEMU
                                encounters this only in the last */
  gboolean hides_references; /* QEMU may not count references to clusters in
                                use, so that it frees them in a repair */
} Qcow2Rule;

/* Indexes of the rows of qcow2_rules.  The first two parts of a name are the
 * rule's id. */
typedef enum
{
#define RULE(name, ...) QCOW2_##name,
#include "check/rules.def"
#undef RULE
  QCOW2_N_RULES
} Qcow2RuleIndex;

#define QCOW2_NO_RULE QCOW2_N_RULES

extern const Qcow2Rule qcow2_rules[QCOW2_N_RULES];
extern const Qcow2Label qcow2_severities[];
extern const Qcow2Field qcow2_rule_fields[];

gboolean qcow2_rule_exists (const char *id);

G_END_DECLS
