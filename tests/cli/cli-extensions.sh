#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of `extensions`: in full, for a selection, and for single fields.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

for name in two-bitmaps four-entries backing-file-with-format \
    version-2-backing-file data-file luks unknown-extensions; do
  image $name
  tool extensions "$image"
  expect "extensions of $name: status" 0
  expect_golden "extensions of $name" $name.txt
done

# An image without extensions is not a special case.
for name in version-2 no-extensions; do
  image $name
  tool extensions "$image"
  expect_answer "$name has no extensions" < /dev/null
done

# The area may end with the cluster, without a terminator.
image extension-padding-fills-cluster
tool extensions --magic '<unknown>' "$image"
check "an extension whose padding ends the cluster" \
  grep -qx 'length                    357' "$out"
expect "without a terminator: status" 0
image extension-fills-cluster
tool extensions "$image"
check "an extension that fills the cluster" \
  test "$(grep -c '^Header' "$out")" = 1
expect_damage "no room for the bitmaps extension" '*0x58: *\[HDR-25]'
image backing-offset-header-end
tool extensions "$image"
expect_answer "no room for extensions before the backing file" < /dev/null

# Data that are not text are printed in hexadecimal, and texts are escaped.
image extension-texts
tool extensions "$image"
check "hostile data: three blocks" \
  test "$status $(grep -c '^Header extension:$' "$out")" = "0 3"
check "hostile data: five lines each, two between" \
  test "$(wc -l < "$out")" = 17
check "data with control characters are hexadecimal" grep -qxE \
  'data +6c696e650a6d616769632020307832333835323837351b5b324a7f21' "$out"
check "data that are not UTF-8 are hexadecimal" \
  grep -qxE 'data +fffec328c080' "$out"
check "data with a NUL are hexadecimal" \
  grep -qxE 'data +656e6473004e554c' "$out"
image extension-8-bytes
tool extensions --index 0 "$image"
expect_answer "an extension without padding" << EOF
Header extension:
magic                     0x87654321 (<unknown>)
file_offset               0x70
length                    8
data                      '8 bytes!'
EOF
image version-2-extensions
tool extensions "$image"
expect_answer "version 2: extensions begin at byte 72" << EOF
Header extension:
magic                     0x87654321 (<unknown>)
file_offset               0x48
length                    8
data                      '8 bytes!'
EOF
image data-file-name-absolute
tool extensions --magic 'data file' "$image"
expect_answer "an absolute data file name is only printed" << EOF
Header extension:
magic                     0x44415441 (Data file)
file_offset               0x70
length                    7
data                      '/etc/pw'
EOF
image backing-format-without-file
tool extensions --index 2 "$image"
expect_answer "a text that fills its extension" << EOF
Header extension:
magic                     0xe2792aca (Backing format)
file_offset               0x218
length                    16
data                      'AAAAAAAAAAAAAAAA'
EOF

# Selection.
blocks ()
{
  local expected

  expected=$1
  shift
  tool extensions "$@"
  check "$expected by ${*:1:$#-1}" \
    test "$status:$(sed -n 's/^file_offset *//p' "$out" | tr '\n' ' ')" \
    = "0:$expected "
}

image unknown-extensions
blocks 0x70 --magic 0x6803f857 "$image"
blocks 0x70 --magic 0X6803F857 "$image"
blocks 0x70 --magic 1745090647 "$image"
blocks 0x70 --magic 'Feature table' "$image"
blocks 0x70 --magic 'FEATURE TABLE' "$image"
blocks 0x1f8 --magic bitmaps "$image"
blocks 0x1f8 --magic=Bitmaps "$image"
blocks 0x218 --magic 0x12345678 "$image"
blocks 0x250 --magic 4294967295 "$image"
blocks 0x258 --magic 1 "$image"
blocks '0x218 0x240 0x250 0x258' --magic '<unknown>' "$image"
blocks '0x218 0x240 0x250 0x258' --magic '<UNKNOWN>' "$image"
blocks 0x70 --index 0 "$image"
blocks 0x240 --index 3 "$image"
blocks 0x240 --index 0x3 "$image"
blocks 0x258 --index=5 "$image"
image backing-file-with-format
blocks 0x70 --magic 'backing format' "$image"
image luks
blocks 0x70 --magic 'crypto header' "$image"

image unknown-extensions
for index in 6 7 4294967296 18446744073709551615; do
  tool extensions --index $index "$image"
  expect_refusal "no extension has the index $index" 3 "$image: *"
done
tool extensions --magic 'data file' "$image"
expect_refusal "there is no data file extension" 3 "$image: *"
tool extensions --magic 0x12345679 "$image"
expect_refusal "there is no extension 0x12345679" 3 "$image: *"
tool extensions --magic 0 "$image"
expect_refusal "the terminator is not an extension" 3 "$image: *"
image two-bitmaps
tool extensions --magic '<unknown>' "$image"
expect_refusal "two-bitmaps has no unknown extension" 3 "$image: *"
image no-extensions
tool extensions --index 0 "$image"
expect_refusal "an index in an image without extensions" 3 "$image: *"

for magic in 4294967296 0x100000000 -1 '' bitmap 'feature' '0x' 'Bitmaps ' \
    'unknown' '1 '; do
  tool extensions "--magic=$magic" "$image"
  expect_usage "--magic='$magic' is not a type" extensions "*--magic*"
done
for index in -1 '' x 18446744073709551616 1.5 +1 ' 1' 0x 1kk; do
  tool extensions "--index=$index" "$image"
  expect_usage "--index='$index' is not a number" extensions "*--index*"
done
tool extensions --index 0 --magic 1 "$image"
expect_usage "--index and --magic exclude each other" extensions \
  "*--magic*--index*"

# Single fields.
field ()
{
  local value=$4

  image "$1"
  tool extensions "$2" --field "$3" "$image"
  expect_answer "--field $3 of $1, $2" <<< "$value"
}

field two-bitmaps --magic=bitmaps nb_bitmaps 2
field two-bitmaps --magic=bitmaps reserved32 0
field two-bitmaps --magic=bitmaps bitmap_directory_size 64
field two-bitmaps --magic=bitmaps bitmap_directory_offset 2883584
field two-bitmaps --magic=bitmaps magic 595929205
field two-bitmaps --magic=bitmaps name Bitmaps
field two-bitmaps --magic=bitmaps file_offset 504
field two-bitmaps --magic=bitmaps length 24
field two-bitmaps --magic=bitmaps index 1
field two-bitmaps --index=0 name 'Feature table'
field two-bitmaps --index=0 length 384
field luks --index=0 crypto_header_offset 262144
field luks --index=0 crypto_header_length 2068480
field backing-file-with-format --index=0 data raw
field unknown-extensions --index=2 name '<unknown>'
field unknown-extensions --index=2 data 'This is a test header extension'
field unknown-extensions --index=3 data_hex 0102
field extension-texts --index=2 data_hex 656e6473004e554c

image two-bitmaps
tool extensions --index 1 --field length --field nb_bitmaps --field length \
  "$image"
expect_answer "several fields, in the order given" << EOF
24
2
24
EOF
image backing-file-with-format
tool extensions --index 0 -0 --field data --field length "$image"
printf 'raw\0003\0' | expect_answer "-0: values ended by NUL"

image two-bitmaps
for key in crypto_header_offset data data_hex; do
  tool extensions --index 1 --field $key "$image"
  expect_refusal "the bitmaps extension lacks $key" 3 "$image: *'$key'*"
  tool extensions --index 1 --field length --field $key "$image"
  expect_refusal "no output if one is missing: $key" 3 \
    "$image: *'$key'*"
done
tool extensions --index 0 --field nb_bitmaps "$image"
expect_refusal "the feature table lacks nb_bitmaps" 3 "*'nb_bitmaps'*"
tool extensions --index 0 --field nb_bitmaps --field length --default - \
  "$image"
expect_answer "--default replaces a missing field" << EOF
-
384
EOF
tool extensions --index 9 --field length --default none "$image"
expect_refusal "--default: a missing extension" 3 "$image: *"
tool extensions --index 0 --default none "$image"
expect_usage "--default goes with --field" extensions "*--default*"
image unknown-extensions
tool extensions --index 3 --field data "$image"
expect_refusal "binary data has no text" 3 "*'data'*"
tool extensions --index 9 --field length "$image"
expect_refusal "no field of a missing extension" 3 "$image: *"

tool extensions --index 0 --field nope "$image"
expect_usage "an unknown key" extensions "*'nope'*"
for key in index name magic file_offset length data data_hex \
    crypto_header_offset crypto_header_length nb_bitmaps reserved32 \
    bitmap_directory_size bitmap_directory_offset; do
  check "the message about an unknown key lists $key" \
    grep -qE "[ ,]$key([,;]|\$)" "$err"
done
tool extensions --field length "$image"
expect_usage "--field needs a selection" extensions "*--field*"
tool extensions --index 0 --field length "$image" "$image"
expect_usage "--field takes one image" extensions "*--field*one image*"
tool extensions --magic '<unknown>' --field length "$image"
expect_refusal "a field of several extensions" 2 "*--index*"

# Two extensions of one type: both are shown, each at its place.
image bitmaps-twice-different
tool extensions "$image"
expect "two bitmaps extensions: status" 2
check "two bitmaps extensions are shown" \
  test "$(grep -c '(Bitmaps)' "$out")" = 2
check "the second one is reported" \
  grep -qF "$image: 0x218: header extension 2: " "$err"
check "the report has the rule" grep -qF ' [EXT-08]' "$err"
image feature-table-twice
tool extensions --magic 'feature table' "$image"
check "two feature tables are a warning" \
  test "$status.$(grep -c '^Header' "$out").$(wc -c < "$err")" = 0.2.0

# Errors: everything before the error is printed, and the message has the
# offset and the rule.
for row in feature-table-length-wraps:0x74:EXT-03:1 \
    feature-table-length-2-31-minus-1:0x74:EXT-03:1 \
    extension-one-byte-past-cluster:0x74:EXT-03:1 \
    last-extension-data-past-cluster:0xfffc:EXT-03:2 \
    extension-terminator-length-all-ones:0x21c:EXT-06:2 \
    crypto-extension-length-8:0x74:EXT-13:1 crypto-offset-wraps:0x80:EXT-13:2 \
    bitmaps-extension-length-23:0x1fc:EXT-12:2 \
    bitmaps-extension-length-0:0x1fc:EXT-12:3 file-113-bytes:0x70:EXT-15:0 \
    file-120-bytes:0x78:EXT-15:1 file-535-bytes:0x200:EXT-15:2 \
    extension-length-wraps-to-0:0x74:EXT-03:1 \
    extension-head-cut-by-backing:0x210:EXT-02:3; do
  IFS=: read -r name offset rule n <<< "$row"
  image "$name"
  tool extensions "$image"
  if [ "$status" = 2 ] && [ "$(grep -c '^Header extension:' "$out")" = "$n" ] \
      && grep -q "^qcow2tool: $image: $offset: .* \\[$rule\\]\$" "$err"; then
    pass "$name is $rule at $offset, after $n extensions"
  else
    fail "$name is $rule at $offset, after $n extensions" \
      "status $status; $(cat "$out" "$err")"
  fi
done

# Only damage of the selected extension, and of those before it, is reported.
image extension-terminator-length-all-ones
tool extensions --index 1 "$image"
check "damage after the selected extension is not reported" \
  test "$status.$(wc -c < "$err")" = 0.0
image bitmaps-twice-different
tool extensions --magic 'feature table' "$image"
check "damage of another extension is not reported" \
  test "$status.$(wc -c < "$err")" = 0.0
image last-extension-data-past-cluster
tool extensions --index 1 "$image"
check "damage of the selected extension is reported" \
  grep -q '0xfffc: .*EXT-03' "$err"
image file-504-bytes
tool extensions --index 0 "$image"
check "a missing bitmaps extension is not reported for the first one" \
  test "$status.$(wc -c < "$err")" = 0.0
image feature-table-length-wraps
tool extensions --index 1 "$image"
check "an extension after the damage cannot be found" \
  test "$status.$(wc -c < "$out")" = 2.0

# Warnings cause no messages.
for name in feature-table-length-383 feature-type-9 \
    backing-format-without-file data-file-name-nul-without-bit \
    extension-8125-times extension-padding-not-zero \
    extension-padding-fills-cluster feature-table-empty feature-table-47 \
    feature-bit-255 feature-type-255 feature-duplicate \
    extension-terminator-length-16 backing-format-empty; do
  image $name
  tool extensions "$image"
  check "no message about $name" test "$status.$(wc -c < "$err")" = 0.0
done
image extension-8125-times
tool extensions "$image"
check "8125 extensions are all shown" \
  test "$(grep -c '^Header extension:' "$out")" = 8127
image extension-after-terminator
tool extensions "$image"
expect_golden "no extension is read after the terminator" two-bitmaps.txt

# Features as they are stored.
image feature-type-255
tool extensions --index 0 "$image"
check "a feature of an unknown type" \
  grep -qx "feature                   255 0 'dirty bit'" "$out"
image feature-bit-255
tool extensions --index 0 "$image"
check "a feature of an impossible bit" \
  grep -qx "feature                   incompatible 255 'dirty bit'" "$out"
image feature-name-newline
tool extensions --index 0 "$image"
check "a feature name with a newline" grep -qxF \
  "feature                   incompatible 63 'x\\nsize         1'" "$out"

done_testing
