#!/bin/sh
# An older library is refused when the module is loaded, with both versions.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat >"$tmp/old.c" <<'EOF'
const char *clouds_version(void) { return "0.0.9"; }
unsigned clouds_version_number(void) { return 9; }
EOF
cc -shared -fPIC -o "$tmp/old.so" "$tmp/old.c"
export LUA_PATH="$CLOUDS_SOURCE/lua/?.lua;$CLOUDS_SOURCE/lua/?/init.lua;;" LUA_CPATH="$CLOUDS_BUILD_DIR/lua/?.so;;"
luajit -e 'require "clouds"'
if said=$(LD_PRELOAD="$tmp/old.so" luajit -e 'require "clouds"' 2>&1); then
    echo "an older library is taken" >&2
    exit 1
fi
case $said in
*"clouds.core needs libclouds "*" or later, this one is 0.0.9"*) ;;
*)
    echo "$said" >&2
    exit 1
    ;;
esac
