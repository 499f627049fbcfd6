#!/bin/sh
# Records the ABI of a version for the tests that compare: its clouds.h, with which programs were built, and the types and
# functions of a libclouds.so that was built with debug information. It is written over until the version is released.
# Usage: tools/abi-record.sh LIBRARY             after a deliberate change: writes capi/abi/VERSION
#        tools/abi-record.sh --released          VERSION is released: what is recorded of it stays as it is
#        tools/abi-record.sh LIBRARY FILE        only the types and functions, to a file
set -eu
library=${1:?usage: tools/abi-record.sh LIBRARY [FILE] | --released}
here=$(dirname "$0")
abi=$here/../capi/abi
header=$here/../capi/include/clouds.h
extended=$here/../capi/include/clouds_extend.h
version=$(sed -n 's/^#define CLOUDS_VERSION "\(.*\)"$/\1/p' "$header")
released=$abi/released

refuse() {
  echo "tools/abi-record.sh: $*" >&2
  exit 1
}

is_released() {
  grep -q "^$version " "$released"
}

record() {
  # Only what clouds.h declares, but all of that.
  abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --drop-private-types \
    --exported-interfaces-only --headers-dir "$here/../capi/include" --out-file "$1.new" "$library"
  # No path of the machine that recorded it.
  sed -e "s| path='[^']*/capi/| path='capi/|; s| comp-dir-path='[^']*'||" "$1.new" >"$1"
  rm "$1.new"
  grep -q "class-decl name='clouds_event'" "$1" || refuse "$library has no debug information"
}

sum() {
  sha256sum "$1" | cut -d ' ' -f 1
}

case $library in
  --released) ;;
  -*) refuse "usage: tools/abi-record.sh LIBRARY [FILE] | --released" ;;
esac

if [ "$library" = --released ]; then
  is_released && refuse "$version is released already"
  cmp -s "$header" "$abi/$version/clouds.h" || refuse "record $version first: its clouds.h is not today's"
  cmp -s "$extended" "$abi/$version/clouds_extend.h" || refuse "record $version first: its clouds_extend.h is not today's"
  echo "$version $(sum "$abi/$version/clouds.h") $(sum "$abi/$version/libclouds.abi") $(sum "$abi/$version/clouds_extend.h")" >>"$released"
elif [ $# -ge 2 ]; then
  record "$2"
else
  is_released && refuse "$version is released: give clouds.h the next version first"
  mkdir -p "$abi/$version"
  record "$abi/$version/libclouds.abi"
  cp "$header" "$abi/$version/clouds.h"
  cp "$extended" "$abi/$version/clouds_extend.h"
fi
