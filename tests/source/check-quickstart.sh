#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# The output of quickstart, in a tree that needs no building: make and the
# compiler are scripts that do nothing, and the program is the one under test.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

tree=$tmp/tree
bin=$tmp/bin

# provide PROGRAM...: links programs of this machine into the only folder of
# the PATH.
provide ()
{
  local program

  for program; do
    ln -sf "$(type -P "$program")" "$bin/$program"
  done
}

# stub NAME: makes the program NAME a script, which is standard input.
stub ()
{
  rm -f "$bin/$1"
  { echo '#!/bin/sh'; cat; } > "$bin/$1"
  chmod +x "$bin/$1"
}

# Makes the tree and the folder of the PATH, without QEMU and without a
# package manager.
begin ()
{
  local program

  rm -rf "$tree" "$bin"
  mkdir -p "$bin" "$tree/build-aux" "$tree/build/src"
  cp "$srcdir/quickstart" "$tree"
  touch "$tree/configure" "$tree/Makefile.in" \
    "$tree/build-aux/tap-driver.sh" "$tree/build/Makefile"
  ln -s "$srcdir/tests" "$tree/tests"
  printf '#!/bin/sh\nexec %s "$@"\n' "$QCOW2TOOL" > "$tree/build/src/qcow2tool"
  chmod +x "$tree/build/src/qcow2tool"

  provide awk cat cp date dd df dirname env find getconf grep gzip head id ls \
    mkdir mktemp rm sed sh sort tail test true
  for program in cc gcc make pkg-config bash diff; do
    stub "$program" <<< 'exit 0'
  done
}

# quickstart COMMAND: sets $status and $out.
quickstart ()
{
  PATH=$bin "$bin/sh" "$tree/quickstart" "$1" > "$out" 2>&1 < /dev/null
  status=$?
  cp "$out" "$err"
}

# says NAME TEXT...: the output contains each text, in this order.
says ()
{
  local name=$1 text rest

  shift
  rest=$(cat "$out")
  for text; do
    if [[ $rest != *"$text"* ]]; then
      fail "$name" "there is no '$text' in: $(cat "$out")"
      return
    fi
    rest=${rest#*"$text"}
  done
  pass "$name"
}

# says_not NAME TEXT
says_not ()
{
  check "$1" test "$(grep -cF -e "$2" "$out")" = 0
}

# The demo, with QEMU and without.
if type -P qemu-img > /dev/null && type -P qemu-io > /dev/null \
    && qemu-img --help | grep -q '^  bitmap '; then
  begin
  provide qemu-img qemu-io
  quickstart demo
  expect 'the demo runs' 0
  says 'the demo shows, damages, repairs and opens' \
    '$ qemu-img create' '# Which bitmaps' 'all-day' '--dirty' '--plot' \
    '$ build/src/qcow2tool header' '# Now a copy is damaged' \
    "qemu-img: Could not open 'build/demo/damaged.qcow2'" \
    'error HDR-18 0x38' ', on a copy: qemu-img check -r all COPY' \
    '$ qemu-img check -r all build/demo/damaged.qcow2' \
    '0 errors, 0 warnings; QEMU opens it; bitmaps: 1 enabled, 1 disabled' \
    'read 2097152/2097152 bytes' 'make -C build install'
  says_not 'the data is as it was' 'verification failed'
  check 'a line explains each command' test "$(awk '
    /^$/ { explained = 0 }
    /^#/ { explained = 1 }
    /^\$ / && !explained { n++ }
    END { print n + 0 }' "$out")" = 0
  quickstart demo
  expect 'the demo runs again' 0

  stub qemu-img << END
[ "\$1" != --help ] || exit 0
exec "$(type -P qemu-img)" "\$@"
END
  quickstart demo
  expect 'a qemu-img without bitmaps' 0
  says 'a qemu-img without bitmaps: the reason' \
    'this qemu-img cannot create bitmaps' 'sample.qcow2' 'read 1048576/1048576'
else
  skip 'the demo with QEMU' 'no qemu-img that makes bitmaps, or no qemu-io'
fi

begin
quickstart demo
expect 'without QEMU' 0
says 'without QEMU: a sample, damaged, and what is left out' \
  'no qemu-img or no qemu-io' 'sample.qcow2' 'error HDR-18' 'are left out'
check 'without QEMU: what is missing is listed once' \
  test "$(grep -c 'qemu-img, qemu-io' "$out")" = 1

stub qemu-img << 'END'
if [ "$1" = --help ]; then echo '  bitmap ...'; exit; fi
echo 'qemu-img: No space left on device' >&2
exit 1
END
stub qemu-io <<< 'exit 1'
quickstart demo
expect 'a qemu-img that fails' 0
says 'a qemu-img that fails: its message' 'No space left' 'for the reason above'
says_not 'a qemu-img that fails: no other reason' 'cannot create bitmaps'

# The build folder.
stub df << 'END'
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
echo '/dev/sda1 9999 4879 5120 50% /'
END
stub make <<< "touch '$tmp/was-built'"
quickstart demo
expect 'no space' 1
says 'no space: how much is needed' 'no space' "$tree/build" 'and 5 MB are free'
check 'no space: nothing is built' [ ! -e "$tmp/was-built" ]

begin
rm -r "$tree/build"
touch "$tree/build"
quickstart demo
expect 'build is a file' 1
says 'build is a file: the message' 'cannot make the folder'

# A folder of root, and one of this user with a folder of root in it.
begin
provide setpriv
if [ "$(id -u)" != 0 ]; then
  chmod a-w "$tree/build"
  quickstart demo
  expect 'a build folder that cannot be written' 1
  says 'a build folder that cannot be written: the message' \
    'cannot write to build, which belongs to'
  chmod u+w "$tree/build"
elif chmod 0755 "$tmp" && setpriv --reuid 65534 --clear-groups \
    test -r "$tree/quickstart"; then
  mv "$bin/sh" "$bin/real-sh"
  stub sh << END
exec setpriv --reuid 65534 --clear-groups $bin/real-sh "\$@"
END
  sed -i "1s|.*|#!$bin/real-sh|" "$bin/sh"
  quickstart demo
  expect 'a build folder of root' 1
  says 'a build folder of root: the message' \
    'cannot write to build, which belongs to root' "$tree/build"
  chown 65534 "$tree/build"
  quickstart demo
  expect 'a folder of root in it' 1
  says 'a folder of root in it: the message' \
    'cannot write to build/' 'which belongs to root'
else
  skip 'a build folder of root' 'quickstart cannot run as another user'
fi

# Installing is refused.
begin
rm "$bin/pkg-config"
stub id <<< 'echo 1000'
stub apt-get <<< "touch '$tmp/was-installed'"
stub sudo << END
echo "\$*" >> '$tmp/sudo-calls'
echo 'sudo: a password is required' >&2
exit 1
END
quickstart demo
expect 'sudo refuses' 1
says 'sudo refuses: the message' 'missing: pkg-config' 'sudo: a password' \
  'sudo refuses' 'as root, run: ' 'apt-get -q install' \
  'cannot go on without what is listed above'
check 'sudo refuses: it is not asked again' \
  test "$(grep -vcx -e '-n true' "$tmp/sudo-calls")" = 1
check 'sudo refuses: nothing is installed' [ ! -e "$tmp/was-installed" ]
check 'sudo refuses: what is missing is listed once' \
  test "$(grep -c '^quickstart: missing: ' "$out")" = 1

# The tests: make leaves the results of one that failed.
begin
stub make << 'END'
echo "$*" >> build/make-calls
case $* in
  *LOG_DRIVER*) ;;
  *) exit 0 ;;
esac
mkdir -p build/tests
printf ':test-result: PASS\n:test-result: FAIL\n' > build/tests/a-test.trs
printf 'ok 1\nnot ok 2 - b\nFAIL: tests/a-test.sh 2 - b\n' \
  > build/tests/a-test.log
echo ':test-result: PASS' > build/tests/other.trs
exit 2
END
quickstart check
expect 'a test fails' 1
says 'a test fails: it is repeated at the end' 'will be skipped' \
  'running the tests' '25 minutes' 'in build/tests/a-test.log:' \
  'FAIL: tests/a-test.sh 2 - b' 'the tests failed'
says_not 'a test fails: the other one did not' other
# shellcheck disable=SC2016 # a variable of make
check 'a test fails: make prints a line for each file' \
  grep -qF 'LOG_DRIVER=$(BRIEF_DRIVER)' "$tree/build/make-calls"

stub make <<< 'exit 0'
quickstart check
expect 'all tests pass' 0
says 'all tests pass: the message' 'all tests passed, in'
quickstart check
says 'the last time is the estimate' 'the last time, that took'

# brief DRIVER-STATUS: runs the driver of the tests over standard input.
driver=$srcdir/build-aux/tap-driver.sh
brief ()
{
  cat > "$tmp/a-test"
  sh "$srcdir/tests/brief-driver" env AWK=awk sh "$driver" \
    --test-name tests/a-test --log-file "$tmp/a-test.log" \
    --trs-file "$tmp/a-test.trs" --color-tests no --enable-hard-errors yes \
    --expect-failure no -- sh "$tmp/a-test" > "$out" 2> "$err"
  status=$?
  sed -i 's/ *[0-9]* s / N s /' "$out"
}

if [ -e "$driver" ]; then
  brief <<< 'printf "1..2\nok 1\nok 2\n"'
  expect_answer 'a line for a file' <<< 'PASS N s  tests/a-test (2 tests)'
  brief <<< 'printf "1..3\nok 1\nnot ok 2 - b\nok 3 # SKIP c\n"; exit 1'
  expect_out 'a line for a file that fails' \
    <<< 'FAIL N s  tests/a-test (4 tests, 1 skipped, 2 failed)'
  check 'the log names what failed' \
    grep -qx 'FAIL: tests/a-test 2 - b' "$tmp/a-test.log"
  brief <<< 'echo "1..0 # SKIP not here"'
  expect_answer 'a line for a file that is skipped' \
    <<< 'SKIP N s  tests/a-test (1 test, 1 skipped)'
else
  skip 'a line for a file' 'there is no tap-driver.sh'
fi

done_testing
