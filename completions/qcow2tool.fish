# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of qcow2tool's command line, for fish 3.1 and later.
#
# The commands, their options and the values of these come from the program:
# from --help, and from the message about a wrong value.
#
# The names of bitmaps and snapshots come from an image and may be anything,
# (...) included.  They are data here: fish escapes them, and expands nothing
# in them.

# Prints the commands, each with its summary after a tab.
function __qcow2tool_commands
    command qcow2tool --help 2>/dev/null </dev/null |
        string replace -rf '^  ([a-z][a-z0-9-]*)  +([^ ].*)$' '$1\t$2'
end

# Prints the options of the command $argv, or of the program.  Each line has
# the long name, the short one, the name of the value and the description,
# separated by tabs.  Only the first is never empty.
function __qcow2tool_options
    set -l option
    for line in (command qcow2tool $argv --help 2>/dev/null </dev/null)
        set -l fields (string match -r \
            '^  (-\w|)(?:, |)(--[a-z0-9-]+)=?(\S*) *(.*)$' -- $line)
        if set -q fields[1]
            set -q option[1]; and string join \t -- $option
            set option $fields[3] $fields[2] $fields[4] $fields[5]
        else if test -z "$line"
            set -q option[1]; and string join \t -- $option
            set option
        else if set -q option[1]
            # More of the description.
            set option[4] (string trim -- "$option[4] "(string trim -- $line))
        end
    end
    set -q option[1]; and string join \t -- $option
end

# Prints the name of the value that the option $argv[1] takes, if it takes one.
# The other arguments are the lines of __qcow2tool_options.
function __qcow2tool_kind
    for line in $argv[2..-1]
        set -l fields (string split \t -- $line)
        if contains -- $argv[1] $fields[1..2]
            echo $fields[3]
            return
        end
    end
end

# Prints the values of the option $argv[2] of the command $argv[1]: those in
# the message about a wrong value.  Some options need a selection before their
# value is examined.
function __qcow2tool_values
    for selection in '' --index=0
        set -l select (string match -- '-*' $selection)
        set -l values (command qcow2tool $argv[1] $select $argv[2] nosuch \
            -- /dev/null 2>&1 >/dev/null </dev/null |
            string replace -rf '^.* n(?:ot|or) one of:? ' '' |
            string replace -a "'" '' | string split ', ')
        if set -q values[1]
            printf '%s\n' $values
            return
        end
    end
end

# Prints the kinds that the command $argv[1] takes as its first operand: those
# in the message about a wrong one.  Prints nothing if it takes none.
function __qcow2tool_kinds
    if command qcow2tool $argv[1] --help 2>/dev/null </dev/null |
            string match -qr '^  qcow2tool .* KIND '
        command qcow2tool $argv[1] nosuch -- /dev/null 2>&1 >/dev/null \
            </dev/null | string replace -rf '^.* not one of: ' '' |
            string split ', '
    end
end

# Prints the name that the help of the command $argv[1] gives its operand with
# the number $argv[2], such as FIELD.
function __qcow2tool_operand
    set -l names (command qcow2tool $argv[1] --help 2>/dev/null </dev/null |
        string replace -rf '^  qcow2tool \S+ \[OPTION\.\.\.\] ' '')
    set -q names[1]; and string split ' ' -- $names[1] | sed -n $argv[2]p
end

# Prints the values of the operand NAME, $argv[1], of the command $argv[2],
# after the operands in the other arguments: those in the message about a wrong
# one.  A dry run writes nothing.
function __qcow2tool_operand_values
    set -l image (string replace -r '^~/' $HOME/ -- $argv[3])
    set -l wrong nosuch 0
    set -l list '(?:not one of|fields are):'
    if test $argv[1] = BIT
        set wrong nosuch
        set list 'bits are: 0 to 63,'
    end
    command qcow2tool $argv[2] --dry-run -- $image $argv[4..-1] $wrong \
        2>&1 >/dev/null </dev/null | string replace -rf "^.* $list " '' |
        string split ', '
end

# Prints the names of the bitmaps in the image $argv[2], or of the snapshots if
# the command $argv[3] is about these, each after $argv[1].  fish takes the
# text after a tab for a description, so a name with a tab cannot be offered.
function __qcow2tool_names
    set -l image (string replace -r '^~/' $HOME/ -- $argv[2])
    if test -z "$image"
        return
    end
    set -l items bitmaps
    if test "$argv[3]" = snapshots
        set items snapshots
    end
    for name in (command qcow2tool $items --names -0 -- $image 2>/dev/null \
            </dev/null | string split0)
        if not string match -q -- \*\t\* $name
            printf '%s\0' $argv[1]$name
        end
    end
end

# Prints the completions of the word at the cursor, each ended by a NUL byte.
function __qcow2tool_complete
    if not command -q qcow2tool
        return
    end
    set -l word (commandline -ct)
    set -l words (commandline -opc)
    set -l cursor (math (count $words) + 1)
    set -l all (commandline -op)
    # An empty word at the cursor is not among the words of the line.
    if test -z "$word"
        set -a words ''
    end
    if test (count $all) -ge $cursor
        set -a words $all[$cursor..-1]
    end

    # command; image, the first one that is named; operands, those before the
    # cursor; wanted, the option whose value is at the cursor; and ended, if --
    # has ended the options.
    set -l options (__qcow2tool_options)
    set -l command ''
    set -l image ''
    set -l operands
    set -l wanted ''
    set -l ended ''
    set -l option ''
    set -l over ''
    for i in (seq 2 (count $words))
        if test $i = $cursor
            set wanted $option
            set ended $over
            set option ''
        else if test -n "$option"
            set option ''
        else if test -z "$over"; and test "$words[$i]" = --
            set over yes
        else if test -z "$over"; and string match -q -- '-*' $words[$i]
            if test -n "$(__qcow2tool_kind $words[$i] $options)"
                set option $words[$i]
            end
        else if test -z "$command"
            set command $words[$i]
            set over ''
            set options
            if test "$command" != help
                set options (__qcow2tool_options $command)
            end
        else
            test -z "$image"; and set image $words[$i]
            test $i -lt $cursor; and set -a operands $words[$i]
        end
    end

    set -l head ''
    if test -z "$wanted$ended"; and string match -qr -- '^--[^=]+=' $word
        set wanted (string replace -r '=.*' '' -- $word)[1]
        set head $wanted=
    end

    if test -n "$wanted"
        switch "$(__qcow2tool_kind $wanted $options)"
            case ''
            case NAME
                __qcow2tool_names "$head" "$image" $command
            case FILE DIR
                set -l value (string sub -s (math (string length -- "$head") \
                    + 1) -- $word)
                for file in (__fish_complete_path "$value")
                    printf '%s%s\0' "$head" $file
                end
            case RULE
                for rule in (command qcow2tool check --rules 2>/dev/null \
                        </dev/null | string replace -rf '^([A-Z0-9]+-\d+) .*' \
                        '$1' | sort -u)
                    printf '%s%s\0' "$head" $rule
                end
            case '*'
                for value in (__qcow2tool_values $command $wanted)
                    printf '%s%s\0' "$head" $value
                end
        end
    else if test -z "$ended"; and string match -q -- '-*' $word
        for line in $options
            set -l fields (string split \t -- $line)
            if test -n "$fields[3]"
                printf '%s=\t%s\0' $fields[1] $fields[4]
            else
                printf '%s\t%s\0' $fields[1] $fields[4]
            end
            if test -n "$fields[2]"
                printf '%s\t%s\0' $fields[2] $fields[4]
            end
        end
    else if test -z "$command"
        printf '%s\0' (__qcow2tool_commands) help\t'Show the help of a command'
    else if test "$command" = help
        printf '%s\0' (__qcow2tool_commands)
    else
        set -l kinds
        if test -z "$image"
            set kinds (__qcow2tool_kinds $command)
        end
        if set -q kinds[1]
            printf '%s\0' $kinds
            return
        end
        set -l name (__qcow2tool_operand $command \
            (math (count $operands) + 1))
        switch "$name"
            case FIELD GROUP BIT
                set -l values (__qcow2tool_operand_values $name $command \
                    $operands)
                set -q values[1]; and printf '%s\0' $values
            case VALUE MAGIC DATA
            case '*'
                for file in (__fish_complete_path "$word")
                    printf '%s\0' $file
                end
        end
    end
end

complete -c qcow2tool -f -a '(__qcow2tool_complete | string split0)'
