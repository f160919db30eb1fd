# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154 # lib.sh sets tmp, srcdir, image and sample
# Sourced by the tests of the completions, after lib.sh.  Those of zsh and fish
# define two functions and then call test_completion:
#
#   complete_at LEFT [RIGHT]  completes LEFT, with the cursor before RIGHT.
#                             $tmp/candidates then has the candidates, each
#                             ended by a NUL byte, without the option and the =
#                             before a value, and without the = after an option
#   expect_inserted NAME FILE after complete_at, the only candidate is inserted
#                             so that the shell reads the bytes of FILE

# The completion runs the qcow2tool in the PATH.
mkdir "$tmp/bin" "$tmp/cwd" "$tmp/files"
tool_in "$tmp/bin"
PATH=$tmp/bin:$PATH
touch "$tmp/files/disk.qcow2" "$tmp/files/disk two.qcow2"

# The images of the builder with a hostile name for bitmap 0.
# shellcheck disable=SC2034 # it is for the tests
hostile_images=(name-command name-spaces name-quotes name-option name-newline
  name-terminal-title name-utf8 name-printf-directives name-backslash-u
  name-right-to-left name-non-utf8 name-utf8-overlong name-utf8-cut
  name-emoji name-c1 name-delete name-zero-width name-tab-return
  name-looks-escaped name-forges-entry)

# Prints the name of bitmap 0 in an image derived from base two-bitmaps of the
# builder, without qcow2tool: the directory is at 0x2c0000, with name_size at
# byte 18 and the name at byte 24 of the entry.
name_of_bitmap_0 ()
{
  local high low

  read -r high low < <(od -An -tu1 -j $((0x2c0012)) -N 2 "$1")
  tail -c +$((0x2c0018 + 1)) "$1" | head -c $((high * 256 + low))
}

# expect_candidates NAME LEFT WORD...: completing LEFT offers just the words.
expect_candidates ()
{
  local name=$1 left=$2

  shift 2
  complete_at "$left" "${right-}"
  printf '%s\0' "$@" | sort -z | tr '\0' '\n' > "$tmp/expected"
  sort -z "$tmp/candidates" | tr '\0' '\n' > "$tmp/found"
  expect_file "$name" "$tmp/found"
}

# expect_none NAME LEFT: completing LEFT offers nothing.
expect_none ()
{
  complete_at "$2"
  check "$1" [ ! -s "$tmp/candidates" ]
}

# Each option of each command is offered, and each value that the message about
# a wrong one lists.
test_all_options ()
{
  local command option
  local -a options values

  for command in "${all_commands[@]}"; do
    mapfile -t options < <($QCOW2TOOL "$command" --help |
      grep -oE '^  (-[A-Za-z0-9], )?--[a-z0-9-]+' | grep -oE -- '-[^ ,]+')
    expect_candidates "options of $command" "qcow2tool $command -" \
      "${options[@]}"

    for option in "${options[@]}"; do
      case $option in
        --field|--format|--is|--magic|--output|--type|-f) ;;
        *) continue ;;
      esac
      # Some need a selection.
      for selection in '' --index=0; do
        mapfile -t values < <($QCOW2TOOL "$command" ${selection:+--index=0} \
          "$option" nosuch image 2>&1 |
          sed -n "s/'//g; 1s/.* n[ot]*r* one of:* //p" | sed 's/, /\n/g')
        [ "${#values[@]}" = 0 ] || break
      done
      check "there are values of $command $option" [ "${#values[@]}" -gt 0 ]
      expect_candidates "values of $command $option" \
        "qcow2tool $command $option " "${values[@]}"
    done
  done
}

test_completion ()
{
  local sample hostile right=
  local -a all_commands rules

  cd "$tmp/cwd" || exit 1
  mapfile -t all_commands < <(command_names)
  expect_candidates 'commands' 'qcow2tool ' "${all_commands[@]}" help
  expect_candidates 'commands with this prefix' 'qcow2tool bi' bitmaps \
    bitmap-table bitmap-map
  expect_candidates 'commands after help' 'qcow2tool help ext' extensions
  expect_candidates 'options before the command' 'qcow2tool -' --help -h \
    --version -V
  expect_none 'no options after --' 'qcow2tool header -- --f'
  expect_none 'no options of an unknown command' 'qcow2tool nosuch -'
  expect_none 'nothing for a number' 'qcow2tool bitmaps --index '
  expect_none 'nothing for an option without a value' \
    'qcow2tool bitmaps --list='
  test_all_options
  expect_candidates 'kinds' 'qcow2tool table ' l1 l2 refcount-table \
    refcount-block snapshots
  expect_candidates 'kinds with this prefix' 'qcow2tool table --index=0 ref' \
    refcount-table refcount-block
  expect_candidates 'kinds after --' 'qcow2tool table -- l' l1 l2

  expect_candidates 'values after =' 'qcow2tool bitmaps --is=us' usable
  expect_candidates 'values after a short option' 'qcow2tool check -f q' qcow2
  expect_candidates 'values with blanks' 'qcow2tool extensions --magic=B' \
    'Backing format' Bitmaps
  mapfile -t rules < <(sed -nE 's/^RULE \(.*"(BTAB-[0-9]+)".*/\1/p' \
    "$srcdir/src/check/rules.def" | sort -u)
  expect_candidates 'rules' 'qcow2tool check --ignore BTAB' "${rules[@]}"
  expect_candidates 'rules after =' 'qcow2tool check --ignore=BTAB' \
    "${rules[@]}"

  image two-bitmaps
  expect_candidates 'fields' "qcow2tool set-header --force $image re" \
    refcount_table_offset refcount_table_clusters refcount_order
  expect_candidates 'groups' "qcow2tool set-feature-bit $image " incompatible \
    compatible autoclear
  expect_candidates 'groups with this prefix' \
    "qcow2tool clear-feature-bit -n -- $image in" incompatible
  expect_candidates 'bits' "qcow2tool set-feature-bit $image autoclear " \
    bitmaps raw-external-data
  expect_candidates 'bits of another group' \
    "qcow2tool clear-feature-bit $image compatible " lazy-refcounts
  expect_none 'no bits of an unknown group' \
    "qcow2tool set-feature-bit $image nosuch "
  expect_none 'no values of a field' "qcow2tool set-header $image size "
  expect_none 'no magic' "qcow2tool del-header-ext $image "
  expect_none 'no fields without an image' \
    "qcow2tool set-header $tmp/nosuch "

  cd "$tmp/files" || exit 1
  expect_candidates 'files' 'qcow2tool header dis' disk.qcow2 'disk two.qcow2'
  expect_candidates 'files after an option' 'qcow2tool dump --list disk.' \
    disk.qcow2
  expect_candidates 'files after --' 'qcow2tool header -- disk.' disk.qcow2
  expect_candidates 'the image after a plan' 'qcow2tool apply plan disk.' \
    disk.qcow2
  expect_candidates 'files after a kind' 'qcow2tool table l1 disk.' disk.qcow2
  expect_candidates 'files as a value' 'qcow2tool header --files-from disk.' \
    disk.qcow2
  expect_candidates 'files as a value after =' \
    'qcow2tool header --files0-from=disk.' disk.qcow2
  cd "$tmp/cwd" || exit 1

  sample iotest291-merged
  expect_candidates 'names' "qcow2tool bitmaps $sample --name " b0 b1 b2
  image two-snapshots
  expect_candidates 'names of snapshots' \
    "qcow2tool snapshots $image --name " snap1 snap2
  expect_candidates 'names after =' "qcow2tool check $sample --name=b" b0 b1 b2
  expect_candidates 'names of an image in quotes' \
    "qcow2tool bitmaps --field state '$sample' --name " b0 b1 b2
  expect_none 'no names without an image' 'qcow2tool bitmaps --name '
  expect_none 'no names in no image' "qcow2tool bitmaps $tmp/nosuch --name "

  for hostile in "${hostile_images[@]}"; do
    # Both bitmaps of this image have a hostile name.
    [ "$hostile" != name-looks-escaped ] || continue
    image "$hostile"
    name_of_bitmap_0 "$image" > "$tmp/name"
    complete_at "qcow2tool bitmaps $image --name "
    expect_inserted "$hostile: as a word" "$tmp/name"
    complete_at "qcow2tool bitmaps $image --name="
    expect_inserted "$hostile: after =" "$tmp/name"
  done
  check 'no name was executed' [ -z "$(ls -A)" ]
}
