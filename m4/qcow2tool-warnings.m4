dnl SPDX-License-Identifier: LGPL-2.1-or-later

dnl QCOW2TOOL_WARNINGS
dnl Sets WARN_CFLAGS to those of the project's warning flags that the compiler
dnl knows, and adds -Werror to it with --enable-werror.
AC_DEFUN([QCOW2TOOL_WARNINGS], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat warnings as errors])],
    [], [enable_werror=no])

  WARN_CFLAGS=
  dnl Arrays for GOption end with { NULL }, and tables omit zeroes; neither is
  dnl a mistake.  -Werror makes clang reject unknown options, which otherwise
  dnl cause only a warning.
  qcow2tool_saved_CFLAGS=$CFLAGS
  for flag in \
      -Wall -Wextra -Wno-missing-field-initializers -Wcast-align \
      -Wfloat-equal -Wformat=2 -Wimplicit-fallthrough -Winit-self \
      -Wlogical-op -Wmissing-declarations -Wmissing-prototypes \
      -Wnested-externs -Wnull-dereference -Wold-style-definition \
      -Wpointer-arith -Wredundant-decls -Wshadow -Wstrict-prototypes \
      -Wswitch-enum -Wundef -Wvla -Wwrite-strings; do
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
