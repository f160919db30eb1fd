/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses the options of a command line with GOption. */

#pragma once

#include "cli/help.h"

G_BEGIN_DECLS

typedef enum
{
  OPTIONS_OUTPUT_TEXT,
  OPTIONS_OUTPUT_JSON,  /* one indented document */
  OPTIONS_OUTPUT_JSONL, /* a line per image, or per item of the command */
  OPTIONS_OUTPUT_MORE   /* the command's own, Options.extra_output */
} OptionsOutput;

/* A number on the command line. */
typedef struct
{
  guint64 value; /* the default until the option is parsed */
  gboolean given;
} OptionsNumber;

/* The type of an option whose value is a number in the form of number_parse ()
 * and is stored in an OptionsNumber.  options_parse () replaces it: GOption's
 * own type reads 010 as 8 and refuses 64k. */
#define OPTIONS_ARG_NUMBER G_OPTION_ARG_INT64

/* Options of every command; arrays are NULL-terminated or NULL. */
typedef struct
{
  char **operands;
  char **line_files; /* --files-from */
  char **nul_files;  /* --files0-from */
  OptionsOutput output;
  const char *extra_output; /* a further value of --output, or NULL */
  const char *const *kinds; /* the first operand is one of these, before the
                               images; NULL-terminated.  Or NULL */
  guint kind;               /* index of the one that was given */
  gboolean may_lack_image;
  gboolean one_image; /* lists of images are not offered */
  gboolean writes;    /* there is one image, which is locked */
  gboolean text_only; /* output other than text is not offered */
} Options;

gboolean options_parse (Options *options, const HelpText *text,
                        const GOptionEntry *entries, char **argv, char **help,
                        GError **error);
gboolean options_check_image (const Options *options, GError **error);
void options_clear (Options *options);

G_END_DECLS
