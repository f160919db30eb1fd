#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Lists are complete: a file is listed in local.mk, a record in its unit test,
# a command in the schema and among the command lines of the fuzzer.  Without
# its entry, a new one would go untested without a word.  The list of changes
# for tests/source/mutate names no others.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
cd "$srcdir" || exit 1

# all_listed NAME FILE: FILE contains each of the words on standard input, and
# there are some.
all_listed ()
{
  local word n=0 missing=''

  while read -r word; do
    n=$((n + 1))
    grep -qwF -e "$word" "$2" || missing+="$word "
  done
  if [ "$n" = 0 ]; then
    fail "$1" 'there is nothing to look for'
  elif [ -n "$missing" ]; then
    fail "$1" "$2 lacks $missing"
  else
    pass "$1"
  fi
}

for folder in src/*/; do
  printf '%s\n' "$folder"*.[ch] | sed 's,^src/,,' \
    | all_listed "$folder: source files" src/local.mk
done
printf '%s\n' tests/{cli,interop,source}/*.sh | sed 's,^tests/,,' \
  | all_listed 'shell tests' tests/local.mk
printf '%s\n' tests/unit/test-*.c | sed 's,^tests/,,; s/\.c$//' \
  | all_listed 'unit tests' tests/local.mk
sed -n 's/^extern const Qcow2Record \([a-z0-9_]*\);.*/\1/p' src/qcow2/*.h \
  | all_listed 'records: sizes, offsets and a round trip' \
    tests/unit/test-record.c
edit_names | sed 's/.*/"&"/' \
  | all_listed 'commands that write: fuzzed command lines' tests/fuzz/command.c
for command in $(command_names); do
  if json_ways | grep -q "^$command\( \|\$\)"; then
    echo "\"$command-answer\""
  fi
done | all_listed 'commands: JSON output' doc/qcow2tool.schema.json
grep -oE 'defs/[a-z-]+-answer" \}' doc/qcow2tool.schema.json > "$tmp/answers"
grep -oE '^        "[a-z-]+-answer": \{' doc/qcow2tool.schema.json \
  | grep -v '"any-answer"' | sed 's,^ *"\(.*\)": {,defs/\1",' \
  | all_listed 'answers that the schema allows' "$tmp/answers"

sed -nE "/BYTES/!s/^  (F|MASK) \(([a-z0-9_]+),.*\),\$/'\2':/p" \
    src/qcow2/header.c \
  | all_listed 'fields of the header: random edits' tests/cli/edit_model.py

# A change that is listed as one without an effect is one that is tried.
python3 tests/source/mutate --list 2> "$err" > "$out"
check 'changes without an effect are there' [ -s "$out" ]
check 'and no others are listed' [ ! -s "$err" ]

done_testing
