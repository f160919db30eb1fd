/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include "check/rule.h"

/* QEMU's messages with several causes, and other texts that several rules
 * share. */
#define CONSTRAINTS "Bitmap '{name}' doesn't satisfy the constraints"
#define BROKEN_TABLE                                                          \
  "Could not read bitmap_table table from image for bitmap '{name}': "        \
  "Invalid argument"
#define TOO_LARGE "Header extension too large"

#define ZEROS "QEMU reads zeroes after the end of the file"
#define CLEAN                                                                 \
  "QEMU reads zeroes there and takes that part of the disk for clean"
#define BROKEN_DIRECTORY "Broken bitmap directory"
#define TOO_MANY "More bitmaps found than specified in header extension"
#define NOT_WRITTEN                                                           \
  "QEMU opens the image only for reading: it cannot update the bitmap "       \
  "directory"
#define INCONSISTENT                                                          \
  "QEMU takes all bitmaps for inconsistent, hides them, and drops them when " \
  "it opens the image for writing"
#define UNREADABLE                                                            \
  "QEMU does not read this part of the disk: if it tries while the image is " \
  "open for writing, it marks the image corrupt (version 2 has no such mark)"
#define LOST                                                                  \
  "QEMU reads zeroes after the end of the file: this part of the disk is "    \
  "lost"
#define COPIED                                                                \
  "QEMU may write to a cluster that a snapshot needs, or copies one that "    \
  "nothing else needs"
#define NO_SNAPSHOT "the snapshot cannot be used, and QEMU fails to delete it"
#define SPECIFICATION "the specification's own rule: QEMU does not look"

#define HOLDS .condition =
#define ALLOWS .allowed =
#define SAYS .qemu_error =
#define NOTES .note =
#define REPORTED_BY .reported_by =
#define IN_THE_LAST .only_last = TRUE
#define HIDES_REFERENCES .hides_references = TRUE

/* A row of rules.def. */
#define RULE(name, an_id, a_severity, an_effect, a_remedy, ...)               \
  [QCOW2_##name] = { .id = (an_id),                                           \
                     .severity = QCOW2_SEVERITY_##a_severity,                 \
                     .effect = QCOW2_EFFECT_##an_effect,                      \
                     .remedy = QCOW2_REMEDY_##a_remedy,                       \
                     __VA_ARGS__ },

const Qcow2Rule qcow2_rules[QCOW2_N_RULES] = {
#include "check/rules.def"
};

const Qcow2Label qcow2_severities[] = {
  { QCOW2_SEVERITY_ERROR, "error" },
  { QCOW2_SEVERITY_WARNING, "warning" },
  { QCOW2_SEVERITY_NOTE, "note" },
  { 0, NULL },
};

#define D(key, member, ...) QCOW2_DERIVED (Qcow2Rule, key, member, __VA_ARGS__)

/* clang-format off */
const Qcow2Field qcow2_rule_fields[] = {
  D ("rule", id, QCOW2_WORD),
  D ("severity", severity, QCOW2_NAME, .labels = qcow2_severities),
  D ("condition", condition, QCOW2_WORD),
  D ("allowed", allowed, QCOW2_WORD),
  QCOW2_FIELD_END
};
/* clang-format on */

/* Returns whether there is a rule with ID. */
gboolean
qcow2_rule_exists (const char *id)
{
  for (guint i = 0; i < QCOW2_N_RULES; i++)
    {
      if (g_str_equal (qcow2_rules[i].id, id))
        return TRUE;
    }

  return FALSE;
}
