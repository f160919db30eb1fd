/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/judge.h"

#include "check/directory-rules.h"
#include "check/image-rules.h"

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

/* Returns the entries of the bitmap directory of JUDGEMENT, as they are on
 * disk, as far as they can be framed: an array of GBytes. */
GPtrArray *
edit_judgement_list_bitmaps (const EditJudgement *judgement)
{
  GPtrArray *entries
      = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_auto (Qcow2Bitmap) bitmap = { 0 };

  if (judgement->image == NULL || judgement->directory == NULL
      || !judgement->image->has_bitmaps)
    return entries;

  qcow2_directory_rewind (judgement->directory);
  while (qcow2_directory_next (judgement->directory, &bitmap, NULL)
             == QCOW2_NEXT_ITEM
         && bitmap.name != NULL)
    {
      const guint64 end = bitmap.name_offset + bitmap.name_size;
      const gsize size = (gsize) (end - bitmap.file_offset);
      g_autofree guint8 *bytes = g_malloc (size);

      if (!byte_source_read (judgement->image->source, bitmap.file_offset,
                             bytes, size, "bitmap directory", NULL))
        break;

      g_ptr_array_add (entries,
                       g_bytes_new_take (g_steal_pointer (&bytes), size));
    }

  return entries;
}

/* Returns whether SOME are entries of ALL, in the same order. */
gboolean
edit_bitmaps_are_some_of (const GPtrArray *some, const GPtrArray *all)
{
  guint found = 0;

  for (guint i = 0; i < all->len && found < some->len; i++)
    {
      if (g_bytes_equal (g_ptr_array_index (some, found),
                         g_ptr_array_index (all, i)))
        found++;
    }

  return found == some->len;
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
