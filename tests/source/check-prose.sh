#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Comments, names of tests, pages and messages contain none of the words that
# are never right, and subjects of commits name an area and a change.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

require python3
cd "$srcdir" || exit 1

cat > "$tmp/words.py" << 'END'
"""Prints the lines of files that contain one of the words.  In C, only
comments and strings count; in all other files, everything does."""

import re
import sys

# Position is before, after or at; a value is stored; a sentence stands alone
# and has a thing as its subject.
WORDS = ('behind', 'likewise', 'nobody', 'somebody', 'of that(?=[.,;:)])',
         'gives? in', 'given in', 'gets (?:how|what|why|which|where)',
         'but for')
# A comment may continue on the next line, after # or *.
PATTERN = re.compile(r'\b(?:%s)(?!\w)'
                     % '|'.join(WORDS).replace(' ', r'[\s#*]+'), re.IGNORECASE)
# A sentence that begins with the word, and is neither a question nor a title.
SUBJECT = re.compile(r'(?:/\*|\.  |\.\n|\n \*\n|\n#\n|\n\n|^#.*\n(?=#)|'
                     r'^[^#\n]+\n(?= *#))[ #*]*(What|Who)\b[^.?=]*\.',
                     re.MULTILINE)
PARTS = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\'',
                   re.DOTALL)


def parts_of(path, text):
    if not path.endswith(('.c', '.h')):
        return [(0, text)]
    return [(match.start(), match.group()) for match in PARTS.finditer(text)]


for path in sys.argv[1:]:
    with open(path, encoding='utf-8') as file:
        text = file.read()
    for start, part in parts_of(path, text):
        for match in [*PATTERN.finditer(part), *SUBJECT.finditer(part)]:
            print('%s:%d: "%s"' % (path, 1 + text.count(
                '\n', 0, start + match.start()),
                match.group(match.lastindex or 0).split()[0]))
END

words ()
{
  python3 "$tmp/words.py" "$@"
}

# The words are found.
printf '/* It is\n * behind it. */ int behind; char c[] = "nobody";\n' \
  > "$tmp/example.c"
printf '/* One.  What is\n * two stands.  What is three? */\n' \
  >> "$tmp/example.c"
expect_same 'words in C' - <(words "$tmp/example.c") << END
$tmp/example.c:2: "behind"
$tmp/example.c:2: "nobody"
$tmp/example.c:3: "What"
END
printf "# All but\n# for one.\npass 'behind'\nas_nobody ()\n" \
  > "$tmp/example.sh"
expect_same 'words in a script' - <(words "$tmp/example.sh") << END
$tmp/example.sh:1: "but"
$tmp/example.sh:3: "behind"
END

# A word that is found makes a test fail.
(expect_same 'no words' /dev/null <(echo word)) > "$tmp/verdict" 2>&1
check 'a word fails' grep -q '^not ok' "$tmp/verdict"

# no_words NAME FIND-ARGUMENT...: the files that find prints have none of the
# words.  This script, which names them, is left out.
no_words ()
{
  local name=$1 files

  shift
  mapfile -d '' files < <(find "$@" ! -name check-prose.sh -print0 | sort -z)
  if [ ${#files[@]} = 0 ]; then
    fail "$name" 'there are no such files'
    return
  fi
  expect_same "$name" /dev/null <(words "${files[@]}")
}

no_words 'C files of the program' src -name '*.[ch]'
no_words 'C files of the tests' tests -name '*.[ch]'
no_words 'shell scripts' .ci/run bootstrap quickstart completions tests \
  -type f \( -name '*.sh' -o -name '*.bash' -o -name 'run*' \
    -o -name bootstrap -o -name quickstart \)
no_words 'Python scripts' contrib tests -type f \
  \( -name '*.py' -o -name mutate \)
no_words 'build files' Makefile.am configure.ac m4/qcow2tool-* \
  m4/target-clones.m4 completions doc src tests -type f \
  \( -name Makefile.am -o -name configure.ac -o -name '*.m4' -o -name '*.mk' \)
no_words 'lists of the tests' tests -type f \
  \( -name may-skip -o -name mutate-equivalent -o -name rows \)
for file in AUTHORS CONTRIBUTING HACKING NEWS README doc/*.txt doc/*.pod; do
  expect_same "$file" /dev/null <(words "$file")
done

# subjects: prints the lines of standard input that are not subjects.
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

# The commits since this test was added.
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
