#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# bitmap-map --backing-chain agrees about random chains with a naive union, and
# with the bitmap that QEMU merges; info --backing-chain agrees with qemu-img.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3 timeout

export QCOW2TOOL
# The seed makes the same layers again.
seed=${QCOW2TOOL_SEED:-$RANDOM$RANDOM}

# The layers have names without a folder.
cd "$tmp" || exit 1

# random_layers WHAT N: compares N random chains.
random_layers ()
{
  results python3 "$srcdir/tests/interop/interop-layers.py" "$1" "$seed" "$2"
  check "$1: there are results" [ "$n_results" -gt 0 ]
}

echo "# seed $seed"
random_layers naive 100
for program in qemu-img qemu-io qemu-nbd nbdinfo; do
  if ! command -v "$program" > /dev/null; then
    skip qemu "$program is not installed"
    done_testing
  fi
done
if ! timeout 60 nbdinfo --help | grep -q -F '[ CMD'; then
  skip qemu 'this nbdinfo cannot start a server'
  done_testing
fi
random_layers qemu 15
random_layers names 12

# Names of which QEMU opens none, and what it says.
qemu-img create -q -f qcow2 base.qcow2 1M
while IFS='|' read -r name message; do
  qemu-img create -q -u -f qcow2 -b "$name" -F qcow2 top.qcow2 1M
  timeout 60 qemu-img info --backing-chain top.qcow2 > log 2>&1
  check "refused by QEMU: $name" grep -q -F "$message" log
  tool info --backing-chain --output=json top.qcow2
  expect "refused: $name" 2
  check "refused: $name: it is not opened" grep -q 'not opened' "$out"
done << 'END'
json:{"file":{"filename":"base.qcow2","filename":"base.qcow2"}}|duplicate key
json:{"file.filename":"base.qcow2","file.filename":"base.qcow2"}|duplicate key
json:{"driver":"qcow2","file.filename":"base.qcow2","driver":"qcow2"}|duplicate key
json:{"driver":"qcow2","file.filename":"base.qcow2","dri\u0076er":"qcow2"}|duplicate key
json:{"x":1,"file.filename":"base.qcow2","x":1}|duplicate key
json:{"file":{"filename":"base.qcow2"},"file":{"driver":"file"}}|duplicate key
json:{"file":{"filename":"base.qcow2"},"file.driver":"nbd"}|NBD server
json:{"file":{"filename":null},"file.filename":"base.qcow2"}|Must specify
json:{"file":{"filename":{}},"file.filename":"base.qcow2"}|Must specify
END

# add_device FILE: attaches FILE, 8 MiB long, to a loop device: $device.
add_device ()
{
  truncate -s 8M "$1"
  device=$(losetup --find --show --read-only "$1" 2> log) || return 1
  on_exit "$(printf 'losetup -d %q' "$device")"
}

# Layers on block devices, which are longer than the images.
qemu-img create -q -f qcow2 base.qcow2 3M
if add_device base.qcow2; then
  qemu-img create -q -f qcow2 -b "$device" -F qcow2 below.qcow2
  qemu-img bitmap --add below.qcow2 b0
  qemu-io -c 'write 1M 64K' below.qcow2 > /dev/null
  add_device below.qcow2
  qemu-img create -q -f qcow2 -b "$device" -F qcow2 top.qcow2
  qemu-img bitmap --add top.qcow2 b0
  for name in top.qcow2 "$device"; do
    for output in json human; do
      qemu-img info -U --backing-chain --output=$output "$name" > expected
      tool info --backing-chain --output=$output "$name"
      expect "devices: the status of $name: $output" 0
      # Later versions print children, too.
      ! qemu_is_known || [[ $qemu_version != 7.* ]] \
        || expect_same "devices: info of $name: $output" expected "$out"
    done
  done
  tool bitmaps --backing-chain --name b0 --is valid top.qcow2
  expect 'devices: the bitmaps are a chain' 0
  tool bitmap-map --backing-chain --name b0 --contains 1M top.qcow2
  expect 'devices: a bit of the lower bitmap' 0
else
  skip 'devices' "losetup: $(tail -n 1 log)"
fi

done_testing
