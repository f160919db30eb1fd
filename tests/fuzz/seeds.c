/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Seeds from the builder's images: the images as they are, and the sound ones
 * also with clusters so small that the whole file is a short input. */

#include "config.h"

#include "fuzz.h"

#include <string.h>

#define MIB (1024 * 1024)

static void
give (const char *name, const Image *image, FuzzSeedFunc func, gpointer data)
{
  for (guint variant = 0;; variant++)
    {
      g_autofree char *variant_name = g_strdup_printf ("%s-%u", name, variant);
      g_autoptr (GBytes) seed = fuzz_get_seed (image, variant);

      if (seed == NULL)
        return;

      func (variant_name, seed, data);
    }
}

/* Returns an upper estimate in bytes of the size of header and extensions. */
static gsize
guess_header_size (const ImageSpec *spec)
{
  gsize size = 256 + (spec->feature_table ? 8 * 48 : 0) + spec->header_length;

  for (guint i = 0; i < spec->n_extensions; i++)
    size += 16 + spec->extensions[i].length;

  return size;
}

/* Builds SPEC with the smallest clusters that hold its header.  It is without
 * LUKS, whose header alone takes 2 MiB. */
static Image *
build_small (const ImageSpec *spec)
{
  ImageSpec small = *spec;

  small.size = MIN (spec->size, MIB);
  small.n_guest = 0;
  small.crypt_method = 0;
  small.cluster_bits = 9;
  while (guess_header_size (spec) > (gsize) 1 << small.cluster_bits)
    small.cluster_bits++;

  return image_build_spec (&small);
}

/* Calls FUNC with DATA for every seed of this target. */
void
fuzz_for_each_seed (FuzzSeedFunc func, gpointer data)
{
  g_autofree ImageName *names = image_list_names ();

  for (guint i = 0; names[i].name != NULL; i++)
    {
      g_autoptr (Image) image = image_build (names[i].name);

      give (names[i].name, image, func, data);
    }

  for (const ImageBase *base = image_bases; base->name != NULL; base++)
    {
      g_autoptr (Image) image = build_small (&base->spec);
      g_autofree char *name = g_strdup_printf ("small-%s", base->name);

      give (name, image, func, data);
    }
}
