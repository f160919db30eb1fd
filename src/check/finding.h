/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Findings about an image.  Each has a rule, a host offset and a message.
 * They are collected here; other files print them. */

#pragma once

#include "check/rule.h"
#include "qcow2/error.h"
#include "qcow2/record.h"

G_BEGIN_DECLS

/* Takes ownership of ERROR, a read error about one structure; the check then
 * continues with the rest. */
typedef void (*Qcow2CheckFailed) (GError *error, gpointer data);

/* The parts of an image that a finding affects, as a mask. */
typedef enum
{
  QCOW2_PART_HEADER = 1 << 0,
  QCOW2_PART_EXTENSIONS = 1 << 1,
  QCOW2_PART_BITMAPS = 1 << 2,
  QCOW2_PART_ALL = (1 << 3) - 1,

  /* Set in addition to other parts when the bitmaps extension is missing: no
   * extension that is present is at fault. */
  QCOW2_PART_BITMAPS_EXTENSION = 1 << 3
} Qcow2Parts;

/* The subject of a finding. */
typedef struct
{
  guint parts;           /* Qcow2Parts */
  const char *structure; /* such as "header"; a static string */
  guint64 extension;     /* index, or QCOW2_NO_INDEX */
  guint64 bitmap;        /* index, or QCOW2_NO_INDEX */
  GBytes *name;          /* of the bitmap, from the image; may be NULL */
  gboolean in_use;       /* the bitmap has the in-use flag */
} Qcow2Subject;

/* Initializer for a subject that is no particular bitmap or extension. */
#define QCOW2_SUBJECT(the_parts, the_structure)                               \
  {                                                                           \
    .parts = (the_parts), .structure = (the_structure),                       \
    .extension = QCOW2_NO_INDEX, .bitmap = QCOW2_NO_INDEX                     \
  }

/* The place of a finding: a structure on disk, or one of its fields. */
typedef struct
{
  guint64 start; /* host offset of the structure */
  const Qcow2Record *record;
  const Qcow2Field *field; /* NULL: the structure as a whole */
  gconstpointer structure; /* decoded, or NULL: there is no number */
} Qcow2Place;

/* The place of the field of RECORD that is decoded into MEMBER of STRUCTURE, a
 * TYPE.  The structure on disk is at host offset START. */
#define QCOW2_PLACE(start, record, type, member, structure)                   \
  (&(const Qcow2Place){ (start), &(record),                                   \
                        QCOW2_FIELD (record, type, member), (structure) })

typedef struct
{
  Qcow2RuleIndex index; /* in qcow2_rules */
  const char *rule;     /* id of the rule */
  const char *allowed;  /* the row's text, or ALLOWED_NUMBER; NULL if the rule
                           concerns no value */
  Qcow2Severity severity;
  guint64 offset;            /* host, bytes */
  const Qcow2Record *record; /* of the structure at fault, or NULL if the
                                finding is not at a structure */
  const Qcow2Field *field;   /* of RECORD, or NULL */
  Qcow2Subject subject;
  gboolean has_value;
  guint64 value;        /* the wrong number at OFFSET */
  char *allowed_number; /* the only right number at OFFSET, or NULL */
  char *message;        /* contains no text from the image */
} Qcow2Finding;

/* Counts the findings of a row of qcow2_rules, whether kept or not. */
typedef struct
{
  guint64 n;
  gboolean loaded;        /* at least one is not about a bitmap in use */
  guint64 last_extension; /* index in the most recent finding, or
                             QCOW2_NO_INDEX */
} Qcow2RuleUse;

extern const Qcow2Field qcow2_finding_fields[];

/* Number of findings that are kept for each combination of rule, severity and
 * mask of parts. */
#define QCOW2_FINDINGS_PER_RULE 100

typedef struct Qcow2Findings Qcow2Findings;

Qcow2Findings *qcow2_findings_new (void);
void qcow2_findings_free (Qcow2Findings *findings);
Qcow2Finding *qcow2_findings_add (Qcow2Findings *findings,
                                  const Qcow2Subject *subject,
                                  Qcow2RuleIndex rule, guint64 offset,
                                  guint64 value, const char *format, ...)
    G_GNUC_PRINTF (6, 7);
Qcow2Finding *
qcow2_findings_add_at (Qcow2Findings *findings, const Qcow2Subject *subject,
                       Qcow2RuleIndex rule, const Qcow2Place *place,
                       const char *format, ...) G_GNUC_PRINTF (5, 6);
void qcow2_findings_remove (Qcow2Findings *findings, guint index);
void qcow2_findings_move_to_front (Qcow2Findings *findings,
                                   Qcow2Finding *finding);
void qcow2_finding_allow (Qcow2Finding *finding, guint64 number);
void qcow2_finding_set_message (Qcow2Finding *finding, const char *format, ...)
    G_GNUC_PRINTF (2, 3);
const Qcow2RuleUse *qcow2_findings_get_use (const Qcow2Findings *findings,
                                            Qcow2RuleIndex rule);
gboolean qcow2_findings_have_any (const Qcow2Findings *findings,
                                  const Qcow2RuleIndex *rules, guint n);
gboolean qcow2_findings_is_full (const Qcow2Findings *findings,
                                 Qcow2RuleIndex rule, guint parts);
guint qcow2_findings_get_n (const Qcow2Findings *findings);
const Qcow2Finding *qcow2_findings_get (const Qcow2Findings *findings,
                                        guint index);
guint64 qcow2_findings_get_n_errors (const Qcow2Findings *findings);
guint64 qcow2_findings_get_n_suppressed (const Qcow2Findings *findings,
                                         const char *rule,
                                         Qcow2Severity severity, guint parts);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Qcow2Findings, qcow2_findings_free)

G_END_DECLS
