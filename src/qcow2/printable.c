/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/printable.h"

/* The number of bytes that are tested together, so that compilers can
 * vectorize the loop. */
#define STEP 32

/* Control and format characters: these control a terminal, are invisible, or
 * reorder the characters next to them. */
static const struct
{
  gunichar first, last;
} unprintable[] = {
  { 0x00, 0x1f },      /* C0 */
  { 0x7f, 0x9f },      /* DEL, C1 */
  { 0x061c, 0x061c },  /* Arabic letter mark */
  { 0x200b, 0x200f },  /* zero width, directional marks */
  { 0x2028, 0x202e },  /* line and paragraph separator, bidi embeddings */
  { 0x2060, 0x2069 },  /* word joiner, bidi isolates */
  { 0xfeff, 0xfeff },  /* byte order mark */
  { 0xfff9, 0xfffb },  /* interlinear annotation */
  { 0xe0000, 0xe007f } /* tags */
};

static gboolean
is_unprintable (gunichar c)
{
  for (guint i = 0; i < G_N_ELEMENTS (unprintable); i++)
    {
      if (c >= unprintable[i].first && c <= unprintable[i].last)
        return TRUE;
    }

  return FALSE;
}

/* Returns whether the first character of the LEN bytes at BYTES is valid UTF-8
 * and neither a control nor a format character.  LEN is at least 1.  Stores
 * its length in bytes in *SIZE: 1 if the character is invalid. */
gboolean
qcow2_char_is_printable (const guint8 *bytes, gsize len, gsize *size)
{
  const gunichar c
      = g_utf8_get_char_validated ((const char *) bytes, (gssize) len);

  *size = 1;
  if (c == (gunichar) -1 || c == (gunichar) -2)
    return FALSE;

  *size = (gsize) g_unichar_to_utf8 (c, NULL);
  return !is_unprintable (c);
}

static inline gboolean
is_plain (guint8 byte)
{
  return (byte >= ' ') & (byte < 0x7f) & (byte != '"') & (byte != '\\');
}

static inline gboolean
are_plain (const guint8 *bytes)
{
  guint8 n = 0;

  for (guint i = 0; i < STEP; i++)
    n += (guint8) is_plain (bytes[i]);

  return n == STEP;
}

/* Returns the number of leading bytes, of the LEN bytes at BYTES, that are
 * printable ASCII characters and need no escape in any output. */
gsize
qcow2_count_plain (const guint8 *bytes, gsize len)
{
  gsize n = 0;

  while (len - n >= STEP && are_plain (bytes + n))
    n += STEP;
  while (n < len && is_plain (bytes[n]))
    n++;

  return n;
}

/* Returns whether all characters of STRING are printable. */
gboolean
qcow2_string_is_printable (GBytes *string)
{
  gsize len;
  const guint8 *bytes = g_bytes_get_data (string, &len);

  while (len > 0)
    {
      gsize size = qcow2_count_plain (bytes, len);

      if (size == 0 && !qcow2_char_is_printable (bytes, len, &size))
        return FALSE;

      bytes += size;
      len -= size;
    }

  return TRUE;
}

/* Returns whether the LEN bytes at BYTES are all in Python's string.printable,
 * so that qcow2.py prints them unescaped. */
gboolean
qcow2_bytes_are_printable (const guint8 *bytes, gsize len)
{
  for (gsize i = 0; i < len; i++)
    {
      if (!g_ascii_isprint (bytes[i]) && (bytes[i] < '\t' || bytes[i] > '\r'))
        return FALSE;
    }

  return TRUE;
}
