/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plans: what is read, what is refused, and what a plan makes of bytes. */

#include "config.h"

#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "edit/error.h"
#include "edit/header-edit.h"
#include "edit/plan-file.h"
#include "edit/plan-parse.h"
#include "render/plan.h"

#define TITLE "# qcow2tool plan 1: test, image, 1 bytes\n"

static EditPlan *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  EditPlan *plan = edit_plan_parse (text, strlen (text), &error);

  g_assert_no_error (error);
  return plan;
}

static void
test_steps (void)
{
  g_autoptr (EditPlan) plan = parse (TITLE "# a comment\n"
                                           "\n"
                                           "0x5f: 01 -> 00    # bit\n"
                                           "sync\n"
                                           "0x200: 0002 -> 0001\n"
                                           "0x1ff: AB -> cd#x\n"
                                           "sync   # and so on\n"
                                           "# done 65536 17 18\n");
  const EditRun *run = edit_step_get_run (edit_plan_get_step (plan, 1), 0);

  g_assert_cmpuint (edit_plan_get_n_steps (plan), ==, 2);
  g_assert_cmpuint (edit_plan_get_n_runs (plan), ==, 3);
  g_assert_cmphex (run->offset, ==, 0x200);
  g_assert_cmpuint (edit_run_get_size (run), ==, 2);
  g_assert_cmphex (edit_run_get_bytes (run, TRUE)[1], ==, 2);
  g_assert_cmphex (edit_run_get_bytes (run, FALSE)[1], ==, 1);
  run = edit_step_get_run (edit_plan_get_step (plan, 1), 1);
  g_assert_cmphex (edit_run_get_bytes (run, TRUE)[0], ==, 0xab);
  g_assert_cmphex (edit_run_get_bytes (run, FALSE)[0], ==, 0xcd);
  g_assert_true (plan->is_done);
  g_assert_cmpuint (plan->stamp.size, ==, 65536);
  g_assert_cmpint (plan->stamp.mtime, ==, 17);
  g_assert_cmpint (plan->stamp.ctime, ==, 18);
}

static void
test_empty (void)
{
  g_autoptr (EditPlan) plan = parse (TITLE);

  g_assert_true (edit_plan_is_empty (plan));
  g_assert_false (plan->is_done);
}

/* A plan that is refused, and the number of the line in the message, or 0. */
typedef struct
{
  const char *text;
  guint line;
} Bad;

static const Bad bad[] = {
  { "", 1 },
  { "# qcow2tool plan 2: test\n", 1 },
  { "0x5f: 01 -> 00\nsync\n", 1 },
  { TITLE "0x5f: 01 -> 00\n", 3 },
  { TITLE "0x5f: 01 -> 00\nsync", 3 },
  { TITLE "sync\n", 2 },
  { TITLE "0x5f: 01 -> 00\nsync\nsync\n", 4 },
  { TITLE "5f: 01 -> 00\nsync\n", 2 },
  { TITLE " 0x5f: 01 -> 00\nsync\n", 2 },
  { TITLE "0x: 01 -> 00\nsync\n", 2 },
  { TITLE "0x5f 01 -> 00\nsync\n", 2 },
  { TITLE "0x5f: 0 -> 0\nsync\n", 2 },
  { TITLE "0x5f: 01 -> 0001\nsync\n", 2 },
  { TITLE "0x5f: -> \nsync\n", 2 },
  { TITLE "0x5f: 01 -> 00 01\nsync\n", 2 },
  { TITLE "0x5f: 01 -> 000\nsync\n", 2 },
  { TITLE "0x8000000000000000: 01 -> 00\nsync\n", 2 },
  { TITLE "0x7fffffffffffffff: 01 -> 00\nsync\n", 2 },
  { TITLE "0x10000000000000000: 01 -> 00\nsync\n", 2 },
  { TITLE "0x5f: 01 -> 00\nsyncs\n", 3 },
  { TITLE "0x5f: 01 -> 00\n# done 1 2", 3 },
  { TITLE "0x5f: 01 -> 00\nsync\n# note", 4 },
  { TITLE "# done 1 2 3\n# note", 3 },
  { TITLE "# done 1 2\n", 2 },
  { TITLE "# done 1 2 3 4\n", 2 },
  { TITLE "# done 1 2 9223372036854775808\n", 2 },
  { TITLE "# done 1 2 3\n# done 1 2 3\n", 3 },
  { TITLE "# done 1 2 3\n0x5f: 01 -> 00\nsync\n", 3 },
  { TITLE "0x5f: 01 -> 00\n# done 1 2 3\nsync\n", 3 },
  /* Contradictions. */
  { TITLE "0x5f: 0101 -> 0000\n0x60: 01 -> 00\nsync\n", 0 },
  { TITLE "0x5f: 01 -> 00\nsync\n0x5f: 01 -> 00\nsync\n", 0 },
  { TITLE "0x50: 0102 -> 0304\nsync\n0x51: 0500 -> 0600\nsync\n", 0 },
};

static void
test_bad (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *line = g_strdup_printf ("line %u: ", bad[i].line);

      g_test_message ("%s", bad[i].text);
      g_assert_null (
          edit_plan_parse (bad[i].text, strlen (bad[i].text), &error));
      g_assert_error (error, EDIT_ERROR, EDIT_ERROR_PLAN);
      if (bad[i].line > 0)
        g_assert_true (g_str_has_prefix (error->message, line));
    }
}

/* The line that is written after the edit may be cut anywhere. */
static void
test_cut_done (void)
{
  static const char text[] = TITLE "0x5f: 01 -> 00\nsync\n# done 65536 17 18";
  const gsize len = strlen (text);
  const gsize whole = len - strlen ("# done 65536 17 18");

  for (gsize i = whole; i <= len; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (EditPlan) plan = edit_plan_parse (text, i, &error);

      g_assert_no_error (error);
      g_assert_cmpuint (edit_plan_get_n_runs (plan), ==, 1);
      g_assert_false (plan->is_done);
    }
}

/* A NUL byte is no end of the text. */
static void
test_nul (void)
{
  static const char text[] = TITLE "0x5f: 01 -> 00\nsync\0\n";
  g_autoptr (GError) error = NULL;

  g_assert_null (edit_plan_parse (text, sizeof text - 1, &error));
  g_assert_error (error, EDIT_ERROR, EDIT_ERROR_PLAN);
}

/* The text of a plan with N_RUNS runs. */
static GString *
write_runs (guint n_runs)
{
  GString *text = g_string_new (TITLE);

  for (guint i = 0; i < n_runs; i++)
    g_string_append_printf (text, "0x%x: 00 -> 01\n", i);
  g_string_append (text, "sync\n");
  return text;
}

/* A contradiction late in a long run. */
static void
test_long_run (void)
{
  g_autoptr (GString) text = g_string_new (TITLE);
  g_autoptr (GError) error = NULL;

  g_string_append_printf (text, "0x10: %010000d -> 1%09999d\nsync\n", 0, 0);
  g_string_append_printf (text, "0x10: 1%08999d1%0999d -> %010000d\nsync\n", 0,
                          0, 0);
  g_assert_null (edit_plan_parse (text->str, text->len, &error));
  g_assert_error (error, EDIT_ERROR, EDIT_ERROR_PLAN);
  /* 0x10 + 9000 / 2 */
  g_assert_nonnull (strstr (error->message, "0x11a4 "));
}

static void
test_too_long (void)
{
  g_autoptr (GString) longest = write_runs (EDIT_PLAN_MAX_RUNS);
  g_autoptr (GString) text = write_runs (EDIT_PLAN_MAX_RUNS + 1);
  g_autoptr (EditPlan) plan = parse (longest->str);
  g_autoptr (GError) error = NULL;

  g_assert_cmpuint (edit_plan_get_n_runs (plan), ==, EDIT_PLAN_MAX_RUNS);
  g_assert_null (edit_plan_parse (text->str, text->len, &error));
  g_assert_error (error, EDIT_ERROR, EDIT_ERROR_PLAN);
}

/* A plan that is too long to be read is not saved. */
static void
test_too_large (void)
{
  const gsize len = (gsize) 257 << 20;
  g_autofree char *text = g_malloc0 (len);
  g_autofree char *folder = g_dir_make_tmp (NULL, NULL);
  g_autofree char *path = g_build_filename (folder, "plan", NULL);
  g_autoptr (GError) error = NULL;

  EditPlanFile *file = edit_plan_file_create (path, &error);
  g_assert_no_error (error);
  g_assert_true (edit_plan_file_write (file, TITLE, strlen (TITLE), &error));
  g_assert_false (edit_plan_file_write (file, text, len, &error));
  g_assert_error (error, EDIT_ERROR, EDIT_ERROR_PLAN);
  edit_plan_file_free (file);
  g_assert_cmpint (g_rmdir (folder), ==, 0);
}

#define BITS                                                                  \
  TITLE "0x3: 01 -> 00    # autoclear_features: bitmaps is cleared\n"         \
        "sync\n"                                                              \
        "0x5: 0506 -> 1516\n"                                                 \
        "0x1: 0101 -> 0202    # note\n"                                       \
        "sync\n"                                                              \
        "0x3: 00 -> 01\n"                                                     \
        "sync\n"

static void
test_overlay (void)
{
  static const guint8 before[8] = { 0, 1, 1, 1, 4, 5, 6, 7 };
  static const guint8 after[8] = { 0, 2, 2, 1, 4, 0x15, 0x16, 7 };
  static const guint8 part[2] = { 2, 1 };
  g_autoptr (EditPlan) plan = parse (BITS);
  guint8 bytes[8];

  memcpy (bytes, before, sizeof bytes);
  edit_plan_overlay (plan, FALSE, 0, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof bytes, after, sizeof after);
  edit_plan_overlay (plan, TRUE, 0, bytes, sizeof bytes);
  g_assert_cmpmem (bytes, sizeof bytes, before, sizeof before);

  memcpy (bytes, before + 2, 2);
  edit_plan_overlay (plan, FALSE, 2, bytes, 2);
  g_assert_cmpmem (bytes, 2, part, 2);
}

static void
test_reverse (void)
{
  g_autoptr (EditPlan) plan = parse (BITS);
  g_autoptr (EditPlan) reverse = edit_plan_copy (plan, TRUE);
  g_autoptr (GString) text = g_string_new (NULL);
  const PlanTitle title = { "test", "image", 1 };

  plan_append_text (text, &title, reverse);
  g_assert_cmpstr (text->str, ==,
                   TITLE "0x3: 01 -> 00\n"
                         "sync\n"
                         "0x5: 1516 -> 0506\n"
                         "0x1: 0202 -> 0101    # note\n"
                         "sync\n"
                         "0x3: 00 -> 01    # autoclear_features: bitmaps is "
                         "cleared\n"
                         "sync\n");
}

/* Text of a plan is read back as the same plan. */
static void
test_text (void)
{
  g_autoptr (EditPlan) plan = parse (BITS);
  g_autoptr (GString) text = g_string_new (NULL);
  const PlanTitle title = { "test", "image", 1 };

  plan_append_text (text, &title, plan);
  g_assert_cmpstr (text->str, ==, BITS);
}

/* A note is written as it was read, except for bytes that are escaped. */
static void
test_note (void)
{
  static const char *const notes[] = {
    "\\", "C:\\new", "\\\\x", "a\\", "\\x01 \\n", "\xc3\xa9\\\xc3\xa9",
  };
  const PlanTitle title = { "test", "image", 1 };

  for (guint i = 0; i < G_N_ELEMENTS (notes); i++)
    {
      g_autofree char *before
          = g_strdup_printf (TITLE "0x5f: 01 -> 00    # %s\nsync\n", notes[i]);
      g_autoptr (EditPlan) plan = parse (before);
      g_autoptr (GString) text = g_string_new (NULL);

      plan_append_text (text, &title, plan);
      g_assert_cmpstr (text->str, ==, before);
    }

  g_autoptr (EditPlan) plan
      = parse (TITLE "0x5f: 01 -> 00 # a\\\x02\xff\nsync\n");
  g_autoptr (GString) text = g_string_new (NULL);
  plan_append_text (text, &title, plan);
  g_assert_cmpstr (text->str, ==,
                   TITLE "0x5f: 01 -> 00    # a\\\\x02\\xff\nsync\n");
}

static void
test_title (void)
{
  g_autoptr (EditPlan) plan = edit_plan_new ();
  g_autoptr (GString) text = g_string_new (NULL);
  const EditStamp stamp = { 1, 2, 3 };
  const PlanTitle title = { "a\nsync", "b\n\xff", 7 };

  plan_append_text (text, &title, plan);
  plan_append_done (text, &stamp);
  g_assert_cmpstr (text->str, ==,
                   "# qcow2tool plan 1: a\\nsync, b\\n\\xff, 7 bytes\n"
                   "# done 1 2 3\n");
}

static void
test_changes (void)
{
  static const guint8 old[20] = { 1, 2, 3 };
  static const guint8 new[20] = { 1, 0, 3, 4, [12] = 9, [19] = 8 };
  g_autoptr (EditPlan) plan = edit_plan_new ();

  edit_plan_begin_step (plan);
  edit_plan_add_changes (plan, 100, old, new, 20, NULL);

  const GPtrArray *step = edit_plan_get_step (plan, 0);
  g_assert_cmpuint (step->len, ==, 2);
  g_assert_cmpuint (edit_step_get_run (step, 0)->offset, ==, 101);
  g_assert_cmpuint (edit_run_get_size (edit_step_get_run (step, 0)), ==, 3);
  g_assert_cmpuint (edit_step_get_run (step, 1)->offset, ==, 112);
  g_assert_cmpuint (edit_run_get_size (edit_step_get_run (step, 1)), ==, 8);
}

/* Without a lock, as for a dry run, the header may change after it was
 * read. */
static void
test_changed_header (void)
{
  static const guint8 header[512]
      = { 'Q', 'F', 'I', 0xfb, [7] = 3, [23] = 16, [99] = 4, [103] = 104 };
  const EditMode mode = { .dry_run = TRUE };
  g_autofree char *path = NULL;
  g_autoptr (GError) error = NULL;
  const int fd = g_file_open_tmp (NULL, &path, &error);

  g_assert_no_error (error);
  g_assert_cmpint (pwrite (fd, header, sizeof header, 0), ==, sizeof header);

  g_autoptr (EditWork) work = edit_work_open (path, &mode, &error);
  g_assert_no_error (error);
  g_assert_true (edit_work_read (work, &error));
  g_assert_cmpint (pwrite (fd, "\1", 1, 87), ==, 1);
  g_assert_true (
      edit_set_bit (work, "compatible", NULL, TRUE, 0, TRUE, &error));

  const EditRun *run
      = edit_step_get_run (edit_plan_get_step (work->plan, 0), 0);
  g_assert_cmphex (run->offset, ==, 87);
  g_assert_cmpuint (edit_run_get_size (run), ==, 1);
  g_assert_cmphex (edit_run_get_bytes (run, TRUE)[0], ==, 0);
  g_assert_cmphex (edit_run_get_bytes (run, FALSE)[0], ==, 1);
  close (fd);
  g_unlink (path);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/plan/steps", test_steps);
  g_test_add_func ("/plan/empty", test_empty);
  g_test_add_func ("/plan/bad", test_bad);
  g_test_add_func ("/plan/cut-done", test_cut_done);
  g_test_add_func ("/plan/nul", test_nul);
  g_test_add_func ("/plan/long-run", test_long_run);
  g_test_add_func ("/plan/too-long", test_too_long);
  g_test_add_func ("/plan/too-large", test_too_large);
  g_test_add_func ("/plan/overlay", test_overlay);
  g_test_add_func ("/plan/reverse", test_reverse);
  g_test_add_func ("/plan/text", test_text);
  g_test_add_func ("/plan/note", test_note);
  g_test_add_func ("/plan/title", test_title);
  g_test_add_func ("/plan/changes", test_changes);
  g_test_add_func ("/plan/changed-header", test_changed_header);

  return g_test_run ();
}
