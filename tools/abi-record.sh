#!/bin/sh
# Records the ABI of a libclouds.so that was built with debug information, for the tests that compare: its functions and
# types, its constants, and the header a program of today is built with. After a deliberate addition:
# tools/abi-record.sh build/dev/capi/libclouds.so   (writes capi/abi)
set -eu
library=${1:?usage: tools/abi-record.sh LIBRARY [FILE]}
here=$(dirname "$0")
abi=$here/../capi/abi
out=${2:-$abi/libclouds-0.abi}
# Only what clouds.h declares, but all of that. The constants are recorded apart.
abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --drop-private-types \
  --exported-interfaces-only --headers-dir "$here/../capi/include" --out-file "$out.new" "$library"
# No path of the machine that recorded it.
sed -e "s| path='[^']*/capi/| path='capi/|; s| comp-dir-path='[^']*'||" "$out.new" >"$out"
rm "$out.new"
grep -q "class-decl name='clouds_event'" "$out" || {
  echo "tools/abi-record.sh: $library has no debug information" >&2
  exit 1
}
[ $# -ge 2 ] || {
  "$here/abi-constants.py" >"$abi/clouds-0.constants"
  cp "$here/../capi/include/clouds.h" "$abi/clouds-0.h"
}
