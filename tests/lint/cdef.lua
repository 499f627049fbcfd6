-- The preprocessed header, from standard input, loads in LuaJIT's FFI and has the shape that C gives it.
local ffi = require "ffi"
ffi.cdef(io.read "*a")

local lib = ffi.load(os.getenv "CLOUDS_LIB")
assert(ffi.string(lib.clouds_version()):match "^%d+%.%d+%.%d+$")
assert(ffi.C.CLOUDS_ETIMEOUT == -14 and ffi.C.CLOUDS_EVENT_CLEAR_SERVERS == 17)

local info = ffi.new "clouds_layout_info"
info.size = ffi.sizeof(info)
local members = 0
while lib.clouds_layout(members, info) == 0 do
    local record, member = ffi.string(info.record), ffi.string(info.member)
    local where = record .. "." .. member
    assert(ffi.offsetof(record, member) == info.offset, where .. " is elsewhere")
    assert(ffi.sizeof(record) == info.record_size, record .. " has another size")
    members = members + 1
end
assert(members > 40, "clouds_layout tells only of " .. members)

local options = ffi.new "clouds_options *[1]"
assert(lib.clouds_options_create(options) == 0)
assert(lib.clouds_options_set_number(options[0], "timeout", 3) == 0)
assert(lib.clouds_options_set_number(options[0], "nonsense", 3) == ffi.C.CLOUDS_EOPTION)
assert(ffi.string(lib.clouds_last_error()):find "nonsense")
lib.clouds_options_destroy(options[0])
assert(lib.clouds_options_set_number(options[0], "timeout", 3) == ffi.C.CLOUDS_EHANDLE)
print "loads"
