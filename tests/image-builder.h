/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Test images, built byte by byte from what the qcow2 specification says.
 * Nothing of the program is used here: the builder is what it is tested
 * against. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* A file: some bytes, and a length that may be larger than their number.  What
 * lies between reads as zeroes and takes no memory. */
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
  guint32 table_size;       /* 0: what the bitmap needs */
  const guint64 *entries;   /* table_size of them, stored as they are; NULL:
                             * those that belong to data */
  const guint8 *data;       /* the bitmap's first bytes, the rest is zero */
  gsize data_size;
} BitmapSpec;

/* One header extension.  length may disagree with nothing: padding is added
 * behind that many bytes of data. */
typedef struct
{
  guint32 magic;
  guint32 length;
  const void *data; /* NULL: zeroes */
} ExtensionSpec;

/* Clusters that the guest has written, counted from the disk's start. */
typedef struct
{
  guint64 first;
  guint64 n_clusters;
} GuestRange;

/* A whole image.  What a feature needs follows from it (its feature bit, its
 * extension); everything that is zero has the value that QEMU would use. */
typedef struct
{
  guint version;      /* 0: 3 */
  guint cluster_bits; /* 0: 16 */
  guint64 size;
  guint32 header_length; /* 0: 72 or 112, by version */
  guint64 incompatible;  /* these bits and those of the features below */
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

/* A name in the corpus and one sentence about it. */
typedef struct
{
  const char *name;
  const char *sentence;
  const char *base; /* the image that it is a change of, or NULL */
} ImageName;

Image *image_new (void);
void image_free (Image *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Image, image_free)

/* Both make the image longer when they write past its end. */
void image_put_be (Image *image, guint64 offset, guint width, guint64 value);
void image_put_bytes (Image *image, guint64 offset, const void *data,
                      gsize size);
/* Bytes that are not there are zeroes. */
guint64 image_get_be (const Image *image, guint64 offset, guint width);
/* Cuts the image, or lengthens it by zeroes. */
void image_truncate (Image *image, guint64 size);

/* Applies words of the form OFFSET:HEX, OFFSET:HEX*COUNT (the bytes COUNT
 * times) and size=SIZE, in this order. */
void image_patch (Image *image, const char *patch);

/* Lays out a sound image: header cluster, refcount table and first block, L1
 * table, snapshots, LUKS header, guest data, then for every bitmap its data
 * and its table, then the bitmap directory, where the file ends.  */
Image *image_build_spec (const ImageSpec *spec);

/* The images of the corpus, by name.  The name must exist; image_build_bytes
 * wants an image of at most 64 MiB. */
Image *image_build (const char *name);
GBytes *image_build_bytes (const char *name);
gboolean image_name_exists (const char *name);

/* All names but those of image-large.c, ended by one that is NULL. */
ImageName *image_list_names (void);

/* An image as bytes, at most 64 MiB. */
GBytes *image_get_bytes (const Image *image);

/* The images that are described by an ImageSpec, ended by a NULL name.  Every
 * one is what QEMU's check accepts, unless its sentence says otherwise. */
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
