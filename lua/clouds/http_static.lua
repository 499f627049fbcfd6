--- Files of a folder over HTTP: types, ranges, and what a client has already.
local exchange = require("clouds.http_request")
local listener = require("clouds.http_listener")
local memo = require("clouds.memo")
local routes = require("clouds.http_route")

local host = listener.host

local M = {}

local MOST_KNOWN = 1000 -- paths, and files, of which something is remembered

local types = {
  avif = "image/avif",
  bin = "application/octet-stream",
  css = "text/css; charset=utf-8",
  csv = "text/csv; charset=utf-8",
  gif = "image/gif",
  gz = "application/gzip",
  htm = "text/html; charset=utf-8",
  html = "text/html; charset=utf-8",
  ico = "image/x-icon",
  jpeg = "image/jpeg",
  jpg = "image/jpeg",
  js = "text/javascript; charset=utf-8",
  json = "application/json",
  map = "application/json",
  md = "text/markdown; charset=utf-8",
  mjs = "text/javascript; charset=utf-8",
  mp3 = "audio/mpeg",
  mp4 = "video/mp4",
  ogg = "audio/ogg",
  otf = "font/otf",
  pdf = "application/pdf",
  png = "image/png",
  svg = "image/svg+xml",
  tar = "application/x-tar",
  ttf = "font/ttf",
  txt = "text/plain; charset=utf-8",
  wasm = "application/wasm",
  wav = "audio/wav",
  webm = "video/webm",
  webmanifest = "application/manifest+json",
  webp = "image/webp",
  woff = "font/woff",
  woff2 = "font/woff2",
  xml = "application/xml",
  zip = "application/zip",
}

local function nothing_there()
  exchange.raise(404, "there is nothing at this path")
end

-- The path below the folder, from what stands behind the prefix in the target; whether it ends with a slash.
local function path_below(rest, dotfiles)
  local parts = {}
  local is_folder = rest == "" or rest:sub(-1) == "/"
  for encoded in rest:gmatch("[^/]*/?") do
    local part = routes.decode((encoded:gsub("/$", "")))
    if not part then
      exchange.raise(400, "the path is not encoded as it should be")
    elseif encoded == "" then
      break
    elseif part == "" or part == "." or part == ".." or part:find("[/%z]") or #part > 255 then
      nothing_there()
    elseif part:sub(1, 1) == "." and not dotfiles and part ~= ".well-known" then
      nothing_there()
    end
    parts[#parts + 1] = part
  end
  return table.concat(parts, "/"), is_folder
end

---- what the client has already ----

local function names_tag(list, tag)
  if list:match("^%s*%*%s*$") then
    return true
  end
  for named in list:gmatch('"[^"]*"') do
    if named == tag then
      return true
    end
  end
  return false
end

local function is_unchanged(headers, tag, modified)
  local tags, since = headers["if-none-match"], headers["if-modified-since"]
  if tags then
    return names_tag(tags, tag)
  end
  local time = since and host.http_time(since)
  return time ~= nil and modified <= time
end

-- Is what the client expected there still? false: it has to be told.
local function is_as_expected(headers, tag, modified)
  local tags, since = headers["if-match"], headers["if-unmodified-since"]
  if tags then
    return names_tag(tags, tag)
  end
  local time = since and host.http_time(since)
  return not time or modified <= time
end

---- ranges ----

-- The first and last byte that are asked for; nil: all of it; false: they are not there. One range is understood.
local function range_of(text, size)
  local first, last = text:match("^%s*bytes%s*=%s*(%d*)%s*%-%s*(%d*)%s*$")
  if not first or (first == "" and last == "") or #first > 15 or #last > 15 then
    return nil
  end
  first, last = tonumber(first), tonumber(last)
  if not first then
    return last > 0 and size > 0 and math.max(0, size - last), size - 1
  elseif last and last < first then
    return nil
  end
  return first < size and first, math.min(last or size - 1, size - 1)
end

local function wants_range(request, tag, modified)
  local headers = request.headers
  local range, only_if = headers.range, headers["if-range"]
  if not range or request.method ~= "GET" then
    return nil
  elseif only_if and only_if ~= tag and host.http_time(only_if) ~= modified then
    return nil
  end
  return range
end

---- answers ----

local function tag_of(size, seconds, nanoseconds)
  return ('"%x-%x-%x"'):format(seconds, nanoseconds, size)
end

local function fields_of(options, path, tag, modified)
  local extension = (path:match("%.([%w]+)$") or ""):lower()
  local fields = {
    ["Content-Type"] = options.types and options.types[extension] or types[extension] or types.bin,
    ["Last-Modified"] = host.http_date(modified),
    ["Accept-Ranges"] = "bytes",
    ["X-Content-Type-Options"] = "nosniff",
    ETag = tag,
  }
  if options.max_age then
    fields["Cache-Control"] = ("max-age=%d"):format(options.max_age)
  end
  return fields
end

-- Whoever asks for all of a file gets what others got, while it does not change: its header fields, as they are sent.
local function whole(options, path, file, size, seconds, nanoseconds)
  local known = options.described(path)
  if known.size ~= size or known.seconds ~= seconds or known.nanoseconds ~= nanoseconds then
    local fields = fields_of(options, path, tag_of(size, seconds, nanoseconds), seconds)
    known.lines = host.http_lines(exchange.list(fields))
    known.size, known.seconds, known.nanoseconds = size, seconds, nanoseconds
  end
  return 200, exchange.file_body(file, 0, size, known.lines)
end

local function answer_with(request, options, path, file, size, seconds, nanoseconds)
  local app = request.listener.app
  if not (app.first[1] or app.around[1] or request.box:is_conditional()) then
    return whole(options, path, file, size, seconds, nanoseconds)
  end
  local tag = tag_of(size, seconds, nanoseconds)
  local fields = fields_of(options, path, tag, seconds)
  if not is_as_expected(request.headers, tag, seconds) then
    return 412, nil, fields
  elseif is_unchanged(request.headers, tag, seconds) then
    fields["Content-Type"] = nil
    return 304, nil, fields
  end
  local range = wants_range(request, tag, seconds)
  local first, last = nil, nil
  if range then
    first, last = range_of(range, size)
  end
  if first == false then
    return 416, nil, { ["Content-Range"] = ("bytes */%d"):format(size) }
  elseif first then
    fields["Content-Range"] = ("bytes %d-%d/%d"):format(first, last, size)
  else
    first, last = 0, size - 1
  end
  local status = fields["Content-Range"] and 206 or 200
  return status, exchange.file_body(file, first, last - first + 1), fields
end

-- The path of a file, and that open; or nil for a folder that is named without its slash. What is not there raises.
local function open(root, path, is_folder, index)
  local file, kind, size, seconds, nanoseconds = root:open(path)
  if kind == "folder" and is_folder then
    path = path == "" and index or path .. "/" .. index
    file, kind, size, seconds, nanoseconds = root:open(path)
  elseif kind == "file" and is_folder then
    file:close()
    nothing_there()
  elseif kind == "folder" then
    return nil
  end
  if kind == "forbidden" then
    exchange.raise(403, "this may not be read")
  elseif kind == "failed" then
    error(("cannot open %s: %s"):format(path, size), 0) -- in its place is why
  elseif kind ~= "file" then
    nothing_there()
  end
  return path, file, size, seconds, nanoseconds
end

-- What goes out is closed behind that.
local function closing(file, status, body, fields)
  if not body then
    file:close()
  end
  return status, body, fields
end

local function answer(request, options, path, file, ...)
  if not path then
    return M.moved(request)
  end
  return closing(file, answer_with(request, options, path, file, ...))
end

--- A folder that is named without its slash is at the path with it.
function M.moved(request)
  local path, query = request.target:match("^([^?]*)(.*)$")
  -- Two slashes at the beginning would name another host.
  return 301, nil, { Location = path:gsub("^/+", "/") .. "/" .. query }
end

local known = { index = "string", max_age = "number", dotfiles = "boolean", types = "table" }

local function check(options, level)
  for name, value in pairs(options) do
    if not known[name] then
      error(("unknown option '%s'; expected dotfiles, index, max_age or types"):format(tostring(name)), level + 1)
    elseif type(value) ~= known[name] then
      error(("'%s': expected a %s"):format(name, known[name]), level + 1)
    end
  end
end

-- What stands behind so many slashes of a path.
local function behind(path, count)
  local at = 0
  for _ = 1, count do
    at = path:find("/", at + 1, true)
  end
  return path:sub(at + 1)
end

--- A handler for GET of what is below `prefix`, which ends with a slash: the files of a folder.
function M.handler(prefix, folder, options, level)
  check(options, level + 1)
  local root, why = host.http_folder(folder)
  if not root then
    error(("cannot serve the folder %s: %s"):format(tostring(folder), why), level + 1)
  end
  local described = memo(MOST_KNOWN, function()
    return {}
  end)
  options = setmetatable({ described = described }, { __index = options })
  local index = options.index or "index.html"
  local _, parts = prefix:gsub("/", "")
  local below = memo(MOST_KNOWN, function(path)
    return { path_below(behind(path, parts), options.dotfiles) }
  end)
  return function(request)
    local found = below(routes.path_of(request.target))
    return answer(request, options, open(root, found[1], found[2], index))
  end
end

return M
