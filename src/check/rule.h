/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules for judging an image.  A rule says what must hold, how serious a
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

/* What QEMU does with an image that breaks a rule, ordered from best to worst:
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
  QCOW2_REMEDY_HIDE,   /* clear autoclear bit 0: QEMU ignores the bitmaps */
  QCOW2_REMEDY_REMOVE, /* remove the bitmap, which is unreliable */
  QCOW2_REMEDY_REPAIR, /* qemu-img check -r */
  QCOW2_REMEDY_DROP,   /* qemu-img check -r all, which drops snapshots */
  QCOW2_REMEDY_COPY    /* copy the guest's data to a new image */
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
  const char *words;   /* QEMU's message when the effect is that it refuses the
                          image, with "{name}" for the bitmap's name and
                          "{value}" for the wrong value; otherwise a sentence
                          of this program; may be NULL */
  const char *told_as; /* the rules that report a violation instead, or NULL */
  Qcow2Remedy remedy;
  gboolean only_last; /* if there are several bitmaps extensions, QEMU
                         encounters this only in the last */
} Qcow2Rule;

/* Indexes of the rows of qcow2_rules.  The first two parts of a name are the
 * rule's id. */
typedef enum
{
  QCOW2_FILE_01,
  QCOW2_FILE_02,
  QCOW2_FILE_03,
  QCOW2_FILE_04,
  QCOW2_FILE_05,
  QCOW2_FILE_06,
  QCOW2_FILE_08,
  QCOW2_FILE_08_CHANGED,
  QCOW2_FILE_09,
  QCOW2_FILE_09_REFCOUNT,
  QCOW2_FILE_09_WRITER,
  QCOW2_HDR_01,
  QCOW2_HDR_02,
  QCOW2_HDR_03,
  QCOW2_HDR_03_NAME,
  QCOW2_HDR_04_SMALL,
  QCOW2_HDR_04_QEMU,
  QCOW2_HDR_04_LARGE,
  QCOW2_HDR_05,
  QCOW2_HDR_06,
  QCOW2_HDR_07,
  QCOW2_HDR_07_REFUSED,
  QCOW2_HDR_08,
  QCOW2_HDR_09,
  QCOW2_HDR_11,
  QCOW2_HDR_12_INSIDE,
  QCOW2_HDR_12_OUTSIDE,
  QCOW2_HDR_12_END,
  QCOW2_HDR_13_LONG,
  QCOW2_HDR_13_EMPTY,
  QCOW2_HDR_14,
  QCOW2_HDR_14_VERSION_3,
  QCOW2_HDR_15_HUGE,
  QCOW2_HDR_15_SECTOR,
  QCOW2_HDR_15_COUNT,
  QCOW2_HDR_15_L1,
  QCOW2_HDR_16_MISSING,
  QCOW2_HDR_16_OBSOLETE,
  QCOW2_HDR_16_UNKNOWN,
  QCOW2_HDR_17_LARGE,
  QCOW2_HDR_17_PLACE,
  QCOW2_HDR_17_END,
  QCOW2_HDR_17_FAR,
  QCOW2_HDR_17_SPARE,
  QCOW2_HDR_18_EMPTY,
  QCOW2_HDR_18_LARGE,
  QCOW2_HDR_18_PLACE,
  QCOW2_HDR_18_END,
  QCOW2_HDR_18_FAR,
  QCOW2_HDR_18_SPARE,
  QCOW2_HDR_18_BLOCK,
  QCOW2_HDR_18_BLOCK_END,
  QCOW2_HDR_18_BLOCK_SPARE,
  QCOW2_HDR_19_LARGE,
  QCOW2_HDR_19_PLACE,
  QCOW2_HDR_19_END,
  QCOW2_HDR_19_FAR,
  QCOW2_HDR_19_SIZE,
  QCOW2_HDR_19_EXTRA,
  QCOW2_HDR_20,
  QCOW2_HDR_21_DIRTY,
  QCOW2_HDR_21_CORRUPT,
  QCOW2_HDR_22,
  QCOW2_HDR_22_NAME,
  QCOW2_HDR_23_UNKNOWN,
  QCOW2_HDR_23_SET,
  QCOW2_HDR_23_CLEAR,
  QCOW2_HDR_24,
  QCOW2_HDR_25_MISSING,
  QCOW2_HDR_25_CLEAR,
  QCOW2_HDR_25_VERSION,
  QCOW2_HDR_26_FILE,
  QCOW2_HDR_26_BACKING,
  QCOW2_HDR_27,
  QCOW2_HDR_28,
  QCOW2_HDR_30_NUL,
  QCOW2_HDR_30,
  QCOW2_HDR_31,
  QCOW2_HDR_32,
  QCOW2_EXT_02,
  QCOW2_EXT_03,
  QCOW2_EXT_06_LONG,
  QCOW2_EXT_06,
  QCOW2_EXT_07_FILE,
  QCOW2_EXT_07_AREA,
  QCOW2_EXT_08_BITMAPS,
  QCOW2_EXT_08_CRYPTO,
  QCOW2_EXT_08,
  QCOW2_EXT_09,
  QCOW2_EXT_10_LONG,
  QCOW2_EXT_10_EMPTY,
  QCOW2_EXT_10_ALONE,
  QCOW2_EXT_11,
  QCOW2_EXT_12,
  QCOW2_EXT_13_METHOD,
  QCOW2_EXT_13_LENGTH,
  QCOW2_EXT_13_PLACE,
  QCOW2_EXT_13_SHORT,
  QCOW2_EXT_13_END,
  QCOW2_EXT_13_FAR,
  QCOW2_EXT_14_BIT,
  QCOW2_EXT_14_EMPTY,
  QCOW2_EXT_15,
  QCOW2_EXT_15_REFUSED,
  QCOW2_CRYPT_01,
  QCOW2_CRYPT_02,
  QCOW2_CRYPT_03_CIPHER,
  QCOW2_CRYPT_03_MODE,
  QCOW2_CRYPT_03_HASH,
  QCOW2_CRYPT_04,
  QCOW2_CRYPT_04_NEW,
  QCOW2_CRYPT_05_FORM,
  QCOW2_CRYPT_05_HASH,
  QCOW2_CRYPT_05_MODE,
  QCOW2_CRYPT_05_IVGEN,
  QCOW2_CRYPT_05_ESSIV,
  QCOW2_CRYPT_05_DIGEST,
  QCOW2_CRYPT_05_BLOCK,
  QCOW2_CRYPT_06,
  QCOW2_CRYPT_06_NEW,
  QCOW2_CRYPT_07_HEADER,
  QCOW2_CRYPT_07_END,
  QCOW2_CRYPT_08,
  QCOW2_CRYPT_08_CAST5,
  QCOW2_CRYPT_08_ODD,
  QCOW2_CRYPT_08_SECTORS,
  QCOW2_CRYPT_09,
  QCOW2_CRYPT_10,
  QCOW2_CRYPT_11,
  QCOW2_CRYPT_12,
  QCOW2_CRYPT_13_HEADER,
  QCOW2_CRYPT_13_PAYLOAD,
  QCOW2_CRYPT_13_FIRST,
  QCOW2_CRYPT_13_LATER,
  QCOW2_CRYPT_13_UNUSED,
  QCOW2_CRYPT_13_WRAP,
  QCOW2_CRYPT_14,
  QCOW2_CRYPT_15,
  QCOW2_CRYPT_16_ALL,
  QCOW2_CRYPT_16_SOME,
  QCOW2_BEXT_01,
  QCOW2_BEXT_02,
  QCOW2_BEXT_03,
  QCOW2_BEXT_04_EMPTY,
  QCOW2_BEXT_04_LARGE,
  QCOW2_BEXT_04_ALIGN,
  QCOW2_BEXT_04_SMALL,
  QCOW2_BEXT_05_ZERO,
  QCOW2_BEXT_05_ALIGN,
  QCOW2_BEXT_06,
  QCOW2_BEXT_06_REFUSED,
  QCOW2_BEXT_06_FAR,
  QCOW2_BEXT_06_PADDING,
  QCOW2_BDIR_01,
  QCOW2_BDIR_01_FILE,
  QCOW2_BDIR_01_SHORTER,
  QCOW2_BDIR_02,
  QCOW2_BDIR_02_FILE,
  QCOW2_BDIR_02_SHORTER,
  QCOW2_BDIR_02_PADDING,
  QCOW2_BDIR_03_MORE,
  QCOW2_BDIR_03_LESS,
  QCOW2_BDIR_04,
  QCOW2_BDIR_04_MORE,
  QCOW2_BDIR_05,
  QCOW2_BDIR_06_EMPTY,
  QCOW2_BDIR_06_HUGE,
  QCOW2_BDIR_06_LARGE,
  QCOW2_BDIR_07,
  QCOW2_BDIR_07_WRAP,
  QCOW2_BDIR_08,
  QCOW2_BDIR_08_EXTRA,
  QCOW2_BDIR_09,
  QCOW2_BDIR_10,
  QCOW2_BDIR_11,
  QCOW2_BDIR_12,
  QCOW2_BDIR_12_QEMU,
  QCOW2_BDIR_13_EMPTY,
  QCOW2_BDIR_13_LONG,
  QCOW2_BDIR_14,
  QCOW2_BDIR_14_COMPATIBLE,
  QCOW2_BDIR_15,
  QCOW2_BDIR_15_NUL,
  QCOW2_BDIR_16,
  QCOW2_BDIR_17_NUL,
  QCOW2_BDIR_17_SHORTER,
  QCOW2_BDIR_17,
  QCOW2_BDIR_18_SMALL,
  QCOW2_BDIR_18_LARGE,
  QCOW2_BDIR_18_ROUNDED,
  QCOW2_BDIR_18_QEMU,
  QCOW2_BDIR_18_IN_USE,
  QCOW2_BDIR_19,
  QCOW2_BDIR_21,
  QCOW2_BTAB_01,
  QCOW2_BTAB_02,
  QCOW2_BTAB_03,
  QCOW2_BTAB_05,
  QCOW2_BDATA_03,
  QCOW2_OVL_01,
  QCOW2_OVL_01_GUARDED,
  QCOW2_OVL_02_TABLE,
  QCOW2_OVL_02_DATA,
  QCOW2_REF_01_FREE,
  QCOW2_REF_01_STALE,
  QCOW2_REF_01_SHARED,
  QCOW2_RES_02,
  QCOW2_RES_02_SPARE,
  QCOW2_RES_06,
  QCOW2_RES_06_TAIL,
  QCOW2_RES_07,
  QCOW2_N_RULES
} Qcow2RuleIndex;

#define QCOW2_NO_RULE QCOW2_N_RULES

extern const Qcow2Rule qcow2_rules[QCOW2_N_RULES];
extern const Qcow2Label qcow2_severities[];
extern const Qcow2Field qcow2_rule_fields[];

gboolean qcow2_rule_exists (const char *id);

G_END_DECLS
