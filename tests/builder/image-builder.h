/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Test images, built byte by byte from the qcow2 specification.  The builder
 * uses nothing of the program, because the program is tested against it. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The contents of a file.  The size may be larger than the number of bytes;
 * the rest reads as zeroes and takes no memory. */
typedef struct
{
  GByteArray *bytes;
  guint64 size;
} Image;

/* One entry of the bitmap directory, with its table and data. */
typedef struct
{
  const char *name;
  gsize name_size; /* 0: up to the NUL */
  guint32 flags;
  guint8 type; /* as stored: 1 is a dirty tracking bitmap */
  guint8 granularity_bits;
  guint32 extra_data_size;
  const guint8 *extra_data; /* NULL: zeroes */
  guint32 table_size;       /* 0: as many as the bitmap needs */
  const guint64 *entries;   /* table_size of them, stored as they are; NULL:
                             * made for data */
  const guint8 *data;       /* the bitmap's first bytes; the rest is zero */
  gsize data_size;
} BitmapSpec;

/* One header extension.  The stored length is always length: padding is added
 * after that many bytes of data. */
typedef struct
{
  guint32 magic;
  guint32 length;
  const void *data; /* NULL: zeroes */
} ExtensionSpec;

/* A range of clusters that the guest has written; first counts clusters from
 * the start of the disk. */
typedef struct
{
  guint64 first;
  guint64 n_clusters;
} GuestRange;

/* A whole image.  The feature bit and the extension that a feature needs are
 * derived from the other members.  A member that is zero stands for the value
 * that QEMU would use. */
typedef struct
{
  guint version;      /* 0: 3 */
  guint cluster_bits; /* 0: 16 */
  guint64 size;
  guint32 header_length; /* 0: 72 or 112, by version */
  guint64 incompatible;  /* added to the bits of the features below */
  guint64 compatible;
  guint64 autoclear;
  guint8 compression_type;
  guint32 crypt_method; /* 2: with a LUKS header in the image */
  guint n_snapshots;    /* named snap1, snap2 and so on */

  const char *backing_file;
  const char *backing_format;
  const char *data_file;
  gboolean feature_table; /* the eight names of the specification */

  const ExtensionSpec *extensions; /* last, after the bitmaps extension */
  guint n_extensions;
  const BitmapSpec *bitmaps;
  guint n_bitmaps;
  const GuestRange *guest;
  guint n_guest;
} ImageSpec;

/* The name of an image in the corpus, and one sentence about the image. */
typedef struct
{
  const char *name;
  const char *sentence;
  const char *base; /* the image it is derived from, or NULL */
} ImageName;

Image *image_new (void);
void image_free (Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Image, image_free)

/* Both store VALUE or the SIZE bytes at DATA at byte OFFSET, VALUE as a
 * big-endian number of WIDTH bytes.  They extend the image when they write
 * past its end. */
void image_put_be (Image *image, guint64 offset, guint width, guint64 value);
void image_put_bytes (Image *image, guint64 offset, const void *data,
                      gsize size);
/* Returns the big-endian number of WIDTH bytes at byte OFFSET.  Bytes past the
 * end of the image are zeroes. */
guint64 image_get_be (const Image *image, guint64 offset, guint width);
/* Truncates the image to SIZE bytes, or extends it with zeroes. */
void image_truncate (Image *image, guint64 size);

/* Applies the words in PATCH, in order: OFFSET:HEX, OFFSET:HEX*COUNT (the
 * bytes COUNT times), STRUCTURE.FIELD:HEX and size=SIZE (of the file).
 * STRUCTURE is header, bitmaps (the extension) or entryINDEX (of the bitmap
 * directory), found in the image as patched so far.  FIELD is a name from the
 * specification, and HEX all of its bytes. */
void image_patch (Image *image, const char *patch);

/* Lays out a sound image: the header cluster, the refcount table and its first
 * block, the L1 table, the snapshots, the LUKS header, the guest data, then
 * the data and the table of each bitmap, and last the bitmap directory.  The
 * file ends there, unless more than one refcount block is needed. */
Image *image_build_spec (const ImageSpec *spec);

/* Return the image NAME, which must exist, of the corpus or of image-large.c.
 * image_build_bytes requires an image of at most 64 MiB. */
Image *image_build (const char *name);
GBytes *image_build_bytes (const char *name);
gboolean image_name_exists (const char *name);

/* Returns all names except those of image-large.c, ended by a NULL name.  Free
 * the array with g_free (). */
ImageName *image_list_names (void);

/* Returns the image as bytes; it must not be larger than 64 MiB. */
GBytes *image_get_bytes (const Image *image);

/* The images that are described by an ImageSpec, ended by a NULL name.  QEMU's
 * check accepts all of them, unless the sentence says otherwise. */
typedef struct
{
  const char *name;
  const char *sentence;
  ImageSpec spec;
} ImageBase;

extern const ImageBase image_bases[];

/* The images of image-large.c, which are not listed, ended by a NULL name. */
typedef struct
{
  const char *name;
  Image *(*build) (void);
} ImageLarge;

extern const ImageLarge image_large[];

G_END_DECLS
