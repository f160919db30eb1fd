/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/verdict.h"

/* The id prefixes of rules about structures that are found through header
 * extensions. */
static const char *const by_extension[]
    = { "EXT-", "BEXT-", "BDIR-", "BTAB-", "CRYPT-", NULL };

static gboolean
is_found_by_extension (const Qcow2Rule *rule)
{
  for (guint i = 0; by_extension[i] != NULL; i++)
    {
      if (g_str_has_prefix (rule->id, by_extension[i]))
        return TRUE;
    }

  return FALSE;
}

/* Returns whether QEMU encounters a violation of RULE only when it reads the
 * bitmaps. */
static gboolean
is_about_bitmaps (const Qcow2Rule *rule)
{
  return rule->remedy == QCOW2_REMEDY_CLEAR_BITMAPS_BIT
         || rule->remedy == QCOW2_REMEDY_REMOVE;
}

/* Returns why QEMU does not encounter a violation of RULE, a row of
 * qcow2_rules, in IMAGE.  EXTENSION is the index of the extension that breaks
 * the rule, or QCOW2_NO_INDEX.  LOADED is FALSE if only bitmaps in use break
 * the rule, because QEMU does not load those. */
Qcow2Excuse
qcow2_image_get_excuse (const Qcow2Image *image, Qcow2RuleIndex rule,
                        gboolean loaded, guint64 extension)
{
  const Qcow2Rule *row = &qcow2_rules[rule];

  if (image->extensions_ignored && is_found_by_extension (row))
    return QCOW2_EXCUSE_NO_EXTENSIONS;
  if (row->only_last && extension != image->bitmaps_index)
    return QCOW2_EXCUSE_OVERRIDDEN;
  if (is_about_bitmaps (row)
      && !qcow2_header_bitmaps_are_consistent (&image->header))
    return QCOW2_EXCUSE_HIDDEN;
  if (row->effect == QCOW2_EFFECT_AT_LOAD && !loaded)
    return QCOW2_EXCUSE_IN_USE;

  return QCOW2_EXCUSE_NONE;
}

/* Returns whether IMAGE breaks RULE, a row of qcow2_rules, and QEMU encounters
 * that. */
static gboolean
is_encountered (const Qcow2Image *image, const Qcow2Findings *findings,
                Qcow2RuleIndex rule)
{
  const Qcow2RuleUse *use = qcow2_findings_get_use (findings, rule);

  return use->n > 0
         && qcow2_image_get_excuse (image, rule, use->loaded,
                                    use->last_extension)
                == QCOW2_EXCUSE_NONE;
}

static gboolean
is_repair (Qcow2Remedy remedy)
{
  return remedy == QCOW2_REMEDY_REPAIR
         || remedy == QCOW2_REMEDY_REPAIR_DROPS_SNAPSHOTS;
}

/* Returns whether REMEDY can be used although RULE is broken. */
static gboolean
overcomes (Qcow2Remedy remedy, const Qcow2Rule *rule)
{
  if (remedy == QCOW2_REMEDY_CLEAR_BITMAPS_BIT)
    return is_about_bitmaps (rule);

  return is_repair (remedy) && is_repair (rule->remedy);
}

/* Updates VERDICT if FINDINGS of IMAGE contain a finding that REMEDY does not
 * overcome with a worse effect. */
static void
add_obstacles (Qcow2Verdict *verdict, const Qcow2Image *image,
               const Qcow2Findings *findings, Qcow2Remedy remedy)
{
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      const Qcow2Effect effect
          = MIN (qcow2_rules[i].effect, QCOW2_EFFECT_REFUSED);

      if (effect > verdict->effect && !overcomes (remedy, &qcow2_rules[i])
          && is_encountered (image, findings, i))
        *verdict = (Qcow2Verdict){ effect, i };
    }
}

/* Updates VERDICT if FINDINGS of IMAGE contain a finding with a worse
 * effect. */
void
qcow2_verdict_add (Qcow2Verdict *verdict, const Qcow2Image *image,
                   const Qcow2Findings *findings)
{
  add_obstacles (verdict, image, findings, QCOW2_REMEDY_NONE);
}

/* Returns the worst effect of those FINDINGS of IMAGE that REMEDY does not
 * overcome. */
Qcow2Effect
qcow2_image_get_obstacle (const Qcow2Image *image,
                          const Qcow2Findings *findings, Qcow2Remedy remedy)
{
  Qcow2Verdict verdict = { QCOW2_EFFECT_NONE, QCOW2_NO_RULE };

  add_obstacles (&verdict, image, findings, remedy);
  return verdict.effect;
}

/* Returns whether FINDINGS of IMAGE contain a finding that makes, or may make,
 * QEMU refuse the image, except those of the row IGNORED. */
gboolean
qcow2_image_is_refused (const Qcow2Image *image, const Qcow2Findings *findings,
                        Qcow2RuleIndex ignored)
{
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      if (i != ignored && qcow2_rules[i].effect >= QCOW2_EFFECT_UNKNOWN
          && is_encountered (image, findings, i))
        return TRUE;
    }

  return FALSE;
}

/* Returns whether FINDINGS of IMAGE contain damage for which QEMU would refuse
 * to load a bitmap that is not in use.  QEMU opens the image, but cannot count
 * the references of its bitmaps. */
gboolean
qcow2_image_has_damage_in_use (const Qcow2Image *image,
                               const Qcow2Findings *findings)
{
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      const Qcow2RuleUse *use = qcow2_findings_get_use (findings, i);

      if (use->n > 0
          && qcow2_image_get_excuse (image, i, use->loaded,
                                     use->last_extension)
                 == QCOW2_EXCUSE_IN_USE)
        return TRUE;
    }

  return FALSE;
}

static gboolean
is_about_snapshots (const Qcow2Rule *rule)
{
  return g_str_equal (rule->id, "HDR-19")
         || g_str_has_prefix (rule->id, "SNAP-");
}

static gboolean
hide_references (const Qcow2Findings *findings, gboolean with_snapshots)
{
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      const Qcow2Rule *rule = &qcow2_rules[i];

      if (rule->hides_references
          && (with_snapshots || !is_about_snapshots (rule))
          && qcow2_findings_get_use (findings, i)->n > 0)
        return TRUE;
    }

  return FALSE;
}

/* Returns whether FINDINGS has damage because of which QEMU may take clusters
 * in use for leaked. */
gboolean
qcow2_findings_hide_references (const Qcow2Findings *findings)
{
  return hide_references (findings, TRUE);
}

/* Returns whether FINDINGS has such damage outside the snapshots. */
gboolean
qcow2_findings_hide_references_of_disk (const Qcow2Findings *findings)
{
  return hide_references (findings, FALSE);
}

/* Returns whether FINDINGS says that clusters are missing at the end of the
 * file (FILE-09), and that no writer is about to add them. */
gboolean
qcow2_file_is_truncated (const Qcow2Findings *findings)
{
  return qcow2_findings_get_use (findings, QCOW2_FILE_09)->n > 0
         || qcow2_findings_get_use (findings, QCOW2_FILE_09_REFCOUNT)->n > 0;
}

/* Returns whether IMAGE may lose its snapshots if qemu-img check repairs it.
 * QEMU 7.2 to 11.1 rewrites the header before it has read the snapshots, as if
 * there were none: to mark bitmaps as in use or clear autoclear bits. */
gboolean
qcow2_image_may_lose_snapshots (const Qcow2Image *image)
{
  const Qcow2Header *h = &image->header;
  const gboolean has_bitmaps = image->has_bitmaps && !image->extensions_ignored
                               && image->bitmaps.nb_bitmaps > 0;

  return h->nb_snapshots > 0
         && (has_bitmaps
             || (h->autoclear_features & ~QCOW2_AUTOCLEAR_KNOWN) != 0);
}
