dnl SPDX-License-Identifier: LGPL-2.1-or-later

dnl QCOW2TOOL_OVERFLOW
dnl With sanitizers, sets OVERFLOW_CFLAGS to those that detect what C allows
dnl but is a mistake in a parser: unsigned numbers that wrap, and conversions
dnl that change a value.  Only clang has these.
AC_DEFUN([QCOW2TOOL_OVERFLOW], [
  AS_IF([test -n "$SANITIZE_CFLAGS"], [
    qcow2tool_saved_CFLAGS=$CFLAGS
    qcow2tool_flags="-fsanitize=integer,implicit-conversion dnl
-fno-sanitize-recover=all"
    AC_MSG_CHECKING([whether $CC can detect numbers that wrap])
    CFLAGS="$CFLAGS $SANITIZE_CFLAGS $qcow2tool_flags"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
      [AC_MSG_RESULT([yes])
       AC_SUBST([OVERFLOW_CFLAGS], [$qcow2tool_flags])],
      [AC_MSG_RESULT([no])])
    CFLAGS=$qcow2tool_saved_CFLAGS
  ])
])
