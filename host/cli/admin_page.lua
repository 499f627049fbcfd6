-- The dashboard: the files of the page at GET / of the admin endpoint (host/dashboard).
--
-- A browser cannot say the token when it opens a page, and there is nothing of the service in these files: whoever may
-- connect may have them. What the page shows it asks for, with the token that it is given.
local host = require "clouds.host"
local M = {}

-- Nothing from elsewhere, nothing within the document, no text that is taken for HTML.
local POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
  .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

local FIELDS = { "Content-Security-Policy", POLICY, "Referrer-Policy", "no-referrer",
  "Cross-Origin-Opener-Policy", "same-origin", "Cross-Origin-Resource-Policy", "same-origin" }

local types = {
  html = "text/html; charset=utf-8",
  css = "text/css; charset=utf-8",
  js = "text/javascript; charset=utf-8",
  svg = "image/svg+xml",
}

--- Where the page looks for what there is.
M.OFFERS = "/dashboard/offers.json"

local elsewhere = { ["/"] = "web/dashboard/index.html", ["/clouds.js"] = "web/clouds.js" }

--- The file at a path, as an answer: { status =, body =, type =, fields = }; nil: there is none.
function M.file(path)
  local name = elsewhere[path] or "web" .. path
  local kind = types[name:match("%.(%l+)$")]
  if not kind or not (elsewhere[path] or path:find("^/dashboard/[%w_]+%.%l+$")) then return nil end
  local text = host.embedded(name)
  return text and { status = 200, body = text, type = kind, fields = FIELDS } or nil
end

return M
