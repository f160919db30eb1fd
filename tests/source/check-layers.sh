#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Each layer of src/ includes and calls only what it is allowed to.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"

# strip FILE: prints a source without comments and without the contents of
# strings, except for the names of included files.  The rules apply to this
# text.  Line numbers are unchanged.
strip ()
{
  awk '
    {
      line = $0
      include = !in_comment && line ~ /^[ \t]*#[ \t]*include/
      shown = ""
      in_string = 0
      n = length (line)
      for (i = 1; i <= n; i++)
        {
          c = substr (line, i, 1)
          two = substr (line, i, 2)
          if (in_comment)
            {
              if (two == "*/")
                {
                  in_comment = 0
                  i++
                }
              continue
            }
          if (in_string)
            {
              if (c == "\\")
                i++
              else if (c == quote)
                {
                  in_string = 0
                  shown = shown c
                }
              continue
            }
          if (two == "/*")
            {
              in_comment = 1
              i++
              continue
            }
          if (two == "//")
            break
          if (!include && (c == "\"" || c == "\047"))
            {
              in_string = 1
              quote = c
            }
          shown = shown c
        }
      print shown
    }' "$1"
}

# Prints the variables that keep a value between calls, one per line:
# FILE:LINE:TEXT.  A declaration whose name is on the next line is joined
# first.
list_variables ()
{
  awk '
    function judge (text)
    {
      if (text !~ /^[ \t]*static[ \t]/ \
          && text !~ /^[A-Za-z_][A-Za-z0-9_ *]*[ *][A-Za-z_0-9]+(\[[^]]*\])*[ \t]*[=;]/)
        return
      if (text ~ /^(typedef|struct|union|enum|return)[ \t]/ && text !~ /=/)
        return
      sub (/[=;[{].*/, "", text)
      if (text ~ /\(/)
        return
      if (text !~ /(^|[ \t*])const[ \t]/ \
          || (text ~ /\*/ && text !~ /\*[ \t]*const[ \t]+[A-Za-z_0-9]+[ \t]*$/))
        print FILENAME ":" start ":" text
    }
    {
      if (held == "")
        start = FNR
      text = held $0
      held = ""
      if (text ~ /^[ \t]*static[ \t][^=;[({]*$/)
        {
          held = text " "
          next
        }
      judge(text)
    }' "$@"
}

# select_files PATTERN... [but PATTERN...]: sets files to the stripped sources
# that match the patterns, without those that match the patterns after "but".
files=()
select_files ()
{
  local but='' pattern file kept

  files=()
  for pattern; do
    if [ "$pattern" = but ]; then
      but=yes
      continue
    fi
    if [ -z "$but" ]; then
      # shellcheck disable=SC2206 # it is a pattern
      files+=($pattern)
      continue
    fi
    kept=()
    for file in "${files[@]}"; do
      # shellcheck disable=SC2053 # it is a pattern
      [[ $file == $pattern ]] || kept+=("$file")
    done
    files=("${kept[@]+"${kept[@]}"}")
  done
}

# verdict NAME HITS: reports the result of one rule.  A rule that applies to no
# file is broken.
verdict ()
{
  if [ ${#files[@]} = 0 ] || [ ! -e "${files[0]}" ]; then
    fail "$1" "no file matches the patterns"
  elif [ -n "$2" ]; then
    fail "$1" "$2"
  else
    pass "$1"
  fi
}

# forbid NAME REGEX FILES...: no line of the files matches REGEX.
forbid ()
{
  local name=$1 regex=$2

  shift 2
  select_files "$@"
  verdict "$name" "$(grep -nE -e "$regex" /dev/null "${files[@]}")"
}

# includes NAME REGEX FILES...: every include of the files matches REGEX as a
# whole.
includes ()
{
  local name=$1 regex=$2

  shift 2
  select_files "$@"
  verdict "$name" "$(grep -nE '^[ 	]*#[ 	]*include' /dev/null "${files[@]}" \
    | grep -vE "include[ 	]+($regex)[ 	]*\$")"
}

# calls FUNCTION...: prints a regular expression for a call of one of the
# functions, but not for members with these names.
calls ()
{
  local IFS='|'

  printf '%s' "(^|[^A-Za-z0-9_>.])($*)[ 	]*\\("
}

(cd "$srcdir/src" && find . -name '*.[ch]') | while read -r file; do
  mkdir -p "$tmp/src/${file%/*}"
  strip "$srcdir/src/$file" > "$tmp/src/$file"
done
cd "$tmp/src" || exit 1

# The includes of each layer.

posix='<(errno|fcntl|string|unistd|sys/stat|sys/types|sys/vfs)\.h>'

includes 'sources include no qcow2 structure' \
  "\"config\.h\"|\"qcow2/(error|source|source-(cache|locks))\.h\"|<glib\.h>|$posix" \
  'qcow2/source*'
includes 'the rest of the reader includes only the reader' \
  '"config\.h"|"qcow2/[a-z0-9-]+\.h"|<(glib|string)\.h>' \
  'qcow2/*' but 'qcow2/source*' 'qcow2/memory.c'
includes 'memory includes nothing of the reader' \
  '"config\.h"|"qcow2/memory\.h"|<sys/mman\.h>' \
  'qcow2/memory.c'
includes 'the check includes the reader and itself' \
  '"config\.h"|"(check|qcow2)/[a-z0-9-]+\.h"|"check/rules\.def"|<(glib|string)\.h>' \
  'check/*'
includes 'edits include the reader, the check and themselves' \
  "\"config\.h\"|\"(check|edit|qcow2)/[a-z0-9-]+\.h\"|<(signal|time)\.h>|<glib\.h>|$posix" \
  'edit/*'
includes 'only files that open others include headers for that' \
  '"[^"]*"|<(glib|string|errno|signal|stdio|stdlib)\.h>' \
  '*/*.[ch]' but 'qcow2/source-file.c' 'qcow2/source-locks.c' \
    'qcow2/memory.c' 'edit/lock.c' 'edit/plan-file.c' 'edit/target.c' \
    'cli/main.c' 'cli/charset.c'
includes 'the renderer includes types, but no reader' \
  '"config\.h"|"render/[a-z-]+\.h"|"qcow2/(arithmetic|bitmap|c-string|extension|extent|header|image|luks|map-extent|printable|record|snapshot-walk|table)\.h"|"check/(bitmap-chain|chain|check-numbers|finding|rule|verdict)\.h"|"edit/plan(-parse)?\.h"|<(glib|string)\.h>' \
  'render/*'
includes 'commands include public headers only' \
  '"config\.h"|"cli/(charset|commands|edit-run|fields|layers|magic|number|print-(bitmap(-chains)?|contents|entries|extensions|guest-map|info|table)|(snapshot-)?selection|tool|usage)\.h"|"(check|edit|qcow2)/[a-z0-9-]+\.h"|"render/[a-z-]+\.h"|<string\.h>' \
  'cli/cmd-*'
forbid 'only the contents include the walk over bits' \
  'include[ 	]+"qcow2/bit-walk\.h"' \
  '*/*.[ch]' but 'qcow2/bit-walk.c' 'qcow2/contents.c' 'qcow2/extents.c' \
  'qcow2/totals.c'
forbid 'only the tool includes its members' \
  'include[ 	]+"cli/tool-private\.h"' '*/*.[ch]' but 'cli/tool*.c'
forbid 'commands do not include the byte source' \
  'include[ 	]+"qcow2/source\.h"' 'cli/cmd-*'
includes 'the process includes only what runs a command line' \
  '"config\.h"|"cli/dispatch\.h"|<[a-z/]+\.h>' 'cli/main.c'
includes 'only the list of images includes stdio' \
  '"[^"]*"|<(errno|fcntl|glib|malloc|signal|string|sys/[a-z]+|time|unistd)\.h>' \
  '*/*.[ch]' but 'cli/image-list.c' 'cli/charset.c'

# A file and its header are one node, as are those of private headers.
cat > "$tmp/circles.py" << 'END'
import glob
import os
import re
import sys

os.chdir(sys.argv[1])
needs = {}
for path in glob.glob('*/*.[ch]'):
    name = path[:-2].replace('-private', '')
    with open(path, encoding='utf-8') as file:
        found = re.findall(r'^#include "([a-z0-9/-]+)\.h"', file.read(), re.M)
    needs.setdefault(name, set()).update(
        other.replace('-private', '') for other in found
        if path == name + '.h' or other.replace('-private', '') != name)
done = set()


def visit(name, path):
    if name in path:
        print(' -> '.join(path[path.index(name):] + [name]))
    elif name not in done:
        for other in sorted(needs.get(name, ())):
            visit(other, path + [name])
        done.add(name)


for name in sorted(needs):
    visit(name, [])
END
mkdir "$tmp/circle" "$tmp/circle/a"
echo '#include "a/two.h"' > "$tmp/circle/a/one.h"
echo '#include "a/one.h"' > "$tmp/circle/a/two.c"
echo '#include "a/three.h"' > "$tmp/circle/a/three.h"
python3 "$tmp/circles.py" "$tmp/circle" > "$tmp/circles"
expect_same 'circles are found' - "$tmp/circles" << 'END'
a/one -> a/two -> a/one
a/three -> a/three
END
python3 "$tmp/circles.py" "$srcdir/src" > "$tmp/circles" \
  || echo 'the includes cannot be read' >> "$tmp/circles"
expect_same 'no files include each other' /dev/null "$tmp/circles"

# Access to the outside world.

forbid 'no file prints to a stream' \
  "$(calls printf fprintf vprintf vfprintf dprintf vdprintf puts fputs putc \
    putchar fputc fwrite perror 'g_print(err)?' \
    'g_(log|message|warning|critical|info|debug)')" '*/*.[ch]'
forbid 'only main ends the process' \
  "$(calls exit _exit _Exit quick_exit abort g_abort atexit g_error)" \
  '*/*.[ch]' but 'cli/main.c'
forbid 'no file reads the environment' \
  "$(calls 'g_getenv' '(secure_)?getenv' 'g_get_environ')|(^|[^A-Za-z0-9_])environ([^A-Za-z0-9_]|\$)" \
  '*/*.[ch]'
forbid 'only the list of images uses stdio' \
  "(^|[^A-Za-z0-9_])(FILE|stdin)([^A-Za-z0-9_]|\$)|$(calls fopen fdopen \
    freopen fclose fread fgets getc fgetc getchar 'getline' getdelim scanf \
    fscanf fseek ftell)" '*/*.[ch]' but 'cli/image-list.c'
forbid 'only main names standard output and standard error' \
  '(^|[^A-Za-z0-9_])(stdout|stderr|STDOUT_FILENO|STDERR_FILENO)([^A-Za-z0-9_]|$)' \
  '*/*.[ch]' but 'cli/main.c'
# main opens /dev/null in place of standard descriptors that are closed.
forbid 'only the file source and edits read files' \
  "$(calls open openat creat close dup dup2 pread read readv preadv lseek \
    stat fstat lstat ioctl mmap 'g_(open|close|stat|fopen)' \
    'g_file_(get|open|read|new)[a-z_]*')" \
  '*/*.[ch]' but 'qcow2/source-file.c' 'qcow2/source-locks.c' \
  'edit/target.c' 'edit/plan-file.c' 'cli/main.c'
forbid 'only the target of an edit opens a file for reading and writing' \
  '(^|[^A-Za-z0-9_])O_RDWR([^A-Za-z0-9_]|$)' '*/*.[ch]' but 'edit/target.c'
forbid 'only the file of a plan is created' \
  '(^|[^A-Za-z0-9_])(O_WRONLY|O_CREAT|O_APPEND|O_TRUNC)([^A-Za-z0-9_]|$)' \
  '*/*.[ch]' but 'edit/plan-file.c' 'cli/main.c'
forbid 'only the target of an edit writes to an image' \
  "$(calls pwrite pwritev fallocate posix_fallocate fdatasync)" \
  '*/*.[ch]' but 'edit/target.c'
forbid 'only the file of a plan is removed' \
  "$(calls unlink unlinkat remove rename truncate)" '*/*.[ch]' \
  but 'edit/plan-file.c'
forbid 'only the hints for mistakes test whether a file exists' \
  "$(calls 'g_file_test')" '*/*.[ch]' but 'cli/suggest.c'
forbid 'only files that open others, and main, examine descriptors' \
  "$(calls fcntl)" '*/*.[ch]' but 'qcow2/source-file.c' 'edit/lock.c' \
  'cli/main.c'
forbid 'only main and edits write' \
  "$(calls write pwrite writev send ftruncate)" \
  '*/*.[ch]' but 'cli/main.c' 'edit/target.c' 'edit/plan-file.c'

# The knowledge of each layer.

forbid 'the reader does not judge' \
  '(^|[^A-Za-z0-9_])(Qcow2(Finding|Rule|Subject|Verdict)|qcow2_(finding|rule)s?_|qcow2_[a-z0-9_]*_check[_ ])' \
  'qcow2/*'
forbid 'the reader, the check and edits do not render' \
  '(^|[^A-Za-z0-9_])(Emitter|emitter_|describe_|format_[a-z]+ *\()' \
  'qcow2/*' 'check/*' 'edit/*'
forbid 'the renderer cannot fail' \
  '(^|[^A-Za-z0-9_])(GError|g_set_error|g_propagate_error|QCOW2_ERROR)' \
  'render/*'
forbid 'the renderer does not read' \
  '(^|[^A-Za-z0-9_])(ByteSource|ByteWindow|byte_source|byte_window|qcow2_[a-z0-9_]*(open|read|next)[a-z_]*[ 	]*\()' \
  'render/*'
# A shifted number (one bit per type) is not byte arithmetic.
forbid 'commands do no byte arithmetic' \
  '>>|[])][ 	]*<<|(^|[^A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]*[ 	]*<<|(^|[^A-Za-z0-9_])(guint8|qcow2_load_be|memcpy|memmove|byte_source_read|byte_window_get)([^A-Za-z0-9_]|$)' \
  'cli/cmd-*'
forbid 'commands format no values' 'printf[ 	]*\([ 	]*tool_get_text' \
  'cli/cmd-*'
forbid 'nor do they format values into a string of their own' \
  'printf[ 	]*\(' 'cli/cmd-*'
forbid 'the tool knows no qcow2 structure except the image' \
  '(^|[^A-Za-z0-9_])Qcow2(Header|Extension|Bitmap|Directory|Table|Field|Finding([^s]|$))' \
  'cli/tool*.[ch]'
forbid 'only the record converts bytes to numbers' \
  'GU?INT[0-9]*_(FROM|TO)_[BL]E|(^|[^A-Za-z0-9_])((be|le)(16|32|64)toh|hto(be|le)(16|32|64)|ntoh[sl]|hton[sl]|__builtin_bswap[0-9]+)|\][ 	)]*<<|<<[ 	]*8[^0-9]' \
  '*/*.[ch]' but 'qcow2/record.[ch]'

# The language.

forbid 'no structure is packed' \
  'G_GNUC_PACKED|__packed|\([ 	]*packed|#[ 	]*pragma[ 	]+pack' '*/*.[ch]'
forbid 'no buffer is cast to a structure' \
  '\((const )?Qcow2[A-Za-z]+ \*\)[ 	]*(bytes|buffer|data|head)' '*/*.[ch]'
forbid 'there is no goto' '(^|[^A-Za-z0-9_])goto[ 	]' '*/*.[ch]'
select_files '*/*.[ch]'
verdict 'no variable outlives a call' "$(list_variables "${files[@]}")"

done_testing
