/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "qcow2/directory-index.h"

#include <string.h>

#include "qcow2/arithmetic.h"
#include "qcow2/compiler.h"
#include "qcow2/record.h"

#define DIGEST_LENGTH 32 /* SHA-256 */

/* The approximate number of hints that are sorted at a time. */
#define PART 4096

/* An odd number with well-mixed bits. */
#define HINT_FACTOR G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)

/* A hash of a name.  Names that are equal up to the first NUL byte have the
 * same hint, and other names may have it too. */
typedef struct
{
  guint64 hint;
  guint32 offset; /* of the entry from the start of the directory, in bytes */
  guint32 index;
} Hint;

/* The digest of a name whose hint occurs more than once. */
typedef struct
{
  guint8 bytes[DIGEST_LENGTH];
  guint32 index;
} Digest;

struct Qcow2DirectoryIndex
{
  GArray *firsts;   /* guint32, for each bitmap: index of the first one with an
                       equal name */
  GArray *firsts_c; /* guint32, for each bitmap: index of the first one whose
                     name is equal up to the first NUL byte */
  GArray *hints;    /* of Hint, one for each name */
};

Qcow2DirectoryIndex *
qcow2_directory_index_new (void)
{
  Qcow2DirectoryIndex *name_index = g_new (Qcow2DirectoryIndex, 1);

  name_index->firsts = g_array_new (FALSE, FALSE, sizeof (guint32));
  name_index->firsts_c = g_array_new (FALSE, FALSE, sizeof (guint32));
  name_index->hints = g_array_new (FALSE, FALSE, sizeof (Hint));
  return name_index;
}

QCOW2_WRAPS static guint64
mix (guint64 value)
{
  value *= HINT_FACTOR;
  return value ^ value >> 32;
}

/* Returns a hash of the LEN bytes at BYTES.  A forged collision does no harm:
 * it only causes another read of the names. */
QCOW2_WRAPS static guint64
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

/* Returns the length of the LEN bytes at NAME up to the first NUL byte. */
static gsize
get_c_length (const guint8 *name, gsize len)
{
  const guint8 *nul = len > 0 ? memchr (name, 0, len) : NULL;

  return nul != NULL ? (gsize) (nul - name) : len;
}

/* Adds the next bitmap.  Its entry is at OFFSET bytes from the start of the
 * directory, and its name is the LEN bytes at NAME.  Only the last bitmap may
 * have no name: NAME is NULL. */
void
qcow2_directory_index_add (Qcow2DirectoryIndex *name_index, guint32 offset,
                           const guint8 *name, gsize len)
{
  const guint32 index = name_index->firsts->len;

  g_array_append_val (name_index->firsts, index);
  g_array_append_val (name_index->firsts_c, index);
  if (name == NULL)
    return;

  const Hint hint = { .hint = get_hint (name, get_c_length (name, len)),
                      .offset = offset,
                      .index = index };
  g_array_append_val (name_index->hints, hint);
}

static gint
compare_hints (gconstpointer a, gconstpointer b)
{
  const Hint *left = a;
  const Hint *right = b;

  return qcow2_compare (left->hint, right->hint);
}

static gint
compare_indexes (gconstpointer a, gconstpointer b)
{
  const Hint *left = a;
  const Hint *right = b;

  return qcow2_compare (left->index, right->index);
}

/* Appends to TWINS the elements of HINTS whose hint occurs more than once.
 * Reorders HINTS. */
static void
add_twins (GArray *twins, GArray *hints)
{
  const Hint *all = (gconstpointer) hints->data;

  g_array_sort (hints, compare_hints);
  for (guint i = 0; i < hints->len; i++)
    {
      if ((i > 0 && all[i - 1].hint == all[i].hint)
          || (i + 1 < hints->len && all[i + 1].hint == all[i].hint))
        g_array_append_val (twins, all[i]);
    }
}

/* Returns the elements of HINTS whose hint occurs more than once, in directory
 * order, as an array that the caller owns.  The names of these bitmaps have to
 * be read again.  The elements are sorted in parts, to use little memory
 * beyond HINTS. */
static GArray *
find_twins (const GArray *hints)
{
  GArray *twins = g_array_new (FALSE, FALSE, sizeof (Hint));
  g_autoptr (GArray) some = g_array_new (FALSE, FALSE, sizeof (Hint));
  const guint n_parts = hints->len / PART + 1;

  for (guint part = 0; part < n_parts; part++)
    {
      g_array_set_size (some, 0);
      for (guint i = 0; i < hints->len; i++)
        {
          const Hint *hint = &g_array_index (hints, Hint, i);

          if (hint->hint % n_parts == part)
            g_array_append_val (some, *hint);
        }
      add_twins (twins, some);
    }

  g_array_sort (twins, compare_indexes);
  return twins;
}

static void
add_digest (GArray *digests, GChecksum *checksum, const guint8 *bytes,
            gsize len, guint32 index)
{
  Digest digest = { .index = index };
  gsize size = DIGEST_LENGTH;

  g_checksum_reset (checksum);
  g_checksum_update (checksum, bytes, (gssize) len);
  g_checksum_get_digest (checksum, digest.bytes, &size);
  g_array_append_val (digests, digest);
}

static gint
compare_digests (gconstpointer a, gconstpointer b)
{
  const Digest *left = a;
  const Digest *right = b;

  return memcmp (left->bytes, right->bytes, DIGEST_LENGTH);
}

/* Stores in FIRSTS, for each element of DIGESTS, the index of the first bitmap
 * with an equal digest.  The sort keeps equal digests in directory order. */
static void
find_firsts (GArray *firsts, GArray *digests)
{
  const Digest *all = (gconstpointer) digests->data;
  guint32 first = 0;

  g_array_sort (digests, compare_digests);
  for (guint i = 0; i < digests->len; i++)
    {
      if (i == 0 || compare_digests (&all[i - 1], &all[i]) != 0)
        first = all[i].index;
      g_array_index (firsts, guint32, all[i].index) = first;
    }
}

/* Finds out which bitmaps have equal names.  Called once, after all bitmaps
 * were added.  Reads the names that may be equal again by calling AGAIN with
 * DATA, in directory order, and compares their SHA-256 digests.  Fails if
 * AGAIN fails, with its error. */
gboolean
qcow2_directory_index_find (Qcow2DirectoryIndex *name_index,
                            Qcow2DirectoryIndexRead again, gpointer data,
                            GError **error)
{
  g_autoptr (GArray) twins = find_twins (name_index->hints);
  g_autoptr (GArray) names = g_array_new (FALSE, FALSE, sizeof (Digest));
  g_autoptr (GArray) c_names = g_array_new (FALSE, FALSE, sizeof (Digest));
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  g_autoptr (GError) local_error = NULL;

  for (guint i = 0; i < twins->len && local_error == NULL; i++)
    {
      const Hint *hint = &g_array_index (twins, Hint, i);
      g_autoptr (GBytes) name
          = again (hint->index, hint->offset, data, &local_error);
      gsize len;

      if (name == NULL)
        continue;

      const guint8 *bytes = g_bytes_get_data (name, &len);
      add_digest (names, checksum, bytes, len, hint->index);
      add_digest (c_names, checksum, bytes, get_c_length (bytes, len),
                  hint->index);
    }
  if (local_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local_error));
      return FALSE;
    }

  find_firsts (name_index->firsts, names);
  find_firsts (name_index->firsts_c, c_names);
  return TRUE;
}

/* Returns the index of the first bitmap, from START on, whose name may be the
 * LEN bytes at NAME, or G_MAXUINT64 if there is none. */
guint64
qcow2_directory_index_look_up (const Qcow2DirectoryIndex *name_index,
                               const guint8 *name, gsize len, guint64 start)
{
  const Hint *all = (gconstpointer) name_index->hints->data;
  const guint64 wanted = get_hint (name, get_c_length (name, len));

  for (guint64 i = start; i < name_index->hints->len; i++)
    {
      if (all[i].hint == wanted)
        return i;
    }

  return G_MAXUINT64;
}

/* Stores in *OFFSET the offset of the entry of bitmap INDEX, in bytes from the
 * start of the directory.  Returns FALSE if the bitmap has no name or was not
 * added. */
gboolean
qcow2_directory_index_get_offset (const Qcow2DirectoryIndex *name_index,
                                  guint64 index, guint32 *offset)
{
  if (index >= name_index->hints->len)
    return FALSE;

  *offset = g_array_index (name_index->hints, Hint, index).offset;
  return TRUE;
}

/* Returns the number of bitmaps that were added. */
guint64
qcow2_directory_index_get_n (const Qcow2DirectoryIndex *name_index)
{
  return name_index->firsts->len;
}

static guint64
get_first (const GArray *firsts, guint64 index)
{
  return index < firsts->len ? g_array_index (firsts, guint32, index) : index;
}

/* Returns the index of the first bitmap with the same name as bitmap INDEX.
 * That is INDEX itself if no earlier bitmap has that name or bitmap INDEX was
 * not added. */
guint64
qcow2_directory_index_get_first (const Qcow2DirectoryIndex *name_index,
                                 guint64 index)
{
  return get_first (name_index->firsts, index);
}

/* Returns the index of the first bitmap whose name equals that of bitmap INDEX
 * up to the first NUL byte.  That is INDEX itself if there is no earlier one
 * or bitmap INDEX was not added. */
guint64
qcow2_directory_index_get_first_c (const Qcow2DirectoryIndex *name_index,
                                   guint64 index)
{
  return get_first (name_index->firsts_c, index);
}

void
qcow2_directory_index_free (Qcow2DirectoryIndex *name_index)
{
  if (name_index == NULL)
    return;

  g_array_unref (name_index->firsts);
  g_array_unref (name_index->firsts_c);
  g_array_unref (name_index->hints);
  g_free (name_index);
}
