/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Formats values for people and shell scripts. */

#pragma once

#include "check/finding.h"
#include "qcow2/record.h"

G_BEGIN_DECLS

void format_escaped (GString *out, const char *bytes, gsize len);
void format_escaped_bytes (GString *out, GBytes *string);
void format_name (GString *out, GBytes *name);
void format_count (GString *out, guint64 count);
void format_size (GString *out, guint64 bytes);
void format_rounded_size (GString *out, guint64 bytes);
void format_local_time (GString *out, gint64 seconds);
void format_clock (GString *out, guint64 nanoseconds);
void format_value (GString *out, const Qcow2Field *field,
                   gconstpointer record);
void format_line (GString *out, const char *name, const Qcow2Field *field,
                  gconstpointer record);
void format_finding (GString *out, const Qcow2Finding *finding);
/* Maximum number of columns of a table, and of bytes of a number in a cell. */
#define FORMAT_MAX_COLUMNS 12
#define FORMAT_NUMBER_MAX 20

gsize format_get_cell_max (const Qcow2Field *field);
void format_table_heading (GString *out, const Qcow2Field *fields,
                           gboolean all_columns);
void format_table_rows (GString *out, const Qcow2Field *fields,
                        gconstpointer structures, gsize size, gsize n,
                        gboolean all_columns);
void format_place (GString *out, guint64 offset, const Qcow2Subject *subject);
void format_finding_message (GString *out, const Qcow2Finding *finding);

/* How --field prints a value: escaped on a line, or as raw bytes and a NUL. */
typedef enum
{
  FORMAT_LINES,
  FORMAT_NUL
} FormatEnding;

void format_bare (GString *out, const Qcow2Field *field, gconstpointer record,
                  FormatEnding ending);

G_END_DECLS
