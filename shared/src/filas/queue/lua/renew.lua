-- Renews the leases of the jobs that a worker has claimed. Batched.
--
-- KEYS 1 queue (zset)  2 active (zset)
-- ARGV 1 lease in ms, then two per job: id, token
-- Returns the indexes of the jobs (from 0) whose lease was lost.

local IN_PROGRESS = 'arq:in-progress:'
local lease = tonumber(ARGV[1])
local time = redis.call('TIME')
local lease_end = string.format('%.17g', time[1] * 1000 + time[2] / 1000 + lease)
local lost, held = {}, {}
for at = 2, #ARGV, 2 do
  local key = IN_PROGRESS .. ARGV[at]
  if redis.call('GET', key) == ARGV[at + 1] then
    redis.call('PEXPIRE', key, lease)
    held[#held + 1] = lease_end
    held[#held + 1] = ARGV[at]
  else
    lost[#lost + 1] = (at - 2) / 2
  end
end
if #held > 0 then
  redis.call('ZADD', KEYS[1], 'XX', unpack(held))
  redis.call('ZADD', KEYS[2], 'XX', unpack(held))
end
return lost
