/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "edit/work.h"

#include "check/image-rules.h"
#include "edit/error.h"
#include "edit/overlay.h"
#include "edit/write-plan.h"

#define AT(member)                                                            \
  ((guint64) QCOW2_AT (qcow2_header_record, Qcow2Header, member))

/* Returns whether the image in SOURCE says that its bitmaps are up to date. */
static gboolean
is_vouched (ByteSource *source)
{
  Qcow2Header header = { 0 };
  const gboolean vouched = qcow2_header_read (source, &header, NULL)
                           && qcow2_header_bitmaps_are_consistent (&header);

  qcow2_header_clear (&header);
  return vouched;
}

/* Opens the image PATH for an edit as MODE says, and locks it.  Fails as
 * edit_target_open () does. */
EditWork *
edit_work_open (const char *path, const EditMode *mode, GError **error)
{
  EditTarget *target
      = edit_target_open (path, mode->dry_run, mode->force, error);

  if (target == NULL)
    return NULL;

  EditWork *work = g_new0 (EditWork, 1);
  work->mode = *mode;
  work->target = target;
  work->source = edit_target_get_source (target);
  work->findings = qcow2_findings_new ();
  work->plan = edit_plan_new ();
  work->messages = g_ptr_array_new_with_free_func (g_free);
  work->was_vouched = is_vouched (work->source);
  edit_refusals_init (&work->refusals);
  return work;
}

/* Reads the header and the extensions of the image.  Fails as
 * qcow2_image_open_checked () does. */
gboolean
edit_work_read (EditWork *work, GError **error)
{
  work->image = qcow2_image_open_checked (
      edit_overlay_new (work->source, NULL, FALSE), work->findings, error);
  return work->image != NULL;
}

/* Adds a message that is told when the edit is done. */
void
edit_work_say (EditWork *work, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_ptr_array_add (work->messages, g_strdup_vprintf (format, args));
  va_end (args);
}

/* A field that cannot be judged by its result: that shows only when QEMU
 * writes to the image. */
static gboolean
shows_late (const Qcow2Field *field)
{
  static const char *const late[] = { "header_length",
                                      "magic",
                                      "version",
                                      "cluster_bits",
                                      "refcount_order",
                                      "crypt_method",
                                      "l1_size",
                                      "l1_table_offset",
                                      "nb_snapshots",
                                      "refcount_table_offset",
                                      "snapshot_offset",
                                      "refcount_table_clusters",
                                      NULL };

  return g_strv_contains (late, field->name);
}

/* Refuses the change of FIELD from BEFORE to AFTER if its effect shows only
 * when QEMU writes to the image. */
static void
judge_field (EditWork *work, const Qcow2Field *field, guint64 before,
             guint64 after)
{
  const guint64 offset = qcow2_record_get_offset (&qcow2_header_record, field);
  const gboolean is_size = AT (size) == offset;
  const gboolean is_mask = AT (incompatible_features) == offset;
  const guint64 bits = (before ^ after) & QCOW2_INCOMPATIBLE_KNOWN;

  if (shows_late (field))
    edit_refuse (&work->refusals,
                 QCOW2_HEX_FORMAT
                 ": header: %s would change from " QCOW2_U64_FORMAT
                 " to " QCOW2_U64_FORMAT
                 ", and what that destroys shows only when QEMU writes",
                 offset, field->name, before, after);
  if (is_size && after < before)
    edit_refuse (&work->refusals,
                 QCOW2_HEX_FORMAT
                 ": header: size would shrink from " QCOW2_U64_FORMAT
                 " to " QCOW2_U64_FORMAT
                 ", which cuts off the end of the disk: use qemu-img resize "
                 "--shrink",
                 offset, before, after);
  if (is_mask && bits != 0)
    edit_refuse (&work->refusals,
                 QCOW2_HEX_FORMAT
                 ": header: %s would change from " QCOW2_HEX_FORMAT
                 " to " QCOW2_HEX_FORMAT
                 ": how QEMU reads and writes the image depends on these bits",
                 offset, field->name, before, after);
}

/* Returns whether a change of FIELD from BEFORE to AFTER can change where
 * things are in the file. */
static gboolean
locates (const Qcow2Field *field, guint64 before, guint64 after)
{
  static const char *const others[]
      = { "backing_file_offset", "backing_file_size",  "compression_type",
          "compatible_features", "autoclear_features", NULL };

  if (qcow2_record_get_offset (&qcow2_header_record, field)
      == AT (incompatible_features))
    return ((before ^ after) & QCOW2_INCOMPATIBLE_KNOWN) != 0;

  return !g_strv_contains (others, field->name);
}

/* Adds reasons to refuse the change from the header BEFORE to AFTER, and notes
 * whether the image has to be judged as a whole. */
void
edit_work_judge_headers (EditWork *work, const Qcow2Header *before,
                         const Qcow2Header *after)
{
  for (const Qcow2Field *field = qcow2_header_record.fields;
       field->name != NULL; field++)
    {
      if (!field->stored || field->format == QCOW2_BYTES)
        continue;

      const guint64 old = qcow2_field_get_number (field, before);
      const guint64 new = qcow2_field_get_number (field, after);
      if (old == new)
        continue;

      judge_field (work, field, old, new);
      work->needs_all |= locates (field, old, new);
    }
}

/* Fails unless all of the plan lies in the file: it never grows. */
static void
judge_size (EditWork *work)
{
  const guint64 size = byte_source_get_size (work->source);
  EditPosition at = { 0, 0 };
  const EditRun *run;

  while ((run = edit_plan_next_run (work->plan, &at)) != NULL)
    {
      if (run->offset > size || edit_run_get_size (run) > size - run->offset)
        edit_refuse_always (&work->refusals,
                            QCOW2_HEX_FORMAT
                            ": the bytes to be written do not lie in the "
                            "file, which has " QCOW2_U64_FORMAT " bytes",
                            run->offset, size);
    }
}

/* Returns whether the image in AFTER vouches for a bitmap for which that in
 * BEFORE does not. */
static gboolean
revives_bitmap (const EditJudgement *before, const EditJudgement *after)
{
  return edit_judgement_vouches (after)
         && !edit_bitmaps_are_some_of (
             after, edit_judgement_vouches (before) ? before : NULL);
}

/* Refuses a plan that makes bitmaps valid that were not. */
static void
judge_vouching (EditWork *work, const EditJudgement *before)
{
  if (work->may_vouch || !edit_judgement_vouches (work->after))
    return;

  if (!work->was_vouched)
    edit_refuse (&work->refusals,
                 QCOW2_HEX_FORMAT
                 ": header: the bitmaps bit of autoclear_features would be "
                 "set, but it was clear when this command began: what was "
                 "written to the disk since is in no bitmap, and a backup "
                 "that uses one could miss it",
                 AT (autoclear_features));
  else if (revives_bitmap (before, work->after))
    edit_refuse (&work->refusals,
                 QCOW2_HEX_FORMAT
                 ": bitmap directory: a bitmap would be valid that was not "
                 "when this command began: what was written to the disk since "
                 "it was valid may not be in it, and a backup that uses it "
                 "could miss that",
                 work->after->image->bitmaps.bitmap_directory_offset);
}

static gboolean
bytes_differ (GBytes *a, GBytes *b)
{
  return a != b && (a == NULL || b == NULL || !g_bytes_equal (a, b));
}

/* Returns whether the disk of AFTER may have other contents than that of
 * BEFORE, because other files are its contents, or because more of the backing
 * file is seen. */
static gboolean
disk_differs (const EditJudgement *before, const EditJudgement *after)
{
  if (before->image == NULL || after->image == NULL)
    return FALSE;

  const Qcow2Header *from = &before->image->header;
  const Qcow2Header *to = &after->image->header;
  return bytes_differ (from->backing_file, to->backing_file)
         || bytes_differ (from->backing_format, to->backing_format)
         || bytes_differ (from->external_data_file, to->external_data_file)
         || (to->backing_file != NULL && to->size > from->size);
}

/* Says that the disk has other contents although valid bitmaps, which do not
 * show that, are left. */
static void
warn_of_bitmaps (EditWork *work, const EditJudgement *before)
{
  if (edit_judgement_vouches (before) && edit_judgement_vouches (work->after)
      && work->after->image->bitmaps.nb_bitmaps > 0
      && disk_differs (before, work->after))
    edit_work_say (work, "the disk may have other contents now, which its "
                         "bitmaps do not show: the next backup must be a "
                         "full one");
}

/* Judges the plan: compares the image with and without it.  Fails with
 * EDIT_ERROR_REFUSED if there is a reason to refuse it. */
gboolean
edit_work_judge (EditWork *work, GError **error)
{
  if (edit_plan_is_empty (work->plan))
    return edit_refusals_check (&work->refusals, work->mode.force, error);

  judge_size (work);
  if (work->refusals.final != NULL)
    return edit_refusals_check (&work->refusals, work->mode.force, error);

  g_autoptr (EditJudgement) before
      = edit_judge (edit_overlay_new (work->source, work->whole_plan, TRUE),
                    work->needs_all);
  work->after = edit_judge (edit_overlay_new (work->source, work->plan, FALSE),
                            work->needs_all);
  if (edit_judgement_is_refused (work->after)
      && !edit_judgement_is_refused (before))
    edit_work_say (work, "QEMU refuses to open the image now: see "
                         "'qcow2tool check'");
  warn_of_bitmaps (work, before);
  judge_vouching (work, before);
  edit_judgement_compare (before, work->after, &work->refusals);
  return edit_refusals_check (&work->refusals, work->mode.force, error);
}

/* Carries out the plan, and judges what the image is like then.  Fails as
 * edit_plan_write () does. */
gboolean
edit_work_commit (EditWork *work, GError **error)
{
  if (edit_plan_is_empty (work->plan))
    return TRUE;
  if (!edit_plan_write (work->plan, work->target, error))
    return FALSE;

  EditRefusals surprises;
  g_autoptr (EditJudgement) now = edit_judge (
      edit_overlay_new (work->source, NULL, FALSE), work->needs_all);

  edit_refusals_init (&surprises);
  edit_judgement_compare (work->after, now, &surprises);
  for (guint i = 0; i < surprises.lifted->len; i++)
    edit_work_say (work,
                   "the edit is done, but the image is not as expected: "
                   "%s",
                   (const char *) g_ptr_array_index (surprises.lifted, i));
  edit_refusals_clear (&surprises);
  return TRUE;
}

void
edit_work_free (EditWork *work)
{
  if (work == NULL)
    return;

  edit_judgement_free (work->after);
  qcow2_image_free (work->image);
  qcow2_findings_free (work->findings);
  edit_plan_free (work->plan);
  edit_plan_free (work->whole_plan);
  edit_refusals_clear (&work->refusals);
  g_ptr_array_unref (work->messages);
  edit_target_free (work->target);
  g_free (work);
}
