/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lays out the help, in at most 80 columns. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* The help of a command, apart from its options. */
typedef struct
{
  const char *command;
  const char *operands;
  const char *summary;
  const char *const *kinds; /* of the operand KIND, or NULL */
  const char *statuses;     /* meanings of the exit statuses, or NULL */
  const char *example;      /* arguments after the name of the command */
  const char *page;         /* man page */
} HelpText;

void help_append_item (GString *out, gsize indent, const char *item,
                       const char *text);
gboolean help_shows (const GOptionEntry *entry);
void help_append_options (GString *out, const GOptionEntry *entries);
char *help_format (const HelpText *text, const GOptionEntry *own,
                   const GOptionEntry *common);

G_END_DECLS
