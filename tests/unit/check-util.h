/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers for tests of the check: an image that is checked as a whole. */

#pragma once

#include "check/check.h"
#include "test-util.h"

typedef struct
{
  Qcow2Image *image;
  Qcow2Findings *findings;
  Qcow2Directory *directory;
  guint64 only; /* index of the only selected bitmap, or QCOW2_NO_INDEX */
  Qcow2BitmapSummary summary;
  Qcow2Verdict verdict;
  gboolean with_disk; /* check more than the metadata */
  Qcow2CheckNumbers numbers;
  GPtrArray *failed; /* messages of the read errors reported */
} Checked;

static inline void
checked_open_source (Checked *c, FakeSource *source)
{
  g_autoptr (GError) error = NULL;

  c->findings = qcow2_findings_new ();
  c->image = qcow2_image_open_checked (&source->base, c->findings, &error);
  g_assert_no_error (error);
  c->directory = qcow2_directory_open_checked (c->image, c->findings, &error);
  g_assert_no_error (error);
  c->only = QCOW2_NO_INDEX;
  c->failed = g_ptr_array_new_with_free_func (g_free);
}

static inline void
checked_open (Checked *c, const char *name, const char *patch)
{
  checked_open_source (c, open_source (name, patch));
}

static inline FakeSource *
checked_get_source (Checked *c)
{
  return (FakeSource *) c->image->source;
}

/* Makes reads fail that touch the bytes from START to before END. */
static inline void
checked_set_bad (Checked *c, guint64 start, guint64 end)
{
  checked_get_source (c)->bad_start = start;
  checked_get_source (c)->bad_end = end;
}

static inline gboolean
checked_wants (const Qcow2Bitmap *bitmap, gconstpointer data)
{
  const Checked *c = data;

  return c->only == QCOW2_NO_INDEX || c->only == bitmap->index;
}

static inline void
checked_failed (GError *error, gpointer data)
{
  Checked *c = data;

  g_assert_error (error, QCOW2_ERROR, QCOW2_ERROR_READ);
  g_ptr_array_add (c->failed, g_strdup (error->message));
  g_error_free (error);
}

static inline void
checked_run (Checked *c)
{
  const Qcow2CheckCalls calls
      = { .wants = checked_wants, .failed = checked_failed, .data = c };

  qcow2_image_check (c->image, c->findings, c->directory, &calls, &c->summary,
                     &c->verdict, c->with_disk ? &c->numbers : NULL);
}

static inline void
checked_clear (Checked *c)
{
  g_ptr_array_unref (c->failed);
  qcow2_directory_free (c->directory);
  qcow2_image_free (c->image);
  qcow2_findings_free (c->findings);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Checked, checked_clear)

/* Asserts that the reported read errors are about the offsets AT, a list such
 * as "0x200 0x400". */
static inline void
checked_assert_failed (const Checked *c, const char *at)
{
  g_autoptr (GString) offsets = g_string_new (NULL);

  for (guint i = 0; i < c->failed->len; i++)
    {
      const char *message = g_ptr_array_index (c->failed, i);

      g_string_append_printf (offsets, "%s%.*s", i > 0 ? " " : "",
                              (int) strcspn (message, ":"), message);
    }

  g_assert_cmpstr (offsets->str, ==, at);
}
