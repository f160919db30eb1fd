/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The findings in the images of the corpus, from the tables of the tests
 * cli-check-corpus and cli-check-rules.  As they are checked in process, the
 * test takes a second, and runs under any memory checker. */

#include "config.h"

#include "check-util.h"
#include "check/rule.h"

/* Images with tens of thousands of structures, which are left to the program's
 * own tests. */
static const char *const large[]
    = { "file-15-tib", "extension-8125-times", NULL };

static gboolean
is_large (const char *name)
{
  return g_strv_contains (large, name) || g_str_has_prefix (name, "many-")
         || g_str_has_prefix (name, "sparse-")
         || (RUNNING_SLOWLY && g_str_has_suffix (name, "-examined"));
}

/* Returns the findings of the check of image NAME, or NULL with ERROR set when
 * it cannot be opened.  Checks the disk as well if WITH_DISK is TRUE. */
static Qcow2Findings *
check_image (const char *name, gboolean with_disk, GError **error)
{
  g_auto (Checked) c = { .only = QCOW2_NO_INDEX, .with_disk = with_disk };
  FakeSource *source = open_source (name, NULL);

  c.failed = g_ptr_array_new_with_free_func (g_free);
  c.findings = qcow2_findings_new ();
  c.image = qcow2_image_open_checked (&source->base, c.findings, error);
  if (c.image == NULL)
    return NULL;

  c.directory = qcow2_directory_open_checked (c.image, c.findings, error);
  g_assert_nonnull (c.directory);
  checked_run (&c);
  g_assert_cmpuint (c.failed->len, ==, 0);
  return g_steal_pointer (&c.findings);
}

/* Returns ERROR as a finding in the notation of the tables. */
static char *
text_of_error (const GError *error)
{
  const char *rule = strrchr (error->message, '[');
  const char *colon = strchr (error->message, ':');

  g_assert_true (rule != NULL && colon != NULL);
  return g_strdup_printf ("E %.*s@%.*s", (int) strlen (rule) - 2, rule + 1,
                          (int) (colon - error->message), error->message);
}

/* Returns the findings in image NAME, one string each. */
static GPtrArray *
find (const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Findings) findings = check_image (name, FALSE, &error);
  GPtrArray *found = g_ptr_array_new_with_free_func (g_free);

  if (findings == NULL)
    {
      g_ptr_array_add (found, text_of_error (error));
      return found;
    }

  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *p = qcow2_findings_get (findings, i);

      g_ptr_array_add (
          found, finding_text ("EWN"[p->severity], p -> rule, p -> offset));
    }
  return found;
}

static gboolean
has_text (GPtrArray *texts, const char *text)
{
  for (guint i = 0; i < texts->len; i++)
    {
      if (g_str_equal (g_ptr_array_index (texts, i), text))
        return TRUE;
    }

  return FALSE;
}

/* DATA holds the name of the image, its verdict and its findings. */
static void
test_corpus (gconstpointer data)
{
  const char *const *row = data;
  g_auto (GStrv) wanted = g_strsplit (row[2], ";", -1);
  g_autoptr (GPtrArray) found = find (row[0]);
  g_autoptr (GPtrArray) texts = g_ptr_array_new ();
  gboolean others = FALSE;

  for (guint i = 0; wanted[i] != NULL; i++)
    {
      const char *text = g_strstrip (wanted[i]);

      if (g_str_equal (text, "+"))
        others = TRUE;
      else if (*text != '\0')
        g_ptr_array_add (texts, (gpointer) text);
    }

  for (guint i = 0; i < texts->len; i++)
    {
      if (!has_text (found, g_ptr_array_index (texts, i)))
        g_error ("%s is not found", (char *) g_ptr_array_index (texts, i));
    }
  for (guint i = 0; i < found->len && !others; i++)
    {
      if (!has_text (texts, g_ptr_array_index (found, i)))
        g_error ("%s is found", (char *) g_ptr_array_index (found, i));
    }
}

/* Returns the rule called NAME, which is an id, or ID/N for the N-th rule with
 * that id. */
static Qcow2RuleIndex
find_rule (const char *name)
{
  g_auto (GStrv) parts = g_strsplit (name, "/", 2);
  guint64 left = parts[1] != NULL ? g_ascii_strtoull (parts[1], NULL, 10) : 1;

  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      if (g_str_equal (qcow2_rules[i].id, parts[0]) && --left == 0)
        return (Qcow2RuleIndex) i;
    }

  g_error ("there is no rule %s", name);
}

/* Returns whether the rule ID is about the disk, which only a check of more
 * than the metadata finds. */
static gboolean
is_about_disk (const char *id)
{
  return g_str_has_prefix (id, "L1-") || g_str_has_prefix (id, "L2-")
         || g_str_has_prefix (id, "SNAP-") || g_str_has_prefix (id, "RC-")
         || g_str_equal (id, "OVL-03");
}

/* Returns whether image NAME breaks RULE.  With OTHERS, the image must also
 * break those rules and no more. */
static gboolean
breaks (const char *name, Qcow2RuleIndex rule, const char *const *others)
{
  const char *id = qcow2_rules[rule].id;
  g_autoptr (GError) error = NULL;
  g_autoptr (Qcow2Findings) findings
      = check_image (name, is_about_disk (id), &error);
  gboolean found = FALSE;

  if (findings == NULL)
    return strstr (error->message, id) != NULL;

  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *p = qcow2_findings_get (findings, i);

      found = found || p->index == rule;
      if (others != NULL && !g_str_equal (p->rule, id)
          && !g_strv_contains (others, p->rule))
        g_error ("%s breaks %s as well", name, p->rule);
    }
  return found;
}

/* DATA holds the name of the rule, an image that breaks it, an image that does
 * not, the word "with", and the other rules that the first image breaks. */
static void
test_rule (gconstpointer data)
{
  const char *const *row = data;
  const Qcow2RuleIndex rule = find_rule (row[0]);

  if (!is_large (row[1]))
    g_assert_true (breaks (row[1], rule, row + 3));
  if (!is_large (row[2]))
    g_assert_false (breaks (row[2], rule, NULL));
}

/* Splits LINE at its spaces into at most MAX words; the last one holds the
 * rest of LINE. */
static char **
split_words (const char *line, guint max)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  while (TRUE)
    {
      line += strspn (line, " ");
      const gsize len
          = words->len + 1 < max ? strcspn (line, " ") : strlen (line);
      if (len == 0 && words->len + 1 != max)
        break;

      g_ptr_array_add (words, g_strndup (line, len));
      line += len;
      if (words->len == max)
        break;
    }

  g_ptr_array_add (words, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&words), FALSE);
}

/* Returns the lines of FILE.  A line that begins with a space continues the
 * one before. */
static char **
read_lines (const char *file)
{
  const char *srcdir = g_getenv ("srcdir");
  g_autofree char *path = g_build_filename (
      srcdir != NULL ? srcdir : ".", "tests", "expected", file, "rows", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;

  g_file_get_contents (path, &text, NULL, &error);
  g_assert_no_error (error);
  for (char *at = strstr (text, "\n "); at != NULL; at = strstr (at, "\n "))
    *at = ' ';
  return g_strsplit (text, "\n", -1);
}

/* Adds a test for each row of the table in FILE.  The data of the test are the
 * words of the row: at most MAX.  Rows with fewer than MIN words, rows whose
 * second word is "-" and large images are skipped. */
static void
add_table (const char *file, guint max, guint min, GTestDataFunc test)
{
  g_auto (GStrv) lines = read_lines (file);

  for (guint i = 0; lines[i] != NULL; i++)
    {
      if (*lines[i] == '#' || *lines[i] == '\0')
        continue;

      char **words = split_words (lines[i], max);
      g_autofree char *name
          = g_strdup_printf ("/findings/%s/%u/%s", file, i + 1, words[0]);
      if (g_strv_length (words) < min || g_str_equal (words[1], "-")
          || is_large (words[0]))
        g_strfreev (words);
      else
        g_test_add_data_func_full (name, words, test,
                                   (GDestroyNotify) g_strfreev);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  add_table ("cli-check-corpus", 3, 3, test_corpus);
  add_table ("cli-check-rules", G_MAXUINT, 3, test_rule);
  return g_test_run ();
}
