#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# dump-header and dump-header-exts print the same as QEMU's qcow2.py.

# shellcheck source=tests/lib.sh
. "${srcdir:-.}/tests/lib.sh"

require python3
export QCOW2TOOL

samples=$srcdir/tests/samples

# same_as FILE NAME: the output of the last run equals the sample FILE, and
# there was no message.
same_as ()
{
  expect_answer "$2" < "$samples/$1"
}

for file in "$samples"/*.dump-header.txt; do
  name=$(basename "$file" .dump-header.txt)
  sample "$name"

  tool dump-header "$sample"
  same_as "$name.dump-header.txt" "$name: dump-header"
  tool dump-header-exts "$sample"
  same_as "$name.dump-header-exts.txt" "$name: dump-header-exts"
  tool dump-header -j "$sample"
  same_as "$name.dump-header.json" "$name: dump-header -j"

  # The second of the two documents, after the empty line.
  tool dump-header-exts -j "$sample"
  sed '1,/^$/d' "$samples/$name.dump-header.json" > "$tmp/second"
  expect_answer "$name: dump-header-exts -j" < "$tmp/second"
done

# Options, and arguments that are not options of these commands.

sample multi-entry
tool dump-header "$sample" --json
same_as multi-entry.dump-header.json "--json after the image"
tool dump-header -f qcow2 -U "$sample"
same_as multi-entry.dump-header.txt "what scripts pass to qemu-img"
for command in dump-header dump-header-exts; do
  for format in json jsonl; do
    tool "$command" --output="$format" "$sample"
    expect_usage "$command --output=$format" "$command" "*text*"
  done
  tool "$command" "$sample" "$sample"
  expect_usage "$command: two images" "$command" "*exactly one image*"
  tool "$command"
  expect "$command: no image" 1
  tool "$command" -j "$tmp/missing"
  expect_refusal "$command: a missing image" 1 "*missing: *"
  image looks-like-luks
  tool "$command" -j "$image"
  expect_refusal "$command: not qcow2" 1 "*HDR-01*"
done

# In a damaged image, messages say what is missing, and the rest is printed.

image entry-lacks-last-byte
tool dump-header "$image"
expect "a lost directory: the status" 2
check "a lost directory: the header" grep -q '^cluster_bits  *16$' "$out"
check "a lost directory: the extension" grep -q '^nb_bitmaps  *2$' "$out"
check "a lost directory: the message" grep -q 'BEXT-06' "$err"

# Names of flags, bits and types that only this layout prints.  A copy of base
# four-entries has its directory at 0x12800 and its table at 0x12600.

copy four-entries flags
patch 0x1280c 00000027
patch 0x12608 0000000000012001
tool dump-header-exts "$image"
expect "more flags than have names: the status" 0
check "more flags than have names" grep -qxF \
  "flags                     0x27 (['in-use', 'auto', 'bit-2', 'bit-5'])" \
  "$out"
check "an offset and bit 0: invalid" grep -qxF \
  "1              invalid         0            73728" "$out"
check "an offset without bit 0: serialized" grep -qxF \
  "0              serialized      512          73728" "$out"

copy no-extensions masks
patch 0x48 8000000000000009
tool dump-header "$image"
check "bits of a mask" grep -qxF \
  "incompatible_features     [0, 3, 63]" "$out"
check "no bits of a mask" grep -qxF \
  "compatible_features       []" "$out"
tool dump-header-exts "$image"
expect_answer "no extensions" < /dev/null
tool dump-header-exts -j "$image"
expect_answer "no extensions: JSON" <<< '[]'

# A model of the documented layout, tried on every image of the builder.

if [ -n "$few" ]; then
  all_images "^($(printf '%s|' two-bitmaps four-entries version-2 luks \
    backing-file-with-format data-file cluster-bits-32 \
    version-2-directory-on-refcount-table backing-offset-in-feature-table \
    bitmaps-extension-length-23 bitmaps-twice-different table-offset-past-eof \
    flags-all-ones name-size-1023-misframed name-newline name-backslash-u \
    name-utf8 entry-ones-and-offset entry-reserved-bit-63 file-535-bytes \
    entry-lacks-last-byte every-state extension-texts)name-delete)$"
else
  # Sparse images with gigabytes of table entries, and one with a hundred
  # megabytes of output, are left to cli-bombs.sh.
  large='many-(share-long-table|extensions)'
  large+='|sparse-(table-32-gib|both-tables|table-needed)'
  all_images ! "^($large)\$"
fi

if python3 "$srcdir/tests/cli/json-check.py" qemu-dump "${images[@]}" \
    > "$tmp/differences" 2>&1; then
  pass "every image, by the documented layout"
else
  fail "every image, by the documented layout" "$(cat "$tmp/differences")"
fi

# contrib/qcow2.py in place of QEMU's program.

stand_in=$srcdir/contrib/qcow2.py
sample multi-entry
for command in dump-header dump-header-exts; do
  python3 "$stand_in" "$sample" "$command" > "$out" 2> "$err"
  status=$?
  same_as "multi-entry.$command.txt" "qcow2.py IMAGE $command"
done
while read -r words; do
  # shellcheck disable=SC2086 # words
  python3 "$stand_in" ${words/IMAGE/"$sample"} > "$out" 2> "$err"
  status=$?
  same_as multi-entry.dump-header.json "qcow2.py $words"
done << 'END'
-j IMAGE dump-header
IMAGE -j dump-header
IMAGE dump-header -j
END

# Damaged images, which qcow2.py reads in its own way.
image two-bitmaps
tool dump-header-exts "$image"
cp "$out" "$tmp/whole"

# qcow2.py decodes 24 bytes of the bitmaps extension at 0x1f8, whatever its
# length.
copy two-bitmaps longer
patch 0x1fc 00000038
patch 0x218 12345678000000084142434445464748
tool dump-header-exts "$image"
{
  sed 's/^length  *24$/length                    56/' "$tmp/whole"
  cat << 'END'
Header extension:
magic                     0x12345678 (<unknown>)
length                    8
data                      'ABCDEFGH'

END
} | expect_answer "a bitmaps extension that says it is longer"

# Extensions end at backing_file_offset, and at the end of the cluster.
copy two-bitmaps inside
patch 8 0000000000000050
tool dump-header-exts "$image"
expect_answer "a backing file name inside the header" < /dev/null
copy two-bitmaps far-header
patch 0x64 80000000
tool dump-header-exts "$image"
expect_answer "header_length is beyond the cluster" < /dev/null
copy two-bitmaps small-clusters
patch 0x14 00000008
tool dump-header-exts "$image"
head -n 5 "$tmp/whole" | expect_answer "clusters of 256 bytes end at 0x100"

# Data of an extension that extends beyond the cluster are read, as far as the
# file has them.
copy two-bitmaps too-long
patch 0x74 00010000
tool dump-header-exts "$image"
expect_answer "an extension that is longer than its cluster" << 'END'
Header extension:
magic                     0x6803f857 (Feature table)
length                    65536
data                      <binary>

END

# The output ends where the fields of an entry, or entries of a table, are
# missing.
image entry-lacks-last-byte
tool dump-header-exts "$image"
expect "a truncated table" 2
check "a truncated table: message" grep -q 'would have stopped' "$err"
# The same extension in a file that ends in the cluster: then there is no next
# extension.
head -c 1000 "$tmp/too-long.qcow2" > "$tmp/cut.qcow2"
tool dump-header-exts "$tmp/cut.qcow2"
expect "a truncated cluster" 2
check "a truncated cluster: message" grep -q 'would have stopped' "$err"
copy two-bitmaps no-directory
patch 0x210 000000007f000000
tool dump-header-exts "$image"
expect "a directory after the end of the file" 2
check "a directory after the end of the file: message" \
  grep -q 'would have stopped' "$err"

image entry-lacks-last-byte
python3 "$stand_in" "$image" dump-header > "$out" 2> "$err"
status=$?
expect "qcow2.py: a damaged image" 2
(cd "$tmp" && cp "$sample" ./-image \
  && python3 "$stand_in" -image dump-header) > "$out" 2> "$err"
status=$?
same_as multi-entry.dump-header.txt "qcow2.py: an image like an option"
for words in "" "$sample" "$sample set-feature-bit" "$sample dump-header x"; do
  # shellcheck disable=SC2086 # words
  python3 "$stand_in" $words > "$out" 2> "$err"
  status=$?
  expect "qcow2.py: usage, ${words/"$sample"/IMAGE}" 1
done
QCOW2TOOL=$tmp/missing python3 "$stand_in" "$sample" dump-header \
  > "$out" 2> "$err"
status=$?
expect "qcow2.py: no qcow2tool" 1
mkdir "$tmp/bin"
printf '#!/bin/sh\necho "$@"\n' > "$tmp/bin/qcow2tool"
chmod +x "$tmp/bin/qcow2tool"
(unset QCOW2TOOL
PATH=$tmp/bin:$PATH python3 "$stand_in" img dump-header) > "$out" 2> "$err"
status=$?
expect_answer "qcow2.py: the qcow2tool in PATH" <<< 'dump-header -- img'

done_testing
