#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Who may touch what: each layer of src/ includes and calls only what it may.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/lib.sh"

# What the rules look at: the sources without comments, and without what is
# in strings unless it is an included file's name.  Line numbers stay.
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

# Variables that keep a value between calls: a line each, FILE:LINE:TEXT.
# A declaration whose name stands on the next line is put together first.
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

# Sets files: those of the stripped sources that match the patterns, without
# those behind "but".
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

# verdict NAME HITS: one rule's result.  A rule that sees no file is broken.
verdict ()
{
  if [ ${#files[@]} = 0 ] || [ ! -e "${files[0]}" ]; then
    fail "$1" "no file is there to look at"
  elif [ -n "$2" ]; then
    fail "$1" "$2"
  else
    pass "$1"
  fi
}

# forbid NAME REGEX FILES...: no line of them matches.
forbid ()
{
  local name=$1 regex=$2

  shift 2
  select_files "$@"
  verdict "$name" "$(grep -nE -e "$regex" /dev/null "${files[@]}")"
}

# includes NAME REGEX FILES...: what they include matches as a whole.
includes ()
{
  local name=$1 regex=$2

  shift 2
  select_files "$@"
  verdict "$name" "$(grep -nE '^[ 	]*#[ 	]*include' /dev/null "${files[@]}" \
    | grep -vE "include[ 	]+($regex)[ 	]*\$")"
}

# A regular expression for a call of one of the functions; not for a member
# of that name.
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

# Includes, layer by layer.

posix='<(errno|fcntl|string|unistd|sys/stat|sys/types|sys/vfs)\.h>'

includes 'sources include no qcow2 structure' \
  "\"config\.h\"|\"qcow2/(error|source)\.h\"|<glib\.h>|$posix" \
  'qcow2/source*'
includes 'the rest of the reader includes only the reader' \
  '"config\.h"|"qcow2/[a-z0-9-]+\.h"|<(glib|string)\.h>' \
  'qcow2/*' but 'qcow2/source*'
includes 'only the file source includes what opens and reads' \
  '"[^"]*"|<(glib|string|errno|stdio|stdlib)\.h>' \
  '*/*.[ch]' but 'qcow2/source-file.c' 'qcow2/source-nbd.c' 'cli/main.c' \
  'cli/charset.c'
includes 'the renderer includes types, no reader' \
  '"config\.h"|"render/[a-z-]+\.h"|"qcow2/(arithmetic|bitmap|extension|extent|header|image|printable|problem|record|table|verdict)\.h"|<(glib|string)\.h>' \
  'render/*'
includes 'commands include public headers only' \
  '"config\.h"|"cli/(bitmap-block|charset|commands|each-extension|fields|number|rows|selection|tool|usage)\.h"|"qcow2/[a-z0-9-]+\.h"|"render/[a-z-]+\.h"|<string\.h>' \
  'cli/cmd-*'
forbid 'commands do not include the byte source' \
  'include[ 	]+"qcow2/source\.h"' 'cli/cmd-*'
includes 'the process includes only how a command line is run' \
  '"config\.h"|"cli/dispatch\.h"|<[a-z/]+\.h>' 'cli/main.c'
includes 'only the list of images includes stdio' \
  '"[^"]*"|<(errno|fcntl|glib|string|sys/[a-z]+|unistd)\.h>' \
  '*/*.[ch]' but 'cli/image-list.c' 'cli/charset.c'

# What talks to the world.

forbid 'nothing prints to a stream' \
  "$(calls printf fprintf vprintf vfprintf dprintf vdprintf puts fputs putc \
    putchar fputc fwrite perror 'g_print(err)?' \
    'g_(log|message|warning|critical|info|debug)')" '*/*.[ch]'
forbid 'nothing ends the process but main' \
  "$(calls exit _exit _Exit quick_exit abort g_abort atexit g_error)" \
  '*/*.[ch]' but 'cli/main.c'
forbid 'nothing asks the environment' \
  "$(calls 'g_getenv' '(secure_)?getenv' 'g_get_environ')|(^|[^A-Za-z0-9_])environ([^A-Za-z0-9_]|\$)" \
  '*/*.[ch]'
forbid 'only the list of images uses stdio' \
  "(^|[^A-Za-z0-9_])(FILE|stdin)([^A-Za-z0-9_]|\$)|$(calls fopen fdopen \
    freopen fclose fread fgets getc fgetc getchar 'getline' getdelim scanf \
    fscanf fseek ftell)" '*/*.[ch]' but 'cli/image-list.c'
forbid 'only main names standard output and standard error' \
  '(^|[^A-Za-z0-9_])(stdout|stderr|STDOUT_FILENO|STDERR_FILENO)([^A-Za-z0-9_]|$)' \
  '*/*.[ch]' but 'cli/main.c'
forbid 'only the file source reads files' \
  "$(calls open openat creat close dup dup2 pread read readv preadv lseek \
    stat fstat lstat ioctl mmap 'g_(open|close|stat|fopen)' \
    'g_file_(get|open|read|new)[a-z_]*')" \
  '*/*.[ch]' but 'qcow2/source-file.c'
forbid 'only the hint for a mistaken command asks whether a file is there' \
  "$(calls 'g_file_test')" '*/*.[ch]' but 'cli/dispatch.c'
forbid 'only the file source and main ask what a descriptor is' \
  "$(calls fcntl)" '*/*.[ch]' but 'qcow2/source-file.c' 'cli/main.c'
forbid 'only main writes' "$(calls write pwrite writev send ftruncate)" \
  '*/*.[ch]' but 'cli/main.c'

# What each layer knows.

forbid 'the reader does not render' \
  '(^|[^A-Za-z0-9_])(Emitter|emitter_|describe_|format_[a-z]+ *\()' 'qcow2/*'
forbid 'the renderer cannot fail' \
  '(^|[^A-Za-z0-9_])(GError|g_set_error|g_propagate_error|QCOW2_ERROR)' \
  'render/*'
forbid 'the renderer does not read' \
  '(^|[^A-Za-z0-9_])(ByteSource|ByteWindow|byte_source|byte_window|qcow2_[a-z0-9_]*(open|read|next)[a-z_]*[ 	]*\()' \
  'render/*'
# A shifted number (one bit per type) is no byte.
forbid 'commands do no byte arithmetic' \
  '>>|[])][ 	]*<<|(^|[^A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]*[ 	]*<<|(^|[^A-Za-z0-9_])(guint8|qcow2_load_be|memcpy|memmove|byte_source_read|byte_window_get)([^A-Za-z0-9_]|$)' \
  'cli/cmd-*'
forbid 'commands format no values' 'printf[ 	]*\([ 	]*tool_get_text' \
  'cli/cmd-*'
forbid 'the tool knows no qcow2 structure but the image' \
  '(^|[^A-Za-z0-9_])Qcow2(Header|Extension|Bitmap|Directory|Table|Field|Problem)' \
  'cli/tool.[ch]'
forbid 'bytes become numbers in the record alone' \
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
