dnl SPDX-License-Identifier: LGPL-2.1-or-later

dnl QCOW2TOOL_WARNINGS
dnl Sets WARN_CFLAGS to those of the project's warning flags that the compiler
dnl knows, and adds -Werror to it with --enable-werror.
AC_DEFUN([QCOW2TOOL_WARNINGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat warnings as errors])],
    [], [enable_werror=no])

  dnl Arrays for GOption end with { NULL }, and tables omit zeroes; neither is
  dnl a mistake.  -Werror makes clang reject unknown options, which otherwise
  dnl cause only a warning.  Most compilers know all flags but the last, so that
  dnl two checks are enough.
  WARN_CFLAGS=
  qcow2tool_saved_CFLAGS=$CFLAGS
  qcow2tool_known="dnl
-Wall -Wextra -Wno-missing-field-initializers -Wcast-align dnl
-Wfloat-equal -Wformat=2 -Wimplicit-fallthrough -Winit-self dnl
-Wmissing-declarations -Wmissing-prototypes -Wnested-externs dnl
-Wnull-dereference -Wold-style-definition -Wpointer-arith dnl
-Wredundant-decls -Wshadow -Wstrict-prototypes -Wswitch-enum dnl
-Wundef -Wvla -Wwrite-strings"
  AC_MSG_CHECKING([whether $CC takes all common warning flags])
  CFLAGS="$qcow2tool_saved_CFLAGS -Werror $qcow2tool_known"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
    [AC_MSG_RESULT([yes])
     WARN_CFLAGS=" $qcow2tool_known"
     qcow2tool_unknown=-Wlogical-op],
    [AC_MSG_RESULT([no])
     qcow2tool_unknown="$qcow2tool_known -Wlogical-op"])
  for flag in $qcow2tool_unknown; do
    AC_MSG_CHECKING([whether $CC takes $flag])
    CFLAGS="$qcow2tool_saved_CFLAGS -Werror $flag"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
      [AC_MSG_RESULT([yes])
       WARN_CFLAGS="$WARN_CFLAGS $flag"],
      [AC_MSG_RESULT([no])])
  done
  CFLAGS=$qcow2tool_saved_CFLAGS

  AS_IF([test "$enable_werror" = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  AC_SUBST([WARN_CFLAGS])
])
