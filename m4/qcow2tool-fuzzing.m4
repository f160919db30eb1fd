dnl SPDX-License-Identifier: LGPL-2.1-or-later

dnl QCOW2TOOL_FUZZING
dnl With --enable-fuzzing, sets SANITIZE_CFLAGS to the flags for the code that
dnl a fuzz target runs.  Only clang has these.
AC_DEFUN([QCOW2TOOL_FUZZING], [
  AC_ARG_ENABLE([fuzzing],
    [AS_HELP_STRING([--enable-fuzzing],
      [build the fuzz targets, with sanitizers (needs clang)])],
    [], [enable_fuzzing=no])

  AS_IF([test "$enable_fuzzing" = yes], [
    AC_MSG_CHECKING([whether $CC can fuzz])
    qcow2tool_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -fsanitize=fuzzer,address,undefined"
    AC_LINK_IFELSE([AC_LANG_SOURCE([
        int LLVMFuzzerTestOneInput (const unsigned char *data,
                                    unsigned long size);
        int
        LLVMFuzzerTestOneInput (const unsigned char *data, unsigned long size)
        {
          return size > 8 && data == 0;
        }])],
      [AC_MSG_RESULT([yes])],
      [AC_MSG_RESULT([no])
       AC_MSG_ERROR([--enable-fuzzing needs clang and its runtime: CC=clang])])
    CFLAGS=$qcow2tool_saved_CFLAGS
    dnl Comparisons are not traced: the mutator knows the interesting values,
    dnl and tracing takes a quarter of the time.  Flags in CFLAGS come later.
    AC_SUBST([SANITIZE_CFLAGS],
      ["-fsanitize=fuzzer-no-link,address,undefined dnl
-fno-sanitize-coverage=trace-cmp dnl
-fno-sanitize-recover=all -fno-omit-frame-pointer"])
  ])
  AM_CONDITIONAL([FUZZING], [test "$enable_fuzzing" = yes])
])
