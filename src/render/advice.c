/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/advice.h"

#include <string.h>

#include "check/verdict.h"
#include "render/format.h"

#define REFUSED "QEMU refuses to open this image"

/* Appends TEXT to OUT, with "{name}" replaced by the escaped name of FINDING's
 * bitmap or "{value}" replaced by the number that is wrong. */
static void
append_filled_in (GString *out, const char *text, const Qcow2Finding *finding)
{
  const char *name = strstr (text, "{name}");
  const char *value = strstr (text, "{value}");

  if (name != NULL && finding->subject.name != NULL)
    {
      g_string_append_len (out, text, name - text);
      format_escaped_bytes (out, finding->subject.name);
      g_string_append (out, name + strlen ("{name}"));
    }
  else if (value != NULL)
    {
      g_string_append_len (out, text, value - text);
      g_string_append_printf (out, QCOW2_U64_FORMAT, finding->value);
      g_string_append (out, value + strlen ("{value}"));
    }
  else
    g_string_append (out, text);
}

/* Returns whether TEXT needs the name of FINDING's bitmap, but the name is
 * missing because the file ends before it does. */
static gboolean
lacks_name (const char *text, const Qcow2Finding *finding)
{
  return finding->subject.name == NULL && strstr (text, "{name}") != NULL;
}

static const char *const excuses[] = {
  [QCOW2_EXCUSE_NO_EXTENSIONS]
  = "QEMU does not look: it reads no header extension of this image",
  [QCOW2_EXCUSE_OVERRIDDEN]
  = "QEMU does not look: it uses a later bitmaps extension",
  [QCOW2_EXCUSE_HIDDEN]
  = "QEMU does not look: it hides the bitmaps of this image",
  [QCOW2_EXCUSE_IN_USE] = "QEMU does not load a bitmap in use",
};

static Qcow2Excuse
get_excuse (const Qcow2Finding *finding, const Qcow2Image *image)
{
  return qcow2_image_get_excuse (image, finding->index,
                                 !finding->subject.in_use,
                                 finding->subject.extension);
}

static gboolean
is_refusal (const Qcow2Rule *rule)
{
  return rule->effect >= QCOW2_EFFECT_REFUSED;
}

/* Returns whether RULE says that QEMU opens the image, although another
 * finding in FINDINGS makes QEMU refuse IMAGE. */
static gboolean
is_contradicted (const Qcow2Rule *rule, const Qcow2Image *image,
                 const Qcow2Findings *findings)
{
  Qcow2Verdict verdict = QCOW2_VERDICT_INIT;

  if (rule->effect != QCOW2_EFFECT_ACCEPTED || rule->note == NULL
      || strstr (rule->note, "opens the image") == NULL)
    return FALSE;

  qcow2_verdict_add (&verdict, image, findings);
  return verdict.effect == QCOW2_EFFECT_REFUSED;
}

/* Returns the consequence of FINDING, one of the FINDINGS of IMAGE, as a
 * sentence in lower case without a full stop, or NULL when there is nothing to
 * say.  The caller frees the string. */
char *
advice_get_consequence (const Qcow2Finding *finding, const Qcow2Image *image,
                        const Qcow2Findings *findings)
{
  const Qcow2Rule *rule = &qcow2_rules[finding->index];
  const Qcow2Excuse excuse = get_excuse (finding, image);

  if (excuse != QCOW2_EXCUSE_NONE)
    return g_strdup (excuses[excuse]);
  if (is_contradicted (rule, image, findings))
    return g_strdup ("QEMU refuses to open this image for another reason");
  if (finding->index == QCOW2_HDR_21_DIRTY
      && qcow2_findings_hide_references (findings))
    return g_strconcat (rule->note, ", which may free data that are in use",
                        NULL);
  if (finding->index == QCOW2_RC_02
      && qcow2_findings_hide_references (findings))
    return g_strdup ("QEMU counts the cluster as leaked, but what is damaged "
                     "may refer to it");
  if (!is_refusal (rule))
    return g_strdup (rule->note);
  if (rule->qemu_error == NULL || lacks_name (rule->qemu_error, finding))
    return g_strdup (REFUSED);

  g_autoptr (GString) out = g_string_new (REFUSED ": \"");
  append_filled_in (out, rule->qemu_error, finding);
  g_string_append_c (out, '"');
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* The rules that say that the end of an entry of the bitmap directory, or of
 * the directory, is not known: no bitmap can be taken out. */
static const char *const framing_rules[]
    = { "BDIR-01", "BDIR-02", "BDIR-04", "BDIR-21", NULL };

/* Returns whether the directory of IMAGE, with the findings FINDINGS, can be
 * edited as far as the bitmap of FINDING. */
static gboolean
is_removable (const Qcow2Finding *finding, const Qcow2Image *image,
              const Qcow2Findings *findings)
{
  static const Qcow2RuleIndex rules[]
      = { QCOW2_BEXT_01,     QCOW2_BEXT_06,      QCOW2_BEXT_06_REFUSED,
          QCOW2_BEXT_06_FAR, QCOW2_BDIR_03_MORE, QCOW2_HDR_12_OUTSIDE };

  return finding->subject.bitmap != QCOW2_NO_INDEX
         && !qcow2_image_directory_is_in_first_cluster (image)
         && !g_strv_contains (framing_rules, finding->rule)
         && !qcow2_findings_have_any (findings, rules, G_N_ELEMENTS (rules));
}

/* Returns commands that take the bitmap of FINDING, one of the FINDINGS of
 * IMAGE, out of the directory, that hide all bitmaps, and that undo either of
 * them.  Undoing the first brings the error back, which apply refuses without
 * --force; undoing the second does if it makes an error of a refcount again
 * (REF-01).  Hiding bitmaps loses nothing that is not lost already, as long as
 * it can be undone before a program opens the image for writing. */
static char *
remove_or_hide (const Qcow2Finding *finding, const Qcow2Image *image,
                const Qcow2Findings *findings)
{
  const Qcow2Effect obstacle = qcow2_image_get_obstacle (
      image, findings, QCOW2_REMEDY_CLEAR_BITMAPS_BIT);
  const gboolean removable = is_removable (finding, image, findings);
  const char *force
      = qcow2_findings_get_use (findings, QCOW2_REF_01_FREE)->n > 0
            ? " (add --force)"
        : removable ? " (after remove-bitmap, add --force)"
                    : "";
  GString *out = g_string_new (NULL);

  if (removable)
    g_string_append_printf (
        out,
        "to take it out, and keep the other bitmaps: qcow2tool "
        "remove-bitmap --index=" QCOW2_U64_FORMAT " --save-plan=PLAN IMAGE\n",
        finding->subject.bitmap);
  g_string_append_printf (
      out,
      "to open the image without its bitmaps%s: qcow2tool clear-feature-bit "
      "--save-plan=PLAN IMAGE autoclear bitmaps\n"
      "to undo that, before any program opens it for writing%s: qcow2tool "
      "apply --reverse PLAN IMAGE",
      obstacle == QCOW2_EFFECT_REFUSED ? ", once no other damage prevents it"
                                       : "",
      force);
  return g_string_free (out, FALSE);
}

/* Returns a qemu-img command line: BEFORE, the image FILE and AFTER.  HEADER,
 * that of the image, tells whether qemu-img needs a key or the name of a data
 * file. */
static char *
make_command (const Qcow2Header *header, const char *before, const char *file,
              const char *after)
{
  const gboolean needs_key = header->crypt_method != 0;
  const gboolean needs_name
      = (header->incompatible_features & QCOW2_INCOMPATIBLE_DATA_FILE) != 0
        && header->external_data_file == NULL;

  if (!needs_key && !needs_name)
    return g_strdup_printf ("qemu-img %s %s%s", before, file, after);

  return g_strdup_printf (
      "qemu-img %s %s--image-opts driver=qcow2,file.filename=%s%s%s%s", before,
      needs_key ? "--object secret,id=key,file=KEYFILE " : "", file,
      needs_key ? ",encrypt.key-secret=key" : "",
      needs_name ? ",data-file.filename=DATAFILE" : "", after);
}

/* A remedy: its short description and, unless remove_or_hide () makes it, what
 * its command is for and the arguments of make_command (). */
typedef struct
{
  const char *summary;
  const char *purpose;
  const char *before;
  const char *file;
  const char *after;
} Remedy;

static const Remedy remedies[] = {
  [QCOW2_REMEDY_NONE] = { NULL, NULL, NULL, NULL, NULL },
  [QCOW2_REMEDY_CLEAR_BITMAPS_BIT]
  = { "qcow2tool remove-bitmap for one bitmap, clear-feature-bit for all of "
      "them",
      NULL, NULL, NULL, NULL },
  [QCOW2_REMEDY_REMOVE]
  = { "after a full backup, qemu-img bitmap --remove",
      "to get rid of the bitmap, when nothing has the image open and after a "
      "full backup",
      "bitmap --remove", "IMAGE", " NAME" },
  [QCOW2_REMEDY_REPAIR]
  = { "on a copy, qemu-img check -r all", "to repair refcounts, on a copy",
      "check -r all", "COPY", "" },
  [QCOW2_REMEDY_REPAIR_DROPS_SNAPSHOTS]
  = { "on a copy, qemu-img check -r all, which drops snapshots",
      "to open it without some or all of its snapshots, on a copy",
      "check -r all", "COPY", "" },
  [QCOW2_REMEDY_CONVERT] = { "qemu-img convert into a new image",
                             "to save the disk, without its bitmaps",
                             "convert -O qcow2", "IMAGE", " NEW" },
};

/* Returns whether QEMU, if it removes a bitmap of IMAGE with FINDINGS, may
 * free or overwrite what is in use, or fails. */
static gboolean
may_overwrite (const Qcow2Image *image, const Qcow2Findings *findings)
{
  static const Qcow2RuleIndex rules[]
      = { QCOW2_HDR_18_END,     QCOW2_HDR_18_BLOCK, QCOW2_HDR_18_BLOCK_END,
          QCOW2_REF_01_FREE,    QCOW2_RC_01,        QCOW2_RC_01_OVERFLOW,
          QCOW2_L1_04,          QCOW2_L2_04,        QCOW2_OVL_01,
          QCOW2_OVL_01_GUARDED, QCOW2_OVL_02_TABLE, QCOW2_OVL_02_DATA,
          QCOW2_OVL_03 };

  /* It repairs a dirty image first, for which it loads all bitmaps. */
  return qcow2_findings_have_any (findings, rules, G_N_ELEMENTS (rules))
         || qcow2_file_is_truncated (findings)
         || (qcow2_findings_get_use (findings, QCOW2_HDR_21_DIRTY)->n > 0
             && (qcow2_findings_hide_references (findings)
                 || qcow2_image_has_damage_in_use (image, findings)));
}

/* Returns whether FINDINGS says that a part of the disk is lost, which would
 * be zeroes in a copy. */
static gboolean
loses_parts (const Qcow2Findings *findings)
{
  static const Qcow2RuleIndex rules[]
      = { QCOW2_L1_03, QCOW2_L2_03, QCOW2_L2_03_COMPRESSED, QCOW2_HDR_17_END };

  return qcow2_file_is_truncated (findings)
         || qcow2_findings_have_any (findings, rules, G_N_ELEMENTS (rules));
}

/* Returns whether an entry of the refcount table leads to after the end of the
 * file.  A repair would make the file that large. */
static gboolean
has_far_block (const Qcow2Findings *findings)
{
  static const Qcow2RuleIndex rules[]
      = { QCOW2_HDR_18_BLOCK_END, QCOW2_HDR_18_BLOCK_SPARE };

  return qcow2_findings_have_any (findings, rules, G_N_ELEMENTS (rules));
}

/* Returns whether REMEDY would lose data: a copy of a truncated disk silently
 * has zeroes in place of the missing data, and a repair frees what only
 * damaged or missing tables refer to.  If it is to drop snapshots, their
 * tables may be damaged, but not the disk's. */
static gboolean
loses_data (Qcow2Remedy remedy, const Qcow2Findings *findings)
{
  switch (remedy)
    {
    case QCOW2_REMEDY_REPAIR:
      return has_far_block (findings)
             || qcow2_findings_hide_references (findings);
    case QCOW2_REMEDY_REPAIR_DROPS_SNAPSHOTS:
      return has_far_block (findings)
             || qcow2_findings_hide_references_of_disk (findings);
    case QCOW2_REMEDY_CONVERT:
      return loses_parts (findings);
    case QCOW2_REMEDY_NONE:
    case QCOW2_REMEDY_CLEAR_BITMAPS_BIT:
    case QCOW2_REMEDY_REMOVE:
      return FALSE;
    }

  g_assert_not_reached ();
}

/* Returns what has to be done before REMEDY, a command of qemu-img, works, as
 * the end of a phrase, or "".  FINDINGS are those of IMAGE. */
static const char *
get_precondition (Qcow2Remedy remedy, const Qcow2Image *image,
                  const Qcow2Findings *findings)
{
  const Qcow2Effect obstacle
      = qcow2_image_get_obstacle (image, findings, remedy);

  if (obstacle == QCOW2_EFFECT_REFUSED)
    return ", once QEMU opens the image";
  /* Without the snapshots, nothing overlaps their table, which is not at
   * offset 0. */
  if (remedy == QCOW2_REMEDY_CONVERT
      || remedy == QCOW2_REMEDY_REPAIR_DROPS_SNAPSHOTS)
    return "";
  if (obstacle == QCOW2_EFFECT_READ_ONLY
      || (remedy == QCOW2_REMEDY_REPAIR && obstacle == QCOW2_EFFECT_REPAIRED))
    return ", once QEMU opens the image for writing";
  if (remedy == QCOW2_REMEDY_REMOVE && may_overwrite (image, findings))
    return ", once the refcounts are right";
  if (remedy != QCOW2_REMEDY_REMOVE
      && qcow2_image_has_damage_in_use (image, findings))
    return ", once the damaged bitmaps in use are removed";

  return "";
}

/* Returns the remedy for FINDING, one of the FINDINGS of IMAGE: one or more
 * lines without the last newline, or NULL when there is none.  The caller
 * frees the string. */
char *
advice_get_remedy (const Qcow2Finding *finding, const Qcow2Image *image,
                   const Qcow2Findings *findings)
{
  const Qcow2Remedy kind = qcow2_rules[finding->index].remedy;
  const Remedy *remedy = &remedies[kind];
  const Qcow2Header *h = &image->header;

  if (kind == QCOW2_REMEDY_NONE || loses_data (kind, findings)
      || get_excuse (finding, image) != QCOW2_EXCUSE_NONE)
    return NULL;
  if (kind == QCOW2_REMEDY_CLEAR_BITMAPS_BIT)
    return remove_or_hide (finding, image, findings);

  /* QEMU would overwrite the header, which it takes for the table. */
  if (kind == QCOW2_REMEDY_REPAIR_DROPS_SNAPSHOTS && h->snapshot_offset == 0)
    return g_strdup ("if the image has no snapshots: qcow2tool set-header "
                     "--force --save-plan=PLAN IMAGE nb_snapshots 0");

  const char *precondition = get_precondition (kind, image, findings);
  if (kind == QCOW2_REMEDY_REMOVE && *precondition != '\0')
    return remove_or_hide (finding, image, findings);

  const gboolean converts = kind == QCOW2_REMEDY_CONVERT;
  const gboolean drops
      = kind == QCOW2_REMEDY_REPAIR && qcow2_image_may_lose_snapshots (image);
  g_autofree char *command
      = make_command (h, remedy->before, remedy->file, remedy->after);
  return g_strconcat (
      remedy->purpose, drops ? ", which may lose the snapshots" : "",
      converts && h->nb_snapshots > 0 ? " and snapshots" : "",
      converts && h->crypt_method != 0 ? " and not encrypted" : "",
      converts && g_str_has_prefix (finding->rule, "L2-")
          ? " (with --salvage, clusters that cannot be read become zeroes)"
          : "",
      precondition, ": ", command, NULL);
}

/* Returns a description of QEMU's reaction to an image that breaks RULE, or
 * NULL when there is none.  The caller frees the string. */
char *
advice_describe_effect (const Qcow2Rule *rule)
{
  if (!is_refusal (rule))
    return g_strdup (rule->note);

  return rule->qemu_error != NULL
             ? g_strdup_printf (REFUSED ": \"%s\"", rule->qemu_error)
             : g_strdup (REFUSED);
}

/* Returns a short description of VERDICT for people.  Stores the word for
 * programs in *WORD, or NULL when it is uncertain whether QEMU opens the
 * image.  Both strings are static. */
const char *
advice_describe_verdict (const Qcow2Verdict *verdict, const char **word)
{
  switch (verdict->effect)
    {
    case QCOW2_EFFECT_NONE:
    case QCOW2_EFFECT_ACCEPTED:
      *word = "opens";
      return "QEMU opens it";
    case QCOW2_EFFECT_REPAIRED:
      *word = NULL;
      return "QEMU opens it for reading, and for writing if it can repair it";
    case QCOW2_EFFECT_READ_ONLY:
      *word = "read-only";
      return "QEMU opens it only for reading";
    case QCOW2_EFFECT_UNKNOWN:
      *word = NULL;
      return "whether QEMU opens it is not known";
    case QCOW2_EFFECT_REFUSED:
    case QCOW2_EFFECT_AT_LOAD:
      *word = "refuses";
      return "QEMU refuses to open it";
    }

  g_assert_not_reached ();
}

/* Returns a short, static description of the remedy when RULE is broken, or
 * NULL when there is none. */
const char *
advice_describe_remedy (const Qcow2Rule *rule)
{
  return remedies[rule->remedy].summary;
}
