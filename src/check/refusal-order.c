/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/refusal-order.h"

#include "check/luks-refusal.h"
#include "check/verdict.h"

/* The steps in which QEMU opens an image. */
typedef enum
{
  STEP_HEADER,
  STEP_EXTENSIONS, /* one after the other */
  STEP_LATE,       /* what the header points to, except for entries */
  STEP_ENTRIES,    /* of the bitmap directory: see directory-refusal.c */
  STEP_BITMAPS     /* one after the other */
} Step;

/* The rules of each step in the order in which QEMU checks them, about one
 * extension or one bitmap if the step has several.  (QEMU, block/qcow2.c:
 * qcow2_do_open, qcow2_read_extensions; block/qcow2-bitmap.c: load_bitmap;
 * crypto/block-luks.c: qcrypto_block_luks_open.) */

static const Qcow2RuleIndex header_rules[]
    = { QCOW2_HDR_04_SMALL,   QCOW2_HDR_04_QEMU,   QCOW2_HDR_04_LARGE,
        QCOW2_HDR_06,         QCOW2_HDR_08,        QCOW2_HDR_12_OUTSIDE,
        QCOW2_HDR_23_UNKNOWN, QCOW2_HDR_23_SET,    QCOW2_HDR_23_CLEAR,
        QCOW2_HDR_20,         QCOW2_HDR_05,        QCOW2_HDR_28,
        QCOW2_HDR_18_EMPTY,   QCOW2_HDR_18_LARGE,  QCOW2_HDR_18_PLACE,
        QCOW2_HDR_19_LARGE,   QCOW2_HDR_19_PLACE,  QCOW2_HDR_17_LARGE,
        QCOW2_HDR_17_PLACE,   QCOW2_HDR_15_COUNT,  QCOW2_HDR_15_HUGE,
        QCOW2_HDR_15_L1,      QCOW2_HDR_17_FAR,    QCOW2_HDR_16_UNKNOWN,
        QCOW2_HDR_18_FAR,     QCOW2_HDR_07_REFUSED };

/* Those about LUKS that are not here are found with a key only.  The message
 * about the key slots, from CRYPT-10 on, is that of luks-refusal.c, whichever
 * of them a finding is about. */
static const Qcow2RuleIndex extension_rules[]
    = { QCOW2_EXT_02,           QCOW2_EXT_03,         QCOW2_EXT_06_LONG,
        QCOW2_EXT_15_REFUSED,   QCOW2_EXT_10_LONG,    QCOW2_EXT_12,
        QCOW2_EXT_13_METHOD,    QCOW2_EXT_13_LENGTH,  QCOW2_EXT_13_PLACE,
        QCOW2_EXT_13_SHORT,     QCOW2_EXT_13_FAR,     QCOW2_BEXT_03,
        QCOW2_BEXT_02,          QCOW2_BEXT_01,        QCOW2_BEXT_05_ALIGN,
        QCOW2_BEXT_04_LARGE,    QCOW2_CRYPT_01,       QCOW2_CRYPT_02,
        QCOW2_CRYPT_03_CIPHER,  QCOW2_CRYPT_03_MODE,  QCOW2_CRYPT_03_HASH,
        QCOW2_CRYPT_07_HEADER,  QCOW2_CRYPT_09,       QCOW2_CRYPT_10,
        QCOW2_CRYPT_11,         QCOW2_CRYPT_12,       QCOW2_CRYPT_13_HEADER,
        QCOW2_CRYPT_13_PAYLOAD, QCOW2_CRYPT_14,       QCOW2_CRYPT_05_FORM,
        QCOW2_CRYPT_05_HASH,    QCOW2_CRYPT_05_MODE,  QCOW2_CRYPT_04,
        QCOW2_CRYPT_08,         QCOW2_CRYPT_08_CAST5, QCOW2_CRYPT_06,
        QCOW2_CRYPT_05_IVGEN,   QCOW2_CRYPT_05_ESSIV };

static const Qcow2RuleIndex late_rules[]
    = { QCOW2_HDR_26_FILE, QCOW2_HDR_16_MISSING, QCOW2_HDR_12_END,
        QCOW2_HDR_13_LONG, QCOW2_HDR_19_FAR,     QCOW2_HDR_19_EXTRA,
        QCOW2_HDR_19_SIZE, QCOW2_BEXT_04_EMPTY,  QCOW2_BEXT_06_FAR };

static const Qcow2RuleIndex bitmap_rules[]
    = { QCOW2_BDIR_15,       QCOW2_BDIR_15_NUL, QCOW2_BDIR_07_WRAP,
        QCOW2_BTAB_01,       QCOW2_BTAB_02,     QCOW2_BTAB_03,
        QCOW2_BDIR_18_LARGE, QCOW2_BDIR_18_QEMU };

#define RULES(rules)                                                          \
  {                                                                           \
    (rules), G_N_ELEMENTS (rules)                                             \
  }

static const struct
{
  const Qcow2RuleIndex *rules;
  guint n;
} orders[] = { [STEP_HEADER] = RULES (header_rules),
               [STEP_EXTENSIONS] = RULES (extension_rules),
               [STEP_LATE] = RULES (late_rules),
               [STEP_BITMAPS] = RULES (bitmap_rules) };

/* How early QEMU encounters a finding: the members are compared in this
 * order. */
typedef struct
{
  Step step;
  guint64 item; /* index of the extension or bitmap, or 0 */
  guint place;  /* of the rule among those of STEP */
} Rank;

/* Returns the place of RULE in the order of STEP, or the number of rules if it
 * is not there. */
static guint
find_place (Step step, Qcow2RuleIndex rule)
{
  guint i = 0;

  while (i < orders[step].n && orders[step].rules[i] != rule)
    i++;
  return i;
}

static gboolean
is_in (Step step, Qcow2RuleIndex rule)
{
  return find_place (step, rule) < orders[step].n;
}

static gboolean
is_about_luks (Qcow2RuleIndex rule)
{
  return g_str_has_prefix (qcow2_rules[rule].id, "CRYPT-");
}

/* Returns whether QEMU checks RULE while it reads the extensions. */
gboolean
qcow2_rule_is_about_extension (Qcow2RuleIndex rule)
{
  return is_in (STEP_EXTENSIONS, rule) || is_about_luks (rule);
}

/* Returns whether QEMU encounters RULE when it has read the key slots of a
 * LUKS header, or reads them. */
gboolean
qcow2_rule_is_after_slots (Qcow2RuleIndex rule)
{
  return is_about_luks (rule)
         && find_place (STEP_EXTENSIONS, rule)
                >= find_place (STEP_EXTENSIONS, QCOW2_CRYPT_10);
}

static Rank
get_rank (const Qcow2Finding *finding)
{
  const Qcow2RuleIndex rule = finding->index;
  const Step step = is_in (STEP_HEADER, rule)              ? STEP_HEADER
                    : qcow2_rule_is_about_extension (rule) ? STEP_EXTENSIONS
                    : is_in (STEP_LATE, rule)              ? STEP_LATE
                    : is_in (STEP_BITMAPS, rule)           ? STEP_BITMAPS
                                                           : STEP_ENTRIES;

  switch (step)
    {
    case STEP_HEADER:
    case STEP_LATE:
      return (Rank){ step, 0, find_place (step, rule) };
    case STEP_EXTENSIONS:
      return (Rank){ step, finding->subject.extension,
                     find_place (step, rule) };
    case STEP_BITMAPS:
      return (Rank){ step, finding->subject.bitmap, find_place (step, rule) };
    case STEP_ENTRIES:
      /* A new rule of any other step has a place in the lists. */
      g_assert (!g_str_has_prefix (qcow2_rules[rule].id, "HDR-")
                && !g_str_has_prefix (qcow2_rules[rule].id, "EXT-")
                && qcow2_rules[rule].effect != QCOW2_EFFECT_AT_LOAD);
      return (Rank){ step, 0, 0 };
    }

  g_assert_not_reached ();
}

static gboolean
is_earlier (Rank a, Rank b)
{
  if (a.step != b.step)
    return a.step < b.step;

  return a.item != b.item ? a.item < b.item : a.place < b.place;
}

/* Returns whether RULE is about a key slot, and QEMU accepts all slots of
 * IMAGE: it computes with 32 bits, and what is too large may seem to fit. */
static gboolean
is_slot_accepted (const Qcow2Image *image, Qcow2RuleIndex rule)
{
  const guint place = find_place (STEP_EXTENSIONS, rule);

  if (place < find_place (STEP_EXTENSIONS, QCOW2_CRYPT_10)
      || place > find_place (STEP_EXTENSIONS, QCOW2_CRYPT_14))
    return FALSE;

  g_autoptr (GBytes) message = qcow2_image_get_slots_refusal (image);
  return message == NULL;
}

/* Returns whether QEMU encounters FINDING and refuses IMAGE because of it. */
gboolean
qcow2_finding_refuses (const Qcow2Finding *finding, const Qcow2Image *image)
{
  return qcow2_rules[finding->index].effect >= QCOW2_EFFECT_REFUSED
         && !is_slot_accepted (image, finding->index)
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
