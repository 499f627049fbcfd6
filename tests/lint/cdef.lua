-- The preprocessed header, from standard input, loads in LuaJIT's FFI and has the shape that C gives it.
local ffi = require "ffi"
ffi.cdef(io.read "*a")

local lib = ffi.load(os.getenv "CLOUDS_LIB")
assert(ffi.string(lib.clouds_version()):match "^%d+%.%d+%.%d+$")
assert(ffi.C.CLOUDS_ETIMEOUT == -14 and ffi.C.CLOUDS_EVENT_CLEAR_SERVERS == 17)
assert(ffi.sizeof "clouds_event" == tonumber(arg[1]), "clouds_event: " .. ffi.sizeof "clouds_event")
assert(ffi.sizeof "clouds_call_options" == tonumber(arg[2]), "clouds_call_options")
assert(ffi.sizeof "clouds_option_info" == tonumber(arg[3]), "clouds_option_info")
local options = ffi.new "clouds_options *[1]"
assert(lib.clouds_options_create(options) == 0)
assert(lib.clouds_options_set_number(options[0], "timeout", 3) == 0)
assert(lib.clouds_options_set_number(options[0], "nonsense", 3) == ffi.C.CLOUDS_EOPTION)
assert(ffi.string(lib.clouds_last_error()):find "nonsense")
lib.clouds_options_destroy(options[0])
assert(lib.clouds_options_set_number(options[0], "timeout", 3) == ffi.C.CLOUDS_EHANDLE)
print "loads"
