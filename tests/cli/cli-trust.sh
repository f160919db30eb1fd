#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# An answer is never better than the facts: an image is not declared sound if a
# copy of it was interrupted, if tables are missing or their clusters are free,
# or if QEMU refuses it.  The output about QEMU agrees with QEMU.

# shellcheck source=tests/lib.sh
. "${srcdir:-.}/tests/lib.sh"

require jq

cd "$tmp" || exit 1

# base NAME COPY: sets $image to a copy of the image in this folder.
base ()
{
  copy "$1" "$2"
  image=$2.qcow2
}

# findings: prints the findings in the output of check --output=json in order,
# as "e:HDR-17@40 ".
findings ()
{
  jq -r '.problems[] | "\(.severity[:1]):\(.rule)@\(.offset)"' "$out" \
    | tr '\n' ' '
}

# expect_found NAME STATUS QEMU FINDING...: check of $image ends with STATUS,
# has the verdict QEMU, and reports exactly these findings in this order.
expect_found ()
{
  local name=$1 want=$2 verdict=$3
  local found

  shift 3
  tool check --output=json "$image"
  found="$status $(jq -r .qemu "$out") $(findings)"
  check "$name: ${found% }" [ "${found% }" = "$want $verdict${*:+ $*}" ]
}

why_no_qemu=
if ! command -v qemu-io > /dev/null; then
  why_no_qemu='qemu-io is not installed'
elif ! qemu_is_known; then
  why_no_qemu="QEMU $qemu_version is older than 7.2"
fi

# expect_qemu NAME opens|refuses: QEMU itself opens or refuses $image, too.
expect_qemu ()
{
  if [ -n "$why_no_qemu" ]; then
    skip "$1: QEMU" "$why_no_qemu"
    return
  fi
  qemu-io -r -f qcow2 -c quit "$image" > qemu 2>&1
  case $?.$2 in
    0.opens | [1-9]*.refuses) pass "$1: QEMU $2" ;;
    *) fail "$1: QEMU $2" "$(cat qemu)" ;;
  esac
}

# Interrupted copies.  four-entries has clusters of 512 bytes, the last of them
# at 0x12800 in a file that ends inside it.  The guest data of two-bitmaps
# begin at 0x50000.

base no-bitmaps whole
expect_found 'a complete file' 0 opens
# The file ends inside its last cluster, as does a new image made by qemu-img.
truncate -s $((0x30008)) "$image"
expect_found 'a file that ends inside its last cluster' 0 opens
base two-bitmaps cut
truncate -s $((0x50000)) "$image"
# The guest's clusters are in two pieces.
expect_found 'half of a file' 2 refuses e:FILE-09@327680 e:BEXT-06@528 \
  e:L2-03@262144 e:L2-03@262656
expect_qemu 'half of a file' refuses
base snapshot cut
truncate -s $((0x80000)) "$image"
expect_found 'half of a file without bitmaps' 2 opens e:FILE-09@524288 \
  e:L2-03@393224 e:L2-03@393728
expect_qemu 'half of a file without bitmaps' opens
tool check "$image"
check 'half of a file: the first message' grep -qE \
  '^error FILE-09 0x80000 .* ends at 524288, but clusters up to [0-9]+ are ' \
  <(head -n 1 "$out")
check 'half of a file: no remedy copies the disk' \
  test "$(grep -c 'qemu-img convert' "$out")" = 0
base snapshot cut
truncate -s 65536 "$image"
# QEMU reads zeroes in place of the expected snapshot.
expect_found 'a file of one cluster' 2 opens e:FILE-09@65536 e:HDR-17@40 \
  e:HDR-18@48 e:HDR-19@64
expect_qemu 'a file of one cluster' opens
# Only the refcounts show the missing clusters, as after a crash.
base no-bitmaps cut
patch 0x20008 0001
truncate -s $((0x40000)) "$image"
expect_found 'a missing cluster with a refcount' 0 opens w:FILE-09@262144


# The severity depends on the damage.  Each row contains the image, a patch or
# -, the status, QEMU's verdict and the only finding.

while read -r name change want verdict finding; do
  base "$name" row
  # shellcheck disable=SC2086 # words
  [ "$change" = - ] || patch ${change/:/ }
  expect_found "severity: $name $change" "$want" "$verdict" "$finding"
  # A backing file or a key would be needed as well.
  case $name in
    luks-* | backing-*) ;;
    *) expect_qemu "severity: $name $change" "$verdict" ;;
  esac
done << 'END'
no-bitmaps 0x28:0000000000030200 2 refuses e:HDR-17@40
no-bitmaps 0x30:0000000000010200 2 refuses e:HDR-18@48
no-bitmaps 0x38:00000000 2 refuses e:HDR-18@56
no-bitmaps 0x24:00000000 2 refuses e:HDR-15@36
no-bitmaps 0x20:00000003 2 refuses e:HDR-16@32
snapshot 0x40:0000000000050200 2 refuses e:HDR-19@64
cluster-bits-22 - 0 refuses w:HDR-04@20
l1-size-over-32-mib-whole - 0 refuses w:HDR-17@40
l1-offset-too-far - 2 refuses e:HDR-17@40
refcount-table-too-far - 2 refuses e:HDR-18@48
snapshot-offset-too-far - 2 refuses e:HDR-19@64
refcount-header-0 - 2 opens e:REF-01@0
refcount-refcount-table-0 - 2 opens e:REF-01@65536
refcount-block-0 - 2 opens e:REF-01@131072
refcount-l1-0 - 2 opens e:REF-01@196608
refcount-snapshot-table-0 - 2 opens e:REF-01@327680
directory-all-zeroes - 2 refuses e:BDIR-21@2883584
luks-magic - 2 refuses e:CRYPT-01@262144
luks-version-2 - 2 refuses e:CRYPT-02@262150
backing-file-no-format - 0 opens n:HDR-32@8
extension-8-bytes - 0 opens n:EXT-09@112
END


# Consequences for QEMU, where another property of the image decides.
# consequence RULE: prints the consequence that check reports for the first
# finding of RULE.

consequence ()
{
  jq -r --arg rule "$1" '[.problems[] | select(.rule == $rule)][0].consequence
    // "nothing"' "$out"
}

while IFS='|' read -r name rule want; do
  image "$name"
  tool check --output=json "$image"
  check "$name: $rule: $want" \
    grep -qxF -- "$want" <(consequence "$rule")
done << END
directory-size-72|BDIR-04|QEMU refuses to open this image: "Broken bitmap \
directory"
directory-size-96|BDIR-03|QEMU refuses to open this image: "More bitmaps \
found than specified in header extension"
feature-table-length-wraps|HDR-25|QEMU refuses to open this image for another \
reason
file-512-bytes|HDR-25|QEMU refuses to open this image for another reason
backing-name-nul|HDR-30|QEMU cuts the name at the NUL byte: it opens another \
file, or takes another format, than the whole name says
size-one-sector-short-of-entry|BDIR-18|QEMU rounds the size of the disk down, \
and needs no such entry
END

# QEMU does not read the header extensions if the name of the backing file is
# in the header: it opens the image, whatever the extensions and bitmaps are.
base four-entries inside
patch 0x8 0000000000000008
patch 0x12808 00000005
tool check --output=json "$image"
check 'a backing file name inside the header' test "$status.$(
  jq -r '.qemu, ([.problems[].consequence // ""
    | select(startswith("QEMU refuses"))] | length)' "$out" | tr '\n' ' ')" \
  = '2.opens 0 '
expect_qemu 'a backing file name inside the header' opens

# A snapshot table at offset 0 is the header.
base four-entries at-0
patch 0x3c 00000080
tool check --output=json "$image"
check 'a snapshot table at 0' test "$status.$(jq -r .qemu "$out")" = 2.refuses
expect_qemu 'a snapshot table at 0' refuses

# The file ends in the last entry, in its fields or its name.  QEMU reads the
# table, and its message contains the rest of the name.
for end in 0x12817 0x1281a; do
  base four-entries "table-of-$end"
  patch 0x12600 8000000000000000
  truncate -s "$((end))" "$image"
  tool check --output=json "$image"
  check "the file ends at $end" test "$status.$(jq -r .qemu "$out").$(
    consequence BTAB-01)" = '2.refuses.QEMU refuses to open this image'
  expect_qemu "the file ends at $end" refuses
done

# A virtual size whose last sector is incomplete and would need another table
# entry: QEMU counts whole sectors, 0 here.
base two-bitmaps sector
patch 0x18 0000000000000078
tool bitmaps --is usable --name bm0 "$image"
expect 'a disk smaller than a sector: not usable' 2
expect_qemu 'a disk smaller than a sector' refuses

# Value and offset belong to the same field, and overlaps are found without
# refcounts.
image backing-name-past-cluster-end
tool check --output=json "$image"
check 'the value is the number at the offset' test "$(jq -c '[.problems[]
  | select(.rule == "HDR-12") | [.offset, .value]]' "$out")" = '[[16,8]]'
base entry-on-refcount-table order
patch 0x60 00000007
tool check --output=json "$image"
check 'an overlap without refcounts' test "$(findings | grep -c OVL-01)" = 1

# --is opens, --is opens-rw.  Each row contains the images, the argument of
# --is, and the status.

for name in two-bitmaps refcount-order-7 incompatible-dirty \
    incompatible-corrupt; do
  image $name
done
while IFS='|' read -r images what want; do
  # shellcheck disable=SC2086 # words
  tool check --is $what $images
  if [ "$want" = 1 ]; then
    check "$what: $images: status 1 and the reason" \
      test "$status.$(wc -l < "$err").$(wc -c < "$out")" = 1.1.0
  else
    expect "$what: $images" "$want"
    expect_silence "$what: $images: silence"
  fi
done << 'END'
two-bitmaps.qcow2|opens|0
two-bitmaps.qcow2|opens-rw|0
refcount-order-7.qcow2|opens|2
refcount-order-7.qcow2|opens-rw|2
incompatible-corrupt.qcow2|opens|0
incompatible-corrupt.qcow2|opens-rw|2
incompatible-dirty.qcow2|opens|0
incompatible-dirty.qcow2|opens-rw|0
l2-entry-on-l1-dirty.qcow2|opens-rw|1
missing.qcow2|opens|1
two-bitmaps.qcow2 incompatible-corrupt.qcow2 incompatible-dirty.qcow2|opens|0
two-bitmaps.qcow2 refcount-order-7.qcow2|opens|2
two-bitmaps.qcow2 incompatible-corrupt.qcow2|opens-rw|2
two-bitmaps.qcow2 l2-entry-on-l1-dirty.qcow2|opens-rw|1
END

# -q: only the status.

for name in two-bitmaps refcount-order-7; do
  tool check "$name.qcow2"
  want=$status
  tool check -q "$name.qcow2"
  expect "-q: the status for $name" "$want"
  expect_silence "-q: no output for $name"
done
for output in human json jsonl; do
  tool check -q --output=$output refcount-order-7.qcow2
  expect "-q --output=$output: the status" 2
  expect_silence "-q --output=$output: no output"
done
tool check -q two-bitmaps.qcow2 refcount-order-7.qcow2
expect '-q: the status for several images' 2
expect_silence '-q: no output for several images'
tool check -q missing.qcow2
check '-q: an image that cannot be read has its message' \
  test "$status.$(wc -l < "$err").$(wc -c < "$out")" = 1.1.0

# "usable" means that QEMU could use the bitmap now; the state is a property of
# the bitmap itself.

tool bitmaps --output=json refcount-order-7.qcow2
check 'refused: no bitmap is usable' test "$(jq -c '[.qemu, .qemu_rule,
  (.bitmaps[] | .state, .usable)]' "$out")" \
  = '["refuses","HDR-28","enabled",false,"enabled",false]'
tool bitmaps --is usable --name bm0 refcount-order-7.qcow2
expect 'refused: --is usable' 2
tool bitmaps --is enabled --name bm0 refcount-order-7.qcow2
expect 'refused: --is enabled' 0
tool bitmap-map --name bm0 two-bitmaps.qcow2
cp "$out" expected
tool bitmap-map --name bm0 refcount-order-7.qcow2
expect_file 'refused: the map of a sound bitmap, without --force' "$out"
tool bitmaps --is usable --name bm0 two-bitmaps.qcow2
expect 'opened: --is usable' 0

# A clear bit of a bitmap that cannot be trusted means nothing.

base in-use doubtful
tool bitmap-map --index 0 --contains=$((0x100000)) "$image"
check 'doubtful: no answer without --force' test "$status" != 0
tool bitmap-map --index 0 --contains=$((0x100000)) --force "$image"
check 'doubtful: a clear bit may be dirty' \
  test "$status.$(wc -l < "$err")" = 0.1
tool bitmap-map --index 0 --totals --force --output=json "$image"
check 'doubtful: no extent is clean' \
  test "$(jq -c '[.[].type] | sort' "$out")" = '[1,3]'

# Locks and their owners.  A writing QEMU has a shared lock on byte 101, and
# may be about to extend the file.  A reader that locks the whole file is not a
# writer, but may hide one.

if ! command -v python3 > /dev/null; then
  skip 'locks' 'python3 is not installed'
  done_testing
fi

# lock FIRST LENGTH: takes a shared lock on descriptor 5, which the shell
# keeps.
lock ()
{
  python3 -c '
import fcntl, struct, sys
fcntl.fcntl(5, getattr(fcntl, "F_OFD_SETLK", 37),
            struct.pack("hhqqi4x", fcntl.F_RDLCK, 0, int(sys.argv[1]),
                        int(sys.argv[2]), 0))' "$@" 2> locking
}

base refcount-after-end live
exec 5<> "$image"
if lock 101 1; then
  expect_found 'a writer that may extend the file' 0 opens \
    n:FILE-09@2949120 w:FILE-08@0
else
  skip 'a writer that may extend the file' "$(tail -n 1 locking)"
fi
exec 5>&-
base two-bitmaps live
exec 5<> "$image"
if lock 0 0; then
  tool check --output=json "$image"
  check 'a reader with a lock on the whole file' test "$status.$(
    jq -c '[.writer, .problems]' "$out")" = '0.[null,[]]'
else
  skip 'a reader with a lock on the whole file' "$(tail -n 1 locking)"
fi
exec 5>&-

done_testing
