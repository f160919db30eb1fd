/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the bitmap directory of an image entry by entry. */

#pragma once

#include "qcow2/bitmap.h"
#include "qcow2/image.h"
#include "qcow2/next.h"

G_BEGIN_DECLS

typedef struct Qcow2Directory Qcow2Directory;

/* The ways in which a walk over the entries ends. */
typedef enum
{
  QCOW2_DIRECTORY_WALKING, /* it has not ended */
  QCOW2_DIRECTORY_AT_END,  /* of the directory or the file, or at the maximum
                              number of entries */
  QCOW2_DIRECTORY_HEAD_TRUNCATED, /* too few bytes for the fields of an entry
                               are left */
  QCOW2_DIRECTORY_ENTRY_TRUNCATED /* the name of the last entry, or its extra
                               data, extends beyond the end */
} Qcow2DirectoryEnd;

/* The facts about a directory as a whole. */
typedef struct
{
  guint64 start;        /* host offset of the first entry; 0 if the image does
                           not say where it is */
  guint64 declared_end; /* host offset, from the bitmaps extension */
  guint64 file_end;     /* host offset where the entries end in the file */
  guint64 n_entries;
  guint64 pos; /* host offset after the last entry, or of the
                  entry that is truncated */
  Qcow2DirectoryEnd end;
  gboolean truncated_by_file; /* the truncated entry fits into the directory */
  gboolean has_shorter_name;  /* the name of the truncated entry ends earlier
                                 for QEMU, which reads zeroes after the end of
                                 the file */
  gboolean has_loaded;        /* at least one bitmap is not in use */
  gboolean is_none;           /* no entry looks like a bitmap */
} Qcow2DirectoryFacts;

Qcow2Directory *qcow2_directory_open (const Qcow2Image *image, GError **error);
Qcow2Directory *
qcow2_directory_open_counted (const Qcow2Image *image,
                              const Qcow2BitmapsExtension *extension);
void qcow2_directory_rewind (Qcow2Directory *directory);
Qcow2Next qcow2_directory_next (Qcow2Directory *directory, Qcow2Bitmap *bitmap,
                                GError **error);
Qcow2Next qcow2_directory_read (Qcow2Directory *directory, guint64 index,
                                guint64 offset, Qcow2Bitmap *bitmap,
                                GError **error);
gboolean qcow2_directory_skip_to_index (Qcow2Directory *directory,
                                        guint64 index);
gboolean qcow2_directory_skip_to_name (Qcow2Directory *directory,
                                       const char *name, gsize len);
gboolean qcow2_directory_get_truncated_entry (const Qcow2Directory *directory,
                                              Qcow2Bitmap *bitmap);
const Qcow2Image *qcow2_directory_get_image (const Qcow2Directory *directory);
const Qcow2DirectoryFacts *
qcow2_directory_get_facts (const Qcow2Directory *directory);
guint64 qcow2_directory_get_n (const Qcow2Directory *directory);
guint64 qcow2_directory_get_first_with_name (const Qcow2Directory *directory,
                                             guint64 index);
guint64 qcow2_directory_get_first_with_c_name (const Qcow2Directory *directory,
                                               guint64 index);
void qcow2_directory_free (Qcow2Directory *directory);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Directory, qcow2_directory_free)

G_END_DECLS
