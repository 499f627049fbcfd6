-- SHA-256 by OpenSSL, which is loaded by who has a token file.
local ffi = require "ffi"
local M = {}

ffi.cdef "unsigned char *SHA256(const unsigned char *text, size_t length, unsigned char *digest);"

local LENGTH = 32
local crypto

--- Loads it: true; or nil and why that is not possible.
function M.load()
  local ok, problem
  for _, name in ipairs { "libcrypto.so.3", "libcrypto.so.1.1", "libcrypto.so" } do
    local loaded, library = pcall(ffi.load, name)
    if loaded then ok, crypto = true, library break end
    problem = problem or library
  end
  if ok then return true end
  return nil, "OpenSSL cannot be loaded (Debian: libssl3): " .. tostring(problem)
end

--- The digest of a text: 32 bytes.
function M.of(text)
  local digest = ffi.new("unsigned char[?]", LENGTH)
  crypto.SHA256(text, #text, digest)
  return ffi.string(digest, LENGTH)
end

--- The bytes that hexadecimal digits stand for.
function M.from_hex(digits)
  return (digits:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end

--- So many random bytes of the kernel.
function M.random(count)
  local file = assert(io.open("/dev/urandom", "rb"))
  file:setvbuf("no")
  local bytes = file:read(count)
  file:close()
  return bytes
end

return M
