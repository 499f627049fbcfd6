-- clouds key
local args = require "clouds.cli.args"
local host = require "clouds.host"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "key",
  usage = "key FILE",
  summary = "Make a key for links over TCP.",
  text = "Writes a new key into FILE, which only its owner may read and which must not be there yet. Give a copy\n" ..
    "to every process of the cluster, in its option key_file.",
  operands = { 1, 1 },
  without_common = true,
}

function M.main(_, operands)
  if operands[1] == "" then args.fail("key", "the path of the file is empty") end
  local made, why = host.create_key(operands[1])
  if made then return end
  io.stderr:write("clouds key: " .. output.plain(why) .. "\n")
  host.finish(host.exit.ERROR)
end

return M
