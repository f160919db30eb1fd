/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Findings: kept in order, capped per rule and severity, all counted. */

#include "config.h"

#include "check/finding.h"

static const Qcow2Subject header = { .parts = QCOW2_PART_HEADER,
                                     .structure = "header",
                                     .extension = QCOW2_NO_INDEX,
                                     .bitmap = QCOW2_NO_INDEX };

static void
add (Qcow2Findings *findings, Qcow2RuleIndex rule, guint n)
{
  for (guint i = 0; i < n; i++)
    qcow2_findings_add (findings, &header, rule, i, i, "number %u", i);
}

static void
test_empty (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 0);
  g_assert_cmpuint (qcow2_findings_get_n_errors (findings), ==, 0);
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "HDR-01",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, 0);
}

static void
test_free_null (void)
{
  qcow2_findings_free (NULL);
}

static void
test_add (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  const Qcow2Subject subject = { .parts = QCOW2_PART_BITMAPS,
                                 .structure = "bitmap",
                                 .extension = 4,
                                 .bitmap = 5 };

  qcow2_findings_add (findings, &subject, QCOW2_BDIR_12_QEMU, G_MAXUINT64, 32,
                      "%s is %u", "granularity_bits", 32);

  const Qcow2Finding *finding = qcow2_findings_get (findings, 0);
  g_assert_cmpstr (finding->rule, ==, "BDIR-12");
  g_assert_cmpint (finding->severity, ==, QCOW2_SEVERITY_WARNING);
  g_assert_cmphex (finding->offset, ==, G_MAXUINT64);
  g_assert_cmpuint (finding->subject.parts, ==, QCOW2_PART_BITMAPS);
  g_assert_cmpstr (finding->subject.structure, ==, "bitmap");
  g_assert_cmpuint (finding->subject.extension, ==, 4);
  g_assert_cmpuint (finding->subject.bitmap, ==, 5);
  g_assert_null (finding->subject.name);
  g_assert_true (finding->has_value);
  g_assert_cmpuint (finding->value, ==, 32);
  g_assert_cmpstr (finding->allowed, ==, "9..31");
  g_assert_cmpstr (finding->message, ==, "granularity_bits is 32");
}

/* The bitmap with the name is freed before its findings are shown. */
static void
test_name_is_kept (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  GBytes *name = g_bytes_new ("bm0", 3);
  Qcow2Subject subject = header;

  subject.name = name;
  qcow2_findings_add (findings, &subject, QCOW2_BDIR_15, 0, 7, "bad");
  g_bytes_unref (name);

  const Qcow2Finding *finding = qcow2_findings_get (findings, 0);
  g_assert_false (finding->has_value); /* no value to compare with .allowed */
  g_assert_true (finding->subject.name == name);
  g_assert_cmpuint (g_bytes_get_size (finding->subject.name), ==, 3);
}

static void
test_order (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_HDR_20, 1);
  add (findings, QCOW2_HDR_24, 1);
  add (findings, QCOW2_HDR_17_END, 1);

  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 3);
  g_assert_cmpstr (qcow2_findings_get (findings, 0)->rule, ==, "HDR-20");
  g_assert_cmpstr (qcow2_findings_get (findings, 1)->rule, ==, "HDR-24");
  g_assert_cmpstr (qcow2_findings_get (findings, 2)->rule, ==, "HDR-17");
}

static void
test_count_errors (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_HDR_20, 2);
  add (findings, QCOW2_HDR_21_DIRTY, 3);
  add (findings, QCOW2_HDR_24, 4);
  add (findings, QCOW2_HDR_28, 1);

  g_assert_cmpuint (qcow2_findings_get_n_errors (findings), ==, 3);
}

static void
test_at_cap (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_BTAB_01, 100);

  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 100);
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "BTAB-01",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, 0);
}

/* Once a rule is full, further findings of it are only counted. */
static void
test_is_full (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_HDR_11, 99);
  g_assert_false (
      qcow2_findings_is_full (findings, QCOW2_HDR_11, QCOW2_PART_HEADER));
  add (findings, QCOW2_HDR_11, 1);
  g_assert_true (
      qcow2_findings_is_full (findings, QCOW2_HDR_11, QCOW2_PART_HEADER));
  g_assert_false (
      qcow2_findings_is_full (findings, QCOW2_HDR_11, QCOW2_PART_BITMAPS));
  g_assert_false (
      qcow2_findings_is_full (findings, QCOW2_HDR_27, QCOW2_PART_HEADER));

  /* A warning and an error of one rule are counted separately. */
  add (findings, QCOW2_HDR_13_EMPTY, 100);
  g_assert_false (
      qcow2_findings_is_full (findings, QCOW2_HDR_13_LONG, QCOW2_PART_HEADER));
}

/* Suppressed findings are counted by severity and parts. */
static void
test_suppressed (void)
{
  static const struct
  {
    Qcow2Severity severity;
    guint parts;
    guint64 n;
  } rows[] = {
    { QCOW2_SEVERITY_WARNING, QCOW2_PART_HEADER, 7 },
    { QCOW2_SEVERITY_WARNING, QCOW2_PART_ALL, 7 },
    { QCOW2_SEVERITY_WARNING, QCOW2_PART_BITMAPS, 0 },
    { QCOW2_SEVERITY_ERROR, QCOW2_PART_HEADER, 0 },
  };
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_HDR_11, 107);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    g_assert_cmpuint (qcow2_findings_get_n_suppressed (
                          findings, "HDR-11", rows[i].severity, rows[i].parts),
                      ==, rows[i].n);
}

static void
test_cap_per_parts (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();
  Qcow2Subject subject = header;

  subject.parts = QCOW2_PART_BITMAPS;
  add (findings, QCOW2_HDR_11, 100);
  qcow2_findings_add (findings, &subject, QCOW2_HDR_11, 0, 0, "one");
  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 101);
}

/* The first hundred findings are kept.  The others are still counted as
 * errors: a bitmap with the 101st of a kind is as damaged as one with the
 * first. */
static void
test_beyond_cap (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_BTAB_01, 1000);

  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 100);
  g_assert_cmpstr (qcow2_findings_get (findings, 99)->message, ==,
                   "number 99");
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "BTAB-01",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, 900);
  g_assert_cmpuint (qcow2_findings_get_n_errors (findings), ==, 1000);
}

static void
test_cap_per_rule (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_BTAB_01, 150);
  add (findings, QCOW2_BTAB_02, 101);

  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 200);
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "BTAB-01",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, 50);
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "BTAB-02",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, 1);
}

/* A rule with many warnings must not suppress its own errors. */
static void
test_cap_per_severity (void)
{
  g_autoptr (Qcow2Findings) findings = qcow2_findings_new ();

  add (findings, QCOW2_BDIR_18_IN_USE, 120);
  add (findings, QCOW2_BDIR_18_SMALL, 1);

  g_assert_cmpuint (qcow2_findings_get_n (findings), ==, 101);
  g_assert_cmpint (qcow2_findings_get (findings, 100)->severity, ==,
                   QCOW2_SEVERITY_ERROR);
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "BDIR-18",
                                                     QCOW2_SEVERITY_WARNING,
                                                     QCOW2_PART_ALL),
                    ==, 20);
  g_assert_cmpuint (qcow2_findings_get_n_suppressed (findings, "BDIR-18",
                                                     QCOW2_SEVERITY_ERROR,
                                                     QCOW2_PART_ALL),
                    ==, 0);
}

/* Every rule has a row, and the rows of a rule are adjacent. */
static void
test_rules (void)
{
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      const Qcow2Rule *row = &qcow2_rules[i];

      g_assert_nonnull (row->id);
      g_assert_nonnull (row->condition);
      if (i > 0 && g_str_equal (row->id, row[-1].id))
        continue;

      for (guint j = 0; j < i; j++)
        g_assert_cmpstr (qcow2_rules[j].id, !=, row->id);
    }

  g_assert_true (qcow2_rule_exists ("BDIR-05"));
  g_assert_false (qcow2_rule_exists ("BDIR-0"));
  g_assert_false (qcow2_rule_exists ("bdir-05"));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/problem/empty", test_empty);
  g_test_add_func ("/problem/free-null", test_free_null);
  g_test_add_func ("/problem/add", test_add);
  g_test_add_func ("/problem/name-is-kept", test_name_is_kept);
  g_test_add_func ("/problem/order", test_order);
  g_test_add_func ("/problem/count-errors", test_count_errors);
  g_test_add_func ("/problem/cap/at", test_at_cap);
  g_test_add_func ("/problem/cap/is-full", test_is_full);
  g_test_add_func ("/problem/cap/per-parts", test_cap_per_parts);
  g_test_add_func ("/problem/cap/suppressed", test_suppressed);
  g_test_add_func ("/problem/cap/beyond", test_beyond_cap);
  g_test_add_func ("/problem/cap/per-rule", test_cap_per_rule);
  g_test_add_func ("/problem/cap/per-severity", test_cap_per_severity);
  g_test_add_func ("/problem/rules", test_rules);
  return g_test_run ();
}
