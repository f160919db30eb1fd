/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Code that every command shares: options, help, iteration over images, output
 * and the exit status. */

#pragma once

#include "check/chain.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/status.h"
#include "qcow2/image.h"
#include "render/emitter.h"

G_BEGIN_DECLS

typedef struct Tool Tool;

/* The groups in which the help lists the commands, in this order. */
typedef enum
{
  COMMAND_SHOWS,
  COMMAND_CHECKS,
  COMMAND_EDITS,
  COMMAND_OF_QEMU, /* has the name of a command of QEMU's qcow2.py */
  N_COMMAND_GROUPS
} CommandGroup;

/* A command.  The functions of a file cmd-*.c are reached only through one of
 * these. */
typedef struct
{
  const char *name;
  const char *operands; /* as shown in the usage line */
  CommandGroup group;
  const char *summary;  /* its line in the list of commands */
  const char *statuses; /* meanings of its exit statuses, or NULL */
  const char *example;  /* arguments after its name, for the help */
  const char *page;     /* its man page, or NULL: that of the program */
  const char *item;     /* what --name selects, or NULL: a bitmap */
  const char *keys[6];  /* JSON keys of an image; NULL-terminated */
  /* A further value of --output, or NULL. */
  const char *extra_output;
  /* It prints no object per image, and interprets --output itself. */
  gboolean own_output;
  /* Of those, it prints an object per image in one piece, and none for an
   * image that cannot be read. */
  gboolean own_object;
  /* Values of a first operand KIND, or NULL if all operands are images. */
  const char *const *kinds;
  gboolean may_lack_image; /* an option works without an image */
  gboolean one_image;      /* it takes exactly one image */
  gboolean text_only;      /* it has no output other than text */
  gboolean writes;         /* it changes its image, the only one */
  ToolPurpose purpose;     /* default, which an option may change */
  gboolean (*run) (Tool *tool, char **argv, GError **error);
} Command;

/* Errors that do not concern an image.  Usage errors are in G_OPTION_ERROR,
 * and output errors in OUTPUT_ERROR. */
#define TOOL_ERROR (tool_error_quark ())

typedef enum
{
  TOOL_ERROR_HELP,      /* help was shown: there is nothing else to do */
  TOOL_ERROR_NO_COMMAND /* the message is the help of the program */
} ToolError;

/* Shows the requested parts of IMAGE.  Errors concern that image. */
typedef gboolean (*ToolImageFunc) (Tool *tool, Qcow2Image *image,
                                   gpointer data, GError **error);

GQuark tool_error_quark (void);
Tool *tool_new (Output *output);
void tool_free (Tool *tool);

/* Options. */
gboolean tool_parse (Tool *tool, const Command *command,
                     const GOptionEntry *entries, char **argv, GError **error);
void tool_want_one_image (Tool *tool, const char *user);
void tool_set_purpose (Tool *tool, ToolPurpose purpose);
void tool_want_one_table (Tool *tool);
void tool_want_layers (Tool *tool, int root);
gboolean tool_want_image (Tool *tool, GError **error);
gboolean tool_want_no_image (Tool *tool, const char *user, GError **error);
gboolean tool_want_text (Tool *tool, const char *user, GError **error);
void tool_want_nothing (Tool *tool);
OptionsOutput tool_get_output (const Tool *tool);
char **tool_get_operands (const Tool *tool);
guint tool_get_kind (const Tool *tool);
void tool_show_help (Tool *tool, const char *help, GError **error);

/* Iteration over images: tool-images.c. */
gboolean tool_for_each_image (Tool *tool, ToolImageFunc show, gpointer data,
                              GError **error);
gboolean tool_show_layer (Tool *tool, const Qcow2Layer *layer,
                          ToolImageFunc show, gpointer data, GError **error);
void tool_report (Tool *tool, ReportScope scope);
void tool_tell (Tool *tool, const char *path, const char *message);
void tool_warn (Tool *tool, ToolStatus status, const char *message);
const char *tool_get_row_image (const Tool *tool);
Report *tool_get_report (Tool *tool);
Qcow2Findings *tool_get_findings (Tool *tool);
gboolean tool_recover (Tool *tool, GError *read_error, GError **error);
Emitter *tool_get_emitter (Tool *tool);
GString *tool_get_text (Tool *tool);
gboolean tool_flush (Tool *tool, GError **error);
gboolean tool_flush_all (Tool *tool, GError **error);

/* Exit status. */
void tool_set_status (Tool *tool, ToolStatus status);
ToolStatus tool_get_status (const Tool *tool);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Tool, tool_free)

G_END_DECLS
