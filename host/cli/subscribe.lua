-- clouds subscribe
local common = require "clouds.cli.common"
local call = require "clouds.cli.call"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "subscribe",
  usage = "subscribe [options] TOPIC...",
  summary = "Print what is published at topics, until stopped.",
  text = "A topic may be a pattern: * is one token, > at the end is one or more ('chat.*', 'chat.>').\n"
    .. "Each message is a line: the topic, a tab, and the value as JSON. What is missing is told on standard error.",
  options = {
    { long = "all", help = "wait for a value of each topic, and print them as one array" },
    { long = "group", short = "g", value = "NAME", help = "be one of a group: each message goes to one of them" },
    { long = "count", short = "n", value = "COUNT", kind = "count", least = 1, help = "end after so many messages" },
    { long = "json", help = "print {\"topic\":,\"from\":,\"value\":,\"missed\":} for each message" },
    common.timeout("longest wait until it is subscribed (default 10)"),
  },
  operands = { 1, math.huge },
}

local function show(value, message, options)
  if message.missed > 0 and not options.json then
    local words = "clouds subscribe: %d messages of %s at %s are missing\n"
    io.stderr:write(words:format(message.missed, output.plain(message.from), output.plain(message.topic)))
  end
  if options.json then
    local line = { topic = message.topic, from = message.from, value = value, missed = message.missed }
    return output.write(output.json(line), "\n")
  end
  return output.write(output.plain(message.topic), "\t", output.json(value), "\n")
end

function M.main(options, operands)
  common.command("subscribe", options, function()
    common.stop_on_signal(0)
    local topics = {}
    for i, word in ipairs(operands) do topics[i] = call.text("subscribe", word) end
    local base = common.open("subscribe", "client", {})
    common.fail_fast(base, options.json)
    local lift = common.limit(options.timeout or 10, base)
    local watch, err = base:watch(topics, { all = options.all, group = options.group })
    lift()
    if not watch then return common.fail(err, options.json) end
    io.stderr:write("clouds subscribe: subscribed\n")
    local left = options.count or math.huge
    for value, message in watch do
      if not show(value, message, options) then return common.ERROR end
      left = left - 1
      if left == 0 then break end
    end
    return common.OK
  end)
end

return M
