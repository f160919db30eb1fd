/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/refusal.h"

#include <string.h>

#include "check/directory-refusal.h"
#include "check/extension-rules.h"
#include "check/luks-refusal.h"
#include "check/refusal-order.h"
#include "check/unknown-features.h"
#include "check/verdict.h"
#include "qcow2/c-string.h"
#include "qcow2/l2-table.h"
#include "qcow2/luks.h"
#include "qcow2/snapshot.h"

/* A finding that makes QEMU refuse the image, and what its message needs. */
typedef struct
{
  const Qcow2Image *image;
  const Qcow2Finding *finding;
  const Qcow2Findings *findings; /* about the header and the extensions */
} Context;

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

      if (qcow2_rule_is_about_extension (finding->index)
          && qcow2_finding_refuses (finding, c->image))
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
 * qcow2 there if it may read so much. */
static const char *
choose_crypto_offset (const Context *c)
{
  if (c->finding->value != 0)
    return "Encryption header offset '{value}' is not a multiple of cluster "
           "size '{cluster size}'";

  return c->image->crypto.crypto_header_length < QCOW2_LUKS_LENGTH
             ? qcow2_rules[QCOW2_EXT_13_SHORT].qemu_error
             : "Volume is not in LUKS format";
}

/* HDR-07: QEMU takes other bytes for extensions.  Returns NULL if what it
 * refuses there is not their length. */
static const char *
choose_misread (const Context *c)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  const char *too_large = qcow2_rules[QCOW2_EXT_02].qemu_error;
  gboolean accepted;

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

/* HDR-15: QEMU counts the L1 entries that the size needs.  Returns NULL if it
 * rounds the size up to more than 2^64: QEMU then reads on, and what it
 * refuses is not the size alone. */
static const char *
choose_size (const Context *c)
{
  const Qcow2Header *h = &c->image->header;
  const guint64 per_entry = qcow2_l2_get_n_entries (h) * h->cluster_size;

  if (h->size > G_MAXUINT64 - per_entry + 1)
    return NULL;
  if (qcow2_header_get_n_l1_needed (h) > G_MAXINT32)
    return "Image is too big";

  return qcow2_rules[QCOW2_HDR_15_L1].qemu_error;
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

/* Returns QEMU's message about the finding of C, with bytes from the image as
 * they are, or what this program says about it if that is not known. */
static GBytes *
make_message (const Context *c)
{
  const Qcow2Finding *finding = c->finding;
  GBytes *message = NULL;

  if (qcow2_finding_is_about_entries (finding))
    message = qcow2_entries_get_refusal (c->image);
  else if (qcow2_rule_is_after_slots (finding->index))
    message = qcow2_image_get_slots_refusal (c->image);
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
  const Qcow2Finding *first
      = qcow2_findings_get_first_refusal (findings, image, NULL);
  Qcow2Verdict verdict = QCOW2_VERDICT_INIT;

  first = qcow2_findings_get_first_refusal (obstacles, image, first);
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
