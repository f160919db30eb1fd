/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The offsets and widths are copied from the specification, so that this
 * module shares nothing with the readers. */

#include "config.h"

#include "layout.h"

#define MAGIC_BACKING_FORMAT 0xe2792aca
#define MAGIC_FEATURES 0x6803f857
#define MAGIC_CRYPTO 0x0537be77
#define MAGIC_BITMAPS 0x23852875
#define MAGIC_DATA_FILE 0x44415441

/* Maximum numbers of extensions and entries that a walk visits. */
#define MAX_EXTENSIONS 32
#define MAX_ENTRIES 64

typedef struct
{
  guint offset; /* in the structure, bytes */
  guint width;  /* bytes */
} Field;

/* The structures that a walk has found, by host offset. */
typedef struct
{
  guint64 cluster_size;
  guint64 extensions[MAX_EXTENSIONS]; /* where they begin */
  guint n_extensions;
  guint64 terminator;
  guint64 bitmaps;  /* data of the bitmaps extension; 0: none */
  guint64 features; /* data of the feature table; 0: none */
  guint64 directory;
  guint64 entries[MAX_ENTRIES]; /* of the directory */
  guint n_entries;
  guint64 directory_end; /* end of the last entry */
} Layout;

static const Field header_fields[] = {
  { 0, 4 },  { 4, 4 },  { 8, 8 },   { 16, 4 },  { 20, 4 },
  { 24, 8 }, { 32, 4 }, { 36, 4 },  { 40, 8 },  { 48, 8 },
  { 56, 4 }, { 60, 4 }, { 64, 8 },  { 72, 8 },  { 80, 8 },
  { 88, 8 }, { 96, 4 }, { 100, 4 }, { 104, 1 }, { 105, 1 },
};

static const Field bitmaps_fields[]
    = { { 0, 4 }, { 4, 4 }, { 8, 8 }, { 16, 8 } };

static const Field entry_fields[]
    = { { 0, 8 },  { 8, 4 },  { 12, 4 }, { 16, 1 },
        { 17, 1 }, { 18, 2 }, { 20, 4 } };

static const guint64 magics[] = { MAGIC_BACKING_FORMAT,
                                  MAGIC_FEATURES,
                                  MAGIC_CRYPTO,
                                  MAGIC_BITMAPS,
                                  MAGIC_DATA_FILE,
                                  0,
                                  0x12345678 };

static const Field snapshot_fields[]
    = { { 0, 8 }, { 8, 4 }, { 12, 2 }, { 14, 2 }, { 36, 4 } };

/* Numbers that are limits in a reader or in the specification. */
static const guint64 edges[] = {
  0,
  1,
  2,
  3,
  7,
  8,
  9,
  15,
  16,
  21,
  22,
  23,
  24,
  25,
  26,
  30,
  31,
  32,
  33,
  46,
  48,
  63,
  64,
  72,
  104,
  105,
  112,
  120,
  127,
  128,
  255,
  256,
  511,
  512,
  513,
  1022,
  1023,
  1024,
  4096,
  65535,
  65536,
  0x1fffff,
  0x200000,
  0x7fffffff,
  0x80000000,
  0xfffffff8,
  0xffffffff,
  0x100000000,
  0x3fffc00,
  0x3fffc01,
  0x8000000,
  0x8000001,
  0x20000000,
  0xfffffffffe00,
  0xfffffffffffe00,
  0x100000000000000,
  0x7fffffffffffffff,
  0x8000000000000000,
  0xfffffffffffffff8,
  0xffffffffffffffff,
};

/* Returns a random number below N, which must not be 0. */
guint64
layout_random (LayoutImage *image, guint64 n)
{
  image->random ^= image->random << 13;
  image->random ^= image->random >> 7;
  image->random ^= image->random << 17;
  return (image->random >> 11) % n;
}

#define PICK(image, array)                                                    \
  ((array)[layout_random ((image), G_N_ELEMENTS (array))])

static guint64
round_up_8 (guint64 value)
{
  return value / 8 * 8 + (value % 8 != 0 ? 8 : 0);
}

static void
walk_extensions (const LayoutImage *image, Layout *layout)
{
  const guint64 name = image->get (image, 8, 8);
  const gboolean v2 = image->get (image, 4, 4) == 2;
  const guint64 end = name != 0 && name < layout->cluster_size
                          ? name
                          : MIN (layout->cluster_size, image->size);
  guint64 at = v2 ? 72 : image->get (image, 100, 4);

  while (at < end && end - at >= 8 && layout->n_extensions < MAX_EXTENSIONS)
    {
      const guint64 magic = image->get (image, at, 4);
      const guint64 length = image->get (image, at + 4, 4);

      if (magic == 0)
        break;

      layout->extensions[layout->n_extensions++] = at;
      if (magic == MAGIC_BITMAPS)
        layout->bitmaps = at + 8;
      if (magic == MAGIC_FEATURES)
        layout->features = at + 8;
      at += 8 + round_up_8 (length);
    }

  layout->terminator = at;
}

static void
walk_directory (const LayoutImage *image, Layout *layout)
{
  const guint64 size = image->get (image, layout->bitmaps + 8, 8);
  guint64 at = image->get (image, layout->bitmaps + 16, 8);
  const guint64 end = at + MIN (size, image->size - MIN (at, image->size));

  layout->directory = at;
  while (at < end && end - at >= 24 && layout->n_entries < MAX_ENTRIES)
    {
      const guint64 extra = image->get (image, at + 20, 4);
      const guint64 name = image->get (image, at + 18, 2);

      layout->entries[layout->n_entries++] = at;
      at += round_up_8 (24 + extra + name);
    }

  layout->directory_end = at;
}

static Layout
find_layout (const LayoutImage *image)
{
  Layout layout = { .cluster_size = 0 };
  const guint64 bits = image->get (image, 20, 4);

  layout.cluster_size = G_GUINT64_CONSTANT (1) << (bits < 31 ? bits : 16);
  walk_extensions (image, &layout);
  if (layout.bitmaps != 0)
    walk_directory (image, &layout);
  return layout;
}

/* Returns a new value for a field of WIDTH bytes whose value is OLD. */
static guint64
choose_value (LayoutImage *image, const Layout *layout, guint width,
              guint64 old)
{
  const guint64 step = 1 + layout_random (image, 3) * 7;
  const guint64 bit = G_GUINT64_CONSTANT (1)
                      << layout_random (image, 8 * width);

  switch (layout_random (image, 10))
    {
    case 0:
      return old + step;
    case 1:
      return old - step;
    case 2:
      return old ^ bit;
    case 3:
      return bit - layout_random (image, 2);
    case 4:
      return ~G_GUINT64_CONSTANT (0) - layout_random (image, 70);
    case 5: /* the end of the file, or close to it */
      return image->size + 8 - layout_random (image, 17);
    case 6:
      return layout_random (image, 1 + image->size / layout->cluster_size)
             * layout->cluster_size;
    case 7: /* the value of another field */
      return image->get (image, layout_random (image, 14) * 8, MIN (width, 8));
    default:
      return PICK (image, edges);
    }
}

static void
change (LayoutImage *image, const Layout *layout, guint64 offset, guint width)
{
  const guint64 old = image->get (image, offset, width);

  image->put (image, offset, width, choose_value (image, layout, width, old));
}

static void
change_field (LayoutImage *image, const Layout *layout, guint64 base,
              const Field *field)
{
  change (image, layout, base + field->offset, field->width);
}

static void
change_header (LayoutImage *image, const Layout *layout)
{
  const Field *field = &PICK (image, header_fields);

  /* Readers stop at a wrong magic or version, so that most inputs are left
   * with a valid one. */
  if (field->offset < 8 && layout_random (image, 8) != 0)
    image->put (image, 4, 4, 2 + layout_random (image, 2));
  else
    change_field (image, layout, 0, field);
}

/* Flips one bit in one of the feature masks. */
static void
flip_feature (LayoutImage *image)
{
  const guint64 offset = 72 + 8 * layout_random (image, 3);
  const guint64 n = layout_random (image, 2) == 0 ? 6 : 64;
  const guint64 bit = G_GUINT64_CONSTANT (1) << layout_random (image, n);

  image->put (image, offset, 8, image->get (image, offset, 8) ^ bit);
}

static void
change_extension (LayoutImage *image, const Layout *layout)
{
  const guint n = layout->n_extensions;
  const guint64 at
      = n > 0 ? layout->extensions[layout_random (image, n)] : 104;
  const guint64 length = image->get (image, at + 4, 4);

  switch (layout_random (image, 4))
    {
    case 0:
      image->put (image, at, 4, PICK (image, magics));
      return;
    case 1:
      change (image, layout, at + 4, 4);
      return;
    default:
      change (image, layout,
              at + 8 + layout_random (image, MIN (length, 512) + 1), 1);
      return;
    }
}

static void
change_feature (LayoutImage *image, const Layout *layout)
{
  const guint64 row = layout->features + 48 * layout_random (image, 9);

  if (layout->features == 0)
    return;

  change (image, layout, row + layout_random (image, 3), 1);
}

/* Puts an extension in place of the terminator, and a new terminator after it.
 */
static void
append_extension (LayoutImage *image, const Layout *layout)
{
  const guint64 at = layout->terminator;
  const guint64 magic = PICK (image, magics);
  const guint64 length = magic == MAGIC_BITMAPS  ? 24
                         : magic == MAGIC_CRYPTO ? 16
                         : magic == MAGIC_FEATURES
                             ? 48 * (1 + layout_random (image, 3))
                             : layout_random (image, 24);

  image->put (image, at, 4, magic);
  image->put (image, at + 4, 4, length);
  for (guint i = 0; i < length; i += 8)
    {
      const guint64 from = layout->bitmaps != 0 && magic == MAGIC_BITMAPS
                               ? layout->bitmaps + i
                               : layout_random (image, 128);

      image->put (image, at + 8 + i, 8, image->get (image, from, 8));
    }
  image->put (image, at + 8 + round_up_8 (length), 8, 0);
}

static void
change_bitmaps (LayoutImage *image, const Layout *layout)
{
  change_field (image, layout, layout->bitmaps, &PICK (image, bitmaps_fields));
}

static void
change_entry (LayoutImage *image, const Layout *layout)
{
  const guint64 at = layout->entries[layout_random (image, layout->n_entries)];

  if (layout_random (image, 4) == 0)
    change (image, layout, at + 24 + layout_random (image, 24), 1);
  else
    change_field (image, layout, at, &PICK (image, entry_fields));
}

/* Changes the offset of a bitmap table entry, its flags, or both. */
static void
change_table (LayoutImage *image, const Layout *layout)
{
  const guint64 at = layout->entries[layout_random (image, layout->n_entries)];
  const guint64 table = image->get (image, at, 8);
  const guint64 n = image->get (image, at + 8, 4);
  const guint64 offset = table + 8 * layout_random (image, MIN (n, 64) + 1);

  switch (layout_random (image, 5))
    {
    case 0:
      image->put (image, offset, 8, layout_random (image, 2));
      return;
    case 1:
      image->put (image, offset, 8, image->get (image, offset, 8) ^ 1);
      return;
    case 2:
      image->put (image, offset, 8, table);
      return;
    default:
      change (image, layout, offset, 8);
      return;
    }
}

/* Appends a copy of an entry to the directory. */
static void
append_entry (LayoutImage *image, const Layout *layout)
{
  const guint64 from
      = layout->entries[layout_random (image, layout->n_entries)];
  const guint64 size = image->get (image, layout->bitmaps + 8, 8);

  for (guint i = 0; i < 32; i += 8)
    image->put (image, layout->directory_end + i, 8,
                image->get (image, from + i, 8));
  image->put (image, layout->bitmaps + 8, 8, size + 32);
  image->put (image, layout->bitmaps, 4,
              image->get (image, layout->bitmaps, 4) + 1);
}

/* Makes the bitmaps extension match the directory, so that the readers reach
 * the directory's end. */
static void
repair_directory (LayoutImage *image, const Layout *layout)
{
  image->put (image, 88, 8, image->get (image, 88, 8) | 1);
  image->put (image, layout->bitmaps, 4, layout->n_entries);
  image->put (image, layout->bitmaps + 4, 4, 0);
  image->put (image, layout->bitmaps + 8, 8,
              layout->directory_end - layout->directory);
}

/* Sets the number of a bitmap's table entries to the number that the disk
 * needs, or the size of the disk to the one that the table covers. */
static void
repair_table_size (LayoutImage *image, const Layout *layout)
{
  const guint64 at = layout->entries[layout_random (image, layout->n_entries)];
  const guint64 bits = image->get (image, at + 17, 1);
  const guint64 n = image->get (image, at + 8, 4);
  const guint64 size = image->get (image, 24, 8);

  if (bits > 40)
    image->put (image, at + 17, 1, 9 + layout_random (image, 23));
  else if (layout_random (image, 2) == 0)
    image->put (image, at + 8, 4,
                (size >> bits) / 8 / layout->cluster_size + 1);
  else
    image->put (image, 24, 8, (n * 8 * layout->cluster_size) << bits);
}

/* Changes an entry of the refcount table, or a refcount in one of the first
 * blocks. */
static void
change_refcounts (LayoutImage *image, const Layout *layout)
{
  const guint64 table = image->get (image, 48, 8);
  const guint64 order = image->get (image, 96, 4);
  const guint64 entry = table + 8 * layout_random (image, 3);
  const guint64 block = image->get (image, entry, 8);
  const guint64 cluster
      = layout_random (image, image->size / layout->cluster_size % 4096 + 2);
  const guint64 at = block + ((cluster << MIN (order, 6)) / 8);

  if (layout_random (image, 3) == 0)
    change (image, layout, entry, 8);
  else if (layout_random (image, 3) == 0)
    change (image, layout, at, 2);
  else
    image->put (image, at, 1 + (guint) layout_random (image, 2),
                layout_random (image, 3));
}

static void
change_snapshots (LayoutImage *image, const Layout *layout)
{
  const guint64 table = image->get (image, 64, 8);

  if (table == 0)
    {
      image->put (image, 60, 4, 1 + layout_random (image, 3));
      image->put (image, 64, 8,
                  layout->cluster_size * layout_random (image, 20));
      return;
    }

  change_field (image, layout, table, &PICK (image, snapshot_fields));
}

static void
resize (LayoutImage *image, const Layout *layout)
{
  const guint64 near[]
      = { image->size - 1,        image->size + 1,
          layout->directory_end,  layout->directory_end - 1,
          layout->terminator + 8, layout->terminator - 1,
          layout->directory + 24, layout->cluster_size,
          image->size + 4096,     layout_random (image, image->size + 1) };

  image->resize (image, PICK (image, near));
}

static void
mutate_bitmaps (LayoutImage *image, const Layout *layout)
{
  switch (layout_random (image, 12))
    {
    case 0:
      change_bitmaps (image, layout);
      return;
    case 1:
    case 2:
    case 3:
      change_entry (image, layout);
      return;
    case 4:
    case 5:
    case 6:
      change_table (image, layout);
      return;
    case 7:
    case 8:
      append_entry (image, layout);
      return;
    case 9:
      repair_table_size (image, layout);
      return;
    default:
      repair_directory (image, layout);
      return;
    }
}

/* Makes one to four changes in IMAGE. */
void
layout_mutate (LayoutImage *image)
{
  const guint64 n_changes = 1 + layout_random (image, 4);

  for (guint64 i = 0; i < n_changes; i++)
    {
      const Layout layout = find_layout (image);
      const guint64 kind = layout_random (image, 18);

      if (kind < 9 && layout.n_entries > 0)
        mutate_bitmaps (image, &layout);
      else if (kind == 9 && layout.bitmaps != 0)
        change_bitmaps (image, &layout);
      else if (kind == 10)
        append_extension (image, &layout);
      else if (kind == 11)
        change_feature (image, &layout);
      else if (kind == 12)
        flip_feature (image);
      else if (kind == 13)
        resize (image, &layout);
      else if (kind == 14)
        change_extension (image, &layout);
      else if (kind == 15)
        change_refcounts (image, &layout);
      else if (kind == 16)
        change_snapshots (image, &layout);
      else
        change_header (image, &layout);
    }
}
