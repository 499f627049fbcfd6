-- A chat, made of calls and channels: the gateway calls the room that someone is in, and watches what is said in all of
-- them; a room decides what is said there, and publishes it. Rooms may be started at any time, on any machine.
--
--   clouds run chat.lua room lobby &
--   clouds run chat.lua room attic &
--   clouds run chat.lua gateway [port]
--   nc 127.0.0.1 7000        then: NAME ROOM, and a line for each thing to say
local clouds = require("clouds")

---- a room ----

local function run_room(name)
  local room = clouds.server()
  local topic = "chat." .. name

  assert(room:register(topic .. ".say", function(who, text)
    if text == "" then
      error({ code = "E_SILENT", message = "nothing to say" })
    end
    return room:publish(topic .. ".said", { who = who, text = text })
  end))
  assert(room:register(topic .. ".join", function(who)
    return room:publish(topic .. ".joined", { who = who })
  end))
  print("the room " .. name .. " is open")
end

---- the gateway ----

local function run_gateway(port)
  local uv = require("luv")
  local gateway = clouds.client({ timeout = 2 })
  local rooms = {} -- name -> socket -> true

  local function tell(room, line)
    for socket in pairs(rooms[room] or {}) do
      socket:write(line .. "\n")
    end
  end

  local subscription = assert(gateway:subscribe("chat.*.*", function(value, message)
    local room, what = message.topic:match("^chat%.(.*)%.(.*)$")
    if message.missed > 0 then
      tell(room, ("* %d lines are missing"):format(message.missed))
    end
    tell(room, what == "said" and value.who .. ": " .. value.text or "* " .. value.who .. " " .. what)
  end))

  -- The first line of a person says who and where; each further one is said there.
  local function heard(person, line)
    local method, args = ".say", { person.name, line }
    if not person.room then
      person.name, person.room = line:match("^(%w+) (%w+)$")
      if not person.room then
        return person.socket:write("* NAME ROOM\n")
      end
      rooms[person.room] = rooms[person.room] or {}
      rooms[person.room][person.socket] = true
      method, args = ".join", { person.name }
    end
    local _, err = gateway:call("chat." .. person.room .. method, args)
    if err then
      person.socket:write("* " .. err.message .. "\n")
    end
  end

  local listener = uv.new_tcp()
  assert(listener:bind("127.0.0.1", tonumber(port) or 7000))
  listener:listen(64, function()
    local person, buffered = { socket = uv.new_tcp() }, ""
    listener:accept(person.socket)
    person.socket:read_start(function(_, data)
      if not data then
        if person.room then
          rooms[person.room][person.socket] = nil
        end
        return person.socket:close()
      end
      buffered = (buffered .. data):gsub("([^\n]*)\n", function(line)
        clouds.spawn(heard, person, line)
        return ""
      end)
    end)
  end)
  print(("listening on port %d for %s"):format(listener:getsockname().port, subscription.topics[1]))
end

if arg[1] == "room" then
  run_room(arg[2] or "lobby")
else
  run_gateway(arg[2])
end
