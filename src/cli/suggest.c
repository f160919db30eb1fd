/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "cli/suggest.h"

#include <string.h>

/* Maximum number of typing errors in a mistyped word; more of them make it a
 * different word. */
#define MAX_SLIPS 2

static gboolean
is_same_letter (char a, char b)
{
  return g_ascii_tolower (a) == g_ascii_tolower (b);
}

/* Returns the number of letters to change, add or remove, or of neighbours to
 * swap, to turn A into B, or MOST + 1 if that is more than MOST.  Case does
 * not matter. */
static guint
edit_distance (const char *a, const char *b, guint most)
{
  while (*a != '\0' && is_same_letter (*a, *b))
    {
      a++;
      b++;
    }
  if (*a == '\0' && *b == '\0')
    return 0;
  if (most == 0)
    return 1;

  guint least = most;
  if (*a != '\0' && *b != '\0')
    {
      least = MIN (least, edit_distance (a + 1, b + 1, most - 1));
      if (is_same_letter (a[0], b[1]) && is_same_letter (a[1], b[0]))
        least = MIN (least, edit_distance (a + 2, b + 2, most - 1));
    }
  if (*a != '\0')
    least = MIN (least, edit_distance (a + 1, b, most - 1));
  if (*b != '\0')
    least = MIN (least, edit_distance (a, b + 1, most - 1));
  return 1 + least;
}

/* Returns the one of CANDIDATES, a NULL-terminated array, that TEXT comes
 * closest to, and the first one of several that are equally close.  Returns
 * NULL if TEXT is like none of them: at most a third of its letters may be
 * wrong. */
const char *
suggest_closest (const char *text, const char *const *candidates)
{
  const guint most = (guint) MIN (MAX_SLIPS, strlen (text) / 3);
  const char *closest = NULL;
  guint least = most + 1;

  for (; *candidates != NULL; candidates++)
    {
      const guint slips = edit_distance (text, *candidates, most);

      if (slips < least)
        {
          least = slips;
          closest = *candidates;
        }
    }

  return closest;
}

/* Returns whether there is a file NAME, of any kind but a folder. */
static gboolean
is_file (const char *name)
{
  return g_file_test (name, G_FILE_TEST_EXISTS)
         && !g_file_test (name, G_FILE_TEST_IS_DIR);
}

/* Returns whether NAME is more likely an image than a mistyped command. */
gboolean
suggest_is_image (const char *name)
{
  return g_str_has_suffix (name, ".qcow2") || is_file (name);
}

/* Returns whether NAME is more likely a bitmap or a snapshot in the image
 * OTHER than another image. */
gboolean
suggest_is_bitmap (const char *name, const char *other)
{
  return strchr (name, '/') == NULL && !g_str_has_suffix (name, ".qcow2")
         && !g_file_test (name, G_FILE_TEST_EXISTS) && is_file (other);
}

/* Returns whether PATH is more likely the name of a file for QEMU's programs,
 * with SUGGEST_QEMU_PREFIX, than a path. */
gboolean
suggest_has_qemu_prefix (const char *path)
{
  return g_str_has_prefix (path, SUGGEST_QEMU_PREFIX)
         && !g_file_test (path, G_FILE_TEST_EXISTS)
         && is_file (path + strlen (SUGGEST_QEMU_PREFIX));
}
