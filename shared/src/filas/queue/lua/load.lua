-- Returns how busy the workers of a queue are, at one moment. Reads only.
--
-- KEYS 1 workers (hash)  2 completed (hash)  3 failed (hash)
-- ARGV none
-- Returns { live workers, running handlers, slots, jobs finished in this and the previous minute, ms since the start of
--   the previous minute, now in ms }.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local workers, running, slots = 0, 0, 0
local values = redis.call('HVALS', KEYS[1])
for i = 1, #values do
  local until_ms, runs, has = string.match(values[i], '^(%d+)|(%d+)|(%d+)$')
  if until_ms and tonumber(until_ms) > now then
    workers = workers + 1
    running = running + tonumber(runs)
    slots = slots + tonumber(has)
  end
end
local minute = math.floor(now / 60000)
local finished = 0
for i = 2, 3 do
  local counted = redis.call('HMGET', KEYS[i], string.format('%.0f', minute), string.format('%.0f', minute - 1))
  finished = finished + tonumber(counted[1] or 0) + tonumber(counted[2] or 0)
end
return { workers, running, slots, finished, now - (minute - 1) * 60000, now }
