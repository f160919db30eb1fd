/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the names of backing files lead: as for qemu-img info --backing-chain
 * of QEMU 7.2, except that options that change what is read lead elsewhere. */

#include "config.h"

#include <string.h>

#include "qcow2/layer-name.h"

/* A name in the image "dir/top"; FULL is what QEMU opens, and PATH the file,
 * or NULL if the name leads elsewhere or, with options, if that is unknown. */
typedef struct
{
  const char *name;
  const char *given;
  const char *full;
  const char *path;
  const char *format;
} Row;

#define JSON(name, options, path, format)                                     \
  {                                                                           \
    "json/" name, "json:" options, "json:" options, path, format              \
  }

static const Row rows[] = {
  { "relative", "base", "dir/base", "dir/base", NULL },
  { "parent", "../base", "dir/../base", "dir/../base", NULL },
  { "absolute", "/a/base", "/a/base", "/a/base", NULL },
  { "colon-after-slash", "./a:b", "dir/./a:b", "dir/./a:b", NULL },
  { "protocol", "nbd:unix:/a", "nbd:unix:/a", NULL, NULL },
  { "colon", "a:b", "a:b", NULL, NULL },
  { "file", "file:base", "file:base", "base", NULL },
  { "file-slashes", "file:///a", "file:///a", "///a", NULL },
  { "not-file", "File:base", "File:base", NULL, NULL },

  JSON ("flat", "{\"driver\":\"qcow2\",\"file.filename\":\"a\"}", "a",
        "qcow2"),
  JSON ("nested", "{\"file\":{\"driver\":\"file\",\"filename\":\"a\"}}", "a",
        NULL),
  JSON ("single-quotes", "{'file.filename':'a\"b'}", "a\"b", NULL),
  JSON ("file-driver", "{\"driver\":\"file\",\"filename\":\"a\"}", "a", "raw"),
  JSON ("device", "{\"file\":{\"driver\":\"host_device\",\"filename\":\"a\"}}",
        "a", NULL),
  JSON ("harmless",
        "{\"file.filename\":\"a\", \"read-only\": true, \"x\": -1}", "a",
        NULL),
  JSON ("colon", "{\"file.filename\":\"nbd:a\"}", "nbd:a", NULL),
  JSON ("nested-last",
        "{\"file.filename\":\"b\",\"file\":{\"filename\":\"a\"}}", "a", NULL),
  JSON ("nested-first",
        "{\"file\":{\"filename\":\"a\"},\"file.filename\":\"b\"}", "a", NULL),
  JSON ("nested-driver-last",
        "{\"file.driver\":\"nbd\","
        "\"file\":{\"driver\":\"file\",\"filename\":\"a\"}}",
        "a", NULL),
  JSON ("nested-driver-first",
        "{\"file\":{\"driver\":\"nbd\",\"filename\":\"a\"},"
        "\"file.driver\":\"file\"}",
        NULL, NULL),
  JSON ("nested-number", "{\"file\":{\"filename\":1},\"file.filename\":\"a\"}",
        NULL, NULL),
  JSON ("object-as-name",
        "{\"file\":{\"filename\":{}},\"file.filename\":\"a\"}", NULL, NULL),
  JSON ("other-nested",
        "{\"file\":{\"filename\":\"a\"},\"file.driver\":\"nbd\"}", NULL, NULL),
  JSON ("same-name-twice",
        "{\"file\":{\"filename\":\"a\",\"filename\":\"b\"}}", NULL, NULL),
  JSON ("same-name-and-value",
        "{\"file.filename\":\"a\",\"file.filename\":\"a\"}", NULL, NULL),
  JSON ("same-driver-twice",
        "{\"driver\":\"qcow2\",\"driver\":\"qcow2\","
        "\"file.filename\":\"a\"}",
        NULL, NULL),
  JSON ("same-object-twice",
        "{\"file\":{\"filename\":\"a\"},\"file\":{\"driver\":\"file\"}}", NULL,
        NULL),
  JSON ("same-key-by-escape",
        "{\"driver\":\"qcow2\",\"dr\\u0069ver\":\"qcow2\","
        "\"file.filename\":\"a\"}",
        NULL, NULL),
  JSON ("same-unused-key", "{\"x\":1,\"x\":2,\"file.filename\":\"a\"}", NULL,
        NULL),
  JSON ("same-key-in-two",
        "{\"x\":{\"z\":1},\"y\":{\"z\":1},\"file.filename\":\"a\"}", "a",
        NULL),
  JSON ("escapes", "{\"file.filename\":\"\\u00e4\\/\\ud83d\\ude00\\\\\\n\"}",
        "\xc3\xa4/\xf0\x9f\x98\x80\\\n", NULL),
  JSON ("spaces", " { \"file.filename\" : \"a\" } ", "a", NULL),
  JSON ("empty-object", "{}", NULL, NULL),
  JSON ("no-filename", "{\"driver\":\"qcow2\"}", NULL, NULL),
  JSON ("backing", "{\"backing\":null,\"file.filename\":\"a\"}", NULL, NULL),
  JSON ("backing-object",
        "{\"backing\":{\"driver\":\"x\"},\"file.filename\":\"a\"}", NULL,
        NULL),
  JSON ("like-backing", "{\"backings\":1,\"file.filename\":\"a\"}", "a", NULL),
  JSON ("data-file", "{\"data-file\":\"n\",\"file.filename\":\"a\"}", NULL,
        NULL),
  JSON ("offset", "{\"offset\":512,\"file.filename\":\"a\"}", NULL, NULL),
  JSON ("raw-below",
        "{\"file\":{\"driver\":\"raw\",\"file\":{\"filename\":\"a\"}}}", NULL,
        NULL),
  JSON ("nbd", "{\"file\":{\"driver\":\"nbd\",\"filename\":\"a\"}}", NULL,
        NULL),
  JSON ("node", "{\"file\":\"node\"}", NULL, NULL),
  JSON ("number-as-name", "{\"file.filename\":1}", NULL, NULL),
  JSON ("array", "{\"file.filename\":\"a\",\"x\":[]}", NULL, NULL),
  JSON ("rest", "{\"file.filename\":\"a\"}x", NULL, NULL),
  JSON ("comma", "{\"file.filename\":\"a\",}", NULL, NULL),
  JSON ("open", "{\"file.filename\":\"a\"", NULL, NULL),
  JSON ("open-string", "{\"file.filename\":\"a", NULL, NULL),
  JSON ("open-escape", "{\"file.filename\":\"a\\", NULL, NULL),
  JSON ("bad-escape", "{\"file.filename\":\"\\x\"}", NULL, NULL),
  JSON ("bad-unit", "{\"file.filename\":\"\\u00g0\"}", NULL, NULL),
  JSON ("nul", "{\"file.filename\":\"a\\u0000\"}", NULL, NULL),
  JSON ("high-alone", "{\"file.filename\":\"\\ud83d\"}", NULL, NULL),
  JSON ("high-twice", "{\"file.filename\":\"\\ud83d\\ud83d\"}", NULL, NULL),
  JSON ("low-alone", "{\"file.filename\":\"\\ude00\"}", NULL, NULL),
  JSON ("too-deep",
        "{\"file.filename\":\"a\",\"x\":{\"x\":{\"x\":{\"x\":{\"x\":{}}}}}}",
        NULL, NULL),
  JSON ("no-value", "{\"file.filename\":}", NULL, NULL),
  JSON ("nothing", "", NULL, NULL),
};

static void
test_row (gconstpointer data)
{
  const Row *row = data;
  g_autoptr (GBytes) given = g_bytes_new (row->given, strlen (row->given));
  g_auto (Qcow2LayerName) name = { .full = NULL };

  const Qcow2LayerPlace otherwise = g_str_has_prefix (row->given, "json:")
                                        ? QCOW2_LAYER_UNKNOWN
                                        : QCOW2_LAYER_ELSEWHERE;

  qcow2_layer_name_resolve (&name, "dir/top", given);
  g_assert_cmpint (name.place, ==,
                   row->path != NULL ? QCOW2_LAYER_FILE : otherwise);
  g_assert_cmpstr (name.full, ==, row->full);
  g_assert_cmpstr (name.path, ==, row->path);
  g_assert_cmpstr (name.format, ==, row->format);
}

/* A name ends at its first NUL; one without any byte is none. */
static void
test_none (void)
{
  static const char bytes[] = "\0base";
  g_autoptr (GBytes) nul = g_bytes_new_static (bytes, sizeof bytes);
  g_autoptr (GBytes) empty = g_bytes_new_static (bytes, 0);
  GBytes *const names[] = { NULL, nul, empty };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_auto (Qcow2LayerName) name = { .full = NULL };

      qcow2_layer_name_resolve (&name, "dir/top", names[i]);
      g_assert_cmpint (name.place, ==, QCOW2_LAYER_NONE);
      g_assert_null (name.full);
    }
}

/* The overlay decides what a relative name is relative to. */
static void
test_overlays (void)
{
  static const struct
  {
    const char *overlay;
    const char *path;
  } overlays[] = { { "top", "base" },
                   { "./top", "./base" },
                   { "/top", "/base" },
                   { "a//top", "a//base" },
                   { "./c:d/top", "./c:d/base" },
                   { "c:d/top", NULL },
                   { "file:d/top", "d/base" } };
  g_autoptr (GBytes) given = g_bytes_new_static ("base", 4);

  for (guint i = 0; i < G_N_ELEMENTS (overlays); i++)
    {
      g_auto (Qcow2LayerName) name = { .full = NULL };

      qcow2_layer_name_resolve (&name, overlays[i].overlay, given);
      g_assert_cmpstr (name.path, ==, overlays[i].path);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    {
      g_autofree char *path = g_strconcat ("/layer-name/", rows[i].name, NULL);

      g_test_add_data_func (path, &rows[i], test_row);
    }
  g_test_add_func ("/layer-name/none", test_none);
  g_test_add_func ("/layer-name/overlays", test_overlays);
  return g_test_run ();
}
