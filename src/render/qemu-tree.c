/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/qemu-tree.h"

#include <string.h>

#include "qcow2/c-string.h"
#include "qcow2/printable.h"
#include "render/digits.h"
#include "render/format.h"

/* Maximum nesting depth.  The deepest value, a list in a bitmap, is at level 6
 * of an image, which may itself be in a list or be a child of another. */
#define MAX_DEPTH 16

#define INDENT 4

/* U+FFFD as qemu-img writes it, in place of what is not a character. */
#define REPLACEMENT "\\uFFFD"

/* A sequence of bytes has at most this length, even where it is longer than
 * that of any character. */
#define MAX_SEQUENCE 6

typedef struct
{
  gboolean is_list;
  guint n; /* values so far */
} Level;

struct QemuTree
{
  GString *out; /* not owned */
  QemuTreeForm form;
  Level levels[MAX_DEPTH];
  guint depth;
};

/* Returns STRING, which may be NULL, up to its first NUL, and at most MAX - 1
 * bytes of it. */
QemuString
qemu_string_cut (GBytes *string, gsize max)
{
  const gsize len = qcow2_c_string_get_length (string);

  return (QemuString){ len > 0 ? g_bytes_get_data (string, NULL) : NULL,
                       MIN (len, max - 1) };
}

/* Returns a tree that is appended to OUT, which must outlive it, in FORM. */
QemuTree *
qemu_tree_new (GString *out, QemuTreeForm form)
{
  QemuTree *tree = g_new0 (QemuTree, 1);

  tree->out = out;
  tree->form = form;
  return tree;
}

gboolean
qemu_tree_is_text (const QemuTree *tree)
{
  return tree->form == QEMU_TREE_TEXT;
}

static Level *
get_level (QemuTree *tree)
{
  return tree->depth > 0 ? &tree->levels[tree->depth - 1] : NULL;
}

static void
append_indent (const QemuTree *tree)
{
  digits_append_spaces (tree->out, (gsize) tree->depth * INDENT);
}

/* Begins a line of text up to the colon: the name of the value KEY, or the
 * index of the next value of a list. */
static void
begin_line (QemuTree *tree, const Level *level, const char *key)
{
  append_indent (tree);
  if (level->is_list)
    {
      g_string_append_c (tree->out, '[');
      digits_append (tree->out, level->n);
      g_string_append_c (tree->out, ']');
    }
  for (; !level->is_list && *key != '\0'; key++)
    g_string_append_c (tree->out, *key == '-' ? ' ' : *key);
  g_string_append_c (tree->out, ':');
}

/* Appends the text before the value KEY of an object, or before the next value
 * of a list. */
static void
begin_value (QemuTree *tree, const char *key)
{
  Level *level = get_level (tree);

  if (level == NULL)
    return;

  if (tree->form == QEMU_TREE_TEXT)
    {
      begin_line (tree, level, key);
      level->n++;
      return;
    }

  if (level->n++ > 0)
    g_string_append_c (tree->out, ',');
  if (tree->form == QEMU_TREE_JSON)
    {
      g_string_append_c (tree->out, '\n');
      append_indent (tree);
    }
  if (level->is_list)
    return;

  g_string_append_c (tree->out, '"');
  g_string_append (tree->out, key);
  g_string_append (tree->out, tree->form == QEMU_TREE_JSON ? "\": " : "\":");
}

/* Begins a value that is no group. */
static void
begin_scalar (QemuTree *tree, const char *key)
{
  begin_value (tree, key);
  if (tree->form == QEMU_TREE_TEXT)
    g_string_append_c (tree->out, ' ');
}

static void
end_scalar (QemuTree *tree)
{
  if (tree->form == QEMU_TREE_TEXT)
    g_string_append_c (tree->out, '\n');
}

static void
begin_group (QemuTree *tree, const char *key, gboolean is_list)
{
  g_assert (tree->depth < MAX_DEPTH);

  begin_value (tree, key);
  if (tree->form != QEMU_TREE_TEXT)
    g_string_append_c (tree->out, is_list ? '[' : '{');
  else if (tree->depth > 0)
    g_string_append_c (tree->out, '\n');

  tree->levels[tree->depth++] = (Level){ .is_list = is_list };
}

/* Begins an object: the value KEY of an object, the next value of a list, or
 * the outermost value.  In text, the outermost value has no line of its own,
 * but those within it are indented. */
void
qemu_tree_begin_object (QemuTree *tree, const char *key)
{
  begin_group (tree, key, FALSE);
}

/* Begins a list, like qemu_tree_begin_object (). */
void
qemu_tree_begin_list (QemuTree *tree, const char *key)
{
  begin_group (tree, key, TRUE);
}

/* Ends the innermost object or list.  As by qemu-img, an empty one is not on
 * one line in indented JSON. */
void
qemu_tree_end (QemuTree *tree)
{
  g_assert (tree->depth > 0);

  const gboolean is_list = get_level (tree)->is_list;
  tree->depth--;
  if (tree->form == QEMU_TREE_TEXT)
    return;

  if (tree->form == QEMU_TREE_JSON)
    {
      g_string_append_c (tree->out, '\n');
      append_indent (tree);
    }
  g_string_append_c (tree->out, is_list ? ']' : '}');
  if (tree->depth == 0)
    g_string_append_c (tree->out, '\n');
}

/* Returns the number of bytes of a sequence that begins with the byte FIRST,
 * or 1 if none does. */
static gsize
get_sequence_length (guint8 first)
{
  gsize n = 0;

  while (n < 8 && (first & (0x80 >> n)) != 0)
    n++;

  return n < 2 || n > MAX_SEQUENCE ? 1 : n;
}

/* Returns whether the N bytes at AT are the shortest form of a character that
 * is not a noncharacter.  The two bytes that stand for a NUL in modified UTF-8
 * are one, too. */
static gboolean
is_character (const guint8 *at, gsize n)
{
  if (n == 2 && at[0] == 0xc0 && at[1] == 0x80)
    return TRUE;
  if (g_utf8_get_char_validated ((const char *) at, (gssize) n) > 0x10ffff)
    return FALSE;

  const gunichar c = g_utf8_get_char ((const char *) at);
  return (c & 0xfffe) != 0xfffe && (c < 0xfdd0 || c > 0xfdef);
}

static void
append_unit (GString *out, guint unit)
{
  g_string_append_printf (out, "\\u%04X", unit);
}

/* Appends the character C, which is not plain ASCII. */
static void
append_escape (GString *out, gunichar c)
{
  static const char specials[] = "\b\t\n\f\r\"\\";
  static const char letters[] = "btnfr\"\\";
  const char *special = c > 0 && c < 0x80 ? strchr (specials, (int) c) : NULL;

  if (special != NULL)
    {
      g_string_append_c (out, '\\');
      g_string_append_c (out, letters[special - specials]);
    }
  else if (c < 0x10000)
    append_unit (out, c);
  else
    {
      append_unit (out, 0xd800 + ((c - 0x10000) >> 10));
      append_unit (out, 0xdc00 + ((c - 0x10000) & 0x3ff));
    }
}

/* Appends the first character of the LEN bytes at BYTES, which is not plain
 * ASCII.  Returns the number of bytes that it takes.  qemu-img replaces a
 * broken sequence, as far as it goes, by one U+FFFD, and a long one that
 * stands for no character, too. */
static gsize
append_character (GString *out, const char *bytes, gsize len)
{
  const guint8 *at = (const guint8 *) bytes;
  const gsize wanted = get_sequence_length (at[0]);
  gsize n = 1;

  while (n < wanted && n < len && (at[n] & 0xc0) == 0x80)
    n++;

  if (at[0] < 0x80)
    append_escape (out, at[0]);
  else if (n < wanted || wanted == 1 || !is_character (at, n))
    g_string_append (out, REPLACEMENT);
  else
    append_escape (out, at[0] == 0xc0 ? 0 : g_utf8_get_char (bytes));
  return n;
}

static void
append_json_string (GString *out, const char *bytes, gsize len)
{
  g_string_append_c (out, '"');
  while (len > 0)
    {
      gsize n = qcow2_count_plain ((const guint8 *) bytes, len);

      if (n > 0)
        g_string_append_len (out, bytes, (gssize) n);
      else
        n = append_character (out, bytes, len);

      bytes += n;
      len -= n;
    }
  g_string_append_c (out, '"');
}

/* Adds the LEN bytes at BYTES, from the image or a path, as the value KEY.  In
 * text they are escaped like all text from an image. */
void
qemu_tree_add_string (QemuTree *tree, const char *key, const char *bytes,
                      gsize len)
{
  begin_scalar (tree, key);
  if (tree->form == QEMU_TREE_TEXT)
    format_escaped (tree->out, bytes, len);
  else
    append_json_string (tree->out, bytes, len);
  end_scalar (tree);
}

/* Adds STRING like qemu_tree_add_string (). */
void
qemu_tree_add_cut (QemuTree *tree, const char *key, QemuString string)
{
  qemu_tree_add_string (tree, key, string.bytes, string.len);
}

/* Adds WORD, of this program, as the value KEY. */
void
qemu_tree_add_word (QemuTree *tree, const char *key, const char *word)
{
  qemu_tree_add_string (tree, key, word, strlen (word));
}

void
qemu_tree_add_number (QemuTree *tree, const char *key, guint64 number)
{
  begin_scalar (tree, key);
  digits_append (tree->out, number);
  end_scalar (tree);
}

void
qemu_tree_add_signed (QemuTree *tree, const char *key, gint64 number)
{
  begin_scalar (tree, key);
  g_string_append_printf (tree->out, "%" G_GINT64_FORMAT, number);
  end_scalar (tree);
}

void
qemu_tree_add_boolean (QemuTree *tree, const char *key, gboolean value)
{
  begin_scalar (tree, key);
  g_string_append (tree->out, value ? "true" : "false");
  end_scalar (tree);
}

void
qemu_tree_free (QemuTree *tree)
{
  g_free (tree);
}
