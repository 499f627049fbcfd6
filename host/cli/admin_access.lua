-- Who may ask an admin endpoint, that of a process or that of an application.
--
-- It is for this machine alone: a socket that only the owner may open, or a port of the loopback with a token. Pages of
-- a browser reach neither, but for the dashboard: a foreign Host and a foreign Origin are refused, and what changes
-- something is a POST of JSON, which no form can send.
local host = require "clouds.host"
local private_file = require "clouds.cli.private_file"
local M = {}

local TOKEN_BYTES = 22 -- 128 bits in base64

--- The options of a command that has such an endpoint.
M.options = {
  { long = "admin", value = "ADDRESS",
    help = "answer GET / (a dashboard) /healthz /readyz /status /metrics\n"
    .. "and POST /stop /pause /resume by HTTP at unix:PATH or\n127.0.0.1:PORT" },
  { long = "admin-token-file", value = "FILE",
    help = "the token that is asked for there, in the first line of\nFILE; a port must have one" },
}

--- What is wrong with this address and this file (nil: none), which is said by an option, or as `named`; nil: nothing.
function M.problem(address, token_file, named)
  local is_right, of_it = host.http_address(address)
  if not is_right then return of_it end
  if not of_it then -- others reach it
    return "expected a socket (unix:PATH) or an address of this machine alone, as 127.0.0.1:7000"
  end
  if address:match("^unix:") or token_file then return nil end
  return ("a port is open to every user of this machine; expected %s too, or unix:PATH"):format(named
    or "--admin-token-file FILE")
end

--- The token in a file; or nil and why there is none.
function M.read_token(path)
  local text, problem = private_file.read(path)
  if not text then return nil, problem end
  local line = text:match("^[^\n]*"):gsub("%s+$", "")
  if #line >= TOKEN_BYTES and not line:find("[^%w%p]") then return line end
  return nil, ("expected %d or more letters and digits in the first line of %s, as from openssl rand -hex 32")
    :format(TOKEN_BYTES, path)
end

--- Why a request with these header fields comes from where none may; nil: it does not.
function M.source_problem(fields)
  local source = require "clouds.gateway.source"
  local name = source.name_of_host(fields.host or "")
  if not source.local_names[name] and name ~= "" then return "expected the Host localhost" end
  if not source.is_own(fields) then return "not for the pages of other sites" end
end

--- Whether they have the token (nil: none is asked for).
function M.has_token(fields, token)
  local given = (fields.authorization or ""):match("^[Bb]earer +(.*)$") or ""
  return not token or host.equal(given, token)
end

return M
