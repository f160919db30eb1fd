#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Comments, pages and messages have none of the words that are never right in
# them, and subjects of commits name an area and what is done there.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
cd "$srcdir" || exit 1

cat > "$tmp/words.py" << 'END'
"""Prints the lines of files that have one of the words.  Of C only comments
and strings count."""

import re
import sys

# Position is before, after or at; a value is stored; a sentence stands alone
# and has a thing as its subject.
WORDS = re.compile(r'\b(behind|likewise|nobody|somebody|of that(?= ?[.,;:)])'
                   r'|gives? in|given in|gets (how|what|why|which|where)'
                   r'|but for)\b', re.IGNORECASE)
PARTS = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'', re.DOTALL)


def parts_of(path, text):
    if not path.endswith(('.c', '.h')):
        return [(0, text)]
    return [(match.start(), match.group()) for match in PARTS.finditer(text)]


for path in sys.argv[1:]:
    with open(path, encoding='utf-8') as file:
        text = file.read()
    for start, part in parts_of(path, text):
        for match in WORDS.finditer(part):
            print('%s:%d: "%s"' % (path, 1 + text.count(
                '\n', 0, start + match.start()), match.group()))
END

words ()
{
  python3 "$tmp/words.py" "$@"
}

# It does find them.
printf '/* It is\n * behind it. */ int behind; char c[] = "nobody";\n' \
  > "$tmp/example.c"
expect_same 'what is looked for' - <(words "$tmp/example.c") << END
$tmp/example.c:2: "behind"
$tmp/example.c:2: "nobody"
END

for folder in src/*/ tests/{bench,builder,fuzz,oracle,unit}/ tests/cli/; do
  expect_same "$folder" /dev/null <(words "$folder"*.[ch])
done
for file in HACKING NEWS README doc/*.pod .ci/run bootstrap quickstart \
    completions/*.bash; do
  expect_same "$file" /dev/null <(words "$file")
done

# subjects: prints those of standard input that are none.
subjects ()
{
  grep -vE '^[A-Za-z0-9_.,/ -]+: [a-z][a-z-]+ .{2,}$'
  return 0
}

too_long ()
{
  awk 'length > 72'
}

expect_same 'a subject' - <(subjects << END
header: read the fields of version 3
header: The fields of version 3
read the header
END
) << END
header: The fields of version 3
read the header
END

# Since this test exists.
first=$(git log --follow --diff-filter=A --format=%H \
  -- tests/source/check-prose.sh 2> "$tmp/log")
if [ -n "$first" ]; then
  git log --no-merges --format=%s "$first.." > "$tmp/subjects"
  expect_same 'subjects: area: verb what' /dev/null \
    <(subjects < "$tmp/subjects")
  expect_same 'subjects: 72 characters' /dev/null \
    <(too_long < "$tmp/subjects")
else
  skip 'subjects' "no history: $(head -n 1 "$tmp/log")"
fi

done_testing
