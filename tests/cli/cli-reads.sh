#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# No command reads a byte of these images twice, as the system sees it.  Of
# larger ones, only tables of more than 192 KiB, and refcount blocks if there
# are several, are read again by those who need them later.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require strace
strace -o /dev/null true 2> /dev/null || skip_all 'strace cannot be used'
[ -z "$few" ] || skip_all 'a sanitizer or valgrind makes other calls'

# ranges: prints the offset and the length of each read of $image in a trace.
ranges ()
{
  sed -n 's/.*pread64(.*, \([0-9]*\), \([0-9]*\)) *= [0-9]*$/\2 \1/p' "$@"
}

# twice: prints the ranges from standard input that an earlier one overlaps.
twice ()
{
  awk '{
    for (i = 1; i < NR; i++)
      if ($1 < start[i] + size[i] && start[i] < $1 + $2)
        print
    start[NR] = $1
    size[NR] = $2
  }'
}

check 'ranges that overlap are found' \
  [ "$(printf '%s\n' '0 8' '16 8' '8 8' '23 1' | twice)" = '23 1' ]

for name in two-bitmaps two-snapshots luks-pointer backing-file cluster-512 \
    cluster-4k size-1t extension-8125-times; do
  image "$name"
  text_ways | grep -v -e --at | while read -r -a words; do
    # shellcheck disable=SC2086
    timeout 60 strace -f -o "$tmp/trace" -e trace=pread64 -P "$image" \
      $QCOW2TOOL "${words[@]}" "$image" > /dev/null 2>&1
    ranges "$tmp/trace" > "$tmp/ranges"
    again=$(twice < "$tmp/ranges" | sort -u)
    check "$name: ${words[*]}: it is read" [ -s "$tmp/ranges" ]
    check "$name: ${words[*]}: once, not ${again//$'\n'/, }" [ -z "$again" ]
  done
done

done_testing
