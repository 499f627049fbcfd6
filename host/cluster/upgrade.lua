-- Another program in the place of the one that runs as master: a newer one of clouds, or the same anew.
--
-- The process stays: what it has started, its descriptors, its number. The program is first asked, as a process of its
-- own, whether it can go on with what this one knows (clouds.cli.successor); then exec puts it here. It goes on with
-- the same workers, and replaces them by a reload. Until exec whatever fails changes nothing.
local host = require "clouds.host"
local loop = require "clouds.loop"
local spawn = require "clouds.master.spawn"
local cluster = host.cluster
local M = {}

local ANSWER = 20 -- seconds until the program has to say whether it can
local LOOK = 0.05 -- seconds between two looks whether a reload is over
local PIECE = 60000 -- bytes of a message
local SIGKILL = 9

---- where the program is ----

local function is_this(path)
  return host.real_path(path) == host.real_path("/proc/self/exe")
end

-- By the name that it was started by, which may lead to another file at the next time.
local function found_by(name)
  if name:sub(1, 1) == "/" then return name end
  local here = require("clouds.master.file").folder_here()
  if name:find("/", 1, true) then return here .. "/" .. name end
  for folder in (os.getenv "PATH" or ""):gmatch("[^:]+") do
    local path = folder .. "/" .. name
    if host.is_file(path) then return path:sub(1, 1) == "/" and path or here .. "/" .. path end
  end
end

--- This program, { path =, words = }: where it was started from, and the words behind its name.
function M.program(argv)
  local path, words = argv[0] and found_by(argv[0]), {}
  for i, word in ipairs(argv) do words[i] = word end
  return { path = path and is_this(path) and path or host.real_path("/proc/self/exe"), words = words }
end

---- the question ----

local function send_text(process, text)
  for at = 1, #text, PIECE do
    local is_last = at + PIECE > #text
    process:send(is_last and "P" or "p", text:sub(at, at + PIECE - 1))
  end
end

-- done(problem) or done(nil, version)
local function ask(app, program, text, done)
  local answer, problem, last_words, process
  local asked = { name = "upgrade" }
  local timer = loop.timer(ANSWER, function()
    problem = ("it does not answer within %d s"):format(ANSWER)
    process:kill(SIGKILL)
  end)
  local function on_exit(code, signal)
    timer:stop()
    if answer then return done(nil, answer) end
    local how = spawn.end_text(code, signal)
    done(problem or ("it does not know how to take over: %s"):format(last_words and how .. ": " .. last_words or how))
  end
  process, problem = cluster.start {
    program = program, arguments = { program, "successor", "--", unpack(app.program.words) },
    environment = spawn.environment({ env = {} }, { CLOUDS_CHANNEL = "3" }),
    on_message = function(kind, said)
      if kind == "Y" then answer = said elseif kind == "F" then problem = said end
    end,
    on_line = function(stream, line, is_cut)
      if stream == 2 then last_words = line end
      app.log:line(asked, stream, line, is_cut)
    end,
    on_exit = on_exit,
  }
  if not process then
    timer:stop()
    return done(problem)
  end
  asked.pid = process:pid()
  send_text(process, text)
end

---- its turn ----

-- fn(problem) when no reload is under way.
local function when_settled(app, fn)
  if app.state == "stopping" then return fn("the application stops") end
  if not (app.is_reloading or app.again) then return fn(nil) end
  loop.timer(LOOK, function() when_settled(app, fn) end)
end

-- What systemd has opened is among the listeners by now.
local function environment()
  local list = {}
  for _, pair in ipairs(cluster.environment()) do
    if not pair:match("^LISTEN_") then list[#list + 1] = pair end
  end
  return list
end

-- Gives why not, if at all.
local function exec(app, program, client)
  local State = require "clouds.master.state"
  app.log:pause()
  local ok, state, descriptors = pcall(State.of, app)
  local problem = not ok and state
  if ok then
    state.client, state.version = client, host.versions().clouds
    descriptors[#descriptors + 1] = client and client.descriptor
    local words = { program, unpack(app.program.words) }
    ok, problem = pcall(State.encode, state)
    if ok then problem = select(2, cluster.exec(program, words, environment(), problem, descriptors)) end
  end
  app.log:go_on()
  return problem
end

--- of: { program = the path of another one, client = who waits for its answer }, both of which may be left out.
--- done{ code =, problem = } when nothing has come of it.
function M.begin(app, of, done)
  local State = require "clouds.master.state"
  if app.state ~= "ready" and app.state ~= "quiet" then
    return done { code = "WRONG_STATE", problem = ("%s is %s"):format(app.name, app.state) }
  end
  if app.is_upgrading then return done { code = "WRONG_STATE", problem = "an upgrade is under way already" } end
  local program = of.program or app.program.path
  if not program then return done { code = "UPGRADE_FAILED", problem = "it is not known where this program lies" } end
  app.is_upgrading = true
  local function failed(problem)
    app.is_upgrading = false
    problem = ("%s: %s"):format(program, problem)
    app.log:own(("upgrade failed, this program goes on: %s"):format(problem))
    app:emit("upgrade", problem)
    done { code = "UPGRADE_FAILED", problem = problem }
  end
  app.log:own(("upgrade: %s is asked whether it can take over"):format(program))
  local known = State.of(app)
  known.log = nil
  ask(app, program, State.encode(known), function(problem, version)
    if problem then return failed(problem) end
    when_settled(app, function(why)
      if why then return failed(why) end
      app.log:own(("upgrade: %s takes over, clouds %s"):format(program, version))
      failed(exec(app, program, of.client))
    end)
  end)
end

--- In the other program: it has gone on with everything, and replaces the workers. answer: of clouds.master.control.
function M.finish(app, state, answer)
  local versions = { version = host.versions().clouds, before = state.version }
  app.log:own(("%s is run by %s, clouds %s, before that by %s"):format(app.name, app.program.path, versions.version,
    versions.before))
  app:emit("upgrade", nil)
  app.endpoint:renew()
  app:reload(nil, function(problem)
    if problem then
      return answer(nil, "RELOAD_FAILED", ("clouds %s has taken over, with the workers of before: %s")
        :format(versions.version, problem))
    end
    versions.pid, versions.program, versions.generations = host.pid(), app.program.path, {}
    for _, group in ipairs(app.groups) do versions.generations[group.name] = group.generation end
    answer(versions)
  end)
end

return M
