/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "render/unusable.h"

#include "render/format.h"

/* Why a bitmap cannot be used. */
typedef struct
{
  const char *message;
  const char *rule; /* id of the rule that the bitmap, or the image, breaks;
                       NULL: it may be any of several, which check prints */
} Reason;

static const Reason in_use
    = { "in use: the contents in the file are not what the guest wrote last",
        "BDIR-09" };
static const Reason in_use_writer
    = { "in use by a writer that is running: the contents in the file are out "
        "of date",
        "BDIR-09" };
static const Reason stale
    = { "stale: nothing vouches for the contents", "HDR-25" };
static const Reason damaged
    = { "damaged: not all of the contents can be known", NULL };

static const Reason *
find_reason (const Qcow2Bitmap *bitmap)
{
  switch (qcow2_bitmap_get_shown_state (bitmap))
    {
    case QCOW2_BITMAP_STATE_IN_USE:
      return &in_use;
    case QCOW2_BITMAP_STATE_IN_USE_WRITER:
      return &in_use_writer;
    case QCOW2_BITMAP_STATE_STALE:
      return &stale;
    case QCOW2_BITMAP_STATE_UNKNOWN:
    case QCOW2_BITMAP_STATE_DAMAGED:
    case QCOW2_BITMAP_STATE_DISABLED:
    case QCOW2_BITMAP_STATE_ENABLED:
      return &damaged;
    }

  g_assert_not_reached ();
}

/* Returns the host offset at which BITMAP, or the image itself, breaks RULE;
 * if RULE is NULL or FINDINGS has no such finding, that of BITMAP's directory
 * entry. */
static guint64
find_offset (const Qcow2Findings *findings, const char *rule,
             const Qcow2Bitmap *bitmap)
{
  for (guint i = 0; rule != NULL && i < qcow2_findings_get_n (findings); i++)
    {
      const Qcow2Finding *finding = qcow2_findings_get (findings, i);
      const guint64 index = finding->subject.bitmap;

      if (g_str_equal (finding->rule, rule)
          && (index == bitmap->index || index == QCOW2_NO_INDEX))
        return finding->offset;
    }

  return bitmap->file_offset;
}

/* Returns a message that says why BITMAP, the SUBJECT, cannot be used, and
 * adds HINT.  FINDINGS has the findings about BITMAP.  The caller frees the
 * message. */
char *
unusable_explain (const Qcow2Bitmap *bitmap, const Qcow2Subject *subject,
                  const Qcow2Findings *findings, const char *hint)
{
  const Reason *reason = find_reason (bitmap);
  const guint64 offset = find_offset (findings, reason->rule, bitmap);
  GString *out = g_string_new (NULL);

  format_place (out, offset, subject);
  g_string_append_printf (out, "%s%s [%s]", reason->message, hint,
                          reason->rule != NULL ? reason->rule
                                               : "see qcow2tool check");
  return g_string_free (out, FALSE);
}
