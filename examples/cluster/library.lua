-- What the workers of an application share: a counter for each page, kept once. Run it beside pages.lua:
--
--   clouds start --listen 8080 --library library.lua pages.lua
--   curl http://localhost:8080/tea
local clouds, library = require "clouds", require "clouds.library"

local counts, watchers = {}, {}
local pages = { total = 0 }

function pages.visit(path)
  counts[path] = (counts[path] or 0) + 1
  pages.total = pages.total + 1
  for watcher in pairs(watchers) do watcher(path, counts[path]) end
  return counts[path]
end

function pages:most()
  local best
  for path, count in pairs(counts) do
    if not best or count > counts[best] then best = path end
  end
  return best, best and counts[best]
end

-- Each worker is told of all visits, as long as it is there.
function pages.watch(watcher)
  watchers[watcher] = true
  library.on_close(watcher, function() watchers[watcher] = nil end)
end

-- A resource that has to be fetched first: agents wait for it.
local function settings()
  clouds.sleep(0.05)
  return { title = "Pages", sizes = { small = 10, large = 20 }, time = os.time }
end

library.serve { pages = pages, settings = settings }
