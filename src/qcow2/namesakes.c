/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/namesakes.h"

#include <string.h>

#include "qcow2/record.h"

#define DIGEST_LENGTH 32 /* SHA-256 */

/* An odd number, its bits well mixed. */
#define HINT_FACTOR G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)

/* The first bitmaps that have the name of a bitmap, or have it up to the first
 * NUL byte: indexes. */
typedef struct
{
  guint32 whole;
  guint32 cut;
} First;

/* Names that are equal up to the first NUL byte have the same hint; so may
 * others. */
typedef struct
{
  guint64 hint;
  guint64 offset; /* host, of the entry */
  guint32 index;
} Hint;

/* A name that may be another's, too. */
typedef struct
{
  guint8 cut_digest[DIGEST_LENGTH]; /* up to the first NUL byte */
  guint8 digest[DIGEST_LENGTH];
  guint32 index;
} Name;

struct Qcow2Namesakes
{
  GArray *firsts; /* First, for each bitmap */
  GArray *hints;  /* Hint, for each name, until they are found */
};

Qcow2Namesakes *
qcow2_namesakes_new (void)
{
  Qcow2Namesakes *namesakes = g_new (Qcow2Namesakes, 1);

  namesakes->firsts = g_array_new (FALSE, FALSE, sizeof (First));
  namesakes->hints = g_array_new (FALSE, FALSE, sizeof (Hint));
  return namesakes;
}

static guint64
mix (guint64 value)
{
  value *= HINT_FACTOR;
  return value ^ value >> 32;
}

/* Returns a number that is the same for the same LEN bytes at BYTES.  Who
 * makes it the same for others, too, gains nothing but that these are looked
 * at again. */
static guint64
get_hint (const guint8 *bytes, gsize len)
{
  guint64 one = len;
  guint64 other = 0;

  for (; len >= 16; len -= 16, bytes += 16)
    {
      one = mix (one ^ qcow2_load_word (bytes));
      other = mix (other ^ qcow2_load_word (bytes + 8));
    }
  for (; len > 0; len--, bytes++)
    one = mix (one ^ *bytes);

  return mix (one) + other;
}

/* Returns how many of the LEN bytes at NAME are before the first NUL byte. */
static gsize
cut_at_nul (const guint8 *name, gsize len)
{
  const guint8 *nul = len > 0 ? memchr (name, 0, len) : NULL;

  return nul != NULL ? (gsize) (nul - name) : len;
}

/* Adds the next bitmap, with the entry at host offset OFFSET and the name of
 * LEN bytes at NAME, NULL for none. */
void
qcow2_namesakes_add (Qcow2Namesakes *namesakes, guint64 offset,
                     const guint8 *name, gsize len)
{
  const guint32 index = namesakes->firsts->len;
  const First itself = { index, index };

  g_array_append_val (namesakes->firsts, itself);
  if (name == NULL)
    return;

  const Hint hint = { .hint = get_hint (name, cut_at_nul (name, len)),
                      .offset = offset,
                      .index = index };
  g_array_append_val (namesakes->hints, hint);
}

static gint
compare_numbers (guint64 a, guint64 b)
{
  return a < b ? -1 : a > b;
}

static gint
compare_hints (gconstpointer a, gconstpointer b)
{
  const Hint *left = a;
  const Hint *right = b;
  const gint by_hint = compare_numbers (left->hint, right->hint);

  return by_hint != 0 ? by_hint : compare_numbers (left->index, right->index);
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  const Name *left = a;
  const Name *right = b;
  const gint by_cut
      = memcmp (left->cut_digest, right->cut_digest, DIGEST_LENGTH);
  const gint by_whole = memcmp (left->digest, right->digest, DIGEST_LENGTH);

  if (by_cut != 0)
    return by_cut;

  return by_whole != 0 ? by_whole
                       : compare_numbers (left->index, right->index);
}

static void
digest_bytes (GChecksum *checksum, const guint8 *bytes, gsize len,
              guint8 *digest)
{
  gsize size = DIGEST_LENGTH;

  g_checksum_reset (checksum);
  g_checksum_update (checksum, bytes, (gssize) len);
  g_checksum_get_digest (checksum, digest, &size);
}

static void
digest_name (GChecksum *checksum, GBytes *bytes, Name *name)
{
  gsize len;
  const guint8 *data = g_bytes_get_data (bytes, &len);
  const gsize cut = cut_at_nul (data, len);

  digest_bytes (checksum, data, len, name->digest);
  if (cut == len)
    memcpy (name->cut_digest, name->digest, DIGEST_LENGTH);
  else
    digest_bytes (checksum, data, cut, name->cut_digest);
}

/* Gives in CUT the lowest index of the names that begin NAMES and are equal up
 * to a NUL byte; returns how many they are. */
static guint
measure_cut_group (const Name *names, guint n, guint32 *cut)
{
  guint len = 0;

  *cut = names[0].index;
  for (; len < n; len++)
    {
      if (memcmp (names[len].cut_digest, names[0].cut_digest, DIGEST_LENGTH)
          != 0)
        break;
      *cut = MIN (*cut, names[len].index);
    }

  return len;
}

/* Finds equal ones among NAMES, whose order it changes. */
static void
compare_all (Qcow2Namesakes *namesakes, GArray *names)
{
  const Name *all = (gconstpointer) names->data;
  First first = { 0 };
  guint group_end = 0;

  g_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    {
      const Name *name = &all[i];

      if (i == group_end)
        group_end += measure_cut_group (name, names->len - i, &first.cut);
      if (i == 0 || memcmp (name[-1].digest, name->digest, DIGEST_LENGTH) != 0)
        first.whole = name->index;
      g_array_index (namesakes->firsts, First, name->index) = first;
    }
}

static gint
compare_indexes (gconstpointer a, gconstpointer b)
{
  const Hint *left = a;
  const Hint *right = b;

  return compare_numbers (left->index, right->index);
}

/* Takes from HINTS those that are no other's, too, and leaves the rest in the
 * order of the directory: they will be read once more. */
static void
keep_twins (GArray *hints)
{
  Hint *all = (gpointer) hints->data;
  guint n_kept = 0;
  guint64 last = 0;

  g_array_sort (hints, compare_hints);
  for (guint i = 0; i < hints->len; i++)
    {
      const guint64 hint = all[i].hint;
      const gboolean twin = (i > 0 && last == hint)
                            || (i + 1 < hints->len && all[i + 1].hint == hint);

      last = hint;
      if (twin)
        all[n_kept++] = all[i];
    }

  g_array_set_size (hints, n_kept);
  g_array_sort (hints, compare_indexes);
}

/* Appends to NAMES the name of HINT, if it still has one. */
static gboolean
add_name (GArray *names, GChecksum *checksum, const Hint *hint,
          Qcow2NamesakesRead again, gpointer data, GError **error)
{
  g_autoptr (GError) local_error = NULL;
  g_autoptr (GBytes) bytes
      = again (hint->index, hint->offset, data, &local_error);
  Name name = { .index = hint->index };

  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }
  if (bytes == NULL)
    return TRUE;

  digest_name (checksum, bytes, &name);
  g_array_append_val (names, name);
  return TRUE;
}

/* Finds out which bitmaps have equal names, once, when all of them were added.
 * Those that may be equal are asked for by AGAIN, with DATA, in the order
 * of the directory, and compared by their SHA-256.  Fails as AGAIN does. */
gboolean
qcow2_namesakes_find (Qcow2Namesakes *namesakes, Qcow2NamesakesRead again,
                      gpointer data, GError **error)
{
  GArray *hints = namesakes->hints;
  g_autoptr (GArray) names = g_array_new (FALSE, FALSE, sizeof (Name));
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);

  keep_twins (hints);
  for (guint i = 0; i < hints->len; i++)
    {
      if (!add_name (names, checksum, &g_array_index (hints, Hint, i), again,
                     data, error))
        return FALSE;
    }

  compare_all (namesakes, names);
  g_array_set_size (hints, 0);
  return TRUE;
}

/* Returns how many bitmaps were added. */
guint64
qcow2_namesakes_get_n (const Qcow2Namesakes *namesakes)
{
  return namesakes->firsts->len;
}

/* Returns the index of the first bitmap that has the name of bitmap INDEX,
 * which may be that itself, and is for one that was not added. */
guint64
qcow2_namesakes_get_whole (const Qcow2Namesakes *namesakes, guint64 index)
{
  if (index >= namesakes->firsts->len)
    return index;

  return g_array_index (namesakes->firsts, First, index).whole;
}

/* Likewise, of the first bitmap whose name is equal up to the first NUL byte.
 */
guint64
qcow2_namesakes_get_cut (const Qcow2Namesakes *namesakes, guint64 index)
{
  if (index >= namesakes->firsts->len)
    return index;

  return g_array_index (namesakes->firsts, First, index).cut;
}

void
qcow2_namesakes_free (Qcow2Namesakes *namesakes)
{
  if (namesakes == NULL)
    return;

  g_array_unref (namesakes->firsts);
  g_array_unref (namesakes->hints);
  g_free (namesakes);
}
