dnl SPDX-License-Identifier: LGPL-2.1-or-later
dnl QCOW2TOOL_TARGET_CLONES
dnl Checks whether the compiler can build a function for several processors,
dnl one of which is chosen when the program starts.  The answer is no with
dnl sanitizers or tracing of coverage, whose code would run too early.
AC_DEFUN([QCOW2TOOL_TARGET_CLONES],
  [AC_CACHE_CHECK([for functions cloned by processor],
    [qcow2tool_cv_target_clones],
    [qcow2tool_cv_target_clones=no
     AS_IF([test "$enable_sanitizers$enable_fuzzing$enable_gcov" = nonono],
       [AC_LINK_IFELSE(
         [AC_LANG_PROGRAM(
           [[__attribute__ ((target_clones ("avx2", "popcnt", "default")))
             static int
             count (unsigned long long word)
             {
               return __builtin_popcountll (word);
             }]],
           [[return count ((unsigned long long) (long) &main);]])],
         [qcow2tool_cv_target_clones=yes])])])
   AS_IF([test "$qcow2tool_cv_target_clones" = yes],
     [AC_DEFINE([HAVE_TARGET_CLONES], [1],
       [Define if functions can be cloned by processor.])])])
