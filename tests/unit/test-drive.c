/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Drives the whole library with every image of the builder. */

#include "config.h"

#include "oracle/drive.h"

#include "test-util.h"

/* Tables with more rows are left to the program's own tests. */
#define MAX_ROWS 20000

/* Images with tens of thousands of structures take seconds: one pass is
 * enough. */
static const char *const large[]
    = { "many-share-table",      "many-same-name",
        "many-share-long-table", "many-extensions",
        "sparse-directory-max",  "sparse-directory-1-tib",
        "sparse-table-needed",   NULL };

/* Under valgrind, one image in three is enough.  Which, is random. */
static gboolean
is_left_out (const char *name)
{
  return RUNNING_SLOWLY && (g_str_hash (name) + g_test_rand_int ()) % 3 != 0;
}

/* Those of the large images that a sanitizer looks at. */
static const char *const sanitized[]
    = { "many-extensions", "sparse-table-needed", NULL };

static void
test_image (gconstpointer data)
{
  const gboolean is_large = g_strv_contains (large, data);
  const DriveOptions options
      = { .max_rows = MAX_ROWS,
          .twice = !is_large && !RUNNING_SANITIZED && !RUNNING_SLOWLY };

  if (is_left_out (data))
    return;
  if (is_large
      && (RUNNING_SLOWLY
          || (RUNNING_SANITIZED && !g_strv_contains (sanitized, data))))
    return;

  FakeSource *source = open_source (data, NULL);

  drive (&source->base, &options);
  byte_source_free (&source->base);
}

/* A sound image has no errors; a damaged one has at least one. */
static void
test_result (void)
{
  const DriveOptions options = { .twice = TRUE };
  FakeSource *sound = open_source ("two-bitmaps", NULL);
  FakeSource *damaged = open_source ("table-offset-0", NULL);
  FakeSource *foreign = open_source ("magic-last-byte", NULL);

  const DriveResult of_sound = drive (&sound->base, &options);
  const DriveResult of_damaged = drive (&damaged->base, &options);
  const DriveResult of_foreign = drive (&foreign->base, &options);

  g_assert_true (of_sound.was_opened && of_damaged.was_opened);
  g_assert_false (of_foreign.was_opened);
  g_assert_cmpuint (of_sound.n_bitmaps, ==, 2);
  g_assert_cmpuint (of_sound.n_errors, ==, 0);
  g_assert_cmpuint (of_damaged.n_errors, ==, 1);
  g_assert_cmpuint (of_sound.digest, !=, of_damaged.digest);

  byte_source_free (&sound->base);
  byte_source_free (&damaged->base);
  byte_source_free (&foreign->base);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_autofree ImageName *names = image_list_names ();

  g_test_add_func ("/drive/result", test_result);
  for (guint i = 0; names[i].name != NULL; i++)
    {
      g_autofree char *path = g_strdup_printf ("/drive/%s", names[i].name);

      g_test_add_data_func (path, names[i].name, test_image);
    }

  return g_test_run ();
}
