#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The amount of work that the program does, in instructions counted by
# callgrind, because the time depends on the machine.  The limits are a third
# above the counts for the code that GCC 12 produced on x86-64; accidental
# slowness costs far more than that.

. "$(dirname "$0")/../lib.sh"

require valgrind python3
read -r -a words <<< "$QCOW2TOOL"
if [ "${#words[@]}" != 1 ] || [ -n "${QCOW2TOOL_SANITIZED-}" ]; then
  skip_all 'the program is run by another or sanitized'
fi
if [ -n "$(find "$builddir/src" -name '*.gcno' -print -quit)" ]; then
  skip_all 'the program counts coverage'
fi
case " ${CFLAGS-} " in
  *' -O2 '* | *' -O3 '*) ;;
  *) skip_all 'the program was not optimized' ;;
esac
if [[ $(${CC:-gcc} -dumpmachine) != x86_64* ]] \
    || ${CC:-gcc} --version | grep -qi clang; then
  skip_all 'the bars are for GCC on x86-64'
fi
if ! pkg-config --atleast-version=2.74 glib-2.0; then
  skip_all 'the bars are for GLib 2.74 and later'
fi

# Allocated memory is not filled, which would only serve the tests.
unset MALLOC_PERTURB_

# instructions COMMAND...: sets $count to the number of instructions of
# COMMAND.
instructions ()
{
  count=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" \
    2>&1 > /dev/null | sed -n 's/.*Collected : *//p')
  : "${count:=0}"
}

# bar NAME MOST VALUE: VALUE is more than 0 and at most MOST.
bar ()
{
  if [ "$3" -gt 0 ] && [ "$3" -le "$2" ]; then
    pass "$1: $3, at most $2"
  else
    fail "$1: $3, at most $2"
  fi
}

# each NAME MOST KIND N ARGUMENT...: limits the instructions for each of N more
# items in an image of KIND, or for each of $per items.
each ()
{
  local name=$1 most=$2 kind=$3 more=$4 before

  shift 4
  for n in "$more" $((2 * more)); do
    [ -e "$tmp/$kind-$n" ] \
      || python3 "$srcdir/tests/bench/images.py" "$kind" "$n" "$tmp/$kind-$n"
    before=$count
    instructions "${words[0]}" "$@" "$tmp/$kind-$n"
  done
  bar "$name" "$most" $(((count - before) * ${per:-1} / more))
}

image two-bitmaps
instructions "$builddir/tests/bench/null" "$image"
null=$count
instructions "${words[0]}" bitmaps "$image"
bar 'bitmaps, more than an empty program' 193000 $((count - null))
instructions "${words[0]}" --version
bar '--version, more than an empty program' 66000 $((count - null))
instructions "${words[0]}" check "$image"
bar 'check of a small image' 940000 "$count"

for n in 10 30; do
  for ((i = 0; i < n; i++)); do
    echo "$image"
  done > "$tmp/list-$n"
  before=$count
  instructions "${words[0]}" bitmaps --output=jsonl --files-from="$tmp/list-$n"
done
bar 'one of many images' 204000 $(((count - before) / 20))

each 'a row of a table' 490 table 4000 bitmap-table --name b
each 'a row of a table, long' 960 table 4000 bitmap-table --name b --long
each 'a row of a table, JSON' 700 table 4000 \
  bitmap-table --name b --output=json
each 'an entry of a table, examined' 11 table 40000 bitmaps
each 'an extent' 470 granules 4000 bitmap-map --name b
each 'an extent, JSON' 950 granules 4000 bitmap-map --name b --output=json
per=1000 each 'a kilobyte of data, counted' 670 random 4000000 \
  bitmap-map --totals --name b
each 'a name of 1000 bytes' 10200 names 400 bitmaps --names
each 'a name that is not selected' 3600 names 400 bitmap-table --index 1
each 'a checked bitmap' 10000 names 400 check --metadata
each 'an entry of a table, checked' 11 table 40000 check
each 'a bitmap of the whole image, checked' 11000 names 400 check
each 'a cluster of the disk, checked' 12 disk 65536 check
each 'a name that several bitmaps have' 156000 namesakes 400 \
  bitmap-table --index 1

# A LUKS header that claims half of a sparse file, which has 2^21 or 2^22
# clusters.
copy luks claims
at=$(LC_ALL=C grep -abo $'\x05\x37\xbe\x77' "$image" | head -n 1)
for n in 21 22; do
  patch $((${at%%:*} + 16)) "$(printf '%016x' $((1 << (n + 15))))"
  truncate -s $((1 << (n + 16))) "$image"
  before=$count
  instructions "${words[0]}" check "$image"
done
bar 'a cluster that a structure claims' 8 $(((count - before) >> 20))

done_testing
