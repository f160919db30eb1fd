dnl SPDX-License-Identifier: LGPL-2.1-or-later

dnl QCOW2TOOL_OVERFLOW
dnl Where there are sanitizers, sets OVERFLOW_CFLAGS to those that watch what C
dnl allows but a parser does by mistake: unsigned numbers that wrap, and
dnl conversions that change a value.  Only clang has them.
AC_DEFUN([QCOW2TOOL_OVERFLOW], [
  AS_IF([test -n "$SANITIZE_CFLAGS"], [
    qcow2tool_saved_CFLAGS=$CFLAGS
    qcow2tool_flags="-fsanitize=integer,implicit-conversion dnl
-fno-sanitize-recover=all"
    AC_MSG_CHECKING([whether $CC can watch numbers that wrap])
    CFLAGS="$CFLAGS $SANITIZE_CFLAGS $qcow2tool_flags"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes])
       AC_SUBST([OVERFLOW_CFLAGS], [$qcow2tool_flags])],
      [AC_MSG_RESULT([no])])
    CFLAGS=$qcow2tool_saved_CFLAGS
  ])
])
