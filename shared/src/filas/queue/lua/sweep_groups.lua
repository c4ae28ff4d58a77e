-- Promotes the next job of groups whose head no longer exists: a stock worker that finishes a grouped job promotes no
-- other job.
--
-- KEYS 1 queue (zset)  2 wake (list)  3 heads (hash)  4 grouped (hash)  5 waiting (string)
-- ARGV 1 prefix of the groups' lists, then groups
-- Returns in how many groups the head was readvanced.

local JOB = 'arq:job:'
local advanced = 0
for at = 2, #ARGV do
  local group = ARGV[at]
  local head = redis.call('HGET', KEYS[3], group)
  if head and redis.call('EXISTS', JOB .. head) == 0 and not redis.call('ZSCORE', KEYS[1], head) then
    redis.call('HDEL', KEYS[4], head)
    local following = redis.call('LPOP', ARGV[1] .. group)
    if following then
      redis.call('DECR', KEYS[5])
      redis.call('HSET', KEYS[3], group, following)
      local position = redis.call('HGET', KEYS[4], following)
      local time = redis.call('TIME')
      local now = string.format('%.17g', time[1] * 1000 + time[2] / 1000)
      redis.call('ZADD', KEYS[1], position and string.match(position, '^[^|]+') or now, following)
      if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RPUSH', KEYS[2], '1') end
    else
      redis.call('HDEL', KEYS[3], group)
    end
    advanced = advanced + 1
  end
end
return advanced
