/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The images named by operands and by lists in files. */

#include "config.h"

#include "cli/image-list.h"

#include <string.h>

#include <glib/gstdio.h>

/* A temporary folder for the lists of a test. */
typedef struct
{
  char *dir;
  GPtrArray *files;
} Folder;

static void
folder_set_up (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  folder->dir = g_dir_make_tmp ("image-list-XXXXXX", &error);
  g_assert_no_error (error);
  folder->files = g_ptr_array_new_with_free_func (g_free);
}

static void
folder_tear_down (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  for (guint i = 0; i < folder->files->len; i++)
    g_unlink (g_ptr_array_index (folder->files, i));
  g_ptr_array_unref (folder->files);
  g_assert_cmpint (g_rmdir (folder->dir), ==, 0);
  g_free (folder->dir);
}

/* Writes a list of LEN bytes of TEXT.  Returns its path, which FOLDER owns. */
static char *
add_list (Folder *folder, const char *text, gsize len)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_strdup_printf ("list%u", folder->files->len);
  char *path = g_build_filename (folder->dir, name, NULL);

  g_file_set_contents (path, text, (gssize) len, &error);
  g_assert_no_error (error);
  g_ptr_array_add (folder->files, path);
  return path;
}

#define ADD_LIST(folder, literal)                                             \
  add_list ((folder), (literal), sizeof (literal) - 1)

/* Asserts that EXPECTED, or the end if NULL, is next. */
static void
assert_next (ImageList *list, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = NULL;
  const Qcow2Next next = image_list_next (list, &name, &error);

  g_assert_no_error (error);
  g_assert_cmpint (next, ==,
                   expected != NULL ? QCOW2_NEXT_ITEM : QCOW2_NEXT_END);
  g_assert_cmpstr (name, ==, expected);
}

static void
assert_next_fails (ImageList *list, gint code, const char *path,
                   const char *words)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = NULL;

  g_assert_cmpint (image_list_next (list, &name, &error), ==,
                   QCOW2_NEXT_FAILED);
  g_assert_null (name);
  g_assert_error (error, G_FILE_ERROR, code);
  g_assert_true (g_str_has_prefix (error->message, path));
  g_assert_nonnull (strstr (error->message, words));
}

/* Asserts that a list of LEN bytes of TEXT names the EXPECTED images.  The
 * names end with a NUL byte if NUL, otherwise with a newline. */
static void
assert_list (Folder *folder, const char *text, gsize len, gboolean nul,
             const char *const *expected)
{
  char *files[] = { add_list (folder, text, len), NULL };
  g_autoptr (ImageList) list
      = image_list_new (NULL, nul ? NULL : files, nul ? files : NULL);

  for (; *expected != NULL; expected++)
    assert_next (list, *expected);
  assert_next (list, NULL);
}

#define ASSERT_LIST(folder, literal, nul, ...)                                \
  assert_list ((folder), (literal), sizeof (literal) - 1, (nul),              \
               (const char *const[]){ __VA_ARGS__ })

static void
test_nothing (void)
{
  char *none[] = { NULL };
  g_autoptr (ImageList) absent = image_list_new (NULL, NULL, NULL);
  g_autoptr (ImageList) empty = image_list_new (none, none, none);

  assert_next (absent, NULL);
  assert_next (empty, NULL);
}

static void
test_free_null (void)
{
  image_list_free (NULL);
}

static void
test_operands (void)
{
  char *operands[] = { g_strdup ("a"), g_strdup ("-"), g_strdup (""), NULL };
  g_autoptr (ImageList) list = image_list_new (operands, NULL, NULL);

  assert_next (list, "a");
  assert_next (list, "-");
  assert_next (list, "");
  assert_next (list, NULL);
  for (guint i = 0; i < 3; i++)
    g_free (operands[i]);
}

static void
test_lines (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  ASSERT_LIST (folder, "a\nb b\n /c\t\n", FALSE, "a", "b b", " /c\t", NULL);
}

static void
test_last_line (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  ASSERT_LIST (folder, "a\nlast", FALSE, "a", "last", NULL);
}

static void
test_blank_lines (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  ASSERT_LIST (folder, "\n\na\n\nb\n\n", FALSE, "a", "b", NULL);
}

static void
test_empty (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  ASSERT_LIST (folder, "", FALSE, NULL);
  ASSERT_LIST (folder, "\n", FALSE, NULL);
  ASSERT_LIST (folder, "", TRUE, NULL);
  ASSERT_LIST (folder, "\0", TRUE, NULL);
}

/* A carriage return is part of the name, as file names may contain one. */
static void
test_bytes (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  ASSERT_LIST (folder, "a\r\n\xff\xfe\n\033[2J\n", FALSE, "a\r", "\xff\xfe",
               "\033[2J", NULL);
}

static void
test_nul (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  ASSERT_LIST (folder, "a\nb\0\nc\0d", TRUE, "a\nb", "\nc", "d", NULL);
}

static void
test_long_line (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *name = g_strnfill (100000, 'n');
  g_autofree char *text = g_strconcat (name, "\nz\n", NULL);
  const char *const expected[] = { name, "z", NULL };

  assert_list (folder, text, strlen (text), FALSE, expected);
}

/* A line with a NUL byte belongs in a list for --files0-from, or the file is
 * not a list at all.  The text before the NUL must not be used as a name. */
static void
test_nul_in_line (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  char *files[] = { ADD_LIST (folder, "good\na\0b\nafter\n"),
                    ADD_LIST (folder, "next\n"), NULL };
  g_autoptr (ImageList) list = image_list_new (NULL, files, NULL);

  assert_next (list, "good");
  assert_next_fails (list, G_FILE_ERROR_INVAL, files[0], "--files0-from");
  assert_next (list, "next");
  assert_next (list, NULL);
}

static void
test_missing (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *path = g_build_filename (folder->dir, "none", NULL);
  char *files[] = { path, ADD_LIST (folder, "next\n"), NULL };
  g_autoptr (ImageList) list = image_list_new (NULL, files, NULL);

  assert_next_fails (list, G_FILE_ERROR_NOENT, path, "cannot open");
  assert_next (list, "next");
  assert_next (list, NULL);
}

static void
test_directory (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  char *lines[] = { folder->dir, NULL };
  char *nuls[] = { ADD_LIST (folder, "next\0"), NULL };
  g_autoptr (ImageList) list = image_list_new (NULL, lines, nuls);

  assert_next_fails (list, G_FILE_ERROR_ISDIR, folder->dir, "cannot read");
  assert_next (list, "next");
  assert_next (list, NULL);
}

static void
test_several (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  char operand[] = "operand";
  char *operands[] = { operand, NULL };
  char *lines[] = { ADD_LIST (folder, "line1\n"), ADD_LIST (folder, ""),
                    ADD_LIST (folder, "line2"), NULL };
  char *nuls[] = { ADD_LIST (folder, "nul1\0nul2\0"),
                   ADD_LIST (folder, "nul3\0"), NULL };
  g_autoptr (ImageList) list = image_list_new (operands, lines, nuls);

  assert_next (list, "operand");
  assert_next (list, "line1");
  assert_next (list, "line2");
  assert_next (list, "nul1");
  assert_next (list, "nul2");
  assert_next (list, "nul3");
  assert_next (list, NULL);
  assert_next (list, NULL);
}

/* A list is closed even if it is not read to its end. */
static void
test_unfinished (Folder *folder, gconstpointer data G_GNUC_UNUSED)
{
  char *files[] = { ADD_LIST (folder, "a\nb\n"), NULL };
  g_autoptr (ImageList) list = image_list_new (NULL, files, NULL);

  assert_next (list, "a");
}

#define ADD(path, test)                                                       \
  g_test_add ((path), Folder, NULL, folder_set_up, (test), folder_tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/image-list/nothing", test_nothing);
  g_test_add_func ("/image-list/free-null", test_free_null);
  g_test_add_func ("/image-list/operands", test_operands);
  ADD ("/image-list/lines", test_lines);
  ADD ("/image-list/last-line", test_last_line);
  ADD ("/image-list/blank-lines", test_blank_lines);
  ADD ("/image-list/empty", test_empty);
  ADD ("/image-list/bytes", test_bytes);
  ADD ("/image-list/nul", test_nul);
  ADD ("/image-list/long-line", test_long_line);
  ADD ("/image-list/nul-in-line", test_nul_in_line);
  ADD ("/image-list/missing", test_missing);
  ADD ("/image-list/directory", test_directory);
  ADD ("/image-list/several", test_several);
  ADD ("/image-list/unfinished", test_unfinished);
  return g_test_run ();
}
