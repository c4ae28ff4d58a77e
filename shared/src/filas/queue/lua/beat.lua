-- A worker says that it is there, and how busy; those that fell silent are forgotten.
--
-- KEYS 1 workers
-- ARGV 1 id of the worker  2 ms for which it counts as there (0: it leaves)  3 handlers that run  4 slots for them
-- Returns nothing.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lasts = tonumber(ARGV[2])
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local until_ms = tonumber(string.match(fields[i + 1], '^(%d+)|'))
  if not until_ms or until_ms <= now then redis.call('HDEL', KEYS[1], fields[i]) end
end
if lasts == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  local until_ms = string.format('%.0f', now + lasts)
  redis.call('HSET', KEYS[1], ARGV[1], until_ms .. '|' .. ARGV[3] .. '|' .. ARGV[4])
end
