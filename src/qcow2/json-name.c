/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/json-name.h"

#include <string.h>

/* Maximum nesting depth of objects.  A layer has a file below a format. */
#define MAX_DEPTH 4

typedef struct
{
  char *value;        /* or NULL if there is none */
  gboolean is_nested; /* VALUE comes from an object within the first one */
} Option;

/* The options that were read.  A member of an object within the first one
 * counts like one whose key has the outer key and a dot before it.  If there
 * are both, the nested one counts, whatever their order, as in QEMU. */
typedef struct
{
  const char *at; /* the rest of the text */
  Option driver;
  Option filename;
  Option file_driver;
  Option file_filename;
  gboolean is_more; /* other options change what is read */
} Parser;

static gboolean parse_object (Parser *parser, const char *prefix, guint depth);

static void
skip_space (Parser *parser)
{
  parser->at += strspn (parser->at, " \t\r\n");
}

/* Skips the character C and the space around it, if it is next. */
static gboolean
take (Parser *parser, char c)
{
  skip_space (parser);
  if (*parser->at != c)
    return FALSE;

  parser->at++;
  skip_space (parser);
  return TRUE;
}

/* Reads the four hexadecimal digits of a UTF-16 unit. */
static gboolean
parse_unit (Parser *parser, gunichar *unit)
{
  *unit = 0;
  for (guint i = 0; i < 4; i++)
    {
      const int digit = g_ascii_xdigit_value (*parser->at);

      if (digit < 0)
        return FALSE;
      *unit = *unit << 4 | (gunichar) digit;
      parser->at++;
    }

  return TRUE;
}

/* Reads the rest of a \u escape, two of them for a pair of surrogates. */
static gboolean
parse_character (Parser *parser, GString *out)
{
  gunichar c;
  gunichar low;

  if (!parse_unit (parser, &c))
    return FALSE;
  if (c >= 0xd800 && c <= 0xdbff)
    {
      if (!g_str_has_prefix (parser->at, "\\u"))
        return FALSE;
      parser->at += 2;
      if (!parse_unit (parser, &low) || low < 0xdc00 || low > 0xdfff)
        return FALSE;
      c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }

  /* A NUL would end the name. */
  if (c == 0 || !g_unichar_validate (c))
    return FALSE;

  g_string_append_unichar (out, c);
  return TRUE;
}

static gboolean
parse_escape (Parser *parser, GString *out)
{
  static const char letters[] = "bfnrt\"'\\/";
  static const char values[] = "\b\f\n\r\t\"'\\/";
  const char letter = *parser->at;
  const char *found = letter != '\0' ? strchr (letters, letter) : NULL;

  if (letter == '\0')
    return FALSE;

  parser->at++;
  if (letter == 'u')
    return parse_character (parser, out);
  if (found == NULL)
    return FALSE;

  g_string_append_c (out, values[found - letters]);
  return TRUE;
}

/* Reads a string in double quotes or, as QEMU allows, single ones.  Returns
 * NULL if there is none.  The caller frees it. */
static char *
parse_string (Parser *parser)
{
  g_autoptr (GString) out = g_string_new (NULL);
  const char quote = *parser->at;

  if (quote != '"' && quote != '\'')
    return NULL;

  for (parser->at++; *parser->at != quote;)
    {
      const char c = *parser->at++;

      if (c == '\0' || (c == '\\' && !parse_escape (parser, out)))
        return NULL;
      if (c != '\\')
        g_string_append_c (out, c);
    }

  parser->at++;
  return g_strdup (out->str);
}

/* Returns whether the option KEY changes which bytes are read.  A file that is
 * a string is the name of a node that only QEMU knows. */
static gboolean
changes_contents (const char *key)
{
  static const char *const options[]
      = { "backing", "data-file", "file.file", "offset", "size" };

  for (guint i = 0; i < G_N_ELEMENTS (options); i++)
    {
      const gsize len = strlen (options[i]);

      if (strncmp (key, options[i], len) == 0
          && (key[len] == '\0' || key[len] == '.'))
        return TRUE;
    }

  return g_str_equal (key, "file");
}

/* Returns the option of PARSER whose key is KEY, or NULL. */
static Option *
find_option (Parser *parser, const char *key)
{
  const struct
  {
    const char *key;
    Option *option;
  } known[] = { { "driver", &parser->driver },
                { "filename", &parser->filename },
                { "file.driver", &parser->file_driver },
                { "file.filename", &parser->file_filename } };

  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    {
      if (g_str_equal (key, known[i].key))
        return known[i].option;
    }

  return NULL;
}

/* Notes the option KEY, whose VALUE is NULL if it is not a string.  IS_NESTED
 * says that it is not a member of the first object. */
static void
note (Parser *parser, const char *key, const char *value, gboolean is_nested)
{
  Option *option = find_option (parser, key);

  if (option == NULL ? changes_contents (key) : value == NULL)
    parser->is_more = TRUE;
  if (option == NULL || (option->is_nested && !is_nested))
    return;

  g_free (option->value);
  option->value = g_strdup (value);
  option->is_nested = is_nested;
}

/* Skips a number, true, false or null. */
static gboolean
skip_literal (Parser *parser)
{
  const char *start = parser->at;

  while (g_ascii_isalnum (*parser->at)
         || (*parser->at != '\0' && strchr ("+-.", *parser->at) != NULL))
    parser->at++;

  return parser->at > start;
}

static gboolean
parse_value (Parser *parser, const char *key, guint depth)
{
  if (*parser->at == '{')
    {
      g_autofree char *prefix = g_strconcat (key, ".", NULL);

      parser->is_more = parser->is_more || find_option (parser, key) != NULL;
      return parse_object (parser, prefix, depth + 1);
    }

  const gboolean is_string = *parser->at == '"' || *parser->at == '\'';
  g_autofree char *value = is_string ? parse_string (parser) : NULL;

  if (is_string ? value == NULL : !skip_literal (parser))
    return FALSE;

  note (parser, key, value, depth > 0);
  return TRUE;
}

/* Reads an object, whose keys have PREFIX before them.  No option that
 * concerns a file is an array, so that arrays are not read.  As in QEMU, an
 * object must not have the same key twice. */
static gboolean
parse_object (Parser *parser, const char *prefix, guint depth)
{
  if (depth > MAX_DEPTH || !take (parser, '{'))
    return FALSE;
  if (take (parser, '}'))
    return TRUE;

  g_autoptr (GHashTable) names
      = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  do
    {
      char *name = parse_string (parser);
      g_autofree char *key = g_strconcat (prefix, name, NULL);

      if (name == NULL || !g_hash_table_add (names, name)
          || !take (parser, ':') || !parse_value (parser, key, depth))
        return FALSE;
    }
  while (take (parser, ','));

  return take (parser, '}');
}

/* Returns whether DRIVER reads a file of this machine. */
static gboolean
is_file_driver (const char *driver)
{
  return g_strcmp0 (driver, "file") == 0
         || g_strcmp0 (driver, "host_device") == 0;
}

/* Stores in NAME, which must be all 0, what the JSON object TEXT says about a
 * layer that is one file.  If its driver is that of the file itself, QEMU
 * takes the bytes as they are.  Returns FALSE if TEXT is not such an object,
 * or if it has options that make something else of the file. */
gboolean
qcow2_json_name_parse (Qcow2JsonName *name, const char *text)
{
  Parser parser = { .at = text };
  const gboolean parsed
      = parse_object (&parser, "", 0) && *parser.at == '\0' && !parser.is_more;

  if (parsed && is_file_driver (parser.driver.value))
    {
      name->filename = g_steal_pointer (&parser.filename.value);
      name->format = g_strdup ("raw");
    }
  else if (parsed && parser.filename.value == NULL
           && (parser.file_driver.value == NULL
               || is_file_driver (parser.file_driver.value)))
    {
      name->filename = g_steal_pointer (&parser.file_filename.value);
      name->format = g_steal_pointer (&parser.driver.value);
    }

  g_free (parser.driver.value);
  g_free (parser.filename.value);
  g_free (parser.file_driver.value);
  g_free (parser.file_filename.value);
  return name->filename != NULL;
}

void
qcow2_json_name_clear (Qcow2JsonName *name)
{
  g_clear_pointer (&name->filename, g_free);
  g_clear_pointer (&name->format, g_free);
}
