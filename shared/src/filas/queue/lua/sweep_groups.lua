-- Promote the next job of groups whose head is gone: a stock worker that ends a grouped job promotes nobody.
--
-- KEYS 1 queue  2 wake  3 heads  4 grouped  5 waiting
-- ARGV 1 prefix of the groups' lists, then groups
-- Returns how many groups moved on.

local JOB = 'arq:job:'
local moved = 0
for at = 2, #ARGV do
  local group = ARGV[at]
  local head = redis.call('HGET', KEYS[3], group)
  if head and redis.call('EXISTS', JOB .. head) == 0 and not redis.call('ZSCORE', KEYS[1], head) then
    redis.call('HDEL', KEYS[4], head)
    local following = redis.call('LPOP', ARGV[1] .. group)
    if following then
      redis.call('DECR', KEYS[5])
      redis.call('HSET', KEYS[3], group, following)
      local place = redis.call('HGET', KEYS[4], following)
      local time = redis.call('TIME')
      local now = string.format('%.17g', time[1] * 1000 + time[2] / 1000)
      redis.call('ZADD', KEYS[1], place and string.match(place, '^[^|]+') or now, following)
      if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RPUSH', KEYS[2], '1') end
    else
      redis.call('HDEL', KEYS[3], group)
    end
    moved = moved + 1
  end
end
return moved
