/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target without libFuzzer: with its seeds, with some changes of
 * them, and with the inputs in the corpus; or with the files named on the
 * command line.  With --write DIR, it writes the seeds to DIR instead. */

#include "config.h"

#include "fuzz.h"

#include <string.h>

/* The number of changes tried with a seed, each on top of the one before, and
 * the maximum size in bytes of a seed that is changed. */
#define N_CHANGES 4
#define MAX_CHANGED 4096

static void
run_bytes (const guint8 *data, gsize size)
{
  /* The copy has exactly SIZE bytes, so that sanitizers and valgrind notice
   * reads past its end. */
  g_autofree guint8 *copy = g_malloc (size);

  if (size > 0)
    memcpy (copy, data, size);
  LLVMFuzzerTestOneInput (copy, size);
}

static void
test_seed (gconstpointer data)
{
  GBytes *seed = (GBytes *) data;
  gsize size;
  const guint8 *bytes = g_bytes_get_data (seed, &size);

  run_bytes (bytes, size);
}

/* Replaces libFuzzer's function.  Changes one byte, and sometimes appends one.
 * Returns the new size in bytes. */
gsize
LLVMFuzzerMutate (guint8 *data, gsize size, gsize max_size)
{
  if (size < max_size && g_test_rand_int_range (0, 8) == 0)
    data[size++] = 0;
  if (size > 0)
    data[g_test_rand_int_range (0, (gint32) size)]
        = (guint8) g_test_rand_int_range (0, 256);

  return size;
}

static void
test_changes (gconstpointer data)
{
  GBytes *seed = (GBytes *) data;
  guint8 bytes[MAX_CHANGED];
  gsize size = g_bytes_get_size (seed);

  memcpy (bytes, g_bytes_get_data (seed, NULL), size);
  for (guint i = 0; i < N_CHANGES; i++)
    {
      size = LLVMFuzzerCustomMutator (bytes, size, sizeof bytes,
                                      (unsigned int) g_test_rand_int ());
      g_assert_cmpuint (size, <=, sizeof bytes);
      run_bytes (bytes, size);
    }
}

static void
test_file (gconstpointer data)
{
  g_autofree char *bytes = NULL;
  g_autoptr (GError) error = NULL;
  gsize size;

  g_file_get_contents (data, &bytes, &size, &error);
  g_assert_no_error (error);
  run_bytes ((const guint8 *) bytes, size);
}

static void
add_test (const char *kind, const char *name, gpointer data,
          GTestDataFunc test, GDestroyNotify destroy)
{
  g_autofree char *path
      = g_strdup_printf ("/fuzz/%s/%s/%s", fuzz_name, kind, name);

  g_test_add_data_func_full (path, data, test, destroy);
}

static void
add_seed (const char *name, GBytes *seed, gpointer data G_GNUC_UNUSED)
{
  const gsize size = g_bytes_get_size (seed);
  const gboolean is_slow = g_getenv ("QCOW2TOOL_SLOW") != NULL;

  if (is_slow && g_test_rand_int_range (0, 16) != 0)
    return;

  add_test ("seed", name, g_bytes_ref (seed), test_seed,
            (GDestroyNotify) g_bytes_unref);
  if (size > 0 && size < MAX_CHANGED && !is_slow)
    add_test ("changes", name, g_bytes_ref (seed), test_changes,
              (GDestroyNotify) g_bytes_unref);
}

static void
add_corpus (void)
{
  const char *top = g_getenv ("srcdir") != NULL ? g_getenv ("srcdir") : ".";
  g_autofree char *path
      = g_build_filename (top, "tests", "fuzz", "corpus", fuzz_name, NULL);
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  if (dir == NULL)
    g_error ("%s cannot be read", path);

  while ((name = g_dir_read_name (dir)) != NULL)
    add_test ("corpus", name, g_build_filename (path, name, NULL), test_file,
              g_free);
}

static void
write_seed (const char *name, GBytes *seed, gpointer data)
{
  const char *dir = data;
  g_autofree char *path = g_build_filename (dir, name, NULL);
  g_autoptr (GError) error = NULL;
  gsize size;
  const char *bytes = g_bytes_get_data (seed, &size);

  if (!g_file_set_contents (path, bytes != NULL ? bytes : "", (gssize) size,
                            &error))
    g_error ("%s", error->message);
}

int
main (int argc, char **argv)
{
  if (argc == 3 && g_str_equal (argv[1], "--write"))
    {
      fuzz_for_each_seed (write_seed, argv[2]);
      return 0;
    }

  g_test_init (&argc, &argv, NULL);
  for (int i = 1; i < argc; i++)
    add_test ("file", argv[i], g_strdup (argv[i]), test_file, g_free);
  if (argc == 1)
    {
      fuzz_for_each_seed (add_seed, NULL);
      add_corpus ();
    }

  return g_test_run ();
}
