-- Writes the heartbeat of a worker, and removes those of workers whose heartbeats have stopped.
--
-- KEYS 1 workers (hash)
-- ARGV 1 worker id  2 ms for which it counts as alive (0: the worker stops)  3 running handlers  4 slots
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
