-- Who has which token: those of a file, which is read again when it has changed.
--
-- A token is looked for by a keyed digest of the digest in the file. The key is drawn at the start, so how long that
-- takes says nothing of the digests that are there.
local host = require "clouds.host"
local loop = require "clouds.loop"
local digest = require "clouds.gateway.digest"
local private_file = require "clouds.cli.private_file"
local token_file = require "clouds.gateway.token_file"

local Tokens = {}
Tokens.__index = Tokens

local M = {}

local INTERVAL = 0.3 -- seconds between looks at the file
local KEY_BYTES = 32

local function index_of(key, bytes) return digest.of(key .. bytes) end

-- Takes what the file says; or nil and what is wrong with it.
local function take(self, text)
  local list, problem = token_file.read(text)
  if not list then return nil, ("%s: %s"):format(self.path, problem) end
  local by_index = {}
  for _, identity in ipairs(list) do by_index[index_of(self.key, identity.digest)] = identity end
  self.by_index, self.text = by_index, text
  return true
end

--- The tokens of a file; or nil and why there are none.
function M.open(path)
  local ok, text, problem
  ok, problem = digest.load()
  if not ok then return nil, problem end
  text, problem = private_file.read(path)
  if not text then return nil, problem end
  local self = setmetatable({ path = path, key = digest.random(KEY_BYTES), next_look = 0 }, Tokens)
  ok, problem = take(self, text)
  if not ok then return nil, problem end
  return self
end

--- Whose token it is; nil: nobody's.
function Tokens:find(token)
  self:refresh()
  return self:again(digest.of(token))
end

--- Who has the token with this digest now.
function Tokens:again(bytes)
  local identity = self.by_index[index_of(self.key, bytes)]
  return identity and host.equal(identity.digest, bytes) and identity or nil
end

-- An empty file is one that is being written.
local function look(self)
  local text, problem = private_file.read(self.path)
  if text == self.text or text == "" then
    self.told = nil
    return false
  end
  if text and text ~= self.refused then
    local ok
    ok, problem = take(self, text)
    self.refused = not ok and text or nil
    if ok then return true end
  end
  if problem and problem ~= self.told then
    self.told = problem
    io.stderr:write("clouds: the tokens stay as they were: ", problem, "\n")
  end
  return false
end

--- Reads the file again if that was not done just now. A file that cannot be read or understood changes nothing: who
--- may come in is what was last said clearly.
function Tokens:refresh()
  if loop.now() < self.next_look then return end
  self.next_look = loop.now() + INTERVAL
  if look(self) and self.on_change then self.on_change() end
end

--- Looks at the file as long as is_wanted(), and calls on_change() each time it says something else.
function Tokens:watch(is_wanted, on_change)
  self.on_change = on_change
  if self.is_watched then return end
  self.is_watched = true
  local function again()
    self.is_watched = is_wanted()
    if not self.is_watched then return end
    self:refresh()
    loop.timer(INTERVAL, again)
  end
  again()
end

return M
