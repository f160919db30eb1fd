# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of qcow2tool's command line, for bash 4.4 and later.
#
# The commands, their options and the values of these come from the program:
# from --help, and from the message about a wrong value.
#
# The names of bitmaps and snapshots come from an image and may be anything,
# $(...) included.  They are data here: compared in the shell, quoted by
# printf %q, never expanded.

# Decodes $1, which was typed between $' and '.  Sets unescaped for the caller.
_qcow2tool_unescape ()
{
  # A format of printf has the escapes of $'...', and the percent sign.
  # shellcheck disable=SC2059
  printf -v unescaped -- "${1//%/%%}"
}

# Splits COMP_LINE into words as the shell would, but expands nothing.  Sets
# for the caller: words, without quotes; cword, the index of the word at the
# cursor; and for the part of this word before the cursor: raw, the text as it
# was typed; typed, the same without quotes; open, the quote that is still open
# (' or " or $ for $'); and before, the part of typed before this quote.
_qcow2tool_split ()
{
  local line=$COMP_LINE quote='' word='' ansi='' lead='' unescaped=''
  local char i start=-1 seen=''

  words=() cword=0 raw='' typed='' open='' before=''
  for ((i = 0; i <= ${#line}; i++)); do
    char=${line:i:1}

    if [[ ! $seen ]] && ((i >= COMP_POINT)); then
      seen=1 cword=${#words[@]} typed=$word open=$quote before=$lead
      if ((start >= 0)); then
        raw=${line:start:COMP_POINT-start}
      fi
      if [[ $quote == '$' ]]; then
        _qcow2tool_unescape "$ansi"
        typed+=$unescaped
      fi
    fi

    if [[ ! $quote && $char == [[:space:]] ]] || ((i == ${#line})); then
      if ((start >= 0)); then
        words+=("$word")
      elif ((cword == ${#words[@]})) && [[ $seen ]]; then
        words+=('') # the cursor is at a word that has not begun
      fi
      word='' start=-1
      continue
    fi

    if ((start < 0)); then
      start=$i
    fi
    case $quote in
      '')
        case $char in
          \\)
            i=$((i + 1))
            word+=${line:i:1} ;;
          \'|\")
            quote=$char lead=$word ;;
          \$)
            if [[ ${line:i+1:1} == \' ]]; then
              quote=$char lead=$word ansi=''
              i=$((i + 1))
            else
              word+=$char
            fi ;;
          *)
            word+=$char ;;
        esac ;;
      \$)
        case $char in
          \\)
            i=$((i + 1))
            ansi+=$char${line:i:1} ;;
          \')
            _qcow2tool_unescape "$ansi"
            word+=$unescaped quote='' ;;
          *)
            ansi+=$char ;;
        esac ;;
      \")
        case $char in
          \\)
            if [[ ${line:i+1:1} != [\"\\\$\`] ]]; then
              word+=$char
            fi
            i=$((i + 1))
            word+=${line:i:1} ;;
          \")
            quote='' ;;
          *)
            word+=$char ;;
        esac ;;
      \')
        if [[ $char == \' ]]; then
          quote=''
        else
          word+=$char
        fi ;;
    esac
  done
}

# Sets quoted for the caller: $1 as it must be written after the open quote $2,
# or outside of quotes if $2 is empty.  Fails if there is no way to write it.
_qcow2tool_quote ()
{
  printf -v quoted %q "$1"

  case $2 in
    \$)
      if [[ $quoted == "\$'"* ]]; then
        quoted=${quoted:2}
      else
        quoted=${1//\\/\\\\}
        quoted=${quoted//\'/\\\'}
      fi ;;
    \'|\")
      # Only $'...' can represent these.
      if [[ $quoted == "\$'"* ]]; then
        return 1
      fi
      quoted=$1
      if [[ $2 == \' ]]; then
        quoted=${quoted//\'/\'\\\'\'}
      elif [[ $quoted == *!* ]]; then
        return 1 # history expansion, which no quoting undoes here
      else
        quoted=${quoted//\\/\\\\}
        quoted=${quoted//\"/\\\"}
        quoted=${quoted//\$/\\\$}
        quoted=${quoted//\`/\\\`}
      fi ;;
  esac
}

# Adds those of the words $3... that begin with typed to COMPREPLY.  Each gets
# the prefix $1, an option up to its =.  $2 is the word that readline will
# replace: the end of raw, or the text after an open quote.
_qcow2tool_offer ()
{
  local head=$1 text=$2 keep=${raw%"$2"} candidate whole quoted

  shift 2
  for candidate; do
    whole=$head$candidate
    if [[ ! $candidate || $whole != "$typed"* ]]; then
      continue
    fi

    if [[ $open ]]; then
      if _qcow2tool_quote "${whole#"$before"}" "$open"; then
        COMPREPLY+=("$quoted")
      fi
      continue
    fi

    _qcow2tool_quote "$candidate" ''
    quoted=$head$quoted
    if [[ $quoted == "$keep"* ]]; then
      COMPREPLY+=("${quoted#"$keep"}")
    fi
  done
}

# Offers files.  The arguments are those of _qcow2tool_offer.
_qcow2tool_offer_files ()
{
  local value=${raw#"$1"} keep=${raw%"$2"} file files

  if [[ $open ]]; then
    value=$2 keep=$1
  fi
  mapfile -t files < <(compgen -f -- "$value")
  for file in "${files[@]}"; do
    file=$1$file
    COMPREPLY+=("${file#"$keep"}")
  done
  compopt -o filenames 2> /dev/null
}

# Offers the names of the bitmaps in the image on the command line, or of the
# snapshots if the command is about these.
_qcow2tool_offer_names ()
{
  local image=$image items=bitmaps names

  if [[ ! $image ]]; then
    return
  fi
  # shellcheck disable=SC2088 # the user typed this tilde
  if [[ $image == '~/'* ]]; then
    image=$HOME/${image:2}
  fi
  if [[ $command == snapshots ]]; then
    items=$command
  fi
  mapfile -d '' -t names < <(command qcow2tool "$items" --names -0 \
    -- "$image" 2> /dev/null < /dev/null)
  _qcow2tool_offer "$1" "$2" "${names[@]}"
}

_qcow2tool_offer_rules ()
{
  local rules

  mapfile -t rules < <(command qcow2tool check --rules 2> /dev/null \
    < /dev/null | sed -nE 's/^([A-Z0-9]+-[0-9]+) .*/\1/p' | sort -u)
  _qcow2tool_offer "$@" "${rules[@]}"
}

# Prints the values of the option $1, one per line: those in the message about
# a wrong value.  Some options need a selection before their value is examined.
_qcow2tool_list_values ()
{
  local selection

  for selection in '' --index=0; do
    command qcow2tool "$command" ${selection:+"$selection"} "$1" nosuch \
      -- /dev/null 2>&1 > /dev/null < /dev/null |
      sed -nE "1s/.* n(ot|or) one of:? //p" | sed "s/'//g; s/, /\\n/g" |
      grep . && return
  done
}

# Offers values of the option $1.  The other arguments are those of
# _qcow2tool_offer.
_qcow2tool_offer_values ()
{
  local option=$1 values

  shift
  case ${kinds[$option]-} in
    '')
      ;;
    NAME)
      _qcow2tool_offer_names "$@" ;;
    FILE | DIR)
      _qcow2tool_offer_files "$@" ;;
    RULE)
      _qcow2tool_offer_rules "$@" ;;
    *)
      mapfile -t values < <(_qcow2tool_list_values "$option")
      _qcow2tool_offer "$@" "${values[@]}" ;;
  esac
}

# Succeeds if the first operand of the command is a kind, not an image.
_qcow2tool_takes_kind ()
{
  command qcow2tool "$command" --help 2> /dev/null < /dev/null |
    grep -q '^  qcow2tool .* KIND '
}

# Offers kinds: those in the message about a wrong one.
_qcow2tool_offer_kinds ()
{
  local values

  mapfile -t values < <(command qcow2tool "$command" nosuch -- /dev/null \
    2>&1 > /dev/null < /dev/null |
    sed -n '1s/.* not one of: //p' | sed 's/, /\n/g')
  _qcow2tool_offer "$@" "${values[@]}"
}

# Prints the name that the help gives the operand at the cursor, such as FIELD.
_qcow2tool_operand ()
{
  command qcow2tool "$command" --help 2> /dev/null < /dev/null |
    sed -nE '2s/^  qcow2tool [^ ]+ \[OPTION\.\.\.\] //p' |
    cut -s -d ' ' -f "$((${#operands[@]} + 1))"
}

# Offers values of the operand NAME, $1, after the image: those in the message
# about a wrong one.  A dry run writes nothing.  The other arguments are those
# of _qcow2tool_offer.
_qcow2tool_offer_operands ()
{
  local values image=$image wrong=(nosuch 0) list='(not one of|fields are):'

  # shellcheck disable=SC2088 # the user typed this tilde
  if [[ $image == '~/'* ]]; then
    image=$HOME/${image:2}
  fi
  if [[ $1 == BIT ]]; then
    wrong=(nosuch) list='(bits are): 0 to 63,'
  fi
  shift
  mapfile -t values < <(command qcow2tool "$command" --dry-run -- "$image" \
    "${operands[@]:1}" "${wrong[@]}" 2>&1 > /dev/null < /dev/null |
    sed -nE "1s/.* $list //p" | sed 's/, /\n/g')
  _qcow2tool_offer "$@" "${values[@]}"
}

# Reads the options of the command $1, or of the program, from the help.  Sets
# for the caller: options, as they are offered; and kinds, which has the name
# of the value of each option that takes one.
_qcow2tool_read_options ()
{
  local long short kind

  options=() kinds=()
  while read -r long short kind; do
    options+=("$long${kind:+=}")
    kinds[$long]=$kind
    if [[ $short != - ]]; then
      options+=("$short")
      kinds[$short]=$kind
    fi
  done < <(command qcow2tool "$@" --help 2> /dev/null < /dev/null |
    sed -nE 's/^  --/  -, --/
      s/^  (-[A-Za-z0-9]?), (--[a-z0-9-]+)=?([^ ]*).*/\2 \1 \3/p')
}

_qcow2tool_offer_options ()
{
  _qcow2tool_offer '' "$1" "${options[@]}"

  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace 2> /dev/null
  fi
}

# Offers commands.  The arguments are those of _qcow2tool_offer.
_qcow2tool_offer_commands ()
{
  local commands

  mapfile -t commands < <(command qcow2tool --help 2> /dev/null < /dev/null |
    sed -nE 's/^  ([a-z][a-z0-9-]*)  +[^ ].*/\1/p')
  _qcow2tool_offer "$@" "${commands[@]}"
}

# Examines the words around the cursor.  Sets for the caller: command; image,
# the first one that is named; operands, those before the cursor; wanted, the
# option whose value is at the cursor; ended, if -- has ended the options; and
# what _qcow2tool_read_options sets.
_qcow2tool_survey ()
{
  local i option='' over=''

  command='' image='' wanted='' ended='' operands=()
  _qcow2tool_read_options
  for ((i = 1; i < ${#words[@]}; i++)); do
    if ((i == cword)); then
      wanted=$option ended=$over
    fi

    if [[ $option ]]; then
      option=''
    elif [[ ! $over && ${words[i]} == -- ]] && ((i != cword)); then
      over=1
    elif [[ ! $over && ${words[i]} == -* ]]; then
      if [[ ${kinds[${words[i]}]-} ]] && ((i != cword)); then
        option=${words[i]}
      fi
    elif ((i == cword)); then
      continue
    elif [[ ! $command ]]; then
      command=${words[i]} over='' options=() kinds=()
      if [[ $command != help ]]; then
        _qcow2tool_read_options "$command"
      fi
    else
      image=${image:-${words[i]}}
      if ((i < cword)); then
        operands+=("${words[i]}")
      fi
    fi
  done
}

# $2 is the text that readline will replace.
_qcow2tool ()
{
  local IFS=$' \t\n' text=${2-}
  local words cword raw typed open before command image wanted ended options
  local operands name
  local -A kinds

  COMPREPLY=()
  _qcow2tool_split
  _qcow2tool_survey

  if [[ $wanted ]]; then
    _qcow2tool_offer_values "$wanted" '' "$text"
  elif [[ ! $ended && $typed == --*=* ]]; then
    _qcow2tool_offer_values "${typed%%=*}" "${typed%%=*}=" "$text"
  elif [[ ! $ended && $typed == -* ]]; then
    _qcow2tool_offer_options "$text"
  elif [[ ! $command ]]; then
    _qcow2tool_offer_commands '' "$text"
    _qcow2tool_offer '' "$text" help
  elif [[ $command == help ]]; then
    _qcow2tool_offer_commands '' "$text"
  elif [[ ! $image ]] && _qcow2tool_takes_kind; then
    _qcow2tool_offer_kinds '' "$text"
  else
    name=$(_qcow2tool_operand)
    case $name in
      FIELD | GROUP | BIT)
        _qcow2tool_offer_operands "$name" '' "$text" ;;
      VALUE | MAGIC | DATA)
        ;;
      *)
        _qcow2tool_offer_files '' "$text" ;;
    esac
  fi
}

complete -F _qcow2tool qcow2tool
