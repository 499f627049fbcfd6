-- clouds manual: the manual pages, made of the tables of the commands. The build installs them, and completions.
local args = require "clouds.cli.args"
local commands = require "clouds.cli.commands"
local output = require "clouds.cli.output"
local M = {}

M.command = {
  name = "manual",
  usage = "manual [COMMAND] | manual --into FOLDER",
  summary = "Print the manual page of a command, or of the program; or write all of them, and completions.",
  options = { { long = "into", value = "FOLDER", help = "write NAME.1 of all, clouds.bash, _clouds and clouds.fish" } },
  operands = { 0, 1 },
  without_common = true,
}

-- Text as roff has it.
local function plain(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1"):gsub("^([.'])", "\\&%1"))
end

local function as_it_stands(text) return (".nf\n%s\n.fi\n"):format(plain(text)) end

local function head(title, summary)
  local version = require("clouds").version
  return (".TH %s 1 \"\" \"clouds %s\" \"clouds\"\n.SH NAME\n%s \\- %s\n"):format(plain(title:upper()), version,
    plain(title), plain(summary))
end

local function options_of(list)
  local lines = { ".SH OPTIONS\n" }
  for _, option in ipairs(list) do
    if not option.hidden then
      local shown = option.short and ("\\fB\\-%s\\fR, "):format(option.short) or ""
      local value = option.value and " \\fI" .. plain(option.value) .. "\\fR" or ""
      lines[#lines + 1] = (".TP\n%s\\fB\\-\\-%s\\fR%s\n%s\n"):format(shown, plain(option.long), value,
        plain(option.help))
    end
  end
  return table.concat(lines)
end

local function of_command(name)
  local command = commands.load(name)
  local parts = { head("clouds-" .. name, (command.summary:gsub("%.$", ""))), ".SH SYNOPSIS\n",
    as_it_stands("clouds " .. command.usage), ".SH DESCRIPTION\n", plain(command.summary), "\n" }
  if command.text then parts[#parts + 1] = ".PP\n" .. as_it_stands(command.text) end
  parts[#parts + 1] = options_of(args.options_of(command))
  parts[#parts + 1] = ".SH SEE ALSO\n.BR clouds (1)\n"
  return table.concat(parts)
end

local function of_program()
  local parts = { head("clouds", "services and calls over processes and machines, by name"), ".SH SYNOPSIS\n",
    as_it_stands("clouds [--url URL] COMMAND [arguments]\nclouds [--url URL] SCRIPT [arguments]"), ".SH COMMANDS\n" }
  for _, row in ipairs(commands.shown()) do
    parts[#parts + 1] = (".TP\n\\fB%s\\fR\n%s\n"):format(plain(row[1]), plain(row[2]))
  end
  parts[#parts + 1] = options_of(args.common)
  parts[#parts + 1] = ".SH EXIT STATUS\n" .. as_it_stands(commands.exit_text)
  parts[#parts + 1] = ".SH SEE ALSO\n"
  for _, row in ipairs(commands.shown()) do
    if commands.load(row[1]) then parts[#parts + 1] = (".BR clouds\\-%s (1)\n"):format(row[1]) end
  end
  return table.concat(parts)
end

---- the files ----

local function write_to(path, text)
  local file, problem = io.open(path, "w")
  if not file then args.fail("manual", "--into: %s", problem) end
  local ok, words = file:write(text)
  if ok then ok, words = file:close() end
  if not ok then args.fail("manual", "--into: %s: %s", path, words) end
end

local function write_all(folder)
  local shells = require("clouds.cli.completion").shells
  write_to(folder .. "/clouds.1", of_program())
  for _, name in ipairs(commands.names()) do
    if commands.load(name) then write_to(("%s/clouds-%s.1"):format(folder, name), of_command(name)) end
  end
  write_to(folder .. "/clouds.bash", shells.bash())
  write_to(folder .. "/_clouds", shells.zsh())
  write_to(folder .. "/clouds.fish", shells.fish())
end

function M.main(options, operands)
  local name = operands[1]
  if options.into then return write_all(options.into) end
  if not name then return output.write(of_program()) end
  if not commands.is_known(name) or not commands.load(name) then
    args.fail("manual", "no command '%s'", name)
  end
  return output.write(of_command(name))
end

return M
