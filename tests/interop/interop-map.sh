#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bitmap-map and QEMU agree about dirty extents.  Random images of every
# cluster size and granularity are compared with nbdinfo and qemu-nbd.  Bitmaps
# that QEMU does not use are refused.  The scripts in the man pages copy exactly
# the dirty parts.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require qemu-img qemu-io qemu-nbd nbdinfo python3 timeout cmp
timeout 60 nbdinfo --help | grep -q -e --totals \
  || skip_all 'this nbdinfo has no --totals'

export QCOW2TOOL
# The seed makes the same images again.
seed=${QCOW2TOOL_SEED:-$RANDOM$RANDOM}

# The scripts use file names without a folder.
cd "$tmp" || exit 1

map_py ()
{
  python3 "$srcdir/tests/interop/interop-map.py" "$@"
}

# change COMMAND...: runs COMMAND, which must succeed.
change ()
{
  "$@" > qemu.log 2>&1 || fail "$*" "$(cat qemu.log)"
}

io ()
{
  local image=$1 arguments=()

  shift
  for command; do
    arguments+=(-c "$command")
  done
  change timeout 300 qemu-io -f qcow2 "${arguments[@]}" "$image"
}

random_images ()
{
  echo "# seed $seed"
  results map_py random "$seed"
  # An image that takes too long on this machine has no result.
  check 'random images: there are results' [ "$n_results" -gt 0 ]
}

# ---- Bitmaps that must not be used ----

# Sets $image to an image whose bitmap has five entries, all with data.  Four
# map 2 MiB each, and the last one maps less.
make_sound ()
{
  image=sound.qcow2
  change qemu-img create -q -f qcow2 -o cluster_size=512 "$image" 9729K
  change qemu-img bitmap --add -g 512 "$image" b0
  io "$image" 'write 0 1k' 'write -z 2050k 3M' 'write 6M 5k' 'write 9728k 1k'
  change map_py export "$image" b0 sound.map
  tool bitmap-map --name=b0 "$image"
  expect_answer 'sound: as nbdinfo says' < sound.map
}

# says STATUS PATTERN: the last run ended with STATUS, and its messages match
# PATTERN.  The message that the bitmap cannot be used may follow the findings.
says ()
{
  # shellcheck disable=SC2053 # the right side is a pattern
  [[ $status = "$1" && $(cat "$err") == "qcow2tool: $image: "$2 ]]
}

fail_as_run ()
{
  fail "$1" "status $status; $(wc -c < "$out") bytes of output; messages: \
$(cat "$err")"
}

# refuses NAME STATUS PATTERN: as says, and the last run printed no output.
refuses ()
{
  if says "$2" "$3" && [ ! -s "$out" ]; then
    pass "$1"
  else
    fail_as_run "$1"
  fi
}

# refused NAME PATTERN: bitmap-map prints nothing about b0 of $image, and the
# reason matches PATTERN.
refused ()
{
  local options

  for options in '' --totals --dirty --output=json --output=jsonl \
                 --output=ddrescue --plot; do
    # shellcheck disable=SC2086 # none or one
    tool bitmap-map $options --name=b0 "$image"
    refuses "$1: refused${options:+, $options}" 2 "$2"
  done

  tool bitmap-map --contains=0 --name=b0 "$image"
  refuses "$1: no answer" 1 "*: bitmap 0 'b0': *"
}

# not_exported NAME: QEMU refuses to export b0 of $image, too.
not_exported ()
{
  if map_py export "$image" b0 no.map > qemu.log 2>&1; then
    fail "$1: QEMU does not use it either" 'it is exported'
  else
    check "$1: QEMU does not use it either" grep -q '^qemu-nbd: ' qemu.log
  fi
}

# forced NAME PATTERN: with --force, bitmap-map prints the text on standard
# input; no extent is clean.
forced ()
{
  cat > wanted.map
  tool bitmap-map --force --name=b0 "$image"
  if says 2 "$2"; then
    pass "$1: --force"
  else
    fail_as_run "$1: --force"
  fi
  expect_out "$1: --force prints the bitmap" < wanted.map
  check "$1: --force prints no clean extent" eval '! grep clean wanted.map'
  tool bitmap-map --force --dirty --name=b0 "$image"
  expect_out "$1: --force --dirty prints all of it" < wanted.map
  for at in 0 1M 9728k; do
    tool bitmap-map --force --contains="$at" --name=b0 "$image"
    if says 0 "*: bitmap 0 'b0': *, so its bits cannot prove *" \
        && [ ! -s "$out" ]; then
      pass "$1: --force --contains=$at"
    else
      fail_as_run "$1: --force --contains=$at"
    fi
  done
}

edited ()
{
  image=$1.qcow2
  cp sound.qcow2 "$image"
  change map_py edit "$1" "$image" b0
}

# A killed writer leaves the in-use flag and the previous bits in the image.
killed ()
{
  image=killed.qcow2
  cp sound.qcow2 "$image"
  (
    ulimit -c 0
    timeout 300 qemu-io -f qcow2 -c 'write 3M 1M' -c 'sigraise 9' "$image"
    :
  ) > qemu.log 2>&1
}

unusable ()
{
  local what

  make_sound
  edited in-use
  refused in-use "*: bitmap 0 'b0': in use: *BDIR-09*"
  not_exported in-use
  map_py unknown sound.map "$image" | forced in-use "*: bitmap 0 'b0': in use: *"

  killed
  refused killed "*: bitmap 0 'b0': in use: *BDIR-09*"
  not_exported killed
  map_py unknown sound.map "$image" | forced killed "*: bitmap 0 'b0': in use: *"

  edited stale
  refused stale "*: bitmap 0 'b0': stale: *HDR-25*"
  not_exported stale
  map_py unknown sound.map "$image" | forced stale "*: bitmap 0 'b0': stale: *"

  damaged entry-reserved 1 BTAB-01
  damaged entry-one-with-offset 1 BTAB-02
  damaged table-too-short 4 BDIR-18
  # QEMU reads zeroes after the end of the file, and takes them for clean.
  damaged entry-after-the-end 1 BTAB-05

  edited table-unaligned
  refused table-unaligned "*: bitmap 0 'b0': *BDIR-05*"
  not_exported table-unaligned
  edited type
  refused type "*: bitmap 0 'b0': *BDIR-11*"
  not_exported type
}

# damaged WHAT ENTRY RULE: the extent that this table entry maps is unknown.
damaged ()
{
  edited "$1"
  refused "$1" "*: bitmap 0 'b0': *$3*"
  [ "$1" = entry-after-the-end ] || not_exported "$1"
  map_py unknown sound.map "$image" "$2" | forced "$1" "*$3*"
}

# ---- The scripts in the man pages ----

# Users call the program by its name.
qcow2tool ()
{
  # shellcheck disable=SC2086,SC2317
  $QCOW2TOOL "$@"
}

# use DISK: writes to the disk after its backup, up to the last sector.
use ()
{
  io "$1" 'write -P 11 0 512' 'write -P 12 1000k 300k' 'write -P 0 2M 64k' \
    'write -z 3M 500k' 'discard 5M 1M' 'write -P 13 21503k 3k'
}

# put_mark FILE, has_mark FILE: a mark in the clean part of the target, which
# remains because that part is not written.
mark='21000000'
put_mark ()
{
  printf 'not copied' \
    | dd of="$1" bs=1 seek="$mark" conv=notrunc status=none
}

# shellcheck disable=SC2317 # check () calls it
has_mark ()
{
  [ "$(tail -c +$((mark + 1)) "$1" | head -c 10)" = 'not copied' ]
}

# check_copy NAME: backup.raw equals disk.raw, and its clean part is unchanged.
check_copy ()
{
  check "$1: only dirty parts were written" has_mark backup.raw
  dd if=full.raw of=backup.raw bs=1 count=10 skip="$mark" seek="$mark" \
    conv=notrunc status=none
  check "$1: the backup equals the disk" cmp disk.raw backup.raw
}

# A raw disk, and a separate image with its bitmaps.
make_raw_disk ()
{
  change qemu-img create -q -f qcow2 \
    -o data_file=disk.raw,data_file_raw=on disk.qcow2 $((21506 << 10))
  io disk.qcow2 'write -P 1 0 21506k'
  cp disk.raw full.raw
  change qemu-img bitmap --add -g 32k disk.qcow2 day
  use disk.qcow2
  check 'recipes: the disk has changed' eval '! cmp -s disk.raw full.raw'
}

new_backup ()
{
  cp full.raw backup.raw
  put_mark backup.raw
}

# example WORDS: prints the script in the man pages that contains WORDS,
# without its indentation.
example ()
{
  awk -v words="$1" '
    /^=head1 / { here = $2 == "EXAMPLES" || $2 == "SCRIPTING" }
    here && /^    / { script = script substr ($0, 5) "\n"; next }
    { if (index (script, words)) printf "%s", script; script = "" }' \
    "$srcdir"/doc/*.pod
}

# by_the_manual NAME WORDS: runs this script with the variables that it uses.
# The script may end its shell.
by_the_manual ()
{
  local script

  script=$(example "$2")
  check "$1: there is exactly one such script" \
    [ "$(grep -cF -- "$2" <<< "$script")" = 1 ]
  (eval "$script") > manual.out 2> manual.log
  status=$?
}

recipe_ddrescue ()
{
  if ! command -v ddrescue > /dev/null; then
    skip 'recipe: ddrescue' 'ddrescue is not installed'
    return
  fi

  new_backup
  by_the_manual 'recipe: ddrescue' 'ddrescue -q'
  check 'recipe: ddrescue' [ "$status" = 0 ]
  check_copy 'recipe: ddrescue'
}

recipe_dd ()
{
  new_backup
  by_the_manual 'recipe: dd' 'dd if='
  check 'recipe: dd' [ "$status" = 0 ]
  check_copy 'recipe: dd'
}

# An image that contains its own data, as does its backup.
make_qcow2_disk ()
{
  rm disk.qcow2
  change qemu-img create -q -f qcow2 disk.qcow2 $((21506 << 10))
  io disk.qcow2 'write -P 1 0 21506k'
  change qemu-img convert -O qcow2 disk.qcow2 full.qcow2
  change qemu-img bitmap --add -g 32k disk.qcow2 day
  use disk.qcow2
  chmod a-w disk.qcow2
  before=$(cksum < disk.qcow2)
}

# read_back NAME: checks the contents of inc.qcow2, whose backing file is the
# full backup.
read_back ()
{
  check "$1: the image is unchanged" [ "$before" = "$(cksum < disk.qcow2)" ]
  check "$1: the backups together equal the disk" \
    timeout 300 qemu-img compare -q -f qcow2 -F qcow2 disk.qcow2 inc.qcow2
  io full.qcow2 "write -P 9 20M 4k"
  check "$1: only dirty parts were copied" \
    timeout 300 qemu-io -r -f qcow2 -c 'read -q -P 9 20M 4k' inc.qcow2
  io full.qcow2 "write -P 1 20M 4k"
}

# The image is a backing file, and the overlay keeps the data that are read.
recipe_copy_on_read ()
{
  by_the_manual 'recipe: copy on read' 'qemu-io -C'
  check 'recipe: copy on read' [ "$status" = 0 ]
  read_back 'recipe: copy on read'
}

# ---- Does the bitmap allow an incremental backup?  ----

# The function that the script calls.
# shellcheck disable=SC2317
incremental_backup ()
{
  echo incremental
  rm -f "$new"
  eval "$(example 'qemu-io -C')"
}

# shellcheck disable=SC2317
full_backup ()
{
  echo full
}

# same_disk: the contents of both backups equal the disk.
# shellcheck disable=SC2317
same_disk ()
{
  timeout 300 qemu-img compare -q -f qcow2 -F qcow2 "$img" "$new"
}

# The full backup, the bitmap, and a write of 1 MiB.  Then the bitmap is
# disabled, and 4 MiB more are written.
backup_by_the_manual ()
{
  local img=vm.qcow2 full=vm-full.qcow2 new=vm-inc.qcow2 b=day list=vm.list

  change qemu-img create -q -f qcow2 "$img" 16M
  io "$img" 'write -P 1 0 16M'
  change qemu-img convert -O qcow2 "$img" "$full"
  change qemu-img bitmap --add "$img" "$b"
  io "$img" 'write -P 2 3M 1M'

  by_the_manual 'enabled' '--is enabled'
  check 'enabled: an incremental backup is made' \
    [ "$status.$(cat manual.out)" = 0.incremental ]
  check 'enabled: the backups together equal the disk' same_disk

  change qemu-img bitmap --disable "$img" "$b"
  io "$img" 'write -P 3 8M 4M'
  rm "$new"
  by_the_manual 'disabled' '--is enabled'
  check 'disabled: a full backup is required' \
    [ "$status.$(cat manual.out)" = 0.full ]
  check 'disabled: no copy by the bitmap was made' [ ! -e "$new" ]

  # The bitmap is usable, but a copy by it differs from the disk.
  tool bitmaps --is usable --name "$b" "$img"
  expect 'disabled: usable' 0
  by_the_manual 'disabled' 'qemu-io -C'
  check 'disabled: a copy by the bitmap differs from the disk' \
    eval '! same_disk'
}

# The variables in the scripts of the man pages, which are read by eval.
# shellcheck disable=SC2034
recipes ()
{
  local img=disk.qcow2 disk=disk.raw backup=backup.raw map=day.map
  local full=full.qcow2 new=inc.qcow2 b=day list=day.list

  make_raw_disk
  recipe_ddrescue
  recipe_dd
  make_qcow2_disk
  recipe_copy_on_read
}

unusable
recipes
backup_by_the_manual
random_images

done_testing
