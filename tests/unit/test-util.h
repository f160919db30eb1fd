/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers that unit tests share: a source that can misbehave, builder images
 * opened by the reader, and findings as short texts. */

#pragma once

#include <errno.h>
#include <string.h>

#include <glib.h>

#include "builder/image-builder.h"
#include "check/bitmap-checker.h"
#include "check/directory-rules.h"
#include "check/image-rules.h"
#include "qcow2/error.h"

/* Set under valgrind, or by hand: time limits do not apply. */
#define RUNNING_SLOWLY (g_getenv ("QCOW2TOOL_SLOW") != NULL)

/* Set by make check-sanitizers: a part of many values is enough. */
#define RUNNING_SANITIZED (g_getenv ("QCOW2TOOL_SANITIZED") != NULL)

/* A source that holds BYTES, followed by zeroes up to the source's size. */
typedef struct
{
  ByteSource base;
  GByteArray *bytes;

  gsize max_read;     /* most bytes that one read returns; 0: no limit */
  guint n_interrupts; /* number of the next reads to fail with EINTR */
  guint64 bad_start;  /* a read that touches the bytes from here ... */
  guint64 bad_end;    /* ... to before here fails with EIO */
  guint64 end;        /* where the file ends now */
  gboolean *freed;    /* set when the source is freed; may be NULL */

  guint n_reads;
  guint n_probes;     /* lock probes, after fake_source_lock () */
  guint64 n_bytes;    /* bytes that reads asked for */
  guint64 last_start; /* the last read's range */
  guint64 last_end;
} FakeSource;

static inline gssize
fake_read (ByteSource *source, guint64 offset, guint8 *buffer, gsize len)
{
  FakeSource *self = (FakeSource *) source;

  g_assert_cmpuint (len, >, 0);
  g_assert_cmpuint (offset, <=, source->size);
  g_assert_cmpuint (len, <=, source->size - offset);

  self->n_reads++;
  self->n_bytes += len;
  self->last_start = offset;
  self->last_end = offset + len;
  if (self->n_interrupts > 0)
    {
      self->n_interrupts--;
      errno = EINTR;
      return -1;
    }
  if (offset < self->bad_end && offset + len > self->bad_start)
    {
      errno = EIO;
      return -1;
    }

  gsize n = self->max_read != 0 ? MIN (len, self->max_read) : len;
  n = (gsize) MIN (n, self->end - MIN (offset, self->end));
  const guint64 there = self->bytes->len - MIN (offset, self->bytes->len);
  const gsize copied = (gsize) MIN (n, there);
  if (copied > 0)
    memcpy (buffer, self->bytes->data + offset, copied);
  memset (buffer + copied, 0, n - copied);
  return (gssize) n;
}

static inline void
fake_free (ByteSource *source)
{
  FakeSource *self = (FakeSource *) source;

  if (self->freed != NULL)
    *self->freed = TRUE;
  g_byte_array_unref (self->bytes);
  g_free (self);
}

/* Returns a source of SIZE bytes that begins with BYTES and takes a reference
 * to them. */
static inline FakeSource *
fake_source_new (GByteArray *bytes, guint64 size)
{
  static const ByteSourceClass fake_class
      = { .read = fake_read, .free = fake_free };
  FakeSource *self = g_new0 (FakeSource, 1);

  self->base.klass = &fake_class;
  self->base.size = size;
  self->bytes = g_byte_array_ref (bytes);
  self->end = size;
  return self;
}

/* Reports byte 101 as locked, as QEMU locks it while it writes the image. */
static inline ByteSourceLock
fake_probe_lock (ByteSource *source, guint64 offset)
{
  ((FakeSource *) source)->n_probes++;
  return offset == 101 ? BYTE_SOURCE_LOCKED : BYTE_SOURCE_UNLOCKED;
}

/* Makes SOURCE look as if a writer had it open. */
static inline void
fake_source_lock (FakeSource *source)
{
  static const ByteSourceClass locked_class = { .read = fake_read,
                                                .probe_lock = fake_probe_lock,
                                                .free = fake_free };

  source->base.klass = &locked_class;
}

/* Returns the builder's image NAME with PATCH applied, which may be NULL. */
static inline Image *
build_patched (const char *name, const char *patch)
{
  Image *image = image_build (name);

  if (patch != NULL)
    image_patch (image, patch);
  return image;
}

/* Returns a source with the builder's image NAME, with PATCH applied unless it
 * is NULL.  Files of any size take only the memory of their bytes. */
static inline FakeSource *
open_source (const char *name, const char *patch)
{
  g_autoptr (Image) image = build_patched (name, patch);

  return fake_source_new (image->bytes, image->size);
}

static inline Qcow2Image *
open_checked (const char *name, const char *patch, Qcow2Findings *findings)
{
  g_autoptr (GError) error = NULL;
  FakeSource *source = open_source (name, patch);
  Qcow2Image *image
      = qcow2_image_open_checked (&source->base, findings, &error);

  g_assert_no_error (error);
  g_assert_nonnull (image);
  return image;
}

/* Returns the findings about the header and the extensions of an image. */
static inline Qcow2Findings *
find_findings (const char *name, const char *patch)
{
  Qcow2Findings *findings = qcow2_findings_new ();

  qcow2_image_free (open_checked (name, patch, findings));
  return findings;
}

/* Opens an image for a test that does not look at the findings. */
static inline Qcow2Image *
open_image (const char *name, const char *patch)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  return open_checked (name, patch, findings);
}

static inline char *
finding_text (char severity, const char *rule, guint64 offset)
{
  return g_strdup_printf ("%c %s@0x%" G_GINT64_MODIFIER "x", severity, rule,
                          offset);
}

/* Adds the findings in FINDINGS to TEXTS, in the form "E HDR-04@0x14". */
static inline void
collect_findings (GPtrArray *texts, const Qcow2Findings *findings)
{
  for (guint i = 0; i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);

      g_ptr_array_add (texts,
                       finding_text ("EWI"[finding->severity], finding -> rule,
                                     finding -> offset));
    }
}

static inline gint
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Sorts TEXTS and returns them joined by "; ", without duplicates. */
static inline char *
join_findings (GPtrArray *texts)
{
  g_autoptr (GString) joined = g_string_new (NULL);

  g_ptr_array_sort (texts, compare_texts);
  for (guint i = 0; i < texts->len; i++)
    {
      const char *text = g_ptr_array_index (texts, i);

      if (i > 0 && g_str_equal (g_ptr_array_index (texts, i - 1), text))
        continue;

      g_string_append_printf (joined, "%s%s", joined->len > 0 ? "; " : "",
                              text);
    }

  return g_strdup (joined->str);
}

/* Asserts that FINDINGS holds exactly the findings in EXPECTED, a list such as
 * "E HDR-04@0x14; W HDR-17@0x28" in any order. */
static inline void
assert_findings (const Qcow2Findings *findings, const char *expected)
{
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GPtrArray) wanted = g_ptr_array_new ();
  g_auto (GStrv) words = g_strsplit (expected, "; ", -1);

  collect_findings (found, findings);
  for (guint i = 0; words[i] != NULL; i++)
    g_ptr_array_add (wanted, words[i]);

  g_autofree char *found_text = join_findings (found);
  g_autofree char *wanted_text = join_findings (wanted);
  g_assert_cmpstr (found_text, ==, wanted_text);
}

/* Asserts that ERROR is a QCOW2_ERROR with CODE whose message begins with the
 * offset AT and ends with RULE. */
static inline void
assert_fatal (const GError *error, gint code, const char *at, const char *rule)
{
  g_autofree char *prefix = g_strdup_printf ("%s: ", at);
  g_autofree char *suffix = g_strdup_printf (" [%s]", rule);

  g_assert_error (error, QCOW2_ERROR, code);
  if (!g_str_has_prefix (error->message, prefix)
      || !g_str_has_suffix (error->message, suffix))
    g_error ("%s is not about %s and %s", error->message, at, rule);
}

static inline void
assert_bytes (GBytes *bytes, const char *expected, gsize len)
{
  gsize n;
  const void *data = g_bytes_get_data (bytes, &n);

  g_assert_cmpmem (data, n, expected, len);
}

static inline void
assert_string (GBytes *bytes, const char *expected)
{
  g_assert_nonnull (bytes);
  assert_bytes (bytes, expected, strlen (expected));
}

/* A row of a table of tests: the findings expected in BASE with PATCH. */
typedef struct
{
  const char *path; /* last part of the test's path */
  const char *base;
  const char *patch; /* NULL: none */
  const char *findings;
} FindingRow;

static inline void
add_rows (const char *prefix, const FindingRow *rows, gsize n_rows,
          GTestDataFunc test)
{
  for (gsize i = 0; i < n_rows; i++)
    {
      g_autofree char *path = g_strdup_printf ("%s/%s", prefix, rows[i].path);

      g_test_add_data_func (path, &rows[i], test);
    }
}
