#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of `header`: in full and for single fields.  The golden files were
# worked out by hand from the descriptions of the builder's images.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

escape=$(printf '\033')

# Whole headers: each version and feature, and extreme lengths.
for name in two-bitmaps four-entries version-2 zstd backing-file-with-format \
    version-2-backing-file data-file snapshot extended-l2 \
    external-data-file-raw luks-pointer lazy-refcounts header-length-104 \
    header-length-120 size-0 size-1t cluster-2m; do
  image $name
  tool header "$image"
  expect "header of $name: status" 0
  expect_golden "header of $name" $name.txt
done

# Every field is shown, even if its value is invalid.
for name in refcount-order-all-ones header-all-ones; do
  image $name
  tool header "$image"
  expect "header of $name: status" 2
  expect_golden "header of $name" $name.txt
done

image two-bitmaps
tool header --output=text "$image"
expect_golden "--output=text is the default" two-bitmaps.txt
tool header --output=human "$image"
expect_golden "--output=human is a synonym of text" two-bitmaps.txt

# mask MASK IMAGE VALUE: the field MASK of IMAGE has VALUE.
mask ()
{
  image "$2"
  tool header "$image"
  if grep -qxF -e "$(printf '%-25s %s' "$1" "$3")" "$out"; then
    pass "$1 of $2"
  else
    fail "$1 of $2" "not '$3' in: $(grep "$1" "$out")"
  fi
}

bits ()
{
  seq -f "'bit-%g'" -s ', ' "$1" 63
}

mask incompatible_features incompatible-dirty-corrupt \
  "0x3 (['dirty', 'corrupt'])"
mask incompatible_features incompatible-bit-63 \
  "0x8000000000000000 (['bit-63'])"
mask incompatible_features incompatible-bit-5 "0x20 (['bit-5'])"
mask incompatible_features incompatible-all-ones \
  "0xffffffffffffffff (['dirty', 'corrupt', 'external-data-file',\
 'compression-type', 'extended-l2', $(bits 5)])"
mask compatible_features compatible-bit-63 "0x8000000000000000 (['bit-63'])"
mask compatible_features compatible-all-ones \
  "0xffffffffffffffff (['lazy-refcounts', $(bits 1)])"
mask autoclear_features autoclear-bit-2 "0x5 (['bitmaps', 'bit-2'])"
mask autoclear_features autoclear-all-ones \
  "0xffffffffffffffff (['bitmaps', 'raw-external-data', $(bits 2)])"

# Bits that only the image's feature name table names.
mask incompatible_features feature-table-names-bit-63 \
  '0x8000000000000000 (["bit sixty three"])'
mask incompatible_features feature-name-newline \
  '0x8000000000000000 (["x\nsize         1"])'
mask incompatible_features feature-name-escape \
  '0x8000000000000000 (["\x1b[2J\x1b[Hhe"])'
mask incompatible_features feature-name-quote \
  "0x8000000000000000 ([\"'\\\\\"'])\"\"])"
mask incompatible_features feature-name-non-utf8 \
  '0x8000000000000000 (["\xc3(\xff\x80\xfe"])'
mask incompatible_features feature-name-46-bytes \
  "0x8000000000000000 ([\"$(printf 'n%.0s' {1..46})\"])"
mask incompatible_features many-features '0x8000000000000000 (["again"])'
# A bit number that is out of range names no bit, neither 255 % 64 nor 69 % 64.
mask incompatible_features feature-bit-255 "0x8000000000000000 (['bit-63'])"
mask incompatible_features feature-bit-69 "0x20 (['bit-5'])"
# The feature name table does not rename known bits.
copy two-bitmaps renamed
patch 0x48 0000000000000001
patch 0x7a 676f6f6400
tool header "$image"
check "a known bit keeps its name" \
  grep -qF "incompatible_features     0x1 (['dirty'])" "$out"

# Strings of the image.
line ()
{
  image "$1"
  tool header "$image"
  check "$2 of $1" grep -qxF -e "$(printf '%-25s %s' "$2" "$3")" "$out"
}

line data-file-name-escapes external_data_file 'DF\n\x1b[31m\\.data'
line backing-name-newline backing_file 'b\nsize        1\xff'
line backing-name-absolute backing_file /etc/passwd
line backing-name-nul backing_file 'base\x00raw'
line backing-name-json backing_file 'json:{}x'
line backing-file-no-format backing_file base.raw
line backing-format-newline backing_format 'r\nw'
line data-file-name-nul external_data_file 'DF\x00data'
line backing-name-ends-at-cluster-end backing_file base.raw

image backing-file-no-format
tool header "$image"
check "no backing_format without its extension" \
  test "$(grep -c '^backing_format' "$out")" = 0

# Errors of the header: the message has the offset and the rule, and the output
# is complete.
for row in cluster-bits-0:0x14:HDR-04 cluster-bits-64:0x14:HDR-04 \
    cluster-bits-all-ones:0x14:HDR-04 header-length-0:0x64:HDR-06 \
    header-length-103:0x64:HDR-06 header-length-108:0x64:HDR-07 \
    header-length-all-ones:0x64:HDR-08 crypt-method-3:0x20:HDR-16 \
    refcount-table-offset-0:0x30:HDR-18 \
    header-length-cluster-plus-8:0x64:HDR-08 compression-type-255:0x68:HDR-23 \
    compression-without-bit:0x68:HDR-23 compression-type-2:0x68:HDR-23 \
    incompatible-bit-63:0x48:HDR-20 refcount-order-7:0x60:HDR-28 \
    size-2-63-with-bitmaps:0x18:HDR-15 \
    backing-offset-past-first-cluster:0x8:HDR-12 \
    backing-offset-in-header:0x8:HDR-12 backing-size-all-ones:0x10:HDR-13 \
    backing-size-1024:0x10:HDR-13 extended-l2-cluster-512:0x14:HDR-05; do
  IFS=: read -r name offset rule <<< "$row"
  image "$name"
  tool header "$image"
  message="qcow2tool: $image: $offset: header: "
  if [ "$status" = 2 ] && [ "$(wc -l < "$out")" -ge 19 ] \
      && grep -qF "$message" "$err" && grep -qF " [$rule]" "$err"; then
    pass "$name is $rule at $offset, and is shown"
  else
    fail "$name is $rule at $offset, and is shown" \
      "status $status, $(wc -l < "$out") lines; messages: $(cat "$err")"
  fi
done

# Warnings and notes cause no messages, nor does damage outside the header.
for name in header-padding-first-byte incompatible-dirty-corrupt \
    crypt-method-1 l1-size-all-ones snapshots-all-ones backing-size-0 \
    backing-name-json header-padding-all-ones compatible-all-ones \
    autoclear-bit-2 size-not-512 backing-size-1023 first-entry-bad \
    second-entry-bad entry-ones-and-offset name-size-65535-misframed \
    bitmaps-extension-length-23; do
  image $name
  tool header "$image"
  check "no message about $name" \
    test "$status.$(wc -c < "$err")" = 0.0
done

# Single fields.
field ()
{
  local value=$3

  image "$1"
  tool header --field "$2" "$image"
  expect_answer "--field $2 of $1" <<< "$value"
}

field two-bitmaps magic 1363560955
field two-bitmaps version 3
field backing-file-with-format backing_file_offset 528
field backing-file-with-format backing_file_size 8
field two-bitmaps cluster_bits 16
field two-bitmaps size 67108864
field luks-pointer crypt_method 2
field four-entries l1_size 256
field two-bitmaps l1_table_offset 196608
field two-bitmaps refcount_table_offset 65536
field two-bitmaps refcount_table_clusters 1
field snapshot nb_snapshots 1
field snapshot snapshot_offset 327680
field snapshot snapshots_offset 327680
field external-data-file-raw autoclear_features 3
field lazy-refcounts compatible_features 1
field extended-l2 incompatible_features 16
field two-bitmaps refcount_order 4
field header-length-120 header_length 120
field version-2 header_length 72
field version-2 refcount_order 4
field zstd compression_type 1
field header-length-104 compression_type 0
field two-bitmaps crypt_method_name none
field luks-pointer crypt_method_name luks
field crypt-method-1 crypt_method_name aes
field two-bitmaps compression_type_name zlib
field zstd compression_type_name zstd
field two-bitmaps cluster_size 65536
field four-entries cluster_size 512
field two-bitmaps refcount_bits 16
field backing-file-with-format backing_file base.raw
field backing-file-with-format backing_format raw
field data-file external_data_file DF.data
field data-file-name-escapes external_data_file 'DF\n\x1b[31m\\.data'

image two-bitmaps
tool header --field size --field version --field cluster_size --field size \
  "$image"
expect_answer "several fields, in the order given" << EOF
67108864
3
65536
67108864
EOF

image incompatible-all-ones
tool header --field=incompatible_features "$image"
expect "a field of a damaged header: status" 2
expect_out "a field of a damaged header" <<< 18446744073709551615

image data-file-name-escapes
tool header -0 --field external_data_file --field size "$image"
printf 'DF\n%s[31m\\.data\00067108864\0' "$escape" \
  | expect_answer "-0: raw bytes, each value ended by NUL"
tool header --null --field external_data_file "$image"
printf 'DF\n%s[31m\\.data\0' "$escape" \
  | expect_answer "--null is the long form of -0"
tool header --field external_data_file "$image"
check "printf %b undoes the escapes" test "$(printf %b "$(cat "$out")")" \
  = "DF
${escape}[31m\\.data"

for key in backing_file backing_format external_data_file; do
  image two-bitmaps
  tool header --field $key "$image"
  expect_refusal "two-bitmaps lacks $key" 3 "$image: *'$key'*"
  tool header --field size --field $key --field version "$image"
  expect_refusal "no output if one of several is missing: $key" 3 \
    "$image: *'$key'*"
done
image version-2
tool header -0 --field size --field backing_file "$image"
expect_refusal "no output with -0, either" 3 "*'backing_file'*"

# --default replaces an absent value.
image two-bitmaps
for key in backing_file backing_format external_data_file; do
  tool header --field $key --default 'none\n' "$image"
  expect_answer "--default: $key" <<< 'none\n'
done
tool header -0 --field size --field backing_file --default= "$image"
printf '67108864\0\0' | expect_answer "--default=, with -0"
image backing-file-with-format
tool header --field backing_file --default none "$image"
expect_answer "--default: a value that exists" <<< base.raw
tool header --field nope --default none "$image"
expect_usage "--default: an unknown key" header "*'nope'*"
tool header --default none "$image"
expect_usage "--default goes with --field" header "*--default*"
tool header --field backing_file --default none "$tmp/missing"
expect_refusal "--default: a missing image" 1 "*"

# Status and messages are only about the selected field.  In the first 512
# bytes of an image the header is complete, but the rest is truncated: of
# backing-file-with-format the feature name table, which begins at 0x88, and
# the name of the backing file at 0x210.
cut ()
{
  image "$1"
  head -c 512 "$image" > "$tmp/cut.qcow2"
  image=$tmp/cut.qcow2
}
for name in two-bitmaps backing-file-with-format; do
  cut $name
  for key in version cluster_bits cluster_size size crypt_method_name \
      incompatible_features compression_type_name header_length; do
    tool header --field $key "$image"
    cp "$out" "$tmp/value"
    tool header --field $key "$tmp/$name.qcow2"
    expect_answer "the first 512 bytes of $name: $key" < "$tmp/value"
    tool header --field $key "$image"
    check "the first 512 bytes of $name: $key is complete" \
      test "$status.$(wc -c < "$err")" = 0.0
  done
  for key in backing_format external_data_file; do
    tool header --field $key --default none "$image"
    expect "the first 512 bytes of $name: $key is not complete" 2
    check "the first 512 bytes of $name: no default of $key" \
      test "$(grep -c none "$out")" = 0
  done
  tool header --field size --field external_data_file "$image"
  expect "the first 512 bytes of $name: one of two" 2
done
tool header --field backing_file --default none "$image"
check "the name of the backing file is truncated" \
  test "$status.$(wc -c < "$out").$(grep -c HDR-03 "$err")" = 2.0.1
# cluster-bits-64 has cluster_bits 64.  The extension area of version-2-cut
# begins at 72, where version 3 has header fields.
image cluster-bits-64
tool header --field size "$image"
expect_answer "size, with unusable cluster_bits" <<< 67108864
for key in cluster_bits cluster_size; do
  tool header --field $key "$image"
  expect "$key, which is unusable" 2
done
copy version-2-backing-file version-2-cut
patch 0x4c 00010000
for key in size incompatible_features refcount_bits; do
  tool header --field $key "$image"
  check "version 2, damage at offset 0x4c: $key" \
    test "$status.$(wc -c < "$err")" = 0.0
done
tool header --field backing_format "$image"
expect "version 2, damage at offset 0x4c: backing_format" 2

# An unknown key: the message lists the known keys.
image two-bitmaps
tool header --field nope "$image"
expect_usage "an unknown key" header "*'nope'*"
for key in magic version backing_file_offset backing_file_size cluster_bits \
    size crypt_method l1_size l1_table_offset refcount_table_offset \
    refcount_table_clusters nb_snapshots snapshot_offset \
    incompatible_features compatible_features autoclear_features \
    refcount_order header_length compression_type crypt_method_name \
    compression_type_name cluster_size refcount_bits backing_file \
    backing_format external_data_file; do
  check "the message about an unknown key lists $key" \
    grep -qE "[ ,]$key([,;]|\$)" "$err"
done
# Whether a finding affects a field is known for all of them.
sed -n 's/.*not one of: \([a-z0-9_, ]*\).*/\1/p' "$err" | tr -d ' ' \
  | tr , '\n' > "$tmp/keys"
image cluster-bits-64
while read -r key; do
  tool header --field "$key" "$image"
  check "cluster-bits-64: $key" eval '((status == 0 || status == 2))'
done < "$tmp/keys"
check 'all keys were tried' [ "$(wc -l < "$tmp/keys")" -ge 26 ]
image two-bitmaps
tool header --field size --field "a${escape}[2Jb" "$image"
expect_usage "an unknown key is escaped" header '*a\\x1b\[2Jb*'
for key in Size 'size ' '' nb_bitmaps state; do
  tool header --field "$key" "$image"
  expect_usage "not a key of the header: '$key'" header '*unknown key*'
done
tool header --field size "$image" "$image"
expect_usage "--field takes one image" header '*--field*one image*'

# Short options as getopt accepts them; a switch has no value.
for format in '-fqcow2' '-Ufqcow2' '-U -fqcow2' '-f qcow2'; do
  # shellcheck disable=SC2086 # words
  tool header $format --field version "$image"
  expect_out "$format" << 'END'
3
END
done
tool header -fraw "$image"
expect_usage "-fraw" header '*raw*'
tool header --field -fqcow2 "$image"
expect_usage "-fqcow2 as a value" header "*'-fqcow2'*"
tool header --null=1 --field version "$image"
expect_usage "--null=1" header '*--null takes no value'
tool header --help=1
expect_usage "--help=1" header '*--help takes no value'

done_testing
