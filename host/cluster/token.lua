-- What one worker of a group has at a time: the others that want it wait for their turn, in order.
--
-- A worker asks once, and again when it has given it back; what it has to run in turns it orders itself. So there are
-- never more that wait than there are workers.
local Token = {}
Token.__index = Token

--- give(worker) tells a worker that it has the token.
function Token.new(give)
  return setmetatable({ give = give, waiting = {} }, Token)
end

local function index_of(self, worker)
  for i, each in ipairs(self.waiting) do
    if each == worker then return i end
  end
end

local function give_next(self)
  self.holder = table.remove(self.waiting, 1)
  if self.holder then self.give(self.holder) end
end

function Token:ask(worker)
  if self.holder == worker or index_of(self, worker) then return end
  table.insert(self.waiting, worker)
  if not self.holder then give_next(self) end
end

--- It is done with it.
function Token:free(worker)
  if self.holder == worker then give_next(self) end
end

--- It has ended, whether it has the token or waits for it.
function Token:forget(worker)
  local index = index_of(self, worker)
  if index then table.remove(self.waiting, index) end
  self:free(worker)
end

--- For who goes on with it, with names in the place of workers; and back.
function Token:state(name_of)
  local waiting = {}
  for i, worker in ipairs(self.waiting) do waiting[i] = name_of(worker) end
  return { holder = self.holder and name_of(self.holder), waiting = waiting }
end

function Token:resume(state, by_name)
  self.holder = by_name[state.holder]
  for i, name in ipairs(state.waiting) do self.waiting[i] = by_name[name] end
end

return Token
