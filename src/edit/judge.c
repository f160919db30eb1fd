/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/judge.h"

#include <string.h>

#include "check/directory-rules.h"
#include "check/image-rules.h"

/* The bytes of an entry that are compared at a time. */
#define BLOCK_SIZE 4096

static gboolean
want_all (const Qcow2Bitmap *bitmap G_GNUC_UNUSED,
          gconstpointer data G_GNUC_UNUSED)
{
  return TRUE;
}

/* A Qcow2CheckFailed that counts. */
static void
count_failure (GError *error, gpointer data)
{
  EditJudgement *judgement = data;

  judgement->n_failed++;
  g_error_free (error);
}

/* Checks the image in SOURCE, of which it takes ownership: everything if
 * WHOLE, otherwise the metadata. */
EditJudgement *
edit_judge (ByteSource *source, gboolean whole)
{
  EditJudgement *judgement = g_new0 (EditJudgement, 1);
  const Qcow2CheckCalls calls
      = { .wants = want_all, .failed = count_failure, .data = judgement };
  Qcow2BitmapSummary summary = { 0 };
  Qcow2CheckNumbers numbers = { 0 };
  g_autoptr (GError) error = NULL;

  judgement->findings = qcow2_findings_new ();
  judgement->image
      = qcow2_image_open_checked (source, judgement->findings, &error);
  if (judgement->image == NULL)
    {
      judgement->open_error = g_strdup (error->message);
      return judgement;
    }

  GError *read_error = NULL;
  judgement->directory = qcow2_directory_open_checked (
      judgement->image, judgement->findings, &read_error);
  if (judgement->directory == NULL)
    count_failure (read_error, judgement);
  qcow2_image_check (judgement->image, judgement->findings,
                     judgement->directory, &calls, &summary,
                     &judgement->verdict, whole ? &numbers : NULL);
  return judgement;
}

void
edit_judgement_free (EditJudgement *judgement)
{
  if (judgement == NULL)
    return;

  qcow2_directory_free (judgement->directory);
  qcow2_image_free (judgement->image);
  qcow2_findings_free (judgement->findings);
  g_free (judgement->open_error);
  g_free (judgement);
}

/* Returns whether the image says that its bitmaps are up to date. */
gboolean
edit_judgement_vouches (const EditJudgement *judgement)
{
  return judgement->image != NULL
         && qcow2_header_bitmaps_are_consistent (&judgement->image->header);
}

/* Returns whether QEMU refuses the image. */
gboolean
edit_judgement_is_refused (const EditJudgement *judgement)
{
  return judgement->image == NULL
         || judgement->verdict.effect >= QCOW2_EFFECT_REFUSED;
}

/* The entries of a bitmap directory, as far as they can be framed. */
typedef struct
{
  const EditJudgement *judgement;
  Qcow2Bitmap bitmap;  /* the current entry */
  gboolean has_failed; /* an entry could not be read */
} Entries;

static void
entries_clear (Entries *entries)
{
  qcow2_bitmap_clear (&entries->bitmap);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Entries, entries_clear)

static Entries
entries_begin (const EditJudgement *judgement)
{
  if (judgement != NULL && judgement->directory != NULL)
    qcow2_directory_rewind (judgement->directory);
  return (Entries){ .judgement = judgement };
}

/* Returns whether ENTRIES are those of a directory that can be read. */
static gboolean
entries_have_directory (const Entries *entries)
{
  const EditJudgement *judgement = entries->judgement;

  return judgement != NULL && judgement->directory != NULL
         && judgement->image->has_bitmaps;
}

/* Moves ENTRIES to the next entry.  Returns FALSE if there is none. */
static gboolean
entries_next (Entries *entries)
{
  if (!entries_have_directory (entries))
    return FALSE;

  const Qcow2Next next = qcow2_directory_next (entries->judgement->directory,
                                               &entries->bitmap, NULL);
  entries->has_failed |= next == QCOW2_NEXT_FAILED;
  return next == QCOW2_NEXT_ITEM && entries->bitmap.name != NULL;
}

/* A range of the file of a judgement. */
typedef struct
{
  ByteSource *source;
  guint64 start; /* host offset */
  guint64 size;  /* bytes */
} Range;

/* Returns the range of the current entry of ENTRIES, without padding. */
static Range
entries_get_entry (const Entries *entries)
{
  const Qcow2Bitmap *bitmap = &entries->bitmap;
  const guint64 end = bitmap->name_offset + bitmap->name_size;

  return (Range){ .source = entries->judgement->image->source,
                  .start = bitmap->file_offset,
                  .size = end - bitmap->file_offset };
}

/* Returns the range after the entries that can be framed: a part of an entry
 * or, beyond the maximum number of entries, any. */
static Range
entries_get_rest (const Entries *entries)
{
  if (!entries_have_directory (entries))
    return (Range){ .size = 0 };

  const Qcow2DirectoryFacts *facts
      = qcow2_directory_get_facts (entries->judgement->directory);
  return (Range){ .source = entries->judgement->image->source,
                  .start = facts->pos,
                  .size
                  = facts->file_end - MIN (facts->pos, facts->file_end) };
}

static gboolean
range_read (Range range, guint64 at, guint8 *bytes, gsize len)
{
  return byte_source_read (range.source, range.start + at, bytes, len,
                           "bitmap directory", NULL);
}

/* Returns whether A and B can be read and are the same bytes. */
static gboolean
ranges_are_equal (Range a, Range b)
{
  gsize len;

  if (a.size != b.size)
    return FALSE;

  for (guint64 at = 0; at < a.size; at += len)
    {
      guint8 bytes_a[BLOCK_SIZE];
      guint8 bytes_b[BLOCK_SIZE];

      len = (gsize) MIN (sizeof bytes_a, a.size - at);
      if (!range_read (a, at, bytes_a, len)
          || !range_read (b, at, bytes_b, len)
          || memcmp (bytes_a, bytes_b, len) != 0)
        return FALSE;
    }

  return TRUE;
}

/* Returns whether the entries of the bitmap directory of SOME are, byte for
 * byte, entries of that of ALL, in the same order, and so is what follows
 * them.  ALL may be NULL: it has no entries. */
gboolean
edit_bitmaps_are_some_of (const EditJudgement *some, const EditJudgement *all)
{
  g_auto (Entries) wanted = entries_begin (some);
  g_auto (Entries) found = entries_begin (all);
  gboolean is_left = entries_next (&wanted);

  while (is_left && entries_next (&found))
    {
      if (ranges_are_equal (entries_get_entry (&wanted),
                            entries_get_entry (&found)))
        is_left = entries_next (&wanted);
    }

  const Range rest = entries_get_rest (&wanted);
  return !is_left && !wanted.has_failed
         && (rest.size == 0
             || ranges_are_equal (rest, entries_get_rest (&found)));
}

/* Returns the index of the first entry of the directory of ALL that is not at
 * its place among those of SOME, or QCOW2_NO_INDEX. */
guint64
edit_bitmaps_find_removed (const EditJudgement *some, const EditJudgement *all)
{
  g_auto (Entries) left = entries_begin (some);
  g_auto (Entries) found = entries_begin (all);

  for (guint64 i = 0; entries_next (&found); i++)
    {
      if (!entries_next (&left)
          || !ranges_are_equal (entries_get_entry (&left),
                                entries_get_entry (&found)))
        return i;
    }

  return QCOW2_NO_INDEX;
}

/* Returns the number of errors by the rule that the row RULE is of.  Which row
 * of a rule is broken may depend on a bit that an edit changes. */
static guint64
count_errors (const EditJudgement *judgement, Qcow2RuleIndex rule)
{
  guint64 n = 0;

  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      if (qcow2_rules[i].severity == QCOW2_SEVERITY_ERROR
          && g_str_equal (qcow2_rules[i].id, qcow2_rules[rule].id))
        n += qcow2_findings_get_use (judgement->findings, i)->n;
    }

  return n;
}

/* Returns the first finding of the row RULE, or NULL if none was kept. */
static const Qcow2Finding *
find (const EditJudgement *judgement, Qcow2RuleIndex rule)
{
  for (guint i = 0; i < qcow2_findings_get_n (judgement->findings); i++)
    {
      const Qcow2Finding *finding
          = qcow2_findings_get (judgement->findings, i);

      if (finding->index == rule)
        return finding;
    }

  return NULL;
}

/* Adds a reason to REFUSALS for each rule of severity error that AFTER breaks
 * more often than BEFORE. */
void
edit_judgement_compare (const EditJudgement *before,
                        const EditJudgement *after, EditRefusals *refusals)
{
  if (after->image == NULL && before->image != NULL)
    {
      edit_refuse (refusals, "no program could open the image afterwards: %s",
                   after->open_error);
      return;
    }
  if (after->n_failed > before->n_failed)
    edit_refuse (refusals, "parts of the result cannot be read");

  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      if (qcow2_rules[i].severity != QCOW2_SEVERITY_ERROR
          || qcow2_findings_get_use (after->findings, i)->n == 0
          || count_errors (after, i) <= count_errors (before, i))
        continue;

      const Qcow2Finding *finding = find (after, i);
      if (finding != NULL)
        edit_refuse (refusals,
                     "the result would be damaged: " QCOW2_HEX_FORMAT
                     ": %s: %s [%s]",
                     finding->offset, finding->subject.structure,
                     finding->message, finding->rule);
      else
        edit_refuse (refusals, "the result would be damaged [%s]",
                     qcow2_rules[i].id);
    }
}
