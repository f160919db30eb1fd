/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/refusal.h"

#include <string.h>

#include "check/directory-refusal.h"
#include "check/extension-rules.h"
#include "check/luks-refusal.h"
#include "check/unknown-features.h"
#include "check/verdict.h"
#include "qcow2/c-string.h"
#include "qcow2/l2-table.h"
#include "qcow2/luks.h"
#include "qcow2/snapshot.h"

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

/* A finding that makes QEMU refuse the image, and what its message needs. */
typedef struct
{
  const Qcow2Image *image;
  const Qcow2Finding *finding;
  const Qcow2Findings *findings; /* about the header and the extensions */
} Context;

/* Returns the index of RULE in the N RULES, or N if it is not there. */
static guint
find_rule (const Qcow2RuleIndex *rules, guint n, Qcow2RuleIndex rule)
{
  guint i = 0;

  while (i < n && rules[i] != rule)
    i++;
  return i;
}

static gboolean
is_about_extension (Qcow2RuleIndex rule)
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
static gboolean
is_after_slots (Qcow2RuleIndex rule)
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
  if (is_about_extension (rule))
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
static gboolean
is_refused (const Qcow2Image *image, const Qcow2Finding *finding)
{
  return qcow2_rules[finding->index].effect >= QCOW2_EFFECT_REFUSED
         && qcow2_image_get_excuse (image, finding->index,
                                    !finding->subject.in_use,
                                    finding->subject.extension)
                == QCOW2_EXCUSE_NONE;
}

/* Returns the finding in FINDINGS that makes QEMU refuse IMAGE first, or FIRST
 * if none is earlier than that. */
static const Qcow2Finding *
find_first (const Qcow2Image *image, const Qcow2Findings *findings,
            const Qcow2Finding *first)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      if (is_refused (image, finding)
          && (first == NULL
              || is_earlier (get_rank (finding), get_rank (first))))
        first = finding;
    }

  return first;
}

static void
append_value (GString *out, const Context *c)
{
  g_string_append_printf (out, QCOW2_U64_FORMAT, c->finding->value);
}

static void
append_signed_value (GString *out, const Context *c)
{
  g_string_append_printf (out, "%d", (gint32) c->finding->value);
}

static void
append_name (GString *out, const Context *c)
{
  GBytes *string = c->finding->subject.name;
  const gsize len = qcow2_c_string_get_length (string);

  if (len > 0)
    g_string_append_len (out, g_bytes_get_data (string, NULL), (gssize) len);
}

static void
append_cluster_size (GString *out, const Context *c)
{
  g_string_append_printf (out, QCOW2_U64_FORMAT,
                          c->image->header.cluster_size);
}

static void
append_subcluster_size (GString *out, const Context *c)
{
  g_string_append_printf (out, QCOW2_U64_FORMAT,
                          c->image->header.cluster_size / QCOW2_N_SUBCLUSTERS);
}

/* Appends the unknown incompatible features, as QEMU names them.  To find the
 * names, QEMU reads the extensions up to the first one that is wrong. */
static void
append_features (GString *out, const Context *c)
{
  guint64 n_read = G_MAXUINT64;

  for (guint i = 0; i < qcow2_findings_get_n (c->findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (c->findings, i);

      if (is_about_extension (finding->index)
          && is_refused (c->image, finding))
        n_read = MIN (n_read, finding->subject.extension);
    }

  qcow2_image_append_unknown_features (c->image, n_read, out);
}

/* Appends the index of the snapshot with too much extra data. */
static void
append_snapshot (GString *out, const Context *c)
{
  g_auto (Qcow2SnapshotTable) table = { .bad = QCOW2_NO_INDEX };

  qcow2_snapshot_table_measure (c->image, &table, NULL);
  g_string_append_printf (out, QCOW2_U64_FORMAT,
                          table.bad != QCOW2_NO_INDEX ? table.bad : 0);
}

/* Reads the LUKS header into *LUKS and its words into *WORDS.  If the header
 * cannot be read, there are none. */
static void
get_words (const Context *c, Qcow2Luks *luks, Qcow2LuksWords *words)
{
  if (qcow2_luks_read (c->image->source, c->image->crypto.crypto_header_offset,
                       luks, NULL))
    qcow2_luks_get_words (luks, words);
}

/* Appends the number of bytes of one key; XTS has two. */
static void
append_key_size (GString *out, const Context *c)
{
  Qcow2Luks luks = { .key_bytes = 0 };
  g_auto (Qcow2LuksWords) words = { 0 };

  get_words (c, &luks, &words);
  g_string_append_printf (out, "%u",
                          g_strcmp0 (words.mode, "xts") == 0
                              ? luks.key_bytes / 2
                              : luks.key_bytes);
}

/* Appends the member of Qcow2LuksWords at OFFSET, if it can be read. */
static void
append_luks_word (GString *out, const Context *c, gsize offset)
{
  Qcow2Luks luks = { .key_bytes = 0 };
  g_auto (Qcow2LuksWords) words = { 0 };

  get_words (c, &luks, &words);

  const char *word = G_STRUCT_MEMBER (char *, &words, offset);
  if (word != NULL)
    g_string_append (out, word);
}

/* The words in braces that stand for something from the image. */
static const struct
{
  const char *word;
  void (*append) (GString *out, const Context *c);
  gsize luks_word; /* in Qcow2LuksWords, if APPEND is NULL */
} placeholders[] = {
  { "{value}", append_value, 0 },
  { "{signed value}", append_signed_value, 0 },
  { "{name}", append_name, 0 },
  { "{cluster size}", append_cluster_size, 0 },
  { "{subcluster size}", append_subcluster_size, 0 },
  { "{features}", append_features, 0 },
  { "{snapshot}", append_snapshot, 0 },
  { "{cipher}", NULL, offsetof (Qcow2LuksWords, cipher) },
  { "{key size}", append_key_size, 0 },
  { "{mode}", NULL, offsetof (Qcow2LuksWords, mode) },
  { "{ivgen}", NULL, offsetof (Qcow2LuksWords, ivgen) },
  { "{ivgen hash}", NULL, offsetof (Qcow2LuksWords, ivgen_hash) },
  { "{hash}", NULL, offsetof (Qcow2LuksWords, hash) },
};

/* EXT-13: QEMU takes offset 0 for the LUKS header, and finds the magic of
 * qcow2 there. */
static const char *
choose_crypto_offset (const Context *c)
{
  return c->finding->value == 0 ? "Volume is not in LUKS format"
                                : "Encryption header offset '{value}' is not "
                                  "a multiple of cluster size "
                                  "'{cluster size}'";
}

/* HDR-07: QEMU takes other bytes for extensions.  Returns NULL if what it
 * refuses there is not their length. */
static const char *
choose_misread (const Context *c)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  const char *too_large = qcow2_rules[QCOW2_EXT_02].qemu_error;
  gboolean accepted;

  if (c->image->header.header_length > c->image->header.cluster_size)
    return qcow2_rules[QCOW2_HDR_08].qemu_error;
  if (!qcow2_extensions_can_be_misread (c->image->source, &c->image->header,
                                        findings, &accepted, NULL))
    return NULL;
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Rule *rule
          = &qcow2_rules[qcow2_findings_get (findings, i)->index];

      if (rule->effect >= QCOW2_EFFECT_REFUSED)
        return g_strcmp0 (rule->qemu_error, too_large) == 0 ? too_large : NULL;
    }

  /* Not even the head of an extension has room. */
  return too_large;
}

/* HDR-15: QEMU rounds the size up to L1 entries.  Returns NULL if that exceeds
 * 2^64: QEMU then reads on, and what it refuses is not the size alone. */
static const char *
choose_size (const Context *c)
{
  const Qcow2Header *h = &c->image->header;
  const guint64 per_entry = qcow2_l2_get_n_entries (h) * h->cluster_size;

  return h->size <= G_MAXUINT64 - per_entry + 1 ? "Image is too big" : NULL;
}

/* QEMU's messages where those in the table of rules are only what all versions
 * of QEMU have in common, or there are none.  They are those of version 7.2.
 * CHOOSE returns the message if it is not always the same.  NULL: it is not
 * known. */
static const struct
{
  Qcow2RuleIndex rule;
  const char *text;
  const char *(*choose) (const Context *c);
} messages[] = {
  { QCOW2_HDR_07_REFUSED, NULL, choose_misread },
  { QCOW2_HDR_05, "Unsupported subcluster size: {subcluster size}", NULL },
  { QCOW2_HDR_15_HUGE, NULL, choose_size },
  { QCOW2_HDR_16_UNKNOWN, "Unsupported encryption method {signed value}",
    NULL },
  { QCOW2_HDR_19_EXTRA,
    "Too much extra metadata in snapshot table entry {snapshot}", NULL },
  { QCOW2_HDR_20, "Unsupported qcow2 feature(s): {features}", NULL },
  { QCOW2_HDR_23_UNKNOWN, "qcow2: unknown compression type: {value}", NULL },
  { QCOW2_HDR_23_SET,
    "qcow2: Compression type incompatible feature bit must not be set", NULL },
  { QCOW2_HDR_23_CLEAR,
    "qcow2: Compression type incompatible feature bit must be set", NULL },
  { QCOW2_EXT_10_LONG,
    "ERROR: ext_backing_format: len={value} too large (>=16)", NULL },
  { QCOW2_EXT_13_PLACE, NULL, choose_crypto_offset },
  { QCOW2_BEXT_02,
    "bitmaps_ext: Image has {value} bitmaps, exceeding the QEMU supported "
    "maximum of 65535",
    NULL },
  { QCOW2_BEXT_04_LARGE,
    "bitmaps_ext: bitmap directory size ({value}) exceeds the maximum "
    "supported size (67107840)",
    NULL },
  { QCOW2_BEXT_05_ALIGN, "bitmaps_ext: invalid bitmap directory offset",
    NULL },
  { QCOW2_BDIR_15_NUL, "Bitmap already exists: {name}", NULL },
  { QCOW2_CRYPT_04,
    "Algorithm '{cipher}' with key size {key size} bytes not supported",
    NULL },
  { QCOW2_CRYPT_05_FORM, "Unexpected cipher mode string format '{mode}'",
    NULL },
  { QCOW2_CRYPT_05_HASH, "Hash algorithm '{ivgen hash}' not supported", NULL },
  { QCOW2_CRYPT_05_MODE, "Cipher mode '{mode}' not supported", NULL },
  { QCOW2_CRYPT_05_IVGEN, "IV generator '{ivgen}' not supported", NULL },
  { QCOW2_CRYPT_06, "Hash algorithm '{hash}' not supported", NULL },
  { QCOW2_CRYPT_08,
    "Algorithm '{cipher}' with key size {key size} bytes not supported",
    NULL },
  { QCOW2_CRYPT_08_CAST5,
    "Algorithm '{cipher}' with key size {key size} bytes not supported",
    NULL },
};

/* Returns the message about the finding of C with its placeholders, or NULL if
 * it is not known. */
static const char *
get_message (const Context *c)
{
  const Qcow2RuleIndex rule = c->finding->index;

  for (guint i = 0; i < G_N_ELEMENTS (messages); i++)
    {
      if (messages[i].rule == rule)
        return messages[i].choose != NULL ? messages[i].choose (c)
                                          : messages[i].text;
    }

  return qcow2_rules[rule].qemu_error;
}

/* Appends TEXT with its placeholders filled in. */
static void
append_filled_in (GString *out, const char *text, const Context *c)
{
  while (*text != '\0')
    {
      guint i = 0;

      while (i < G_N_ELEMENTS (placeholders)
             && !g_str_has_prefix (text, placeholders[i].word))
        i++;

      if (i == G_N_ELEMENTS (placeholders))
        {
          g_string_append_c (out, *text++);
          continue;
        }

      if (placeholders[i].append != NULL)
        placeholders[i].append (out, c);
      else
        append_luks_word (out, c, placeholders[i].luks_word);
      text += strlen (placeholders[i].word);
    }
}

/* Returns QEMU's message about the key slots, or NULL if it accepts them. */
static GBytes *
get_slots_message (const Context *c)
{
  Qcow2Luks luks;

  return qcow2_luks_read (c->image->source,
                          c->image->crypto.crypto_header_offset, &luks, NULL)
             ? qcow2_luks_slots_get_refusal (&luks)
             : NULL;
}

/* Returns QEMU's message about the finding of C, with bytes from the image as
 * they are, or what this program says about it if that is not known. */
static GBytes *
make_message (const Context *c)
{
  const Qcow2Finding *finding = c->finding;
  GBytes *message = NULL;

  if (get_rank (finding).step == STEP_ENTRIES)
    message = qcow2_entries_get_refusal (c->image);
  else if (is_after_slots (finding->index))
    message = get_slots_message (c);
  if (message != NULL)
    return message;

  const char *text = get_message (c);
  GString *out = g_string_new (NULL);

  if (text == NULL)
    g_string_printf (out, "%s [%s]", finding->message, finding->rule);
  else
    append_filled_in (out, text, c);

  return g_string_free_to_bytes (out);
}

/* Returns the message of QEMU when it refuses to open IMAGE, for the first of
 * its reasons, or NULL if it does not refuse.  FINDINGS are those about the
 * header, the extensions and the directory as a whole, OBSTACLES those of
 * qcow2_directory_find_obstacles ().  The message may contain any bytes from
 * the image.  If QEMU's words are not known, the message ends with the id of a
 * rule in brackets. */
GBytes *
qcow2_image_get_refusal (const Qcow2Image *image,
                         const Qcow2Findings *findings,
                         const Qcow2Findings *obstacles)
{
  const Qcow2Finding *first = find_first (image, findings, NULL);
  Qcow2Verdict verdict = QCOW2_VERDICT_INIT;

  first = find_first (image, obstacles, first);
  if (first != NULL)
    return make_message (&(const Context){ image, first, findings });

  /* There may be a reason among the findings that were only counted. */
  qcow2_verdict_add (&verdict, image, findings);
  qcow2_verdict_add (&verdict, image, obstacles);
  if (verdict.effect != QCOW2_EFFECT_REFUSED)
    return NULL;

  const Qcow2Rule *rule = &qcow2_rules[verdict.rule];
  g_autofree char *message
      = g_strdup_printf ("not true: %s [%s]", rule->condition, rule->id);
  return g_bytes_new (message, strlen (message));
}
