/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/directory-index.h"

#include <string.h>

#include "qcow2/error.h"

/* The names as they are when read again.  The entry of name i is at 1000 + i.
 */
typedef struct
{
  const char *const *names; /* an element is NULL if the name is gone */
  const gsize *lengths;     /* NULL: names end with a NUL byte */
  guint64 fails;            /* index of the name whose read fails */
  GArray *asked;            /* guint32, indexes of the names read */
} Names;

static GBytes *
read_name (guint32 index, guint32 offset, gpointer data, GError **error)
{
  const Names *names = data;
  const char *name = names->names[index];

  g_assert_cmpuint (offset, ==, 1000 + index);
  g_array_append_val (names->asked, index);
  if (index == names->fails)
    {
      g_set_error (error, QCOW2_ERROR, QCOW2_ERROR_READ, "no");
      return NULL;
    }

  return name != NULL ? g_bytes_new (name, names->lengths != NULL
                                               ? names->lengths[index]
                                               : strlen (name))
                      : NULL;
}

static Qcow2DirectoryIndex *
find (Names *names, guint n)
{
  Qcow2DirectoryIndex *name_index = qcow2_directory_index_new ();
  g_autoptr (GError) error = NULL;

  names->fails = G_MAXUINT64;
  names->asked = g_array_new (FALSE, FALSE, sizeof (guint32));
  for (guint i = 0; i < n; i++)
    qcow2_directory_index_add (
        name_index, 1000 + i, (const guint8 *) names->names[i],
        names->lengths != NULL ? names->lengths[i] : strlen (names->names[i]));
  g_assert_true (
      qcow2_directory_index_find (name_index, read_name, names, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (qcow2_directory_index_get_n (name_index), ==, n);
  return name_index;
}

static void
assert_first (const Qcow2DirectoryIndex *name_index, guint64 index,
              guint64 whole, guint64 cut)
{
  g_assert_cmpuint (qcow2_directory_index_get_first (name_index, index), ==,
                    whole);
  g_assert_cmpuint (qcow2_directory_index_get_first_c (name_index, index), ==,
                    cut);
}

static void
assert_asked (const Names *names, const guint32 *indexes, guint n)
{
  g_assert_cmpmem (names->asked->data, names->asked->len * sizeof (guint32),
                   indexes, n * sizeof *indexes);
}

static void
test_different (void)
{
  static const char *const all[] = { "a",
                                     "b",
                                     "",
                                     "aa",
                                     "0123456789abcdef",
                                     "0123456789abcdeF",
                                     "1123456789abcdef",
                                     "0123456789abcdef0",
                                     "0123456789abcdef0123456789abcdef",
                                     "0123456789abcdef0123456789abcdeg",
                                     "0123456789abcdef1123456789abcdef",
                                     "c",
                                     "d",
                                     "e",
                                     "f",
                                     "g" };
  Names names = { .names = all };
  Qcow2DirectoryIndex *name_index = find (&names, G_N_ELEMENTS (all));

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    assert_first (name_index, i, i, i);
  assert_asked (&names, NULL, 0);
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
}

static void
test_equal (void)
{
  static const char *const all[]
      = { "x", "0123456789abcdef-y", "x", "z", "0123456789abcdef-y", "x", "" };
  const guint32 asked[] = { 0, 1, 2, 4, 5 };
  Names names = { .names = all };
  Qcow2DirectoryIndex *name_index = find (&names, G_N_ELEMENTS (all));

  assert_first (name_index, 0, 0, 0);
  assert_first (name_index, 1, 1, 1);
  assert_first (name_index, 2, 0, 0);
  assert_first (name_index, 3, 3, 3);
  assert_first (name_index, 4, 1, 1);
  assert_first (name_index, 5, 0, 0);
  assert_first (name_index, 6, 6, 6);
  assert_first (name_index, 7, 7, 7);
  assert_asked (&names, asked, G_N_ELEMENTS (asked));
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
}

/* Names that are equal up to a NUL byte are not the same name. */
static void
test_nul (void)
{
  static const char *const all[] = { "a\0b", "c", "a\0c", "a", "a\0c", "\0" };
  static const gsize lengths[] = { 3, 1, 3, 1, 3, 1 };
  Names names = { .names = all, .lengths = lengths };
  Qcow2DirectoryIndex *name_index = find (&names, G_N_ELEMENTS (all));

  assert_first (name_index, 0, 0, 0);
  assert_first (name_index, 1, 1, 1);
  assert_first (name_index, 2, 2, 0);
  assert_first (name_index, 3, 3, 0);
  assert_first (name_index, 4, 2, 0);
  assert_first (name_index, 5, 5, 5);
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
}

/* The inverse of the mixing of hints, which is x * FACTOR, then x ^ x >> 32.
 */
static guint64
unmix (guint64 value)
{
  const guint64 factor = G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  guint64 inverse = factor;

  /* Each step doubles the number of correct bits; the first three are correct
   * from the start. */
  for (guint i = 0; i < 5; i++)
    inverse *= 2 - factor * inverse;
  g_assert_cmphex (factor * inverse, ==, 1);
  return (value ^ value >> 32) * inverse;
}

static guint64
mix (guint64 value)
{
  value *= G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
  return value ^ value >> 32;
}

static void
put_word (char *at, guint64 word)
{
  const guint64 le = GUINT64_TO_LE (word);

  memcpy (at, &le, sizeof le);
}

/* Two names with equal hints are compared again, and differ. */
static void
test_collision (void)
{
  const guint64 words[] = { G_GUINT64_CONSTANT (0x3132333435363738),
                            G_GUINT64_CONSTANT (0x4142434445464748) };
  char one[17] = "";
  char other[17] = "";
  const char *const all[] = { one, other };
  const guint32 asked[] = { 0, 1 };

  /* A hint is mix (mix (16 ^ w0)) + mix (w1). */
  const guint64 changed = words[0] ^ 1;
  const guint64 difference
      = mix (mix (16 ^ words[0])) - mix (mix (16 ^ changed));
  put_word (one, words[0]);
  put_word (one + 8, words[1]);
  put_word (other, changed);
  put_word (other + 8, unmix (mix (words[1]) + difference));
  g_assert_null (memchr (other, 0, 16));

  const gsize lengths[] = { 16, 16 };
  Names names = { .names = all, .lengths = lengths };
  Qcow2DirectoryIndex *name_index = find (&names, 2);
  assert_asked (&names, asked, 2);
  assert_first (name_index, 0, 0, 0);
  assert_first (name_index, 1, 1, 1);
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
}

/* Another process may write to the image: a name may be gone or have changed
 * when it is read again.  An entry may also have no name from the start. */
static void
test_gone (void)
{
  static const char *const later[] = { "x", NULL, "y", NULL };
  Names names = { .names = later,
                  .fails = G_MAXUINT64,
                  .asked = g_array_new (FALSE, FALSE, sizeof (guint32)) };
  Qcow2DirectoryIndex *name_index = qcow2_directory_index_new ();

  for (guint i = 0; i < 3; i++)
    qcow2_directory_index_add (name_index, 1000 + i, (const guint8 *) "x", 1);
  qcow2_directory_index_add (name_index, 1003, NULL, 5);
  g_assert_true (
      qcow2_directory_index_find (name_index, read_name, &names, NULL));
  g_assert_cmpuint (names.asked->len, ==, 3);
  g_assert_cmpuint (qcow2_directory_index_get_n (name_index), ==, 4);
  for (guint i = 0; i < 5; i++)
    assert_first (name_index, i, i, i);
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
}

static void
test_read_fails (void)
{
  static const char *const all[] = { "x", "x", "x" };
  Names names = { .names = all,
                  .fails = 1,
                  .asked = g_array_new (FALSE, FALSE, sizeof (guint32)) };
  Qcow2DirectoryIndex *name_index = qcow2_directory_index_new ();
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 3; i++)
    qcow2_directory_index_add (name_index, 1000 + i, (const guint8 *) "x", 1);
  g_assert_false (
      qcow2_directory_index_find (name_index, read_name, &names, &error));
  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_assert_cmpuint (names.asked->len, ==, 2);
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
}

/* So many names that they are compared in parts.  Every fifth has the number
 * of another. */
static void
test_many (void)
{
  const guint n = 30000;
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  Names names = { 0 };

  for (guint i = 0; i < n; i++)
    g_ptr_array_add (all, g_strdup_printf ("%u", i % 5 == 0 ? i * 10 % n : i));
  names.names = (const char *const *) all->pdata;
  Qcow2DirectoryIndex *name_index = find (&names, n);

  for (guint i = 0; i < n; i++)
    {
      if (!g_hash_table_contains (seen, names.names[i]))
        g_hash_table_insert (seen, all->pdata[i], GUINT_TO_POINTER (i));

      const guint first
          = GPOINTER_TO_UINT (g_hash_table_lookup (seen, names.names[i]));
      assert_first (name_index, i, first, first);
    }
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
}

/* Looking up names from a given index on, and the offsets of entries. */
static void
test_look_up (void)
{
  static const char *const all[] = { "x", "y", "x", "a\0b" };
  static const gsize lengths[] = { 1, 1, 1, 3 };
  Names names = { .names = all, .lengths = lengths };
  Qcow2DirectoryIndex *name_index = find (&names, G_N_ELEMENTS (all));
  const guint8 *x = (const guint8 *) "x";
  guint32 offset;

  g_assert_cmpuint (qcow2_directory_index_look_up (name_index, x, 1, 0), ==,
                    0);
  g_assert_cmpuint (qcow2_directory_index_look_up (name_index, x, 1, 1), ==,
                    2);
  g_assert_cmpuint (qcow2_directory_index_look_up (name_index, x, 1, 2), ==,
                    2);
  g_assert_cmpuint (qcow2_directory_index_look_up (name_index, x, 1, 3), ==,
                    G_MAXUINT64);
  g_assert_cmpuint (qcow2_directory_index_look_up (name_index, x, 0, 0), ==,
                    G_MAXUINT64);
  g_assert_cmpuint (qcow2_directory_index_look_up (
                        name_index, (const guint8 *) "a\0c", 3, 0),
                    ==, 3);
  for (guint64 i = 0; i < G_N_ELEMENTS (all); i++)
    {
      g_assert_true (
          qcow2_directory_index_get_offset (name_index, i, &offset));
      g_assert_cmpuint (offset, ==, 1000 + i);
    }
  g_assert_false (qcow2_directory_index_get_offset (name_index, 4, &offset));
  g_array_unref (names.asked);
  qcow2_directory_index_free (name_index);
  qcow2_directory_index_free (NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/name_index/different", test_different);
  g_test_add_func ("/name_index/equal", test_equal);
  g_test_add_func ("/name_index/nul", test_nul);
  g_test_add_func ("/name_index/collision", test_collision);
  g_test_add_func ("/name_index/many", test_many);
  g_test_add_func ("/name_index/look-up", test_look_up);
  g_test_add_func ("/name_index/gone", test_gone);
  g_test_add_func ("/name_index/read-fails", test_read_fails);
  return g_test_run ();
}
