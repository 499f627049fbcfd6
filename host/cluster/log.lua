-- What the workers write, and what the master says itself: line by line, with who it is from, to where the plan says.
--
-- An output is a sink (host/cluster/sink.c), whose thread writes: the output of the master, and the files. What cannot
-- be written in time is lost, and counted for each output.
local host = require "clouds.host"
local loop = require "clouds.loop"
local format = require "clouds.master.log_format"
local keys = require "clouds.master.keys"
local output = require "clouds.cli.output"
local Kept = require "clouds.master.log_kept"

local Log = {}
Log.__index = Log

local STDERR = 2
local LAST, LONGEST = 2, 30 -- seconds until the rest is lost at the end: when nothing of it is written, and of all
local LONGEST_PAUSE = 5 -- of all, when another program goes on with it: connections wait meanwhile
local LOOK, TELL_AGAIN = 1, 60 -- seconds until it is looked for what was lost, and until that is told again

local tell_all_lost

local function look_again(self)
  self.timer = loop.timer(LOOK, function()
    tell_all_lost(self)
    look_again(self)
  end)
end

--- One that writes to the output of the master, until it has a plan.
function Log.new()
  local settings = keys.with_defaults({}, keys.log)
  local self = setmetatable({ settings = settings, standard = { sink = assert(host.cluster.sink()), untold = 0 },
    files = {}, file_of = {}, lost = 0, kept = Kept.new(settings.lines) }, Log)
  self.forms = { format.of_descriptor(1), format.of_descriptor(2) }
  look_again(self)
  return self
end

---- lines ----

-- To a file, or to the output of the master.
local function write(self, file, stream, entry, is_own)
  if not file then return self.standard.sink:put(stream, self.forms[stream](entry, self.app), is_own) end
  return file.sink:put(nil, self.form_of_files(entry, self.app), is_own)
end

--- What a process has written: of a worker, or the manager.
function Log:line(process, stream, text, is_cut)
  local group = process.group and process.group.name or process.name
  local entry = { time = host.cluster.time(), group = group, worker = process.name, pid = process.pid or 0,
    stream = stream, text = text, is_cut = is_cut }
  self.kept:add(entry)
  write(self, self.files[self.file_of[group] or self.settings.file], stream, entry)
end

--- What the master says itself, which is for who has started it, too. False when it is lost.
function Log:own(text)
  local entry = { time = host.cluster.time(), group = "master", worker = "master", pid = host.pid(), text = text }
  self.kept:add(entry)
  local file = self.files[self.settings.file]
  if file then write(self, file, nil, entry, true) end
  return write(self, nil, STDERR, entry, true)
end

--- A line as it is, for who has started the master; of a program that reads JSON there, too.
function Log:plain(text)
  if self.settings.format == "json" then return self:own(text) end
  self.standard.sink:put(STDERR, text .. "\n", true)
end

---- what was lost ----

local function note_lost(self, out)
  local count = out.sink:lost()
  self.lost, out.untold = self.lost + count, out.untold + count
  out.problem = out.sink:problem() or out.problem
  return out.untold > 0 or out.problem
end

local function lost_text(out)
  local text = out.untold > 0 and ("%d lines were lost: "):format(out.untold) or ""
  if out.path then text = text .. output.plain(out.path) .. ": " end
  return text .. (out.problem or "they could not be written in time")
end

-- At once, then once in a while: to tell it may be lost itself.
local function tell_lost(self, out, is_last)
  if not note_lost(self, out) then return end
  local now = loop.now()
  if out.told_at and now - out.told_at < TELL_AGAIN and not is_last then return end
  if self:own(lost_text(out)) then out.untold, out.problem, out.told_at = 0, nil, now end
end

local function outputs(self)
  local list = { self.standard }
  for _, file in pairs(self.files) do list[#list + 1] = file end
  return list
end

function tell_all_lost(self, is_last)
  for _, out in ipairs(outputs(self)) do tell_lost(self, out, is_last) end
end

--- How many lines could not be written so far.
function Log:lost_lines()
  for _, out in ipairs(outputs(self)) do note_lost(self, out) end
  return self.lost
end

---- files ----

--- The files that it writes.
function Log:paths()
  local list = {}
  for path in pairs(self.files) do list[#list + 1] = path end
  table.sort(list)
  return list
end

--- Opens each again, some time later: it was put aside by somebody else.
function Log:reopen()
  for _, file in pairs(self.files) do file.sink:reopen() end
end

local function close_all(files)
  for _, file in ipairs(files) do file.sink:close() end
end

-- The files of a plan, those that are open already among them: path -> output, and a list of the new ones. Or nil and
-- which cannot be opened.
local function open_files(self, settings, paths)
  local files, new = {}, {}
  for path in pairs(paths) do
    local old = self.files[path]
    local is_same = old and settings.max_size == self.settings.max_size and settings.keep == self.settings.keep
    local sink, problem
    if not is_same then sink, problem = host.cluster.sink(path, settings.max_size, settings.keep) end
    if problem then
      close_all(new)
      return nil, ("cannot write the log to %s: %s"):format(path, problem)
    end
    files[path] = is_same and old or { sink = sink, path = path, untold = 0 }
    if not is_same then new[#new + 1] = files[path] end
  end
  return files, new
end

-- Group -> path, and a set of all paths.
local function paths_of(plan)
  local file_of, paths, known = {}, {}, { master = true, manager = true }
  if plan.log.file then paths[plan.log.file] = true end
  for _, group in ipairs(plan.groups) do
    file_of[group.name] = group.log_file
    known[group.name] = true
    if group.log_file then paths[group.log_file] = true end
  end
  return file_of, paths, known
end

local function follow_plan(self, plan, files, file_of, known)
  local old = self.files
  self.app, self.settings, self.files, self.file_of = plan.name, plan.log, files, file_of
  self.form_of_files = plan.log.format == "json" and format.json or format.text
  for fd = 1, 2 do self.forms[fd] = format.of_descriptor(fd, plan.log.format) end
  self.kept:change(plan.log.lines, function(name) return known[name] end)
  for path, file in pairs(old) do
    if files[path] ~= file then
      tell_lost(self, file, true)
      file.sink:close()
    end
  end
end

--- Makes ready to write what a plan says where it says: { commit =, abort = }, functions of which one is to be called.
-- Or nil and why it cannot be.
function Log:prepare(plan)
  local file_of, paths, known = paths_of(plan)
  local files, new = open_files(self, plan.log, paths)
  if not files then return nil, new end
  return { commit = function() follow_plan(self, plan, files, file_of, known) end,
    abort = function() close_all(new) end }
end

---- another program ----

local of_output = { "path", "untold", "problem", "told_at" }

--- Writes what waits, and then nothing until it goes on; what nobody takes is lost.
function Log:pause()
  self.timer:stop()
  local until_ = loop.now() + LONGEST_PAUSE
  for _, out in ipairs(outputs(self)) do
    note_lost(self, out)
    local unwritten = out.sink:close(LAST, math.max(0, until_ - loop.now()))
    self.lost, out.untold = self.lost + unwritten, out.untold + unwritten
  end
end

--- After a pause.
function Log:go_on()
  local settings = self.settings
  for path, file in pairs(self.files) do
    file.sink = host.cluster.sink(path, settings.max_size, settings.keep)
    if not file.sink then self.files[path] = nil end -- then its lines go to the output of the master
  end
  self.standard.sink = assert(host.cluster.sink())
  look_again(self)
end

--- For resume: what was lost, and what is kept.
function Log:state()
  local state = { lost = self.lost, outputs = {}, kept = self.kept:state() }
  for i, out in ipairs(outputs(self)) do
    state.outputs[i] = {}
    for _, name in ipairs(of_output) do state.outputs[i][name] = out[name] end
  end
  return state
end

--- Goes on with that of the program before this one, when its files are open.
function Log:resume(state)
  self.lost = state.lost
  self.kept:resume(state.kept)
  for _, saved in ipairs(state.outputs) do
    local out = saved.path and self.files[saved.path] or not saved.path and self.standard or nil
    for _, name in ipairs(out and of_output or {}) do out[name] = saved[name] end
  end
end

---- the end ----

--- What waits is written as long as somebody takes it.
function Log:close()
  self.timer:stop()
  tell_all_lost(self, true)
  host.limit_stop(LONGEST + LAST)
  local until_ = loop.now() + LONGEST
  for _, out in ipairs(outputs(self)) do out.sink:close(LAST, math.max(0, until_ - loop.now())) end
end

return Log
