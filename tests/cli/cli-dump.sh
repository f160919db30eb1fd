#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# dump prints everything that header, extensions and bitmaps --tables print.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# joined HEADER EXTENSIONS BITMAPS: prints the files in the layout of dump.
joined ()
{
  echo 'Header:'
  cat "$1"
  [ ! -s "$2" ] || { echo; cat "$2"; }
  [ ! -s "$3" ] || { echo; cat "$3"; }
}

# Built from the expected output of those commands.
expected=$srcdir/tests/expected
for name in two-bitmaps four-entries; do
  image "$name"
  tool dump "$image"
  joined "$expected/cli-header/$name.txt" \
    "$expected/cli-extensions/$name.txt" \
    "$expected/cli-bitmaps/$name-tables.txt" | expect_answer "$name"
done
for name in backing-file-with-format data-file; do
  image "$name"
  tool dump "$image"
  joined "$expected/cli-header/$name.txt" \
    "$expected/cli-extensions/$name.txt" /dev/null \
    | expect_answer "$name has no bitmaps"
done
image version-2
tool dump "$image"
joined "$expected/cli-header/version-2.txt" /dev/null /dev/null \
  | expect_answer 'version-2 has neither'

# A table that many bitmaps share is printed once: there is one heading for
# 65535 bitmaps, and all but the first refer to the bitmap with the rows.
image many-share-long-table
for command in dump 'bitmaps --tables' bitmap-table; do
  # shellcheck disable=SC2086 # words
  tool $command "$image"
  check "$command: a table of 65535 bitmaps is printed once" \
    [ "$(grep -c '^Bitmap table ' "$out")" = 1 ]
  check "$command: the others name the bitmap with the table" \
    [ "$(grep -c '^bitmap_table_of           0$' "$out")" = 65534 ]
done

# The whole output for one sample.
sample multi-entry
tool dump "$sample"
{
  echo Header:
  # Each of these parts has a test of its own.
  tool header "$sample"
  cat "$out"
  cat << 'END'

Header extension:
magic                     0x23852875 (Bitmaps)
file_offset               0x70
length                    24
nb_bitmaps                1
reserved32                0
bitmap_directory_size     0x20
bitmap_directory_offset   0x21200

Bitmap name               big
bitmap_table_offset       0x21000
bitmap_table_size         16
flags                     0x3 (['in-use', 'auto'])
type                      1
granularity_bits          12
name_size                 3
extra_data_size           0
state                     in-use
file_offset               0x21200
Bitmap table   type            offset                   size
0              serialized      134144                   512
END
} > "$tmp/begin"
tool dump "$sample"
head -n "$(wc -l < "$tmp/begin")" "$out" > "$tmp/found"
cp "$tmp/begin" "$tmp/expected"
expect_file 'a sample' "$tmp/found"
check 'a sample: the table is whole' \
  test "$(tail -n 16 "$out" | awk '{ printf "%s ", $1 }')" \
  = "$(seq 0 15 | tr '\n' ' ')"

# Several images.
cd "$tmp" || exit 1
image two-bitmaps
image version-2
tool dump version-2.qcow2 two-bitmaps.qcow2
{
  echo 'image: version-2.qcow2'
  joined "$expected/cli-header/version-2.txt" /dev/null /dev/null
  echo
  echo 'image: two-bitmaps.qcow2'
  joined "$expected/cli-header/two-bitmaps.txt" \
    "$expected/cli-extensions/two-bitmaps.txt" \
    "$expected/cli-bitmaps/two-bitmaps-tables.txt"
} | expect_answer 'several images'
tool dump missing two-bitmaps.qcow2
expect 'a missing image among several' 1
check 'a missing image: the others are printed' \
  test "$(grep -c '^Header:$' "$out")" = 1
tool dump missing
expect_refusal 'a missing image' 1 'missing: *'
image magic-last-byte
tool dump magic-last-byte.qcow2
expect_refusal 'not a qcow2 image' 1 '*HDR-01]'

# dump has no options of its own.
for option in --name=bm0 --index=0 --field=size --tables --long --magic=1 \
    -0; do
  tool dump "$option" two-bitmaps.qcow2
  expect_usage "no $option" dump "*${option%%=*}*"
done

# For every twelfth image, dump prints all the output and all the messages of
# the three commands, and ends with the worst of their statuses.  In JSON, for
# which four processes read all images, each key has the value that its own
# command prints.  QCOW2TOOL_SEED is the number of the first image.
every=12
if [ -n "$few" ]; then
  every=100
fi
first=$((${QCOW2TOOL_SEED:-$RANDOM} % every))
echo "# seed $first"
all_images ! '^(many|sparse|file-15-tib)'

# Runs the three commands and then dump.  Their output is in the files part.0
# to part.3, their messages in messages.0 to messages.3.
run_all ()
{
  local command n=0

  statuses=
  for command in header extensions 'bitmaps --tables' dump; do
    # shellcheck disable=SC2086
    tool $command "${@}"
    mv "$out" "part.$n"
    mv "$err" "messages.$n"
    statuses+=$status
    n=$((n + 1))
  done
}

# Succeeds if the last of the four statuses is the worst of the other three.
is_worst ()
{
  case ${1%?} in
    *1*) [ "${1: -1}" = 1 ] ;;
    *2*) [ "${1: -1}" = 2 ] ;;
    *3*) [ "${1: -1}" = 3 ] ;;
    *) [ "${1: -1}" = 0 ] ;;
  esac
}

problems=
n_images=0
for ((i = first; i < ${#images[@]}; i += every)); do
  image=${images[i]}
  name=${image##*/}
  run_all "$image"
  n_images=$((n_images + 1))

  is_worst "$statuses" || problems+="$name: statuses $statuses"$'\n'
  # The number of messages left out is counted for each command.
  sort -u messages.[012] | grep -v ' more ' > said
  sort messages.3 | grep -v ' more ' > dump-said
  if [ "${statuses: -1}" = 1 ]; then
    [ ! -s part.3 ] || problems+="$name: output although it failed"$'\n'
  elif ! joined part.[012] | cmp -s - part.3; then
    problems+="$name: $(joined part.[012] | diff - part.3 | head -n 8)"$'\n'
  fi
  cmp -s said dump-said \
    || problems+="$name: messages: $(diff said dump-said | head -n 8)"$'\n'
done
if [ -z "$problems" ]; then
  pass "$n_images images: dump is the union"
else
  fail "$n_images images: dump is the union" \
    "$(printf '%s' "$problems" | head -n 40)"
fi
check 'there are images' test "$n_images" -ge 5

cat > compare.py << 'EOF'
import itertools
import json
import sys

KEYS = ['filename', 'header', 'extensions', 'bitmaps', 'qemu', 'qemu_rule',
        'writer', 'error', 'problems']


def read(name):
    with open(name, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def same(problem):
    return json.dumps(problem, sort_keys=True)


for header, extensions, bitmaps, dump in itertools.zip_longest(
        *(read('part.%d' % i) for i in range(4))):
    name = dump['filename']
    if list(dump) != KEYS:
        print(name, list(dump))
    for key, single in (('header', header), ('extensions', extensions),
                        ('bitmaps', bitmaps)):
        if dump[key] != single[key]:
            print(name, key)
        if dump['writer'] != single['writer']:
            print(name, 'writer beside', key)
    if header['error'] != dump['error']:
        print(name, 'error', header['error'], dump['error'])
    # Each finding appears once, although several commands report it.
    singles = {same(problem) for part in (header, extensions, bitmaps)
               for problem in part['problems']}
    found = [same(problem) for problem in dump['problems']]
    if set(found) != singles or len(found) != len(singles):
        print(name, 'problems', singles.symmetric_difference(found),
              len(found), len(singles))
EOF
if command -v python3 > /dev/null; then
  printf '%s\n' "${images[@]}" "$tmp/missing" > list
  run_all --output=jsonl --files-from=list
  python3 compare.py > differences 2>&1
  check_status=$?
  if [ "$check_status" = 0 ] && [ ! -s differences ]; then
    pass 'JSON: the keys of all commands, with the same values'
  else
    fail 'JSON: the keys of all commands, with the same values' \
      "$(cut -c 1-400 differences | head -n 20)"
  fi
  check 'JSON: a line for each image' \
    test "$(wc -l < part.3)" = $((${#images[@]} + 1))
  tail -n 1 part.3 > last
  python3 -c '
import json, sys
image = json.load (open (sys.argv[1]))
code = image["error"].pop ("code")
known = [image[key] for key in ("header", "extensions", "bitmaps", "writer")]
sys.exit (code != "open" or known != [None] * 4 or image["problems"] != [])
' last
  check 'JSON: a missing image has no values' test $? = 0
  tool dump --output=json two-bitmaps.qcow2
  python3 -c '
import json, sys
image = json.load (open (sys.argv[1]))
rows = [bitmap["bitmap_table"] for bitmap in image["bitmaps"]]
sys.exit ([[row["type"] for row in table] for table in rows]
          != [["serialized"], ["all-zeroes"]])
' "$out"
  check 'JSON: bitmaps have their tables' test $? = 0
else
  skip 'JSON' 'python3 is not installed'
fi

done_testing
