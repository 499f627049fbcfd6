--- "Did you mean ...?"
local M = {}

-- How many single-character edits apart two words are; small words only.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local above = row[j]
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(above + 1, row[j - 1] + 1, diagonal + cost)
      diagonal = above
    end
  end
  return row[#b]
end

--- The word of the list `words` nearest to `word`, when it is near enough to be what was meant.
function M.nearest(word, words)
  local best, least = nil, 3
  for _, candidate in ipairs(words) do
    local far = distance(word:sub(1, 40), candidate)
    if far < least and far < #candidate then
      best, least = candidate, far
    end
  end
  return best
end

--- What to say of a word that is none of these: the one that was meant, or else what is expected, all of them.
function M.hint(word, words, expected)
  local near = type(word) == "string" and M.nearest(word, words)
  return near and ("did you mean '%s'?"):format(near) or expected or "expected one of " .. table.concat(words, ", ")
end

return M
