/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Option --field: single values for scripts. */

#pragma once

#include "qcow2/record.h"

G_BEGIN_DECLS

/* A structure in which keys are looked up. */
typedef struct
{
  const Qcow2Field *fields; /* NULL ends an array of sources */
  gconstpointer record;     /* NULL: the image has no such structure */
  guint n_stored;           /* number of stored fields in RECORD */
} FieldSource;

typedef struct
{
  char **keys;        /* --field, in the order given, or NULL */
  char *default_text; /* --default, or NULL */
  gboolean nul;       /* -0 */
} FieldOptions;

/* Elements of an array of GOptionEntry that fill in OPTIONS. */
#define FIELD_OPTIONS(options)                                                \
  { "field",                                                                  \
    0,                                                                        \
    0,                                                                        \
    G_OPTION_ARG_FILENAME_ARRAY,                                              \
    &(options)->keys,                                                         \
    "Print only the value of KEY; may be given again",                        \
    "KEY" },                                                                  \
      { "default",                                                            \
        0,                                                                    \
        0,                                                                    \
        G_OPTION_ARG_FILENAME,                                                \
        &(options)->default_text,                                             \
        "With --field: print TEXT where there is no value",                   \
        "TEXT" },                                                             \
      FIELD_NUL_OPTION (options)
#define FIELD_NUL_OPTION(options)                                             \
  {                                                                           \
    "null", '0', 0, G_OPTION_ARG_NONE, &(options)->nul,                       \
        "Print raw values, each ended by a NUL byte", NULL                    \
  }

gboolean fields_check (const FieldOptions *options, const FieldSource *sources,
                       GError **error);
gboolean fields_print (const FieldOptions *options, const FieldSource *sources,
                       gboolean intact, GString *out, GError **error);
void fields_clear (FieldOptions *options);

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (FieldOptions, fields_clear)

G_END_DECLS
