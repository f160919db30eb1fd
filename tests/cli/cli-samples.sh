#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The values that QEMU's own dumper printed for the sample images.  Its layout
# differs from that of qcow2tool: both outputs are converted to a common form
# and compared line by line.

# Some functions are called by check (), and the listings are read in nested
# loops.
# shellcheck disable=SC2094,SC2317
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

samples=$srcdir/tests/samples

# our_header FILE: converts "0x9 (['bitmaps', ...])" to the dumper's "[0, 3]".
# The dumper has no fields after header_length.
our_header ()
{
  awk '
    function set_bits(hex,    i, bit, value, list) {
      for (i = length(hex); i > 2; i--) {
        value = index("0123456789abcdef", substr(hex, i, 1)) - 1
        for (bit = 0; bit < 4; bit++) {
          if (value % 2 == 1)
            list = list (list == "" ? "" : ", ") (length(hex) - i) * 4 + bit
          value = int(value / 2)
        }
      }
      return "[" list "]"
    }
    $1 ~ /_features$/ { print $1, set_bits($2); next }
    { print $1, $2 }
    $1 == "header_length" { exit }
  ' "$out"
}

dumped_header ()
{
  awk '/^$/ { exit } { sub(/ +/, " "); print }' "$1"
}

# our_extensions FILE: replaces rows of a feature name table, and hexadecimal
# data, with the dumper's "<binary>".
our_extensions ()
{
  awk '
    $1 == "file_offset" { next }
    $1 == "feature" { if (!rows++) print "data <binary>"; next }
    $1 == "Header" { rows = 0 }
    $1 == "data" && $2 !~ /^\047/ { print "data <binary>"; next }
    { sub(/ +/, " "); print }
  ' "$out"
}

# The dump of a bitmap has no blank line before the first entry.
dumped_extensions ()
{
  awk -v RS= '
    /^Header extension:/ { gsub(/ +/, " "); print (n++ ? "\n" : "") $0 }
  ' "$1"
}

# The dumper prints the columns index, type, size, offset, with a size only for
# data.  qcow2tool prints index, type, offset, size, and then state and
# file_offset.
our_bitmaps ()
{
  awk '
    $1 == "state" || $1 == "file_offset" || /^Bitmap table/ { next }
    /^[0-9]/ { print $1, $2, $3; next }
    { sub(/Bitmap name/, "name"); sub(/ +/, " "); print }
  ' "$out"
}

dumped_bitmaps ()
{
  awk -v RS= -v FS='\n' '
    /^Bitmap name/ {
      if (n++)
        print ""
      for (i = 1; i <= NF; i++) {
        if ($i ~ /^Bitmap table/)
          continue
        if ($i ~ /^[0-9]/) {
          split($i, column, / +/)
          print column[1], column[2], column[4]
          continue
        }
        sub(/Bitmap name/, "name", $i)
        sub(/ +/, " ", $i)
        print $i
      }
    }
  ' "$1"
}

# The offsets of extensions follow from their lengths.
check_file_offsets ()
{
  local at=$1
  local key value

  while read -r key value _; do
    case $key in
      file_offset)
        [ $((value)) = "$at" ] || return
        ;;
      length)
        at=$((at + 8 + (value + 7) / 8 * 8))
        ;;
    esac
  done < "$out"
}

# The bitmaps bit is set in all samples with bitmaps.
check_states ()
{
  awk '
    $1 == "flags" {
      state = /in-use/ ? "in-use" : /auto/ ? "enabled" : "disabled"
    }
    $1 == "state" && $2 != state { bad = 1 }
    END { exit bad }
  ' "$out"
}

check_entry_sizes ()
{
  awk -v size="$1" '/^[0-9]/ && $4 != size { bad = 1 } END { exit bad }' "$out"
}

n_samples=0
for file in "$samples"/*.qcow2.gz; do
  name=$(basename "$file" .qcow2.gz)
  n_samples=$((n_samples + 1))
  sample "$name"

  tool header "$sample"
  expect "header of $name: status" 0
  our_header > "$tmp/ours"
  dumped_header "$samples/$name.dump-header.txt" > "$tmp/expected"
  expect_file "header of $name" "$tmp/ours"
  length=$(sed -n 's/^header_length  *//p' "$samples/$name.dump-header.txt")
  bits=$(sed -n 's/^cluster_bits  *//p' "$samples/$name.dump-header.txt")
  check "header of $name: compression type and its feature agree" \
    test "$(grep -c "'compression-type'" "$out")" \
    = "$(grep -c '^compression_type          1 (zstd)$' "$out")"

  tool extensions "$sample"
  expect "extensions of $name: status" 0
  our_extensions > "$tmp/ours"
  dumped_extensions "$samples/$name.dump-header-exts.txt" > "$tmp/expected"
  expect_file "extensions of $name" "$tmp/ours"
  check "extensions of $name: file offsets" check_file_offsets "$length"

  tool bitmaps --tables "$sample"
  expect "bitmaps of $name: status" 0
  our_bitmaps > "$tmp/ours"
  dumped_bitmaps "$samples/$name.dump-header-exts.txt" > "$tmp/expected"
  expect_file "bitmaps of $name" "$tmp/ours"
  check "bitmaps of $name: states" check_states
  check "bitmaps of $name: size of entries" check_entry_sizes $((1 << bits))

  # Without bitmaps, neither program prints rows.
  tool bitmap-table "$sample"
  grep '^[0-9]' "$out" | awk '{ print $1, $2, $3 }' > "$tmp/ours"
  dumped_bitmaps "$samples/$name.dump-header-exts.txt" | grep '^[0-9]' \
    > "$tmp/expected"
  expect_file "bitmap-table of $name" "$tmp/ours"
done
check "there are seven samples" test "$n_samples" = 7

# Single fields, for samples with JSON output of the dumper.
for json in "$samples"/*.dump-header.json; do
  [ -e "$json" ] || continue
  name=$(basename "$json" .dump-header.json)
  if ! command -v jq > /dev/null; then
    skip "fields of $name" "jq is not installed"
    continue
  fi
  sample "$name"
  arguments=()
  while read -r key; do
    arguments+=(--field "$key")
  done < <(jq -rs '.[0] | keys_unsorted[]' "$json")
  tool header "${arguments[@]}" "$sample"
  jq -rs '.[0][]' "$json" | expect_answer "fields of the header of $name"

  jq -rs '.[1][] | select(.name == "Bitmaps") | .data.bitmap_directory[]
          | .name' "$json" > "$tmp/names"
  while read -r bitmap; do
    arguments=()
    for key in bitmap_table_offset bitmap_table_size type granularity_bits \
        name_size extra_data_size; do
      arguments+=(--field "$key")
    done
    tool bitmaps --name "$bitmap" "${arguments[@]}" "$sample"
    jq -rs --arg name "$bitmap" '
      .[1][] | select(.name == "Bitmaps") | .data.bitmap_directory[]
      | select(.name == $name)
      | .bitmap_table_offset, .bitmap_table_size, .type, .granularity_bits,
        .name_size, .extra_data_size' "$json" \
      | expect_answer "fields of bitmap $bitmap of $name"
  done < "$tmp/names"
done

# The output of an early table printer for the first two images: eight rows
# where the table has one.
listings=0
while IFS= read -r line; do
  case $line in
    '# '*)
      read -r _ name bitmap _ at _ count <<< "$line"
      bitmap=${bitmap%,}
      sample "$name"
      tool bitmap-table --at "$at" --count "$count" "$sample"
      awk -v title="$line" '
        /^#/ { wanted = $0 == title; next }
        wanted
      ' "$samples/iotest291-tables.txt" \
        | expect_answer "$name: $count entries at $at"
      listings=$((listings + 1))

      tool bitmap-table --name "$bitmap" "$sample"
      awk -v title="$line" '
        /^#/ { wanted = $0 == title; n = 0; next }
        wanted && ++n <= 2
      ' "$samples/iotest291-tables.txt" \
        | expect_answer "$name: the table of $bitmap has one entry"
      check "$name: --at shows the offset of the table of $bitmap" \
        test "$((at))" \
        = "$($QCOW2TOOL bitmaps --name "$bitmap" --field bitmap_table_offset \
          "$sample")"
      ;;
  esac
done < "$samples/iotest291-tables.txt"
check "there are five listings" test "$listings" = 5

# Single facts about the samples.
fact ()
{
  sample "$1"
  shift
  tool "${@:1:$#-1}" "$sample"
  local value=${*: -1}
  expect_answer "$(basename "$sample" .qcow2): ${*:1:$#-1} is $value" \
    <<< "$value"
}

fact multi-entry bitmaps --name big --field state in-use
fact multi-entry bitmaps --name big --field usable false
fact iotest291-orig bitmaps --name b1 --field state disabled
fact iotest291-orig bitmaps --name b2 --field state enabled
fact iotest291-merged bitmaps --name b0 --field state disabled
fact zstd-4k bitmaps --index 2 --field state enabled
fact zstd-4k header --field compression_type_name zstd
fact extl2 header --field cluster_size 524288
fact iotest291-orig header --field backing_format qcow2
fact unknown-ext header --field backing_format raw
fact unknown-ext extensions --index 3 --field data_hex \
  "$(gunzip -c "$samples/unknown-ext.qcow2.gz" | od -An -tx1 -v \
    | tr -d ' \n' | grep -o '0badcafe00000002....' | head -n 1 | tail -c 5)"
fact iotest291-orig header --field backing_file t.base
sample multi-entry
tool bitmaps --is in-use --name big "$sample"
expect "multi-entry: big is in use" 0
expect_silence "multi-entry: no output"
sample version2
tool header --field version --field header_length --field refcount_order \
  --field autoclear_features "$sample"
printf '2\n72\n4\n0\n' | expect_answer "version2: defaults"

done_testing
