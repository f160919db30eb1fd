#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# --output=json and jsonl: for any image, the output is valid JSON that matches
# the schema and agrees with the text output and the exit status.

# shellcheck source=tests/lib.sh
. "${srcdir:-.}/tests/lib.sh"

require jq
export QCOW2TOOL
schema=$srcdir/doc/qcow2tool.schema.json

find_jsonschema || skip_all "jsonschema for python3 is not installed"

# oracle NAME ARGUMENT...: json-check.py finds no error.
oracle ()
{
  local name=$1

  shift
  if "$python" "$srcdir/tests/cli/json-check.py" "$@" > "$tmp/differences" 2>&1
  then
    pass "$name"
  else
    fail "$name" "$(cat "$tmp/differences")"
  fi
}

# expect_schema NAME KIND FILE: the document in FILE matches KIND in the
# schema.  The result comes at the end: one process examines all documents.
n_documents=0
expect_schema ()
{
  n_documents=$((n_documents + 1))
  cp "$3" "$tmp/document-$n_documents"
  printf '%s: the schema\t%s\t%s\n' "$1" "$2" "$tmp/document-$n_documents" \
    >> "$tmp/documents"
}

# expect_json NAME STATUS KIND FILTER: the last run ended with STATUS and
# printed one document that matches the schema and for which jq's FILTER is
# true.
expect_json ()
{
  if [ "$status" != "$2" ]; then
    fail "$1" "status $status, not $2; messages: $(cat "$err")"
  elif ! jq -e "$4" "$out" > "$tmp/jq" 2>&1; then
    fail "$1" "not $4: $(head -c 2000 "$out")"
  else
    pass "$1"
    expect_schema "$1" "$3" "$out"
  fi
}

# Every image, by every command.

if [ -n "$few" ]; then
  step=4
  all_images "^($(printf '%s|' two-bitmaps four-entries version-2 luks \
    backing-file-with-format magic-last-byte cluster-bits-32 \
    bitmaps-extension-length-23 table-offset-0 table-offset-past-eof \
    flags-all-ones name-right-to-left name-non-utf8 entry-ones-and-offset \
    file-535-bytes)extension-texts)$"
else
  step=36
  # Of the images with megabytes of output, one is enough: cli-bombs.sh has
  # the others.
  all_images ! '^(many-(same|share)|sparse-)'
fi

oracle 'the schema is one' schema "$schema"

# Each command with one in STEP of the images; which ones is random, and
# QCOW2TOOL_SEED repeats them.  A table at an offset belongs to no bitmap, so
# there is nothing to compare it with.
mapfile -t ways < <(json_ways | grep -ve ' --at ')
seed=${QCOW2TOOL_SEED:-$RANDOM}
echo "# seed $seed"
results "$python" "$srcdir/tests/cli/json-check.py" corpus "$schema" "$step" \
  "$seed" "$(printf '%s\n' "${ways[@]}")" "${images[@]}"
check 'every command was tried' test "$n_results" = "${#ways[@]}"

tool dump --output=jsonl "${images[@]}"
jq -c . "$out" > "$tmp/lines" 2> "$tmp/jq"
check "jq reads all output" [ ! -s "$tmp/jq" ]
check "jq reads an object per image" \
  [ "$(wc -l < "$tmp/lines")" = "${#images[@]}" ]

# The schema detects errors.  Each row changes a valid document.

# expect_changes WHAT [FILTER]: the document in good matches the schema, also
# after jq has read it, although jq before 1.7 rounds large numbers.  With any
# of the changes on standard input it does not match.  FILTER makes it shorter
# before that.
expect_changes ()
{
  local changes documents filter i

  expect_schema "$1" any "$tmp/good"
  jq . "$tmp/good" > "$tmp/same"
  expect_schema "$1 after jq" any "$tmp/same"
  jq "${2-.}" "$tmp/good" > "$tmp/short"
  mapfile -t changes
  # One run of jq prints a line for each change.
  printf -v filter ', (%s)' "${changes[@]}"
  mapfile -t documents < <(jq -c "${filter:2}" "$tmp/short")
  for i in "${!changes[@]}"; do
    printf 'the schema refuses %s: %s\t%s\n' "$1" "${changes[i]}" \
      "${documents[i]}"
  done > "$tmp/changed"
  results "$python" "$srcdir/tests/cli/json-check.py" refusals "$schema" \
    < "$tmp/changed"
  check "the schema refuses $1: all changes were tried" \
    [ "$n_results.${#documents[@]}" = "${#changes[@]}.${#changes[@]}" ]
}

image two-bitmaps
tool dump --output=json "$image"
cp "$out" "$tmp/good"
expect_changes dump << 'END'
.header.magic = 0
.header.version = "3"
.header.size = -1
.header.size = 0.5
.header.l1_size = 4294967296
.header.incompatible_features_names = ["new idea"]
.header.incompatible_features_names = ["bit-64"]
.header.colour = "red"
del(.header.backing_file)
del(.writer)
.writer = 1
.error = "read"
.error = {"code": "no-such-code", "message": "x"}
.problems = null
.problems = [{"rule": "HDR-01"}]
.extensions[0].magic = 1
.extensions[0].features[0].bit = 256
.extensions[1].data = "x"
del(.extensions[1].nb_bitmaps)
.bitmaps[0].state = "busy"
.bitmaps[0].usable = null
.bitmaps[0].state = "stale"
.qemu = "maybe"
.qemu = "refuses"
.qemu_rule = "HDR-28"
.qemu = "refuses" | .qemu_rule = "HDR-28"
del(.qemu)
del(.qemu_rule)
.bitmaps[0].flags_names = ["bit-2"]
.bitmaps[0].dirty_bytes = "0"
del(.bitmaps[0].dirty_bytes)
del(.bitmaps[0].file_offset)
del(.bitmaps[0].bitmap_table)
.bitmaps[0].bitmap_table[0].type = "invalid"
.bitmaps[0].bitmap_table[0].offset = 1
.bitmaps[0].bitmap_table[0].guest_offset = 0
.bitmaps[0].table_entries.invalid = 0
END

# Members that only check has are invalid elsewhere.

image table-offset-past-eof
tool bitmaps --output=json "$image"
cp "$out" "$tmp/good"
expect_changes bitmaps << 'END'
.problems[0].consequence = null
.problems[0].remedy = null
.problems[0].consequence = null | .problems[0].remedy = null
.summary = null
END
image every-entry-bad
tool check --output=json "$image"
jq '.problems[].value = null' "$out" > "$tmp/good"
check 'findings are left out' \
  test "$(jq '[.problems[] | select(has("suppressed"))] | length' "$out")" = 3
expect_changes check \
  '.problems |= .[:2] + map(select(has("suppressed")))' << 'END'
del(.problems[0].consequence)
del(.problems[0].remedy)
.problems[0].consequence = ""
.problems[0].remedy = ["x"]
.problems[0].colour = "red"
.problems[0].suppressed = 1
del(.problems[-1].remedy)
del(.problems[-1].suppressed)
.problems[-1].consequence = "x"
.problems[-1].suppressed = 0
.problems = null
del(.problems)
del(.summary)
.summary = []
.summary.errors = -1
.summary.errors = "1"
del(.summary.notes)
.summary.findings = 1
.summary.bitmaps = []
.summary.bitmaps.busy = 0
.summary.bitmaps.usable = 0
.summary.not_examined = ["guest-clusters", "everything"]
del(.summary.leaks)
.summary.leaks = -1
del(.summary.not_examined)
del(.qemu)
del(.summary.bitmaps.in_use)
.bitmaps = []
.header = null
END
tool check --rules --output=json
oracle 'the list of rules' rules "$schema" < "$out"
expect_schema 'the list of rules, as any output' any "$out"
jq '.[0].rule = "x"' "$out" > "$tmp/bad"
check 'the schema refuses a list of other rules' \
  test -n "$("$python" "$srcdir/tests/cli/json-check.py" rules "$schema" \
    < "$tmp/bad")"

# The samples: the numbers equal those that QEMU's dumper prints.

for file in "$srcdir"/tests/samples/*.dump-header.json; do
  name=$(basename "$file" .dump-header.json)
  sample "$name"
  tool dump --output=json "$sample"
  jq -s '{
      header: .[0],
      extensions: [.[1][] | {name, magic, length}],
      directory: [.[1][] | .data // empty | {nb_bitmaps, reserved32,
        bitmap_directory_size, bitmap_directory_offset}],
      bitmaps: [.[1][] | .data // empty | .bitmap_directory[]
        | .bitmap_table |= map({type, offset, reserved})]
    }' "$file" > "$tmp/expected"
  jq '{
      header: .header | with_entries(select(.key | IN("magic", "version",
        "backing_file_offset", "backing_file_size", "cluster_bits", "size",
        "crypt_method", "l1_size", "l1_table_offset", "refcount_table_offset",
        "refcount_table_clusters", "nb_snapshots", "snapshot_offset",
        "incompatible_features", "compatible_features", "autoclear_features",
        "refcount_order", "header_length"))),
      extensions: [.extensions[] | {name, magic, length}],
      directory: [.extensions[] | select(.name == "Bitmaps") | {nb_bitmaps,
        reserved32, bitmap_directory_size, bitmap_directory_offset}],
      bitmaps: [.bitmaps[] | {name, bitmap_table_offset, bitmap_table_size,
        flags, type, granularity_bits, name_size, extra_data_size,
        bitmap_table: .bitmap_table | map({type, offset, reserved})}]
    }' "$out" > "$tmp/ours"
  expect_file "sample $name" "$tmp/ours"
  [ -s "$tmp/ours" ] || fail "sample $name: nothing to compare"
done

# Strings that must be escaped in JSON.  Each row contains the image, the first
# name as it is printed between quotes, and its bytes if they are not UTF-8.

while IFS='|' read -r name string hex; do
  image "$name"
  tool bitmaps --output=jsonl "$image"
  want="\"name\":\"$string\""
  [ -z "$hex" ] || want="$want,\"name_hex\":\"$hex\""
  if grep -qF "$want,\"bitmap_table_offset\"" "$out"; then
    pass "name: $name"
  else
    fail "name: $name" "no $want: $(cat "$out")"
  fi
done << 'END'
name-newline|a\nb
name-nul|\u0000
name-backslash-u|\\u0000
name-right-to-left|\u202eevil
name-non-utf8|�ber|fc626572
END

# Names that a row cannot contain: their bytes are written by a patch.  The
# first name of base two-bitmaps, three bytes, is at 0x2c0018.

while IFS='|' read -r bytes string hex; do
  copy two-bitmaps name
  patch 0x2c0018 "$bytes"
  tool bitmaps --output=jsonl "$image"
  want="\"name\":\"$string\""
  [ -z "$hex" ] || want="$want,\"name_hex\":\"$hex\""
  if grep -qF "$want,\"bitmap_table_offset\"" "$out"; then
    pass "name of the bytes $bytes"
  else
    fail "name of the bytes $bytes" "no $want: $(cat "$out")"
  fi
  expect_schema "name of the bytes $bytes" bitmaps "$out"
  rm "$image"
done << 'END'
610062|a\u0000b
220a5c|\"\n\\
080c0d|\b\f\r
011b7f|\u0001\u001b\u007f
2f093e|/\t>
c2857a|\u0085z
e282ac|€
e2808b|\u200b
e280ae|\u202e
efbbbf|\ufeff
efbfbd|�
61ff62|a�b|61ff62
c3c3a9|�é|c3c3a9
eda080|���|eda080
c0af2f|��/|c0af2f
END

# Paths may be invalid UTF-8, too.

image two-bitmaps
path=$tmp/$'not \xff utf-8 "\n'
if cp --sparse=always "$image" "$path" 2> /dev/null; then
  tool header --output=json "$path"
  hex=$(printf '%s' "$path" | od -An -v -tx1 | tr -d ' \n')
  expect_json "a path that is not UTF-8" 0 header ".filename_hex == \"$hex\"
    and (.filename | endswith(\"not \\ufffd utf-8 \\\"\\n\"))"
  tool header --output=json "$path.missing"
  expect_json "a missing image with such a path" 1 header ".filename_hex
    == \"${hex}2e6d697373696e67\" and .header == null
    and .error.code == \"open\" and .writer == null"
else
  skip "a path that is not UTF-8" "the file system does not allow such a name"
fi

# Numbers that a double cannot represent.

copy two-bitmaps numbers
patch 0x18 7ffffffffffffe01
tool header --output=json "$image"
check "a number above 2^53" grep -qxF '        "size": 9223372036854775297,' \
  "$out"
patch 0x48 ffffffffffffffff
tool header --output=jsonl "$image"
check "2^64 - 1" grep -qF '"incompatible_features":18446744073709551615,' \
  "$out"
patch 0x2c0000 ffffffffffffffff
for command in bitmaps bitmap-table dump; do
  tool $command --output=jsonl "$image"
  check "2^64 - 1 in a directory entry: $command" grep -qF \
    '"bitmap_table_offset":18446744073709551615,' "$out"
done
patch 0x2a0000 00fffffffffffe00
patch 0x2c0000 00000000002a0000
tool bitmap-table --output=jsonl "$image"
check "a large offset" grep -qE '"offset": ?72057594037927424,' "$out"

# Many findings: 150 errors of one rule in the directory of 1000 bitmaps, then
# 120 warnings of the same rule.  Entries have 32 bytes.  A reserved flag is an
# error; the flag for extra data without such data is a warning.

image many-bitmaps
"$python" - "$image" "$tmp/findings.qcow2" << 'END'
import shutil
import struct
import sys

shutil.copy(sys.argv[1], sys.argv[2])
with open(sys.argv[2], 'r+b') as file:
    file.seek(72)
    data = file.read(4096)
    at = data.index(struct.pack('>II', 0x23852875, 24)) + 8
    offset, = struct.unpack('>Q', data[at + 16:at + 24])
    for index in range(270):
        file.seek(offset)
        head = file.read(24)
        file.seek(offset + 12)
        file.write(struct.pack('>I', 8 if index < 150 else 4))
        name_size, = struct.unpack('>H', head[18:20])
        offset += (24 + name_size + 7) // 8 * 8
END
tool bitmaps --output=json "$tmp/findings.qcow2"
expect_json "150 errors of a rule" 2 bitmaps '[.problems[]
  | select(.rule == "BDIR-08" and .severity == "error")]
  | length == 101 and .[100].suppressed == 50
    and ([.[:100][].bitmap] == [range(100)])'
expect_json "120 warnings of the rule" 2 bitmaps '[.problems[]
  | select(.rule == "BDIR-08" and .severity == "warning")]
  | length == 101 and .[100].suppressed == 20'
tool bitmaps --output=json --index 3 "$tmp/findings.qcow2"
expect_json "one of the damaged bitmaps" 2 bitmaps '[.problems[]
  | select(.rule == "BDIR-08")] | length == 1 and .[0].bitmap == 3'
tool bitmaps --output=json --index 900 "$tmp/findings.qcow2"
expect_json "a sound bitmap among them" 0 bitmaps '.problems == []'

# If the selected bitmap is missing, the object of the image contains the
# reason.

image two-bitmaps
tool bitmaps --output=json --index 7 "$image"
expect_json "a missing bitmap" 3 bitmaps \
  '.error.code == "not-found" and .bitmaps == null'
tool bitmap-table --output=json --name none "$image"
expect_json "the table of a missing bitmap" 3 bitmap-table \
  '.error.code == "not-found" and .bitmap_tables == null'
image two-bitmaps-one-name
tool bitmap-table --output=json --name bm0 "$image"
expect_json "two bitmaps with one name" 2 bitmap-table \
  '.error.code == "ambiguous"'
image four-entries
tool bitmap-table --output=json --at 0x12600 --count 2 "$image"
expect_json "--at" 0 bitmap-table '.bitmap_tables[0] | .index == null
  and .name == null and .bitmap_table_offset == 75264
  and [.bitmap_table[].offset] == [73728, 0]'
tool bitmap-table --output=json --at 0x12600 --count 2 --long "$image"
expect_json "--at --long" 0 bitmap-table \
  '.bitmap_tables[0].bitmap_table[0] | .guest_offset == null'
tool bitmap-table --output=json --at 75800 --count 3 "$image"
expect_json "--at, up to the end of the file" 3 bitmap-table \
  '.error.code == "not-found"
    and (.bitmap_tables[0].bitmap_table | length) == 1'
tool bitmap-table --output=json --long --index 0 "$image"
expect_json "--long" 0 bitmap-table '.bitmap_tables[0].bitmap_table[3]
  | .guest_offset == 6291456 and .guest_length == 2097152'
tool bitmap-table --output=json --start 9 "$image"
expect_json "a window past the end" 0 bitmap-table \
  '.bitmap_tables[0].bitmap_table == []'
image no-bitmaps
for command in bitmaps bitmap-table; do
  tool $command --output=json "$image"
  expect_json "no bitmaps: $command" 0 $command '(.bitmaps // .bitmap_tables)
    == []'
done

# Lists of images: every combination of up to three kinds.

image two-bitmaps
cp --sparse=always "$image" "$tmp/good.qcow2"
image table-offset-past-eof
cp --sparse=always "$image" "$tmp/damaged.qcow2"
echo 'not an image' > "$tmp/text.qcow2"
kinds='good damaged missing text'
lists=$kinds
for first in $kinds; do
  for second in $kinds; do
    lists="$lists $first,$second"
    [ -n "${QCOW2TOOL_SLOW-}" ] && continue
    for third in $kinds; do
      lists="$lists $first,$second,$third"
    done
  done
done
declare -A codes=([good]=- [damaged]=! [missing]=open [text]=not-qcow2)
wrong=
cd "$tmp" || exit 1
: > lists.jsonl
: > expected
for list in $lists; do
  IFS=, read -r -a kinds_of_list <<< "$list"
  # shellcheck disable=SC2086 # QCOW2TOOL may be several words
  $QCOW2TOOL bitmaps --output=jsonl "${kinds_of_list[@]/%/.qcow2}" \
    >> lists.jsonl 2> "$err"
  status=$?
  case $list in
    *missing* | *text*) want=1 ;;
    *damaged*) want=2 ;;
    *) want=0 ;;
  esac
  [ "$status" = "$want" ] || wrong="$wrong $list: status $status;"
  for kind in "${kinds_of_list[@]}"; do
    echo "$kind.qcow2 ${codes[$kind]}" >> expected
  done
done
check "mixed lists: statuses$wrong" [ -z "$wrong" ]
jq -r '"\(.filename) \(.error.code
  // if .problems == [] then "-" else "!" end)"' lists.jsonl > found
expect_file "mixed lists: answers" found

tool bitmaps --output=json good.qcow2 damaged.qcow2
expect_usage "json for two images names jsonl" bitmaps "*jsonl*"
tool bitmaps --output=json missing.qcow2 good.qcow2
expect_usage "json for two images, one missing" bitmaps "*jsonl*"
tool bitmaps --output=xml good.qcow2
expect_usage "an unknown output" bitmaps "*xml*"
tool bitmaps --output=jsonl --files-from=/dev/null
expect_answer "an empty list" < /dev/null
for option in --names --list; do
  tool bitmaps $option --output=jsonl good.qcow2
  expect_usage "$option has only text output" bitmaps "*$option*text*"
done

# Many images: each answer is printed at once, in constant memory.

oracle "each answer before the next question" stream good.qcow2 \
  damaged.qcow2 missing.qcow2 good.qcow2
if [ -n "$few" ]; then
  skip "20000 images in the memory of 200" "the program runs slowly"
else
  oracle "20000 images in the memory of 200" memory good.qcow2 200 20000
fi

# Failing reads: an incomplete document is closed.

# fail_reads WHEN COMMAND...: runs COMMAND while the reads of the image in WHEN
# fail.  Succeeds if any read failed.  Sets $answer to the output.
fail_reads ()
{
  local when=$1

  shift
  # shellcheck disable=SC2086 # QCOW2TOOL may be several words
  strace -f -o "$tmp/trace" -P "$tmp/good.qcow2" -e trace=pread64 \
    -e inject=pread64:error=EIO:when="$when" $QCOW2TOOL "$@" \
    "$tmp/good.qcow2" > "$out" 2> "$err"
  status=$?
  answer=$(< "$out")
  [ -z "$answer" ] || printf '%s\n' "$answer" >> "$tmp/after-errors"
  [[ $(< "$tmp/trace") == *INJECTED* ]]
}

says_read_error ()
{
  [ "$status" = 1 ] && [ -s "$err" ] \
    && [[ $answer == *'"error":{"code":"read",'* ]]
}

# reads_fail COMMAND...: runs COMMAND while the N-th read and all later ones
# fail, and while only the N-th fails, after which the output may still be
# complete.
reads_fail ()
{
  local n=1 wrong=''

  tool "$@" "$tmp/good.qcow2"
  cp "$out" "$tmp/whole"
  while fail_reads $n+ "$@" && [ $n -lt 100 ]; do
    says_read_error || wrong="$wrong $n+: status $status;"
    fail_reads $n "$@"
    if ! says_read_error; then
      if [ "$status" != 0 ] || ! cmp -s "$out" "$tmp/whole"; then
        wrong="$wrong $n: status $status;"
      fi
    fi
    n=$((n + 1))
  done
  [ $n -gt 1 ] || wrong=' none'
  check "reads that fail: $*$wrong" [ -z "$wrong" ]
}

# cli-faults.sh has all commands.
if [ -n "$few" ] \
    || ! strace -o /dev/null true 2> /dev/null; then
  skip "reads that fail" "strace is missing or does not work"
else
  : > "$tmp/after-errors"
  for command in dump check bitmap-table; do
    # shellcheck disable=SC2086 # words
    reads_fail $command --output=jsonl
  done
  oracle "reads that fail: the schema" lines "$schema" any \
    < "$tmp/after-errors"
fi

# The maps are not objects of an image.  The second image has no L1 table.
copy two-bitmaps no-l1
patch 0x24 00000000
cp --sparse=always "$image" "$tmp/damaged-map.qcow2"
image luks
for map in "$tmp"/two-bitmaps.qcow2 "$tmp"/damaged-map.qcow2 "$image"; do
  tool map --output=json "$map"
  expect_schema "map: ${map##*/}: json" disk-map "$out"
  tool map --output=jsonl "$map"
  head -n 1 "$out" > "$tmp/line"
  expect_schema "map: ${map##*/}: jsonl" disk-extent "$tmp/line"
  tool map --totals --output=json "$map"
  expect_schema "map: ${map##*/}: totals" disk-totals "$out"
done
tool bitmap-map --index=0 --data --output=json "$tmp/two-bitmaps.qcow2"
expect_schema 'bitmap-map --data: json' map "$out"
# No extents, which may be of a bitmap or of the disk.
image two-bitmaps
for arguments in 'bitmap-map --index=0 --max-length=0' 'map --max-length=0'; do
  # shellcheck disable=SC2086 # words
  tool $arguments --output=json "$image"
  expect_schema "$arguments: no extents" any "$out"
done
results "$python" "$srcdir/tests/cli/json-check.py" answers "$schema" \
  < "$tmp/documents"
check "all documents were examined" test "$n_results" = "$n_documents"

done_testing
