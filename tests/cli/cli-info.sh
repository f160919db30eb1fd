#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# info.  The output about images of the builder is written here by hand,
# and compared with qemu-img info where that is installed.
# interop-info.sh compares random images.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

export TZ=UTC

# info NAME ARGUMENT...: runs info on an image of the builder.
info ()
{
  image "$1"
  tool info "${@:2}" "$image"
}

# Prints the room that a file takes on its disk, in bytes.
disk_bytes ()
{
  stat -c '%b %B' "$1" | { read -r n size; echo $((n * size)); }
}

# Prints the output without that room, which depends on the file system.
without_room ()
{
  sed '/^disk size: /d; /^    disk size: /d; /"actual-size": /d' "$out"
}

# expect_info NAME STATUS: the last run ended with STATUS, and its output,
# without the room, equals standard input.
expect_info ()
{
  expect "$1" "$2"
  without_room > "$tmp/found"
  expect_same "$1: output" - "$tmp/found"
}

# Text.

info two-snapshots
expect_info 'text' 0 << END
image: $image
file format: qcow2
virtual size: 64 MiB (67108864 bytes)
cluster_size: 65536
Snapshot list:
ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT
1         snap1                 0 B 2023-11-14 22:13:20 00:00:00.000           
2         snap2                 0 B 2023-11-14 22:13:20 00:00:00.000           
Format specific information:
    compat: 1.1
    compression type: zlib
    lazy refcounts: false
    bitmaps:
        [0]:
            flags:
                [0]: auto
            name: bm0
            granularity: 65536
        [1]:
            flags:
                [0]: auto
            name: bm1
            granularity: 32768
    refcount bits: 16
    corrupt: false
    extended l2: false
END
check 'text: no messages' test ! -s "$err"
check 'text: the room on the disk' grep -qE \
  '^disk size: [0-9.]+ ([KMGTPE]i)?B$' "$out"
cp "$out" "$tmp/text"
tool info --output=human "$image"
check '--output=human is text' cmp -s "$tmp/text" "$out"
tool info -U -f qcow2 "$image"
check '-U and -f qcow2 change nothing' cmp -s "$tmp/text" "$out"
TZ=XYZ-5:30 tool info "$image"
check 'dates are in local time' test \
  "$(grep -c ' 0 B 2023-11-15 03:43:20 ' "$out")" = 2

info version-2-backing-file
expect_info 'version 2' 0 << END
image: $image
file format: qcow2
virtual size: 64 MiB (67108864 bytes)
cluster_size: 65536
backing file: base.raw (actual path: $tmp/base.raw)
backing file format: raw
Format specific information:
    compat: 0.10
    compression type: zlib
    refcount bits: 16
END

info data-file
expect_info 'data file' 0 << END
image: $image
file format: qcow2
virtual size: 64 MiB (67108864 bytes)
cluster_size: 65536
Format specific information:
    compat: 1.1
    compression type: zlib
    lazy refcounts: false
    refcount bits: 16
    data file: DF.data
    data file raw: false
    corrupt: false
    extended l2: false
END

# JSON.

info two-snapshots --output=json
expect_info 'JSON' 0 << END
{
    "snapshots": [
        {
            "vm-clock-nsec": 0,
            "name": "snap1",
            "date-sec": 1700000000,
            "date-nsec": 0,
            "vm-clock-sec": 0,
            "id": "1",
            "vm-state-size": 0
        },
        {
            "vm-clock-nsec": 0,
            "name": "snap2",
            "date-sec": 1700000000,
            "date-nsec": 0,
            "vm-clock-sec": 0,
            "id": "2",
            "vm-state-size": 0
        }
    ],
    "virtual-size": 67108864,
    "filename": "$image",
    "cluster-size": 65536,
    "format": "qcow2",
    "format-specific": {
        "type": "qcow2",
        "data": {
            "compat": "1.1",
            "compression-type": "zlib",
            "lazy-refcounts": false,
            "bitmaps": [
                {
                    "flags": [
                        "auto"
                    ],
                    "name": "bm0",
                    "granularity": 65536
                },
                {
                    "flags": [
                        "auto"
                    ],
                    "name": "bm1",
                    "granularity": 32768
                }
            ],
            "refcount-bits": 16,
            "corrupt": false,
            "extended-l2": false
        }
    },
    "dirty-flag": false
}
END
check 'JSON: the room on the disk' grep -qx \
  "    \"actual-size\": $(disk_bytes "$image")," "$out"

# --children: the form of QEMU 8.0.

# QEMU counts the file in whole sectors, and this one has a part of one.
info version-2 --children --output=json
size=$((($(stat -c %s "$image") / 512 + 1) * 512))
room=$(disk_bytes "$image")
expect_answer '--children: JSON' << END
{
    "children": [
        {
            "name": "file",
            "info": {
                "children": [
                ],
                "virtual-size": $size,
                "filename": "$image",
                "format": "file",
                "actual-size": $room,
                "format-specific": {
                    "type": "file",
                    "data": {
                    }
                },
                "dirty-flag": false
            }
        }
    ],
    "virtual-size": 67108864,
    "filename": "$image",
    "cluster-size": 65536,
    "format": "qcow2",
    "actual-size": $room,
    "format-specific": {
        "type": "qcow2",
        "data": {
            "compat": "0.10",
            "compression-type": "zlib",
            "refcount-bits": 16
        }
    },
    "dirty-flag": false
}
END
tool info --children "$image"
tail -n 5 "$out" > "$tmp/found"
expect_same '--children: text' - "$tmp/found" << END
Child node '/file':
    filename: $image
    protocol type: file
    file length: $((size / 1024)) KiB ($size bytes)
    disk size: $(sed -n 's/^disk size: //p' "$out")
END

# Sizes, with three digits.

copy version-2 size
while read -r hex shown; do
  patch 24 "$hex"
  tool info "$image"
  check "size 0x$hex" grep -qxF "virtual size: $shown" "$out"
done << 'END'
0000000000000000 0 B (0 bytes)
0000000000000200 512 B (512 bytes)
00000000000003ff 512 B (512 bytes)
0000000000000400 1 KiB (1024 bytes)
0000000000000600 1.5 KiB (1536 bytes)
00000000000f9c00 999 KiB (1022976 bytes)
00000000000fa000 0.977 MiB (1024000 bytes)
0000000000123400 1.14 MiB (1192960 bytes)
0000000012c00000 300 MiB (314572800 bytes)
END

# Backing files: by which names QEMU opens them.

# A name of 8 bytes replaces base.raw.
copy backing-file-with-format backing
offset=$(($(tool header --field=backing_file_offset "$image"; cat "$out")))
while read -r name full; do
  printf %s "$name" | dd of="$image" bs=1 seek="$offset" conv=notrunc \
    status=none
  tool info --output=json "$image"
  check "backing file $name" grep -qxF \
    "    \"full-backing-filename\": \"${full:-$name}\"," "$out"
  tool info "$image"
  line="backing file: $name"
  [ -z "$full" ] || line+=" (actual path: $full)"
  check "backing file $name in text" grep -qxF "$line" "$out"
done << END
base.raw $tmp/base.raw
../x.raw $tmp/../x.raw
/abs/raw
nbd:host
a/b:c.ra $tmp/a/b:c.ra
:/.:/.:/
END
(cd "$tmp" && tool info backing.qcow2)
check 'a backing file in the same folder' grep -qxF 'backing file: :/.:/.:/' \
  "$out"

# The file ends with the second letter of a bitmap's name.
copy two-bitmaps name-cut
tool bitmaps --index=1 --field=file_offset "$image"
truncate -s $(($(cat "$out") + 26)) "$image"
tool info --output=json "$image"
check 'a bitmap whose name the file cuts' grep -q '"name": "bm"' "$out"
if command -v qemu-img > /dev/null; then
  qemu-img info -U -f qcow2 --output=json "$image" > "$tmp/qemu.out"
  check 'QEMU cuts it as well' grep -q '"name": "bm"' "$tmp/qemu.out"
else
  skip 'QEMU cuts it as well' 'qemu-img is not installed'
fi

# It ends before the name, in the extra data.
copy two-bitmaps name-missing
tool bitmaps --index=1 --field=file_offset "$image"
entry=$(cat "$out")
patch $((entry + 20)) 00000008
truncate -s $((entry + 26)) "$image"
tool info --output=json "$image"
check 'a bitmap whose name the file lacks' grep -q '"name": ""' "$out"

# A name in the header, where none belongs: QEMU opens that file.
copy no-extensions hidden-name
cp "$image" "$tmp/base"
patch 100 00000080
patch 8 0000000000000070 00000004
patch 112 62617365
tool info --output=json "$image"
check 'a backing file name in the header' grep -qxF \
  "    \"full-backing-filename\": \"$tmp/base\"," "$out"
if command -v qemu-img > /dev/null; then
  qemu-img info -U -f qcow2 "$image" > "$tmp/qemu.out"
  check 'QEMU reads it as well' grep -qF 'backing file: base' "$tmp/qemu.out"
else
  skip 'QEMU reads it as well' 'qemu-img is not installed'
fi
tool info --backing-chain --output=json "$image"
check 'a layer whose name is in the header' \
  [ "$(grep -c '"virtual-size"' "$out")" = 2 ]

# Refused images: QEMU's words.  The header and the extensions are patched.

# refused NAME OFFSET HEX MESSAGE: info prints what it can about $base, and
# MESSAGE.
base='two-bitmaps'
refused ()
{
  local lines

  copy $base "$1"
  patch "$2" "$3"
  tool info --output=json "$image"
  expect "$1: status" 2
  # No MESSAGE contains what JSON escapes.
  mapfile -t lines < "$out"
  [[ " ${lines[*]} " =~ ' "qemu-refuses": "'([^\"]*)'"'[,\ ] ]]
  check "$1: JSON" test "${BASH_REMATCH[1]-}" = "$4"
  mapfile -t lines < "$err"
  check "$1: the last message" test "${lines[-1]-}" \
    = "qcow2tool: $image: QEMU refuses to open this image: $4"
  tool info "$image"
  expect "$1: status of text" 2
  mapfile -t lines < "$out"
  check "$1: the last line" test "${lines[-1]-}" = "qemu refuses: $4"
  check "$1: the rest is printed" test "${lines[0]-}, ${lines[1]-}" \
    = "image: $image, file format: qcow2"
  if [ -n "$qemu" ]; then
    qemu-img info -f qcow2 "$image" > "$tmp/qemu.out" 2>&1
    mapfile -t lines < "$tmp/qemu.out"
    check "$1: qemu-img says so" test "${lines[0]-}" \
      = "qemu-img: Could not open '$image': $4"
  fi
}

# Prints the header extension MAGIC with the data HEX.
extension ()
{
  local padding=$((-${#2} & 15))

  printf '%s%08x%s%s' "$1" $((${#2} / 2)) "$2" "${zeroes:0:padding}"
}

# feature TYPE BIT NAME: prints a row of the feature name table.
feature ()
{
  local row

  row=$(printf '%02x%02x' "$1" "$2"; printf '%s' "$3" | od -An -v -tx1)
  row=${row//[[:space:]]/}
  printf '%s%s' "$row" "${zeroes:0:96 - ${#row}}"
}

# unknown NAME EXTENSIONS MESSAGE: bits 61 to 63 are set, and the extensions
# are EXTENSIONS, in hex.  MESSAGE has the names that QEMU finds.
unknown ()
{
  local header=e000000000000000${zeroes:0:32}0000000400000070${zeroes:0:16}

  refused "$1" 0x48 "$header$2${zeroes:0:16}" \
    "Unsupported qcow2 feature(s): $3"
}

zeroes=$(printf '%096d' 0)
table=6803f857
one=$(feature 0 63 one)
two=$(feature 0 61 two)

qemu=
if command -v qemu-img > /dev/null && qemu_is_known; then
  qemu=$qemu_version
fi
refused cluster-size 0x14 00000008 'Unsupported cluster size: 2^8'
refused feature 0x48 0000000000000020 \
  'Unsupported qcow2 feature(s): Unknown incompatible feature: 20'
mask='Unknown incompatible feature:'
unknown no-table '' "$mask e000000000000000"
unknown order-of-table "$(extension $table "$one$two")" \
  "one, two, $mask 4000000000000000"
unknown first-row-counts \
  "$(extension $table "$(feature 0 63 a)$(feature 1 61 b)$one")" \
  "a, $mask 6000000000000000"
unknown row-without-name \
  "$(extension $table "$one$(feature 1 0 '')$two")" \
  "one, $mask 6000000000000000"
unknown part-of-row "$(extension $table "$one${two:0:8}")" \
  "one, tw, $mask 4000000000000000"
unknown row-ends-before-name "$(extension $table "${one:0:4}")" \
  "$mask e000000000000000"
unknown all-named \
  "$(extension $table "$one$two$(feature 0 62 "$(printf '%046d' 0)")")" \
  "one, two, $(printf '%046d' 0)"
unknown last-table-counts \
  "$(extension $table "$one")$(extension $table "$two")" \
  "two, $mask c000000000000000"
unknown last-table-empty \
  "$(extension $table "$one")$(extension $table '')" \
  "$mask e000000000000000"
# An extension that is wrong ends what QEMU reads.
unknown wrong-before-table \
  "$(extension 0537be77 "${zeroes:0:32}")$(extension $table "$one")" \
  "$mask e000000000000000"
unknown wrong-after-table \
  "$(extension $table "$one")$(extension 23852875 00)$(
    extension $table "$two")" "one, $mask 6000000000000000"
for length in 6b 6f 71; do
  refused header-length-$length 0x67 $length 'Header extension too large'
done
refused header-length-large 0x64 0001000c \
  'qcow2 header exceeds cluster size'
refused compression 0x68 02 'qcow2: unknown compression type: 2'
refused encryption 0x20 00000003 'Unsupported encryption method 3'
refused refcount-order 0x60 00000007 \
  'Reference count entry width too large; may not exceed 64 bits'
refused l1-size 0x24 00000000 'L1 table is too small'
refused snapshots 0x3c ffffffff 'Snapshot table too large'
# Several reasons: QEMU gives the one that it finds first.
refused uneven-length-and-order 0x60 0000000700100001 \
  'qcow2 header exceeds cluster size'
refused both-sizes 0x14 0000000800000000000000000000000300000000 \
  'Unsupported cluster size: 2^8'
copy two-bitmaps bitmap
tool bitmaps --index=1 --field=file_offset "$image"
entry=$(cat "$out")
refused second-bitmap $((entry + 16)) 02 \
  "Bitmap 'bm1' doesn't satisfy the constraints"
refused entry $((entry + 20)) 00000001 'Bitmap extra data is not supported'
# Both sizes in the second entry, and those of the directory.
broken='Broken bitmap directory'
more='More bitmaps found than specified in header extension'
refused name-size $((entry + 18)) 0040 "$broken"
refused extra-data-size $((entry + 20)) 00000040 "$broken"
# The sums of a QEMU of 32 bits wrap elsewhere.
if [ "$(getconf LONG_BIT)" -gt 32 ]; then
  refused extra-data-2-31 $((entry + 20)) 80000000 \
    'Bitmap extra data is not supported'
fi
# The directory is the table, which also has too many entries.
refused table "$entry" 00000000002c000000000002 \
  "Could not read bitmap_table table from image for bitmap 'bm1': Invalid \
argument"
tool extensions --magic=Bitmaps --field=file_offset "$image"
extension=$(cat "$out")
refused half-an-entry-left $((extension + 22)) 0048 "$broken"
refused directory-size-odd $((extension + 22)) 0401 "$more"
refused too-few-and-broken $((extension + 8)) \
  00000001000000000000000000000048 "$more"
# reserved32 comes first, and the offset before the size.
reserved='bitmaps_ext: Reserved field is not zero'
refused reserved-and-none $((extension + 8)) 0000000000000001 "$reserved"
refused reserved-and-many $((extension + 8)) 0001117000000001 "$reserved"
refused size-and-offset $((extension + 16)) 000001000000000000000000002c0200 \
  'bitmaps_ext: invalid bitmap directory offset'
refused too-many $((extension + 8)) 00000003 \
  'Less bitmaps found than specified in header extension'
# A name comes before the table.
base='two-bitmaps-one-name'
refused name-and-table "$entry" 00000000002c000000000002 \
  'Bitmap already exists: bm0'
# Key slots come before cipher, mode and hash, and one after the other.  The
# LUKS header is at 0x40000, and its slots begin at 0x400d0.
base=luks
image $base
tool extensions --magic=0x0537be77 --field=file_offset "$image"
refused no-offset-and-short $(($(cat "$out") + 8)) \
  00000000000000000000000000000064 \
  'Request for data outside of extension header'
refused overlap 0x4006c 00000140 \
  'Keyslots 0 and 1 are overlapping in the header'
refused end-wraps 0x4006c 10624dd3 \
  "Algorithm 'aes' with key size 137438953 bytes not supported"
refused stripes-all-ones 0x4024c ffffffff \
  'Keyslot 7 is corrupted (stripes -1 != 4000)'
refused slots-6-and-7 0x40218 0000100000000fa000000007 \
  'Keyslot 6 is overlapping with the encrypted payload'
refused mode-before-cipher 0x40008 "58${zeroes:0:62}78747300" \
  "Unexpected cipher mode string format 'xts'"
refused cipher-before-hash 0x4006c 00000000 \
  "Algorithm 'aes' with key size 0 bytes not supported"

# With 32 bits, the key material of this size ends before the payload.
copy luks luks-mode-xts
patch 0x4002b 00
base='luks-mode-xts'
refused key-size-wraps 0x4006c 80000010 \
  "Unexpected cipher mode string format 'xts'"

# The size comes before the L1 table, and the encryption method after it.
base='two-bitmaps'
refused size-2-63 0x18 8000000000000000 'Image is too big'
refused size-last 0x18 ffffffffe0000000 'Image is too big'
base='cluster-2m'
refused size-2-63-large-clusters 0x18 8000000000000000 'L1 table is too small'
base='l1-offset-unaligned'
refused l1-offset-and-method 0x20 00012800 'Active L1 table offset invalid'
base='l1-offset-too-far'
refused l1-table-and-method 0x20 00012800 \
  'Could not read L1 table: Input/output error'
base='refcount-table-too-far'
refused method-and-refcounts 0x20 00012800 \
  'Unsupported encryption method 75776'

# Unknown facts are left out; the rest has its usual form.
info cluster-bits-64 --output=json
check 'no cluster size' test "$(grep -c '"cluster-size"' "$out")" = 0
info refcount-order-7
check 'no refcount bits' test "$(grep -c 'refcount bits' "$out")" = 0
info compression-type-255
check 'no compression type' test "$(grep -c '^    compression type' \
  "$out")" = 0

# The message is ours if it ends with a rule.
info luks-essiv-sha1
case $(tail -n 1 "$out") in
  'qemu refuses: '*' [CRYPT-05]') pass 'a message of this program' ;;
  *) fail 'a message of this program' "$(tail -n 1 "$out")" ;;
esac

# A truncated copy.
copy two-bitmaps truncated
truncate -s 64k "$image"
tool info "$image"
expect 'a truncated copy' 2
check 'a truncated copy: QEMU reads entries of zeroes' test \
  "$(tail -n 1 "$out")" \
  = "qemu refuses: Bitmap '' doesn't satisfy the constraints"
check 'a truncated copy: no bitmaps are printed' \
  test "$(grep -c bitmaps "$out")" = 0

# QEMU opens these, but they are damaged.
info snapshot-table-cut
expect_damage 'a truncated snapshot table' "$image: 0x40: *HDR-19*"
check 'a truncated snapshot table: the rest is printed' \
  grep -qx 'Format specific information:' "$out"

# Not qcow2.
for name in raw-text version-4 looks-like-vmdk file-0-bytes; do
  info $name --output=json
  expect_refusal "$name" 1 "$image: *"
done
tool info "$tmp/missing"
expect_refusal 'no file' 1 "$tmp/missing: cannot open: *"
image two-bitmaps
tool info -f raw "$image"
expect_usage 'another format' info "*--format*'raw'*"
tool info --backing-chains "$image"
expect_usage 'an unknown option' info '*--backing-chains*'

# Several images.

image version-2
first=$image
image two-bitmaps
tool info "$first" "$image"
expect 'two images' 0
check 'two images: a blank line' test "$(grep -c '^$' "$out").$(grep -A 1 '^$' \
  "$out" | tail -n 1)" = "1.image: $image"
tool info --output=json "$first" "$image"
expect_usage 'two images as one document' info '*--output=json*one image*'
tool info --output=jsonl "$first" "$tmp/missing" "$image"
expect 'jsonl' 1
check 'jsonl: a line per image' test "$(wc -l < "$out")" = 3
check 'jsonl: an image that cannot be read' test "$(sed -n 2p "$out")" \
  = "{\"filename\":\"$tmp/missing\",\"error\":{\"code\":\"open\",\"message\":\"cannot open: No such file or directory\"}}"
check 'jsonl: the object' test "$(sed -n 1p "$out")" \
  = "{\"virtual-size\":67108864,\"filename\":\"$first\",\"cluster-size\":65536,\"format\":\"qcow2\",\"actual-size\":$(disk_bytes "$first"),\"format-specific\":{\"type\":\"qcow2\",\"data\":{\"compat\":\"0.10\",\"compression-type\":\"zlib\",\"refcount-bits\":16}},\"dirty-flag\":false}"
printf '%s\n' "$first" "$image" > "$tmp/list"
tool info --output=jsonl --files-from="$tmp/list"
check 'a list' test "$status.$(wc -l < "$out")" = 0.2

# All JSON is valid, and has the keys in the schema.

if find_jsonschema; then
  schema=$srcdir/doc/qcow2tool.schema.json
  all_images '^(luks|crypt|snapshot|back|data-file|name|ver|incomp|ext)'
  for option in '' --children; do
    # shellcheck disable=SC2086 # no word or one
    tool info --output=jsonl $option "${images[@]}"
    check "valid JSON ${option:-without options}" \
      "$python" "$srcdir/tests/cli/json-check.py" info "$schema" < "$out"
  done
else
  skip 'valid JSON' 'jsonschema is not installed'
fi

# qemu-img prints the same.

if [ -z "$qemu" ] || ! command -v jq > /dev/null; then
  skip 'qemu-img prints the same' 'qemu-img or jq is not installed'
else
  for name in two-snapshots version-2-backing-file backing-file-no-format luks \
      crypt-method-1 data-file data-file-with-snapshots lazy-refcounts \
      incompatible-dirty incompatible-corrupt incompatible-dirty-corrupt \
      version-2-bitmaps backing-name-json backing-name-nul \
      backing-name-last-byte backing-name-missing backing-size-1023 \
      backing-offset-in-header autoclear-raw-with-backing crypto-twice \
      snapshot-name-65535 snapshot-extra-data-8 snapshot-extra-data-1024 \
      snapshot-table-cut snapshot-table-at-eof \
      luks-ivgen-hash-idle size-1-sector name-nul; do
    "$MKIMAGE" "$name" "$tmp/$name.qcow2" 2> /dev/null || continue
    info "$name" --output=json
    jq -S . "$out" > "$tmp/found"
    qemu-img info -U -f qcow2 --output=json "$image" 2> /dev/null |
      jq -S 'del(.children, .limits,
        .["format-specific"].data.encrypt["detached-header"])' |
      expect_same "$name: JSON of qemu-img" - "$tmp/found"
    [[ $qemu == 7.* ]] || continue
    tool info "$image"
    qemu-img info -U -f qcow2 "$image" > "$tmp/qemu.out" 2> /dev/null
    expect_same "$name: text of qemu-img" "$tmp/qemu.out" "$out"
  done
fi

done_testing
