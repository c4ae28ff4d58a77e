-- Writes the stored cancels of a queue to the abort set. Batched.
--
-- KEYS 1 abort (zset)  2 cancelled (set)
-- ARGV job ids
-- Returns nothing.

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + time[2] / 1000)
local marks = {}
for _, id in ipairs(ARGV) do
  -- A job that has ended stays as it is: its id may be used again.
  if redis.call('SISMEMBER', KEYS[2], id) == 0 then
    marks[#marks + 1] = now
    marks[#marks + 1] = id
  end
end
if #marks > 0 then redis.call('ZADD', KEYS[1], 'NX', unpack(marks)) end
