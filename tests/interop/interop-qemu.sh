#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Images made by QEMU's own programs.  The output must agree with qemu-img, and
# with the bytes as interop-compare.py reads them.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require qemu-img qemu-io python3 cksum timeout

# The images for QCOW2TOOL_SLOW, when a wrapper makes every run slow.
slow_selection=' zstd tables names luks data-file downgraded live killed '
slow_selection+='all-ones '

got=$tmp/got
want=$tmp/want
secret=secret,id=s,data=interop
mkdir "$got" "$want"

# Names in images are relative to the folder of the image.
cd "$tmp" || exit 1

# One process for all comparisons: to start another one takes longer.
coproc ORACLE {
  python3 "$srcdir/tests/interop/interop-compare.py" serve 2>&1
}

# compare_py WORD...: runs a command of interop-compare.py, and sets $problem
# to what it prints.
compare_py ()
{
  local IFS=$'\t' line

  problem=
  printf '%s\n' "$*" >&"${ORACLE[1]}"
  while IFS= read -r line <&"${ORACLE[0]}"; do
    case $line in
      '= 0') return 0 ;;
      '= '*) return 1 ;;
    esac
    problem+=$line$'\n'
  done
  return 1
}

# Why follow () cannot be used, if so.
follow_lacks=
if ! command -v nbdinfo > /dev/null || ! command -v qemu-nbd > /dev/null; then
  follow_lacks='nbdinfo or qemu-nbd is not installed'
elif ! timeout 60 nbdinfo --help | grep -q -F '[ CMD'; then
  follow_lacks='this nbdinfo cannot start a server'
fi

diff_text ()
{
  diff -u "$@" 2>&1 | head -n 40
}

# quietly COMMAND...: runs COMMAND; its messages are kept in qemu.log for the
# caller.
quietly ()
{
  timeout 60 "$@" > "$tmp/qemu.log" 2>&1
}

selected ()
{
  [ -z "${QCOW2TOOL_SLOW-}" ] || [[ $slow_selection = *" $1 "* ]]
}

# create NAME SIZE [OPTION...]: creates $image, or reports a failure.
create ()
{
  local name=$1 size=$2 i

  shift 2
  image=$name.qcow2
  # Occasionally qemu-img fails to measure the time that it takes to derive a
  # LUKS key.
  for i in 1 2 3 4 5; do
    quietly qemu-img create -f qcow2 "$@" "$image" "$size" && return
    grep -q 'accurate CPU usage' qemu.log || break
  done
  skip "$name" "qemu-img: $(tail -n 1 qemu.log)"
  return 1
}

# bitmap ACTION... NAME: changes a bitmap of $image with qemu-img.
bitmap ()
{
  local arguments=("${@:1:$#-1}")

  quietly qemu-img bitmap "${arguments[@]}" -- "$image" "${!#}" && return
  fail "$image: qemu-img bitmap $*" "$(cat qemu.log)"
}

# add_bitmaps: adds to $image a bitmap for each line on standard input, which
# consists of a granularity and a name.  One process adds all of them where
# qemu-storage-daemon is installed.
add_bitmaps ()
{
  local bytes name

  if ! command -v qemu-storage-daemon > /dev/null; then
    while read -r bytes name; do
      bitmap --add -g "$bytes" "$name"
    done
    return
  fi
  {
    echo '{"execute": "qmp_capabilities"}'
    while read -r bytes name; do
      printf '{"execute": "block-dirty-bitmap-add", "arguments": {"node":
        "disk", "name": "%s", "granularity": %s, "persistent": true}}\n' \
        "$name" "$bytes"
    done
    echo '{"execute": "quit"}'
  } | change qemu-storage-daemon --chardev stdio,id=c --monitor chardev=c \
    --blockdev "qcow2,node-name=disk,file.driver=file,file.filename=$image"
  ! grep '"error"' qemu.log || fail "$image: bitmaps" "$(cat qemu.log)"
}

# change COMMAND...: runs COMMAND, which must succeed.
change ()
{
  quietly "$@" || fail "$image: $*" "$(cat qemu.log)"
}

# io COMMAND...: runs commands of qemu-io on $image.
io ()
{
  local arguments=()

  while [ $# -gt 0 ]; do
    arguments+=(-c "$1")
    shift
  done
  change qemu-io -f qcow2 "${arguments[@]}" "$image"
}

edit ()
{
  compare_py edit "$1" "$image" || fail "$image: $1" "$problem"
}

# An enabled bitmap and a disabled one, and writes to record.
two_bitmaps ()
{
  bitmap --add b0
  bitmap --add --disable -g 1M old
  io 'write 0 192k' 'write 700k 1k' 'write 1023k 1k'
}

# matches NAME FILE ARGUMENT...: the program ends with 0, prints FILE and has
# no messages.
matches ()
{
  local name=$1 file=$2

  shift 2
  tool "$@"
  if [ "$status" != 0 ] || [ -s "$err" ]; then
    fail "$name" "status $status: $(cat "$err")"
  else
    expect_same "$name" "$file" "$out"
  fi
}

# compare NAME [writer]: compares the bytes of the file with the output, and
# the output with qemu-img.  The argument says whether a writer has the file
# open.
compare ()
{
  local name=$1 present=${2-none}

  selected "$name" || return
  if ! compare_py expect "$image" "$want" "$present"; then
    fail "$name: its bytes can be read" "$problem"
    return
  fi

  out=$got/header matches "$name: header" "$want/header" header "$image"
  out=$got/extensions matches "$name: extensions" "$want/extensions" \
    extensions "$image"
  matches "$name: bitmaps" "$want/bitmaps" bitmaps --tables "$image"
  out=$got/tables matches "$name: tables" "$want/tables" bitmap-table "$image"
  matches "$name: names" "$want/names" bitmaps --names -0 "$image"

  out=$got/bitmaps tool bitmaps "$image"
  out=$got/fields tool header --field=size --field=cluster_size \
    --field=refcount_bits --field=compression_type_name \
    --field=crypt_method_name "$image"

  # The information about LUKS needs no secret.
  if ! timeout 60 qemu-img info -U --output=json "$image" \
       > info.json 2> qemu.log; then
    fail "$name: as qemu-img says" "$(cat qemu.log)"
  elif compare_py info info.json "$got"; then
    pass "$name: as qemu-img says"
  else
    fail "$name: as qemu-img says" "$problem"
  fi
}

# follow NAME BITMAP: the printed table leads to the bits that qemu-nbd
# exports.  compare () comes first: it makes info.json.
follow ()
{
  local name="$1: the table of $2 leads to what qemu-nbd exports"

  selected "$1" || return
  if [ -n "$follow_lacks" ]; then
    skip "$name" "$follow_lacks"
    return
  fi

  # nbdinfo starts the server on a socket of its own, and ends it.
  if ! timeout 30 nbdinfo --json --map="qemu:dirty-bitmap:$2" \
       -- [ qemu-nbd -r -f qcow2 -B "$2" "$image" ] > map.json 2> qemu.log
  then
    fail "$name" "$(cat qemu.log)"
    return
  fi

  tool bitmap-table --name="$2" "$image"
  if compare_py map map.json info.json "$image" "$2" "$out"; then
    pass "$name"
  else
    fail "$name" "$problem"
  fi
}

# Single creation options, or several together, each with bitmaps.
creation_options ()
{
  local size

  create default 10M && two_bitmaps && compare default
  follow default b0
  create no-bitmaps 10M && compare no-bitmaps
  create empty-disk 0 && compare empty-disk

  create zlib 4M -o compression_type=zlib && two_bitmaps && compare zlib
  create zstd 4M -o compression_type=zstd && two_bitmaps &&
    io 'write -c 1M 64k' && compare zstd

  for size in 512 4k 64k 2M; do
    create "cluster-$size" 10M -o cluster_size="$size" && two_bitmaps &&
      compare "cluster-$size" && follow "cluster-$size" b0
  done

  create extended-l2 10M -o extended_l2=on && two_bitmaps &&
    compare extended-l2
  create extended-l2-zstd 10M \
    -o extended_l2=on,cluster_size=512k,compression_type=zstd &&
    two_bitmaps && compare extended-l2-zstd

  for size in 1 8 64; do
    create "refcount-$size" 2M -o refcount_bits="$size" && two_bitmaps &&
      compare "refcount-$size"
  done

  create lazy 4M -o lazy_refcounts=on && two_bitmaps && compare lazy
  for size in metadata falloc full; do
    create "preallocation-$size" 1M -o preallocation="$size" &&
      two_bitmaps && compare "preallocation-$size"
  done

  create compat-0.10 4M -o compat=0.10 && compare compat-0.10
  create large 1E -o cluster_size=2M && bitmap --add -g 2G b0 && compare large
}

data_files ()
{
  create data-file 4M -o data_file=data-file.raw && two_bitmaps &&
    compare data-file
  create data-file-raw 4M -o "data_file=dé\\ta.raw,data_file_raw=on" &&
    two_bitmaps && compare data-file-raw
  create data-file-tab 4M -o data_file=$'data\tfile' && two_bitmaps &&
    compare data-file-tab
}

encryption ()
{
  local method options

  for method in luks aes; do
    options=encrypt.format=$method,encrypt.key-secret=s
    # The shortest possible time to derive a key from the secret.
    [ "$method" = aes ] || options+=,encrypt.iter-time=10
    create "$method" 4M --object "$secret" -o "$options" || continue
    compare "$method"
    change qemu-img bitmap --object "$secret" --add --image-opts \
      "driver=qcow2,file.filename=$image,encrypt.key-secret=s" b0
    compare "$method"
  done
}

# backed NAME BACKING OPTION...: creates an image whose backing file may be
# missing.
backed ()
{
  local name=$1 backing=$2

  shift 2
  create "$name" 4M -u -b "$backing" "$@"
}

backing_files ()
{
  local long

  long=$(printf 'long/%01018d' 7)
  backed backing base.qcow2 -F qcow2 && two_bitmaps_on_nothing &&
    compare backing
  backed backing-long "$long" -F raw && compare backing-long
  backed backing-absolute /nowhere/base.img -F raw && compare backing-absolute
  backed backing-odd $'a\nline\e[31m and \\ "é" \u202e\u00ad' -F qcow2 &&
    compare backing-odd
  backed backing-json 'json:{"driver":"raw","file.filename":"x y"}' -F raw &&
    compare backing-json
  backed backing-0.10 base.qcow2 -F raw -o compat=0.10 && compare backing-0.10
  backed backing-512 base.qcow2 -F raw -o cluster_size=512 &&
    compare backing-512
  backed backing-data-file base.qcow2 -F raw -o data_file=backing.raw &&
    compare backing-data-file

  # qemu-img requires a format, so the format is hidden from both.
  backed no-format base.qcow2 -F qcow2 && edit unknown-extension &&
    compare no-format
}

# Adds bitmaps to an image whose backing file is missing, with options that do
# not open the backing file.
two_bitmaps_on_nothing ()
{
  local opts="driver=qcow2,file.filename=$image,backing="

  change qemu-img bitmap --image-opts --add "$opts" b0 &&
    change qemu-img bitmap --image-opts --add --disable -g 512 "$opts" old
}

# Tables of 64 clusters and of one row more, printed in full and in parts.
tables ()
{
  create tables 8589967872 -o cluster_size=512 || return
  bitmap --add -g 512 fine
  bitmap --add -g 64k coarse
  io 'write 1G 512' 'write 5G 3M' 'write 8589967360 512'
  compare tables
  follow tables fine

  tool bitmap-table --name=fine "$image"
  cp "$out" all
  sed -n '1p; 1002,2501p' all > "$tmp/expected"
  matches 'tables: a window' "$tmp/expected" \
    bitmap-table --name=fine --start=1000 --count=1500 "$image"
  sed -n '1p; / serialized /p' all > "$tmp/expected"
  matches 'tables: one type' "$tmp/expected" \
    bitmap-table --name=fine --type=serialized "$image"
  check 'tables: more than one cluster of that type' \
    [ "$(wc -l < "$tmp/expected")" -gt 3 ]

  tool bitmaps --name=fine --field=bitmap_table_offset "$image"
  head -n 4001 all > "$tmp/expected"
  matches 'tables: the same with --at' "$tmp/expected" \
    bitmap-table --at="$(cat "$out")" --count=4000 "$image"

  # A row maps 512 * 8 * 512 bytes, and the last row maps the rest.
  awk 'NR > 1 { start = $1 * 2097152
                left = 8589967872 - start
                printf "%s %s %s %s 0x0 %.0f %.0f\n", $1, $2, $3, $4, start,
                       left < 2097152 ? left : 2097152 }' all > "$tmp/expected"
  tool bitmap-table --name=fine --long "$image"
  awk 'NR > 1 { print $1, $2, $3, $4, $5, $6, $7 }' "$out" > "$got/long"
  expect_file 'tables: guest ranges' "$got/long"
}

many_bitmaps ()
{
  local i all

  selected many || return
  create many 10M || return
  for ((i = 0; i < 200; i++)); do
    echo "$((512 << i % 8)) bitmap $i"
  done | add_bitmaps
  compare many

  # QEMU decides about their order.
  mapfile -d '' -t all < "$want/names"
  for i in "${!all[@]}"; do
    [ "${all[i]}" != 'bitmap 137' ] || break
  done
  tool bitmaps --name='bitmap 137' --field=index --field=granularity "$image"
  expect_out 'many: one selected by name' <<< "$i"$'\n1024'
}

names ()
{
  local odd=() name i found=

  # The names, in the notation of printf's %b.
  while IFS= read -r name; do
    odd+=("$name")
  done << 'EOT'
\x20
a b
\x20ends with spaces\x20\x20
gr\xc3\xbc\xc3\x9fe
-
--
it's
"
\\
\\n
\\x41
$(id)
%s%n
#
[']
\xf0\x9f\x92\xbe
CON\n
\n\nBitmap name               forged
\t\x1b[31m
\xe2\x80\xaereversed
\xc2\x85\xc2\xa0\xc2\xad
\xef\xbb\xbfmarked
bit-3
8 bytes!
sixteen bytes ok
0              all-zeroes      0                        65536
EOT

  create names 4M || return
  for i in "${!odd[@]}"; do
    printf -v name %b "${odd[i]}"
    bitmap --add "$name"
  done
  printf -v name 'n%01022d' 0
  bitmap --add "$name"
  compare names

  for i in "${!odd[@]}"; do
    printf '%b\0' "${odd[i]}"
  done > "$tmp/expected"
  printf '%s\0' "$name" >> "$tmp/expected"
  tool bitmaps --names -0 "$image"
  expect_file 'names: as they were created' "$out"

  for i in "${!odd[@]}"; do
    printf -v name %b "${odd[i]}"
    tool bitmaps --name="$name" --field=index "$image"
    found+=$(< "$out")$(< "$err")$'\n'
  done
  check 'names: each is found by its bytes' \
    [ "$found" = "$(seq 0 $((${#odd[@]} - 1)))"$'\n' ]
}

actions ()
{
  create actions 10M || return
  two_bitmaps
  bitmap --disable b0
  bitmap --enable old
  compare disabled-and-enabled

  io 'write 5M 1M'
  bitmap --add -g 64k both
  bitmap --merge b0 both
  bitmap --merge old both
  compare merged
  follow merged both

  bitmap --clear b0
  compare cleared
  bitmap --add --disable -g 128k --merge old copy
  bitmap --remove old
  compare removed
  follow removed copy
  bitmap --remove b0
  bitmap --remove both
  bitmap --remove copy
  compare all-removed
}

granularities ()
{
  local bits

  selected granularities || return
  create granularities $((16 * 1024 * 1024 * 1024 + 512)) || return
  for ((bits = 9; bits <= 31; bits++)); do
    echo "$((1 << bits)) $bits"
  done | add_bitmaps
  io 'write 0 512' 'write 7G 64k' 'write 16G 512'
  compare granularities

  tool bitmaps --name=31 --field=granularity --field=granularity_bits "$image"
  expect_out 'granularities: 2 GiB' << EOT
2147483648
31
EOT
}

changed_images ()
{
  create grown 4M -o cluster_size=512 && {
    two_bitmaps
    bitmap --add -g 512 fine
    change qemu-img resize "$image" 100M
    compare grown
    change qemu-img resize --shrink "$image" 3M
    compare shrunk
  }

  create snapshots 4M && {
    two_bitmaps
    change qemu-img snapshot -c first "$image"
    io 'write 2M 64k'
    change qemu-img snapshot -c second "$image"
    compare snapshots
    change qemu-img snapshot -d first "$image"
    compare snapshot-deleted
  }

  create upgraded 4M -o compat=0.10 && {
    change qemu-img amend -o compat=1.1 "$image"
    two_bitmaps
    compare upgraded
    change qemu-img amend -o lazy_refcounts=on,refcount_bits=64 "$image"
    compare amended
  }

  # These bitmaps are no longer guaranteed to be consistent, and QEMU hides
  # them.
  create downgraded 4M && {
    two_bitmaps
    change qemu-img amend -o compat=0.10 "$image"
    compare downgraded
    tool bitmaps --name=b0 --field=state "$image"
    echo stale | expect_out 'downgraded: stale'
  }

  create source 10M && {
    two_bitmaps
    image=converted.qcow2
    change qemu-img convert -O qcow2 --bitmaps -o cluster_size=4k \
      source.qcow2 "$image"
    compare converted
    follow converted b0
  }

  create renamed 4M -u -b a.raw -F raw && {
    change qemu-img rebase -u -b "other name.qcow2" -F qcow2 "$image"
    compare rebased
    change qemu-img rebase -u -b '' "$image"
    compare no-longer-backed
  }
}

# Images that QEMU reads but does not create.
edited_images ()
{
  local message

  create all-ones 8G -o cluster_size=4k && {
    bitmap --add b0
    io 'write 5G 200k'
    edit all-ones
    compare all-ones
    follow all-ones b0
  }

  create corrupt 4M && {
    two_bitmaps
    edit guest-data-on-l1
    quietly qemu-io -f qcow2 -c 'write 0 512' "$image"
    compare corrupt
    tool header "$image"
    check 'corrupt: QEMU has set the bit' \
      grep -q '^incompatible_features *0x2 ' "$out"
  }

  create feature-name 4M && {
    edit feature-name
    compare feature-name
    edit feature-bit
    quietly qemu-img info "$image"
    message=$(sed -n 's/.*Unsupported qcow2 feature(s): //p' qemu.log)
    tool header "$image"
    check 'feature-name: QEMU uses the name, too' \
      grep -qx "incompatible_features     0x200 (\[\"$message\"\])" "$out"
    check 'feature-name: QEMU refuses the image, status 2' [ "$status" = 2 ]
  }
}

writer=
writer_job=

# Starts a writer that keeps $image open.  It reads commands from descriptor 7,
# and ends with this test or after a minute.
start_writer ()
{
  local text

  rm -f commands answers
  mkfifo commands answers
  # For reading as well, because then opening does not block.
  exec 7<> commands 8<> answers
  # shellcheck disable=SC2016
  timeout 60 bash -c 'echo "$$"; exec qemu-io -f qcow2 "$1"' bash "$image" \
    < commands > answers 2>&1 7>&- 8>&- &
  writer_job=$!
  read -r -t 20 -u 8 writer || return
  # A write to an unallocated part.
  echo 'write 2M 64k' >&7
  while read -r -t 20 -u 8 text; do
    case $text in
    *'wrote 65536/65536 bytes'*) return 0 ;;
    *rror* | *annot* | *ould*not*) return 1 ;;
    esac
  done
  return 1
}

kill_writer ()
{
  [ -n "$writer" ] || return
  kill -KILL "$writer" 2> /dev/null
  wait "$writer_job" 2> /dev/null
  writer=
  exec 7>&- 8<&-
}
on_exit kill_writer

# live NAME: compares $image while it has a writer, and after the writer was
# killed.
live ()
{
  local name=$1 before

  if ! start_writer; then
    fail "$name: a writer"
    kill_writer
    return
  fi

  # Without -U, qemu-img refuses the image, because the writer holds its lock.
  if quietly qemu-img info "$image"; then
    fail "$name: the image is locked"
  else
    check "$name: the image is locked" grep -qi lock qemu.log
  fi
  before=$(cksum < "$image")
  compare "$name" writer
  check "$name: the file is unchanged" [ "$before" = "$(cksum < "$image")" ]
  check "$name: the writer still runs" kill -0 "$writer"
  kill_writer
}

writers ()
{
  create live 4M || return
  two_bitmaps
  live live
  compare killed
  tool bitmaps --is=in-use --name=b0 "$image"
  expect 'killed: b0 is in-use' 0
  tool bitmaps --is=in-use --name=old "$image"
  expect 'killed: old is in-use, too' 0

  # The bitmaps remain in use, whatever changes in the image.
  bitmap --add -g 512 new
  io 'write 3M 64k'
  compare beside-in-use
  tool bitmaps --name=new --field=state "$image"
  echo enabled | expect_out 'beside-in-use: new is enabled'
  follow beside-in-use new
  image=skipped.qcow2
  if ! quietly qemu-img convert -O qcow2 --bitmaps --skip-broken-bitmaps \
       live.qcow2 "$image"; then
    if grep -q 'unrecognized option' qemu.log; then
      skip skipped 'this qemu-img cannot skip broken bitmaps'
    else
      fail skipped "$(cat qemu.log)"
    fi
  else
    compare skipped
  fi

  create live-lazy 4M -o lazy_refcounts=on,cluster_size=512 || return
  two_bitmaps
  live live-lazy
  compare killed-lazy
  tool header "$image"
  check 'killed-lazy: dirty' grep -q "^incompatible_features *0x1 " "$out"
  change qemu-img check -r all "$image"
  compare repaired
}

# on_device NAME DEVICE: all commands print the same for DEVICE as for $image.
on_device ()
{
  local name=$1 device=$2 command problem=

  for command in header extensions 'bitmaps --tables' bitmap-table; do
    # shellcheck disable=SC2086
    tool $command "$image"
    cp "$out" "$tmp/expected"
    # shellcheck disable=SC2086
    tool $command "$device"
    if [ "$status" != 0 ] || [ -s "$err" ]; then
      problem+="$command: status $status: $(cat "$err")"
    fi
    problem+=$(diff_text "$tmp/expected" "$out")
  done

  if [ -z "$problem" ]; then
    pass "$name"
  else
    fail "$name" "$problem"
  fi
}

devices ()
{
  local loop sectors mapped="qcow2tool-test-$$"

  if ! loop=$(losetup --find --show --read-only "$image" 2> qemu.log); then
    skip 'loop device' "losetup: $(tail -n 1 qemu.log)"
    skip 'device mapper' 'there is no loop device'
    return
  fi
  on_exit "$(printf 'losetup -d %q' "$loop")"
  on_device 'loop device' "$loop"

  sectors=$(($(stat -c %s "$image") / 512))
  if ! timeout 20 dmsetup create "$mapped" --readonly \
       --table "0 $sectors linear $loop 0" > qemu.log 2>&1; then
    skip 'device mapper' "dmsetup: $(tail -n 1 qemu.log)"
    return
  fi
  on_exit "timeout 20 dmsetup remove --retry $mapped > /dev/null 2>&1"
  on_device 'device mapper' "/dev/mapper/$mapped"
}

fuse_job=

end_fuse ()
{
  [ -n "$fuse_job" ] || return
  # SIGTERM unmounts the file and ends its server.
  kill -TERM "$fuse_job" 2> /dev/null
  wait "$fuse_job" 2> /dev/null
  fuse_job=
}

fuse_file ()
{
  if ! command -v nbdfuse > /dev/null || ! command -v qemu-nbd > /dev/null
  then
    skip 'FUSE file' 'nbdfuse or qemu-nbd is not installed'
    return
  fi

  mkdir mounted
  timeout 30 nbdfuse mounted/image [ qemu-nbd -r -f raw "$image" ] \
    > qemu.log 2>&1 &
  fuse_job=$!
  on_exit end_fuse
  if wait_until "$fuse_job" test -e mounted/image; then
    on_device 'FUSE file' mounted/image
  else
    skip 'FUSE file' "nbdfuse: $(tail -n 1 qemu.log)"
  fi
  end_fuse
}

other_files ()
{
  create device 4M || return
  two_bitmaps
  # A device consists of whole sectors.
  truncate -s %512 "$image"
  devices
  fuse_file
}

# cut_copy NAME: a copy of $image that was cut short is saved as
# qcow2tool-check(1) says: all of the disk is right but what map shows as
# damaged.
cut_copy ()
{
  local name="a cut copy, $1" size

  cp "$image" cut.qcow2
  truncate -s $(($(stat -c %s "$image") * 6 / 10 / 65536 * 65536)) cut.qcow2
  rm -f saved.qcow2
  tool check cut.qcow2
  size=$(sed -n '/^error FILE-09/s/.*up to \([0-9]*\) .*/\1/p' "$out")
  tool map --output=json cut.qcow2
  cp "$out" cut.map
  size=$size PATH=$PWD/recipe-path:$PATH bash -e recipe > qemu.log 2>&1
  # qemu-img check ends with 0 or 3 once it has repaired the image.
  check "$name: the steps succeed" test -e saved.qcow2
  change qemu-img check -q copy.qcow2
  quietly qemu-img convert -O raw "$image" whole.raw
  quietly qemu-img convert -O raw saved.qcow2 saved.raw
  check "$name: the rest is saved" python3 - << 'END'
import json
with open('whole.raw', 'rb') as file:
    whole = bytearray(file.read())
with open('saved.raw', 'rb') as file:
    saved = bytearray(file.read())
lost = [x for x in json.load(open('cut.map')) if x.get('damaged')]
assert lost
for extent in lost:
    start, end = extent['start'], extent['start'] + extent['length']
    assert any(whole[start:end])
    whole[start:end] = saved[start:end] = bytes(end - start)
assert saved == whole
END
}

cut_copies ()
{
  mkdir recipe-path
  printf '#!/bin/sh\nexec %s "$@"\n' "$QCOW2TOOL" > recipe-path/qcow2tool
  chmod +x recipe-path/qcow2tool
  sed -n '/^    cp cut.qcow2/,/^$/s/^    //p' \
    "$srcdir/doc/qcow2tool-check.pod" > recipe
  check 'a cut copy: the man page has five steps' \
    test "$(grep -c cut.qcow2 recipe).$(grep -c copy.qcow2 recipe)" = 1.5

  create whole 64M || return
  io 'write -P 1 0 10M' 'write -P 2 20M 5M' 'write -P 3 60M 3M'
  cut_copy 'plain'
  # Bitmaps come last: their directory is lost.
  bitmap --add b0
  bitmap --add b1
  cut_copy 'with bitmaps'
  # Half of each cluster can be compressed.
  image=compressed.qcow2
  python3 -c 'import os
for _ in range(64):
    os.write(1, os.urandom(1 << 15) + bytes(1 << 15))' > half-noise
  change qemu-img convert -c -f raw -O qcow2 half-noise "$image"
  cut_copy 'compressed'
}

cut_copies
creation_options
data_files
encryption
backing_files
tables
many_bitmaps
names
actions
granularities
changed_images
edited_images
writers
other_files

done_testing
