-- What runs the script of a group: this program, if it is Lua; else another one, that of its language or one that was
-- named, which is a worker by what the environment and two descriptors say to it (clouds_worker.h).
local M = { GATEWAY = "clouds:gateway" } -- in the place of a script: the workers run clouds gateway

local by_suffix = { py = "python3", js = "node", mjs = "node", cjs = "node" }

--- The command before a script that is not Lua; nil: it is Lua.
function M.of_script(script)
  local name = by_suffix[script:match("%.(%w+)$")]
  return name and { name } or nil
end

--- The name of a script without what says its language.
function M.without_suffix(name)
  local plain, suffix = name:match("^(.+)%.(%w+)$")
  return (suffix == "lua" or by_suffix[suffix]) and plain or name
end

--- `words`, and behind them what a group of these settings runs and its arguments.
function M.append_to(words, settings)
  for _, word in ipairs(settings.command or {}) do words[#words + 1] = word end
  if settings.script then words[#words + 1] = settings.script end
  for _, word in ipairs(settings.arguments) do words[#words + 1] = word end
  return words
end

--- How a worker of a group is started: the program (nil: this one), and all its words.
function M.words_of(group)
  local settings, drain = group.settings, ("%.14g"):format(group.drain)
  if settings.command then return settings.command[1], M.append_to({}, settings) end
  if settings.script == M.GATEWAY then
    return nil, { "clouds", "gateway", "--drain", drain, unpack(settings.arguments) }
  end
  return nil, M.append_to({ "clouds", "run", "--drain", drain, "--" }, settings)
end

return M
