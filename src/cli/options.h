/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options of a command line, by way of GOption, whose traps end here. */

#pragma once

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  OPTIONS_OUTPUT_TEXT,
  OPTIONS_OUTPUT_JSON,  /* one indented document */
  OPTIONS_OUTPUT_JSONL, /* a line per image, or what the command says */
  OPTIONS_OUTPUT_MORE   /* what one command has beside these */
} OptionsOutput;

/* What every command takes; arrays end with NULL or are NULL. */
typedef struct
{
  char **operands;
  char **line_files; /* --files-from */
  char **nul_files;  /* --files0-from */
  OptionsOutput output;
  const char *more_output; /* a further value of --output, or NULL */
  gboolean may_lack_image;
  gboolean one_image; /* no lists of images are offered */
  gboolean text_only; /* nor other output than text */
} Options;

gboolean options_parse (Options *options, const char *command,
                        const char *operands, const char *summary,
                        const GOptionEntry *entries, char **argv, char **help,
                        GError **error);
gboolean options_check_image (const Options *options, GError **error);
char *options_get_help (GOptionContext *context);
void options_clear (Options *options);

G_END_DECLS
