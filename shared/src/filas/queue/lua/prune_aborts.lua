-- Removes ids from the abort set whose job does not exist. A job that exists stays cancelled, however long it waits.
--
-- KEYS 1 abort (zset)
-- ARGV 1 ms for which an entry is kept in any case  then job ids
-- Returns how many were removed.

local JOB = 'arq:job:'
local keep = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local removed = 0
for at = 2, #ARGV do
  local id = ARGV[at]
  -- A stock client writes the score by its own clock, which may be ahead.
  local score = tonumber(redis.call('ZSCORE', KEYS[1], id) or now)
  if math.abs(now - score) > keep and redis.call('EXISTS', JOB .. id) == 0 then
    removed = removed + redis.call('ZREM', KEYS[1], id)
  end
end
return removed
