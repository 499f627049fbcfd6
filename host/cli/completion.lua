-- clouds completion: what a shell needs to complete command lines, made of the tables of the commands.
local args = require "clouds.cli.args"
local common = require "clouds.cli.common"
local output = require "clouds.cli.output"
local commands = require "clouds.cli.commands"
local M = {}

local LIMIT = 0.3 -- seconds until a shell gets no names

M.command = {
  name = "completion",
  usage = "completion bash | zsh | fish",
  summary = "Print the completion of command lines for a shell.",
  text = "bash: source <(clouds completion bash)    zsh: source <(clouds completion zsh)\n"
    .. "fish: clouds completion fish | source\n"
    .. "Names of methods, nodes and applications are those that are there, as far as 0.3 s show.",
  operands = { 1, 1 },
}

---- what there is to complete ----

local kinds = { METHOD = "methods", NODE = "nodes", NAME = "applications", SCRIPT = "files", FILE = "files" }

-- What the operands of a command are, by the first word of its usage that says so: methods, nodes, applications, files.
local function kind_of(command)
  for word in command.usage:gsub("%-%-[%a-]+ %u+", ""):gmatch("%u+") do
    if kinds[word] then return kinds[word] end
  end
  return "nothing"
end

local function first_line(text) return text:match("^[^\n]*"):gsub("['\"`$\\:%[%]]", " ") end

-- { name =, summary =, kind =, options = { { "--long", "-s", help, takes_value } } } of each command.
local function all()
  local list = {}
  for _, row in ipairs(commands.shown()) do
    local command = commands.load(row[1])
    local entry = { name = row[1], summary = row[2], kind = command and kind_of(command) or "commands", options = {} }
    for _, option in ipairs(command and args.options_of(command) or {}) do
      if not option.hidden then
        table.insert(entry.options, { long = option.long, short = option.short, help = (first_line(option.help)),
          takes = option.value ~= nil })
      end
    end
    list[#list + 1] = entry
  end
  return list
end

local function words_of(entry)
  local words = {}
  for _, option in ipairs(entry.options) do words[#words + 1] = "--" .. option.long end
  return table.concat(words, " ")
end

-- Those of the options of all commands that are followed by a value.
local function with_value()
  local words = {}
  for _, option in ipairs(args.common) do
    if option.value then words[#words + 1] = "--" .. option.long end
  end
  return table.concat(words, "|")
end

---- shells ----

local function bash()
  local cases = {}
  for i, entry in ipairs(all()) do
    cases[i] = ("    %s) options='%s' kind=%s ;;\n"):format(entry.name, words_of(entry), entry.kind)
  end
  return ([==[
# Completion of clouds for bash, made by 'clouds completion bash'.
_clouds() {
  local word=${COMP_WORDS[COMP_CWORD]} command= options= kind=commands i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      %s) ((i++)) ;;
      -*) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  case $command in
    '') options='%s --version' ;;
%s  esac
  if [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$word"))
  elif [[ $kind == commands ]]; then
    COMPREPLY=($(compgen -W '%s' -- "$word") $(compgen -f -X '!*.lua' -- "$word"))
  elif [[ $kind == files ]]; then
    COMPREPLY=($(compgen -f -- "$word"))
  elif [[ $kind != nothing ]]; then
    COMPREPLY=($(compgen -W "$(clouds completion "$kind" 2>/dev/null)" -- "$word"))
  fi
}
complete -o filenames -F _clouds clouds
]==]):format(with_value(), words_of({ options = args.common }), table.concat(cases),
    table.concat(commands.names(), " "))
end

local function zsh()
  local rows, cases = {}, {}
  for i, entry in ipairs(all()) do
    local options = {}
    for k, option in ipairs(entry.options) do options[k] = ("'--%s:%s'"):format(option.long, option.help) end
    rows[i] = ("'%s:%s'"):format(entry.name, first_line(entry.summary))
    cases[i] = ("    %s) options=(%s) kind=%s ;;\n"):format(entry.name, table.concat(options, " "), entry.kind)
  end
  return ([==[
#compdef clouds
# Completion of clouds for zsh, made by 'clouds completion zsh'.
_clouds() {
  local command= kind=commands i
  local -a options found
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
      %s) ((i++)) ;;
      -*) ;;
      *) command=$words[i]; break ;;
    esac
  done
  case $command in
    '') found=(%s); _describe command found; return ;;
%s  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe -o option options
  elif [[ $kind == commands ]]; then
    found=(%s); _describe command found
  elif [[ $kind == files ]]; then
    _files
  elif [[ $kind != nothing ]]; then
    found=(${(f)"$(clouds completion $kind 2>/dev/null)"}); compadd -a found
  fi
}
if [[ $funcstack[1] == _clouds ]]; then _clouds "$@"; else compdef _clouds clouds; fi
]==]):format(with_value(), table.concat(rows, " "), table.concat(cases), table.concat(rows, " "))
end

local function fish()
  local lines = { "# Completion of clouds for fish, made by 'clouds completion fish'.\n" }
  for _, entry in ipairs(all()) do
    local seen = ("-n '__fish_seen_subcommand_from %s'"):format(entry.name)
    lines[#lines + 1] = ("complete -c clouds -n __fish_use_subcommand -a %s -d '%s'\n"):format(entry.name,
      (first_line(entry.summary)))
    for _, option in ipairs(entry.options) do
      lines[#lines + 1] = ("complete -c clouds %s -l %s%s%s -d '%s'\n"):format(seen, option.long,
        option.short and " -s " .. option.short or "", option.takes and " -r" or "", option.help)
    end
    if entry.kind ~= "files" and entry.kind ~= "nothing" and entry.kind ~= "commands" then
      local found = ("'(clouds completion %s 2>/dev/null)'"):format(entry.kind)
      lines[#lines + 1] = ("complete -c clouds %s -f -a %s\n"):format(seen, found)
    end
  end
  return table.concat(lines)
end

M.shells = { bash = bash, zsh = zsh, fish = fish }

---- names that are there ----

local function of_cluster(which)
  local monitor = common.open("completion", "monitor", { direct = false })
  monitor:on("down", function() end)
  local status = monitor:status({ timeout = LIMIT })
  return status and common.sorted_keys(which == "methods" and status.methods or status.servers) or {}
end

local function of_applications() return require("clouds.cli.application").names() end

local lookups = { methods = of_cluster, nodes = of_cluster, applications = of_applications }

function M.main(options, operands)
  local what = operands[1]
  if M.shells[what] then return output.write(M.shells[what]()) end
  if not lookups[what] then args.fail("completion", "expected bash, zsh or fish, got '%s'", what) end
  common.command("completion", options, function()
    local lines = {}
    for i, name in ipairs(lookups[what](what)) do lines[i] = output.plain(name) .. "\n" end
    return output.write(table.concat(lines)) and common.OK or common.ERROR
  end)
end

return M
