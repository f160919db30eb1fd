/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/advice.h"

#include <string.h>

#include "render/format.h"

/* qcow2 spec, header: the last byte of autoclear_features, whose lowest bit
 * says that the bitmaps are to be trusted. */
#define AT_LAST_AUTOCLEAR_BYTE 95

#define REFUSED "QEMU refuses to open this image"

/* Appends TEXT, in which "{name}" stands for the name of PROBLEM's bitmap,
 * escaped, and "{value}" for the number that is wrong. */
static void
append_filled_in (GString *out, const char *text, const Qcow2Problem *problem)
{
  const char *name = strstr (text, "{name}");
  const char *value = strstr (text, "{value}");

  if (name != NULL && problem->subject.name != NULL)
    {
      g_string_append_len (out, text, name - text);
      format_escaped_bytes (out, problem->subject.name);
      g_string_append (out, name + strlen ("{name}"));
    }
  else if (value != NULL)
    {
      g_string_append_len (out, text, value - text);
      g_string_append_printf (out, QCOW2_U, problem->value);
      g_string_append (out, value + strlen ("{value}"));
    }
  else
    g_string_append (out, text);
}

/* Whether QEMU would have to look at the bitmaps to meet with RULE. */
static gboolean
is_about_bitmaps (const Qcow2Rule *rule)
{
  return rule->remedy == QCOW2_REMEDY_HIDE
         || rule->remedy == QCOW2_REMEDY_REMOVE;
}

/* Returns why QEMU does not meet with PROBLEM of the image with HEADER, NULL
 * when it may. */
static const char *
get_excuse (const Qcow2Problem *problem, const Qcow2Header *header)
{
  const Qcow2Rule *rule = &qcow2_rules[problem->index];

  if (is_about_bitmaps (rule) && !qcow2_header_vouches_for_bitmaps (header))
    return "QEMU does not look: it hides the bitmaps of this image";
  if (rule->effect == QCOW2_EFFECT_AT_LOAD && problem->subject.in_use)
    return "QEMU does not load a bitmap in use";

  return NULL;
}

/* Returns what follows from PROBLEM of the image with HEADER, a sentence in
 * lower case without a full stop, or NULL when there is nothing to say. */
char *
advice_get_consequence (const Qcow2Problem *problem, const Qcow2Header *header)
{
  const Qcow2Rule *rule = &qcow2_rules[problem->index];
  const char *excuse = get_excuse (problem, header);

  if (excuse != NULL)
    return g_strdup (excuse);

  switch (rule->effect)
    {
    case QCOW2_EFFECT_OTHER:
    case QCOW2_EFFECT_ACCEPTED:
      return g_strdup (rule->words);
    case QCOW2_EFFECT_REFUSED:
    case QCOW2_EFFECT_AT_LOAD:
      break;
    }

  if (rule->words == NULL)
    return g_strdup (REFUSED);

  g_autoptr (GString) out = g_string_new (REFUSED ": \"");
  append_filled_in (out, rule->words, problem);
  g_string_append_c (out, '"');
  return g_string_free (g_steal_pointer (&out), FALSE);
}

/* Clearing the bit costs nothing that is not lost already, as long as it can
 * be undone before a program has opened the image for writing. */
static char *
hide_bitmaps (const Qcow2Header *header)
{
  const guint8 now = (guint8) (header->autoclear_features & 0xff);
  const guint8 then = now & (guint8) ~QCOW2_AUTOCLEAR_BITMAPS;

  return g_strdup_printf (
      "to open it without its bitmaps, on a copy: "
      "printf '\\%03o' | dd of=COPY bs=1 seek=%d conv=notrunc\n"
      "undo, before anything opened it read-write: "
      "printf '\\%03o' | dd of=COPY bs=1 seek=%d conv=notrunc",
      then, AT_LAST_AUTOCLEAR_BYTE, now, AT_LAST_AUTOCLEAR_BYTE);
}

/* Returns what can be done about PROBLEM of the image with HEADER, lines
 * without the last newline, or NULL. */
char *
advice_get_remedy (const Qcow2Problem *problem, const Qcow2Header *header)
{
  const Qcow2Rule *rule = &qcow2_rules[problem->index];

  if (get_excuse (problem, header) != NULL)
    return NULL;

  switch (rule->remedy)
    {
    case QCOW2_REMEDY_NONE:
      return NULL;
    case QCOW2_REMEDY_HIDE:
      return hide_bitmaps (header);
    case QCOW2_REMEDY_REMOVE:
      return g_strdup (
          "to get rid of the bitmap, when nothing has the image open and "
          "after a full backup: qemu-img bitmap --remove IMAGE NAME");
    case QCOW2_REMEDY_REPAIR:
      return g_strdup ("to repair refcounts, on a copy: "
                       "qemu-img check -r all COPY");
    case QCOW2_REMEDY_DROP:
      return g_strdup ("to open it without some or all of its snapshots, on a "
                       "copy: qemu-img check -r all COPY");
    case QCOW2_REMEDY_COPY:
      return g_strdup ("to save the disk, without its bitmaps: "
                       "qemu-img convert -O qcow2 IMAGE NEW");
    }

  g_assert_not_reached ();
}

/* Returns what QEMU makes of an image that breaks RULE, or NULL. */
char *
advice_describe_effect (const Qcow2Rule *rule)
{
  switch (rule->effect)
    {
    case QCOW2_EFFECT_OTHER:
    case QCOW2_EFFECT_ACCEPTED:
      return g_strdup (rule->words);
    case QCOW2_EFFECT_REFUSED:
    case QCOW2_EFFECT_AT_LOAD:
      return rule->words != NULL
                 ? g_strdup_printf (REFUSED ": \"%s\"", rule->words)
                 : g_strdup (REFUSED);
    }

  g_assert_not_reached ();
}

/* Returns what can be done when RULE is broken, in a few words, or NULL. */
const char *
advice_describe_remedy (const Qcow2Rule *rule)
{
  switch (rule->remedy)
    {
    case QCOW2_REMEDY_NONE:
      return NULL;
    case QCOW2_REMEDY_HIDE:
      return "on a copy, clear the bitmaps bit of autoclear_features";
    case QCOW2_REMEDY_REMOVE:
      return "after a full backup, qemu-img bitmap --remove";
    case QCOW2_REMEDY_REPAIR:
      return "on a copy, qemu-img check -r all";
    case QCOW2_REMEDY_DROP:
      return "on a copy, qemu-img check -r all, which drops snapshots";
    case QCOW2_REMEDY_COPY:
      return "qemu-img convert into a new image";
    }

  g_assert_not_reached ();
}
