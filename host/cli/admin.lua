-- The admin endpoint of `clouds run --admin ADDRESS`: what a supervisor asks of one process, by HTTP.
local host = require "clouds.host"
local access = require "clouds.cli.admin_access"
local args = require "clouds.cli.args"
local about = require "clouds.cli.admin_about"
local counts = require "clouds.cli.counts"
local metrics_of = require "clouds.cli.admin_metrics"
local output = require "clouds.cli.output"
local server = require "clouds.cli.admin_server"
local M = {}

local LONGEST_DRAIN = 86400

local json, refusal = server.json, server.refusal

local function array(list) return require("clouds").array(list) end

---- what can be asked for ----

local function healthz() return json(200, { healthy = true }) end

local function readyz()
  local reasons = about.reasons()
  return json(reasons[1] and 503 or 200, { ready = not reasons[1], reasons = array(reasons) })
end

local function status() return json(200, about.status()) end

local function nodes() return json(200, { nodes = array(about.describe_nodes()) }) end

local function links() return json(200, { links = array(about.links()) }) end

local function workers() return json(200, { workers = array {} }) end

local function methods(query) return server.methods(query, counts.own()) end

local function metrics() return server.text(200, metrics_of.text(), metrics_of.TYPE) end

local function stop(query)
  local drain, refused = server.seconds(query, "drain", LONGEST_DRAIN)
  if refused then return refused end
  local begins = host.stop(drain)
  return json(202, { stopping = true, already = not begins and true or nil })
end

-- The nodes that offer the method, or all that offer any.
local function servers_of(method)
  local list = {}
  for _, node in ipairs(about.nodes()) do
    local serves = next(node.served)
    if method then serves = node.served[method] end
    if serves and not node.closing and not node.closed then
      list[#list + 1] = node
    end
  end
  return list
end

local function set_paused(action)
  return function(_, given)
    local method, refused = server.only_text(given, "method", "method")
    if refused then return refused end
    local list, ids = servers_of(method), {}
    if method and not list[1] then return refusal(404, "nothing here serves '%s'", method) end
    for _, node in ipairs(list) do
      if method and node.paused and action == "resume" then
        return refusal(409, "%s is paused as a whole; resume it without a method", node.id)
      end
    end
    for i, node in ipairs(list) do
      local ok, problem = node[action](node, method)
      if not ok then return refusal(503, "%s: %s", node.id, problem.message) end
      ids[i] = node.id
    end
    return json(200, { [action .. "d"] = array(ids) })
  end
end

local routes = {
  ["/healthz"] = { GET = healthz },
  ["/readyz"] = { GET = readyz },
  ["/status"] = { GET = status },
  ["/nodes"] = { GET = nodes },
  ["/links"] = { GET = links },
  ["/methods"] = { GET = methods, query = server.pages },
  ["/workers"] = { GET = workers },
  ["/metrics"] = { GET = metrics },
  ["/stop"] = { POST = stop, query = { drain = true } },
  ["/pause"] = { POST = set_paused("pause") },
  ["/resume"] = { POST = set_paused("resume") },
}

---- opening ----

local function read_token(command, path)
  local token, problem = access.read_token(path)
  return token or args.fail(command, "--admin-token-file: %s", problem)
end

-- Opens the endpoint if one is asked for; false, and said why, when it cannot be.
function M.open(command, options)
  local address, token_file = options.admin, options.admin_token_file
  if not address then
    if token_file then args.fail(command, "--admin-token-file is for --admin, which is not given") end
    return true
  end
  local wrong = access.problem(address, token_file)
  if wrong then args.fail(command, "--admin %s: %s", address, wrong) end
  local token = token_file and read_token(command, token_file) or nil
  local app = server.new(routes, function() return token end)
  local listener, problem = require("clouds.http_listener").open(app, address)
  if listener then
    assert(counts.begin())
    if listener.port ~= 0 and address:match(":0$") then
      io.stderr:write(("clouds: admin endpoint at port %d\n"):format(listener.port))
    end
    return true
  end
  io.stderr:write(("clouds %s: --admin %s\n"):format(command, output.plain(problem)))
  return false
end

return M
