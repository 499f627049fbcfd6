-- Rows of cells as lines of text, whose columns are as wide as the longest text in them. No line ends in blanks.
local output = require "clouds.cli.output"
local M = {}

-- `to_right`: the numbers of the columns that hold numbers. A row may have fewer cells than others.
function M.text(rows, to_right)
  local cells, widths, right, lines = {}, {}, {}, {}
  for _, column in ipairs(to_right or {}) do right[column] = true end
  for n, row in ipairs(rows) do
    cells[n] = {}
    for i, cell in ipairs(row) do
      cells[n][i] = output.plain(cell)
      widths[i] = math.max(widths[i] or 0, #cells[n][i])
    end
  end
  for n, row in ipairs(cells) do
    for i, cell in ipairs(row) do
      local space = (" "):rep(widths[i] - #cell)
      row[i] = right[i] and space .. cell or i < #row and cell .. space or cell
    end
    lines[n] = table.concat(row, "  "):gsub(" +$", "") .. "\n"
  end
  return table.concat(lines)
end

return M
