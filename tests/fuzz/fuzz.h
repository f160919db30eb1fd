/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fuzz targets.  Each target is a program of its own, and defines the
 * meaning of an input, how a seed is made from an image, and how an input is
 * mutated. */

#pragma once

#include "builder/image-builder.h"
#include "oracle/drive.h"

G_BEGIN_DECLS

/* Maximum size of an input in bytes. */
#define FUZZ_MAX_SIZE 16384

/* Defined by each target, in fuzz-*.c. */
extern const char *const fuzz_name;
int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);
gsize LLVMFuzzerCustomMutator (guint8 *data, gsize size, gsize max_size,
                               unsigned int seed);
GBytes *fuzz_get_seed (const Image *image, guint variant);

/* Defined by libFuzzer or by replay.c. */
gsize LLVMFuzzerMutate (guint8 *data, gsize size, gsize max_size);

/* drive-input.c */
void fuzz_drive (ByteSource *source, const guint8 *data, gsize size,
                 const DriveOptions *options);

/* seeds.c */
typedef void (*FuzzSeedFunc) (const char *name, GBytes *seed, gpointer data);

void fuzz_for_each_seed (FuzzSeedFunc func, gpointer data);

G_END_DECLS
