-- The library of an application: a group of one worker, which is there before the others and ends after them.
--
-- A reload ends the old library before the new one starts, since two of them might not share what they have, unless
-- the setting `overlap` says that they may. The workers go on meanwhile: their calls wait.
local host = require "clouds.host"
local library_bus = require "clouds.library_bus"
local M = { NAME = library_bus.GROUP }

--- The library among the groups of an application; nil without one.
function M.of(app)
  return app:group(M.NAME)
end

-- The folder of `local:` belongs to the user that the workers are, and is closed to others. Behind the '#': this
-- application, and no other of the same name.
local function address_of(app)
  local name = app.name:gsub("[^%w_-]", "_")
  return ("local:%s-library#%d"):format(name, host.pid())
end

--- Adds what the workers of an application have in their environment: where its library is.
function M.add_environment(app, variables)
  variables[library_bus.VARIABLE] = M.of(app) and address_of(app) or ""
  return variables
end

--- The groups of a list without the library; and whether it was among them.
function M.without(groups)
  local others, had = {}, false
  for _, group in ipairs(groups) do
    if group.name == M.NAME then had = true else others[#others + 1] = group end
  end
  return others, had
end

--- Why a plan cannot have its library; nil: it can.
function M.problem(plan)
  local library
  for _, settings in ipairs(plan.groups) do
    if settings.name == M.NAME then library = settings end
  end
  for _, settings in ipairs(library and plan.groups or {}) do
    if settings.user ~= library.user then
      return ("group %s: its user is '%s', and that of the library '%s'; expected the same, for others cannot reach it")
        :format(settings.name, settings.user or "that of the master", library.user or "that of the master")
    end
  end
end

function M.is_one(group)
  return group.name == M.NAME
end

--- Whether a group is a library of which there must not be two at a time.
function M.is_alone(group)
  return group.name == M.NAME and group.settings.overlap ~= true
end

-- done(problem or nil) once: the next process of the group is ready, or has ended, or nobody waits for it any more.
local function when_started(group, done)
  local pid, forget
  local function ended(problem)
    forget()
    group.give_up = nil
    done(problem)
  end
  group.give_up = ended
  forget = group.app:on_event(function(event, name, _, of_pid, _, _, text)
    if event == "stop" then return ended("the application stops") end
    if name ~= group.name then return end
    if event == "fork" then pid = pid or of_pid end
    if event == "worker_ready" and of_pid == pid then return ended(nil) end
    if event == "exit" and of_pid == pid then return ended(("worker %s.1: %s"):format(group.name, text)) end
  end)
end

--- Who waits for the next library of an application waits no longer: this is the problem.
function M.give_up(app, problem)
  local group = M.of(app)
  if group and group.give_up then group.give_up(problem) end
end

--- Ends the old library and starts a new one in its place; done(problem or nil). A script that cannot be compiled
-- changes nothing. Otherwise the old one is gone when there is a problem, and another is tried again and again.
function M.replace(group, done)
  local is_right, problem = loadfile(group.settings.script, "t")
  if not is_right then return done(("the library: %s"):format(problem)) end
  local slot = group.slots[1]
  local worker = slot.worker or slot.coming
  group.generation = group.generation + 1
  slot.given_up = false
  when_started(group, done)
  if worker then return worker:drain("stop") end
  slot:stop()
  slot:start_in(0)
end

return M
