#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The packages in contrib are of this version, and have all that is installed.
# "make distcheck" tests that "make uninstall" leaves nothing.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

spec=$srcdir/contrib/qcow2tool.spec
version=$(sed -n 's/^AC_INIT(\[qcow2tool\], \[\(.*\)\])$/\1/p' \
  "$srcdir/configure.ac")
check 'configure.ac has a version' [ -n "$version" ]
check 'NEWS begins with this version' \
  [ "$(sed -n '1s/^qcow2tool \([0-9.]*\).*/\1/p' "$srcdir/NEWS")" = "$version" ]
check 'the package for Debian is of this version' \
  [ "$(sed -n '1s/^qcow2tool (\(.*\)-[0-9]*) .*/\1/p' \
    "$srcdir/contrib/debian/changelog")" = "$version" ]
check 'the package for RPM systems is of this version' \
  [ "$(sed -n 's/^Version: *//p' "$spec")" = "$version" ]
check 'the last entry of its changelog, too' \
  [ "$(sed -n '/^%changelog/,$s/^\* .* - \(.*\)-[0-9]*$/\1/p' "$spec" |
    head -n 1)" = "$version" ]
documents=$(sed -n 's/^dist_doc_DATA = //p' "$srcdir/doc/local.mk")
check 'there are documents' [ -n "$documents" ]
# rpmbuild fails for a file that is installed and not listed.
for name in completions/_qcow2tool completions/qcow2tool.fish $documents; do
  check "the package for RPM systems has ${name##*/}" \
    grep -q "^%{.*/${name##*/}\$" "$spec"
done
check 'make finds the rules of the package for Debian executable' \
  [ -x "$srcdir/contrib/debian/rules" ]

done_testing
