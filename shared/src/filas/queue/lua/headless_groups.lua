-- Returns groups whose head is neither in the queue nor has a payload. Reads only.
--
-- KEYS 1 queue (zset)  2 heads (hash)
-- ARGV 1 cursor of HSCAN  2 how many groups to examine
-- Returns { next cursor, examined groups, group, group, ... }

local JOB = 'arq:job:'
local answer = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
local reply = { answer[1], #answer[2] / 2 }
for at = 1, #answer[2], 2 do
  local group, head = answer[2][at], answer[2][at + 1]
  if redis.call('EXISTS', JOB .. head) == 0 and not redis.call('ZSCORE', KEYS[1], head) then
    reply[#reply + 1] = group
  end
end
return reply
