/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/refusal-order.h"

#include "check/verdict.h"

/* The rules about the header in the order in which QEMU checks them
 * (block/qcow2.c: qcow2_do_open), up to the extensions. */
static const Qcow2RuleIndex early_rules[]
    = { QCOW2_HDR_04_SMALL,   QCOW2_HDR_04_QEMU,   QCOW2_HDR_04_LARGE,
        QCOW2_HDR_06,         QCOW2_HDR_08,        QCOW2_HDR_12_OUTSIDE,
        QCOW2_HDR_23_UNKNOWN, QCOW2_HDR_23_SET,    QCOW2_HDR_23_CLEAR,
        QCOW2_HDR_20,         QCOW2_HDR_05,        QCOW2_HDR_28,
        QCOW2_HDR_18_EMPTY,   QCOW2_HDR_18_LARGE,  QCOW2_HDR_18_PLACE,
        QCOW2_HDR_19_LARGE,   QCOW2_HDR_19_PLACE,  QCOW2_HDR_17_LARGE,
        QCOW2_HDR_17_PLACE,   QCOW2_HDR_15_COUNT,  QCOW2_HDR_15_HUGE,
        QCOW2_HDR_15_L1,      QCOW2_HDR_17_FAR,    QCOW2_HDR_16_UNKNOWN,
        QCOW2_HDR_18_FAR,     QCOW2_HDR_07_REFUSED };

/* The rules that QEMU checks while it reads the extensions, except those with
 * an id in extension_ids. */
static const Qcow2RuleIndex extension_rules[]
    = { QCOW2_BEXT_01, QCOW2_BEXT_02, QCOW2_BEXT_03, QCOW2_BEXT_04_LARGE,
        QCOW2_BEXT_05_ALIGN };
static const char *const extension_ids[] = { "EXT-", "CRYPT-" };

/* Those about a LUKS header.  The message about the key slots is that of
 * luks-refusal.c, whichever of them a finding is about. */
static const Qcow2RuleIndex luks_rules[]
    = { QCOW2_CRYPT_01,       QCOW2_CRYPT_02,        QCOW2_CRYPT_03_CIPHER,
        QCOW2_CRYPT_03_MODE,  QCOW2_CRYPT_03_HASH,   QCOW2_CRYPT_07_HEADER,
        QCOW2_CRYPT_09,       QCOW2_CRYPT_10,        QCOW2_CRYPT_11,
        QCOW2_CRYPT_12,       QCOW2_CRYPT_13_HEADER, QCOW2_CRYPT_13_PAYLOAD,
        QCOW2_CRYPT_14,       QCOW2_CRYPT_05_FORM,   QCOW2_CRYPT_05_HASH,
        QCOW2_CRYPT_05_MODE,  QCOW2_CRYPT_04,        QCOW2_CRYPT_08,
        QCOW2_CRYPT_08_CAST5, QCOW2_CRYPT_06,        QCOW2_CRYPT_05_IVGEN,
        QCOW2_CRYPT_05_ESSIV };
#define FIRST_SLOT_RULE QCOW2_CRYPT_10

/* Those after the extensions and before the entries of the bitmap
 * directory. */
static const Qcow2RuleIndex late_rules[]
    = { QCOW2_HDR_26_FILE, QCOW2_HDR_16_MISSING, QCOW2_HDR_12_END,
        QCOW2_HDR_13_LONG, QCOW2_HDR_19_FAR,     QCOW2_HDR_19_EXTRA,
        QCOW2_HDR_19_SIZE, QCOW2_BEXT_04_EMPTY,  QCOW2_BEXT_06_FAR };

/* The rules that QEMU checks after it has read the table of a bitmap. */
static const Qcow2RuleIndex loaded_rules[]
    = { QCOW2_BDIR_15, QCOW2_BDIR_15_NUL, QCOW2_BDIR_18_LARGE,
        QCOW2_BDIR_18_QEMU };

/* The steps in which QEMU opens an image. */
typedef enum
{
  STEP_HEADER,
  STEP_EXTENSIONS, /* one after the other */
  STEP_NAMES,      /* and the snapshots */
  STEP_ENTRIES,    /* of the bitmap directory: see directory-refusal.c */
  STEP_BITMAPS     /* one after the other */
} Step;

/* How early QEMU encounters a finding: the members are compared in this
 * order. */
typedef struct
{
  Step step;
  guint64 item; /* index of the extension or bitmap, or of the rule */
  guint rule;
} Rank;

/* Returns the index of RULE in the N RULES, or N if it is not there. */
static guint
find_rule (const Qcow2RuleIndex *rules, guint n, Qcow2RuleIndex rule)
{
  guint i = 0;

  while (i < n && rules[i] != rule)
    i++;
  return i;
}

/* Returns whether QEMU checks RULE while it reads the extensions. */
gboolean
qcow2_rule_is_about_extension (Qcow2RuleIndex rule)
{
  for (guint i = 0; i < G_N_ELEMENTS (extension_ids); i++)
    {
      if (g_str_has_prefix (qcow2_rules[rule].id, extension_ids[i]))
        return TRUE;
    }

  return find_rule (extension_rules, G_N_ELEMENTS (extension_rules), rule)
         < G_N_ELEMENTS (extension_rules);
}

/* Returns the place of RULE, which may be about anything, among those about a
 * LUKS header. */
static guint
find_luks_rule (Qcow2RuleIndex rule)
{
  return find_rule (luks_rules, G_N_ELEMENTS (luks_rules), rule);
}

/* Returns whether QEMU encounters RULE when it has read the key slots of a
 * LUKS header, or reads them. */
gboolean
qcow2_rule_is_after_slots (Qcow2RuleIndex rule)
{
  return g_str_has_prefix (qcow2_rules[rule].id, "CRYPT-")
         && find_luks_rule (rule) >= find_luks_rule (FIRST_SLOT_RULE);
}

static Rank
get_rank (const Qcow2Finding *finding)
{
  const Qcow2RuleIndex rule = finding->index;
  const guint early
      = find_rule (early_rules, G_N_ELEMENTS (early_rules), rule);
  const guint late = find_rule (late_rules, G_N_ELEMENTS (late_rules), rule);
  const guint loaded
      = find_rule (loaded_rules, G_N_ELEMENTS (loaded_rules), rule);

  if (early < G_N_ELEMENTS (early_rules))
    return (Rank){ STEP_HEADER, early, rule };
  if (qcow2_rule_is_about_extension (rule))
    return (Rank){ STEP_EXTENSIONS, finding->subject.extension,
                   g_str_has_prefix (qcow2_rules[rule].id, "CRYPT-")
                       ? QCOW2_CRYPT_01 + find_luks_rule (rule)
                       : rule };
  if (late < G_N_ELEMENTS (late_rules))
    return (Rank){ STEP_NAMES, late, rule };
  if (qcow2_rules[rule].effect == QCOW2_EFFECT_AT_LOAD)
    return (Rank){ STEP_BITMAPS, finding->subject.bitmap,
                   loaded < G_N_ELEMENTS (loaded_rules)
                       ? QCOW2_N_RULES + loaded
                       : rule };

  /* A new rule about the header has a place in the lists. */
  g_assert (!g_str_has_prefix (qcow2_rules[rule].id, "HDR-"));
  return (Rank){ STEP_ENTRIES, 0, rule };
}

static gboolean
is_earlier (Rank a, Rank b)
{
  if (a.step != b.step)
    return a.step < b.step;

  return a.item != b.item ? a.item < b.item : a.rule < b.rule;
}

/* Returns whether QEMU encounters FINDING and refuses IMAGE because of it. */
gboolean
qcow2_finding_refuses (const Qcow2Finding *finding, const Qcow2Image *image)
{
  return qcow2_rules[finding->index].effect >= QCOW2_EFFECT_REFUSED
         && qcow2_image_get_excuse (image, finding->index,
                                    !finding->subject.in_use,
                                    finding->subject.extension)
                == QCOW2_EXCUSE_NONE;
}

/* Returns the finding in FINDINGS that makes QEMU refuse IMAGE first, or FIRST
 * if none is earlier than that. */
const Qcow2Finding *
qcow2_findings_get_first_refusal (const Qcow2Findings *findings,
                                  const Qcow2Image *image,
                                  const Qcow2Finding *first)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (qcow2_finding_refuses (finding, image)
          && (first == NULL
              || is_earlier (get_rank (finding), get_rank (first))))
        first = finding;
    }

  return first;
}

/* Returns whether QEMU encounters FINDING when it reads the entries of the
 * bitmap directory. */
gboolean
qcow2_finding_is_about_entries (const Qcow2Finding *finding)
{
  return get_rank (finding).step == STEP_ENTRIES;
}
