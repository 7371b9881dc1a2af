-- Put rows of one view into values that hold rows of several views, where they are not older than what is there.
--
-- KEYS: the keys. ARGV[1]: JSON, the size of the view's fixed part and what to do to a value of each known shape
-- (see _splice in redis.py). ARGV[2..]: the rows, each a value of the shape that has this view alone. Answers with
-- the numbers of the keys whose value is of a shape that ARGV[1] does not tell of; those are left alone.
--
-- A value is: shape, 4 bytes | fixed parts | tails. A fixed part begins with its times, 16 bytes.
local splices = cjson.decode(ARGV[1])
local unknown = {}

-- Lua compares strings by the server's locale, so times are compared as numbers.
local function older(new, old, at)
  for part = 0, 12, 4 do
    local a, b = struct.unpack('>I4', new, 5 + part), struct.unpack('>I4', old, at + part)
    if a ~= b then return a < b end
  end
  return false
end

local function id_of(hex)
  return (string.gsub(hex, '%x%x', function(byte) return string.char(tonumber(byte, 16)) end))
end

local fixed, by_id = splices.fixed, {}
splices.fixed = nil
for hex, splice in pairs(splices) do
  splice.to = id_of(splice.to)
  by_id[id_of(hex)] = splice
end

for number, key in ipairs(KEYS) do
  local new, old = ARGV[number + 1], redis.call('GET', key)
  if not old then
    redis.call('SET', key, new)
  else
    local splice = by_id[string.sub(old, 1, 4)]
    if not splice then
      unknown[#unknown + 1] = number
    elseif splice.size == 0 or not older(new, old, splice.at) then
      local tails, before, own = splice.ends + 1, 0, 0
      for _, at in ipairs(splice.before) do before = before + struct.unpack('<I4', old, at) end
      if splice.own > 0 then own = struct.unpack('<I4', old, splice.own) end
      redis.call('SET', key, table.concat({
        splice.to,
        string.sub(old, 5, splice.at - 1),
        string.sub(new, 5, 4 + fixed),
        string.sub(old, splice.at + splice.size, splice.ends),
        string.sub(old, tails, tails + before - 1),
        string.sub(new, 5 + fixed),
        string.sub(old, tails + before + own),
      }))
    end
  end
end
return unknown
