-- Rows of cells as lines of text, whose columns are as wide as the longest text in them. No line ends in blanks.
local output = require "clouds.cli.output"
local M = {}

-- Characters, and not the bytes of them.
local function width_of(text)
  return select(2, text:gsub("[^\128-\191]", ""))
end

--- No more than so many of them.
function M.cut(text, most)
  local count = 0
  for at in text:gmatch("()[^\128-\191]") do
    count = count + 1
    if count > most then return text:sub(1, at - 1) end
  end
  return text
end

-- `to_right`: the numbers of the columns that hold numbers. A row may have fewer cells than others.
function M.text(rows, to_right)
  local cells, widths, right, lines = {}, {}, {}, {}
  for _, column in ipairs(to_right or {}) do right[column] = true end
  for n, row in ipairs(rows) do
    cells[n] = {}
    for i, cell in ipairs(row) do
      cells[n][i] = output.plain(cell)
      widths[i] = math.max(widths[i] or 0, width_of(cells[n][i]))
    end
  end
  for n, row in ipairs(cells) do
    for i, cell in ipairs(row) do
      local space = (" "):rep(widths[i] - width_of(cell))
      row[i] = right[i] and space .. cell or i < #row and cell .. space or cell
    end
    lines[n] = table.concat(row, "  "):gsub(" +$", "") .. "\n"
  end
  return table.concat(lines)
end

return M
