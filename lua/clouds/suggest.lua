--- "Did you mean ...?"

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
return function(word, words)
  local best, least = nil, 3
  for _, candidate in ipairs(words) do
    local far = distance(word:sub(1, 40), candidate)
    if far < least and far < #candidate then
      best, least = candidate, far
    end
  end
  return best
end
