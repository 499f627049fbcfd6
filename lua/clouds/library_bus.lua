--- Where the library of an application and the agents in its workers meet, and what is asked there.
local M = {}

M.VARIABLE = "CLOUDS_LIBRARY_URL"
M.GROUP = "library" -- the name of its process as a group of workers

--- The url of the private bus and, behind a '#', what tells applications apart that share it: both in one variable,
--- which the master of `clouds start` sets. nil without a library.
function M.address()
  local text = os.getenv(M.VARIABLE)
  if text == nil or text == "" then
    return nil
  end
  local url, key = text:match("^(.-)#(.*)$")
  return url or text, key or ""
end

--- The name of a method of the library.
function M.method(name)
  local _, key = M.address()
  return key == "" and "library." .. name or ("library.%s.%s"):format(key, name)
end

--- Whether this process runs as a worker of `clouds start`.
function M.is_in_application()
  return (os.getenv("CLOUDS_APP") or "") ~= ""
end

--- Whether this process is the library: the master says so, or the script has said so itself.
function M.is_library()
  return os.getenv("CLOUDS_GROUP") == M.GROUP or package.loaded["clouds.library"] ~= nil
end

--- Names with this are not shared.
function M.is_private(name)
  return name:sub(1, 1) == "_"
end

return M
