#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The C files are formatted as .clang-format says.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# Another version breaks lines at other places.
wanted=14

require clang-format
version=$(clang-format --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
[ "$version" = "$wanted" ] \
  || skip_all "clang-format is version $version, not $wanted"
cd "$srcdir" || exit 1

# It does find something.
printf 'int f(void);\n' > "$tmp/example.c"
check 'a missing space is found' \
  [ -n "$(clang-format --style=file:.clang-format "$tmp/example.c" \
    | diff "$tmp/example.c" -)" ]

# The rows of image-rows.h are no C by themselves.
for folder in src/*/ tests/*/; do
  files=()
  for file in "$folder"*.[ch]; do
    [ -e "$file" ] && [ "${file##*/}" != image-rows.h ] && files+=("$file")
  done
  if [ ${#files[@]} != 0 ]; then
    clang-format --dry-run -Werror "${files[@]}" 2> "$tmp/differences"
    expect_same "$folder" /dev/null "$tmp/differences"
  fi
done

done_testing
