--- Remembers what was made of a text. What was sent by others is bounded: so many short texts, then it begins anew.
local LONGEST = 256

--- A function as make(text), which gives something for every text, or raises.
return function(most, make)
  local known, count = {}, 0
  return function(text)
    local value = known[text]
    if value == nil then
      value = make(text)
      if #text > LONGEST then
        return value
      end
      if count >= most then
        known, count = {}, 0
      end
      known[text], count = value, count + 1
    end
    return value
  end
end
