-- clouds endpoint: the admin endpoint of an application, a process below the master of `clouds start`
-- (host/cluster/endpoint.lua), which gives it the connections and answers what it asks.
local host = require "clouds.host"
local about = require "clouds.cli.endpoint_about"
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local counts = require "clouds.cli.endpoint_counts"
local master = require "clouds.cli.endpoint_master"
local metrics_of = require "clouds.cli.endpoint_metrics"
local server = require "clouds.cli.admin_server"
local told = require "clouds.cli.endpoint_workers"
local M = {}

M.command = {
  name = "endpoint",
  usage = "endpoint",
  summary = "Serve the admin endpoint of an application, below clouds start --admin, which starts this itself.",
  options = {},
  operands = { 0, 0 },
}

local LONGEST_DRAIN = 86400
local DRAIN = 1 -- seconds for what is asked at the end
local RELOAD_TIME = 86400 -- seconds: the master ends a reload itself when it takes too long

local json, refusal = server.json, server.refusal

local function array(list) return require("clouds").array(list) end

---- what can be asked for ----

local statuses = { NO_ANSWER = 503, LIMIT_REACHED = 503, WRONG_USE = 400, NO_GROUP = 404, WRONG_STATE = 409 }

local function failed(problem)
  return json(statuses[problem.code] or 500, { error = { code = problem.code, message = problem.message } })
end

-- fn(status, query) makes the answer of what the master says of the application.
local function of_status(fn)
  return function(query)
    local said, problem = master.ask { ["do"] = "status" }
    if not said then return failed(problem) end
    return fn(said.status, query)
  end
end

local function reasons_of(said) return about.reasons(said, counts.disconnected()) end

local function healthz()
  local said, problem = master.ask { ["do"] = "version" }
  if said then return json(200, { healthy = true }) end
  return json(503, { healthy = false, error = problem })
end

local function readyz()
  local said, problem = master.ask { ["do"] = "status" }
  local reasons = said and reasons_of(said.status) or { problem.message }
  return json(reasons[1] and 503 or 200, { ready = not reasons[1], reasons = array(reasons) })
end

local status = of_status(function(said) return json(200, about.status(said, reasons_of(said))) end)

local workers = of_status(function(said) return json(200, { workers = array(about.workers(said)) }) end)

local metrics = of_status(function(said)
  return server.text(200, metrics_of.text(said, counts.sum(), reasons_of(said)), metrics_of.TYPE)
end)

-- What workers say of themselves.
local function of_workers(member)
  return function()
    local list, untold = told.ask(member)
    return json(200, { [member] = array(list), untold = array(untold) })
  end
end

local function methods(query) return server.methods(query, counts.sum()) end

---- orders ----

-- The answer to it comes when all has ended, and this process, too.
local function stop(query)
  local drain, refused = server.seconds(query, "drain", LONGEST_DRAIN)
  if refused then return refused end
  local said, problem = master.ask { ["do"] = "status" }
  if not said then return failed(problem) end
  common.spawn(master.ask, { ["do"] = "stop", drain = drain }, LONGEST_DRAIN)
  return json(202, { stopping = true, already = said.status.state == "stopping" or nil })
end

local function reload(_, given)
  local group, refused = server.only_text(given, "group", "group")
  if refused then return refused end
  local said, problem = master.ask({ ["do"] = "reload", group = group }, RELOAD_TIME)
  if not said then return failed(problem) end
  return json(200, { reloaded = true, generations = said.generations })
end

local function set_state(word)
  return function(_, given)
    local method, refused = server.only_text(given, "method", "method")
    if refused then return refused end
    if word == "quiet" and method then return refusal(400, "POST /pause is for one method") end
    local said, problem = master.ask { ["do"] = word == "pause" and not method and "quiet" or word, method = method }
    if not said then return failed(problem) end
    return json(200, { state = said.state, method = said.method, accepting = said.accepting })
  end
end

local routes = {
  ["/healthz"] = { GET = healthz },
  ["/readyz"] = { GET = readyz },
  ["/status"] = { GET = status },
  ["/workers"] = { GET = workers },
  ["/nodes"] = { GET = of_workers("nodes") },
  ["/links"] = { GET = of_workers("links") },
  ["/methods"] = { GET = methods, query = server.pages },
  ["/metrics"] = { GET = metrics },
  ["/stop"] = { POST = stop, query = { drain = true } },
  ["/reload"] = { POST = reload },
  ["/quiet"] = { POST = set_state("quiet") },
  ["/pause"] = { POST = set_state("pause") },
  ["/resume"] = { POST = set_state("resume") },
}

---- the process ----

local token -- nil: none is asked for

local function take_token(given)
  if given == token then return end
  token = given
  require("clouds.cli.admin_live").let_go()
end

local function on_message(kind, text, descriptor)
  if kind == "w" then return counts.take(text, descriptor) end
  if kind == "x" then return counts.forget(text) end
  if kind == "n" or kind == "y" or kind == "Y" then return told.take(kind, text) end
  if kind == "a" or kind == "A" then return master.take(kind, text) end
  if kind == "t" then return take_token(text ~= "" and text or nil) end
end

-- It takes connections when it knows the token, which is what the master says first.
local function serve()
  local app = server.new(routes, function() return token end)
  assert(require("clouds.http_listener").open(app, "worker:"))
  host.cluster.tell("R")
end

function M.main()
  local function on_end() common.finish(common.OK) end
  if os.getenv "CLOUDS_CHANNEL" ~= "3" or not host.cluster.follow(on_message, on_end) then
    args.fail("endpoint", "it is started by clouds start --admin")
  end
  host.setenv("CLOUDS_CHANNEL", "")
  host.is_worker = true
  common.stop_on_signal(DRAIN)
  serve()
end

return M
