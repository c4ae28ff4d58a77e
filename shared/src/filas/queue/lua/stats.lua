-- Returns the counts of a queue, at one moment. Removes minutes beyond retention from the counters.
--
-- KEYS 1 queue (zset)  2 active (zset)  3 waiting (string)  4 completed (hash)  5 failed (hash)  6 counts (hash)
--      7 dead (hash)
-- ARGV 1 ms for which completed jobs count  2 the same for failed jobs
--      then one per priority level: the ms by which it is moved ahead, the furthest first
-- Returns { waiting, active, delayed, completed, failed, retries, dead letters so far, dead letters in Redis, leases
--   lost, age of the oldest waiting job in ms }.

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local now_text = string.format('%.17g', now)

local active = redis.call('ZCOUNT', KEYS[2], '(' .. now_text, '+inf')
local due = redis.call('ZCOUNT', KEYS[1], '-inf', now_text)
local later = redis.call('ZCOUNT', KEYS[1], '(' .. now_text, '+inf')
local grouped = tonumber(redis.call('GET', KEYS[3]) or 0)

-- A minute is removed when all of it is beyond retention.
local function finished(key, keep)
  local total = tonumber(redis.call('HGET', key, 'total') or 0)
  if total == 0 then return 0 end
  local oldest = math.floor((now - keep) / 60000)
  if tonumber(redis.call('HGET', key, 'pruned') or 0) < oldest then
    local fields = redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
      local minute = tonumber(fields[i])
      if minute and minute < oldest then
        redis.call('HDEL', key, fields[i])
        total = redis.call('HINCRBY', key, 'total', -tonumber(fields[i + 1]))
      end
    end
    redis.call('HSET', key, 'pruned', oldest)
  end
  return total
end

local age = 0
local below = '-inf'
for i = 3, #ARGV do
  -- The scores of a level are within half a step of `now - advance`. Lower scores belong to the previous level.
  local advance = tonumber(ARGV[i])
  local above = i < #ARGV and string.format('%.17g', now - (advance + tonumber(ARGV[i + 1])) / 2) or now_text
  local first = redis.call('ZRANGEBYSCORE', KEYS[1], below, above, 'WITHSCORES', 'LIMIT', 0, 1)
  if #first > 0 then
    local since = tonumber(first[2]) + advance
    if since > 1e9 then age = math.max(age, now - since) end
  end
  below = '(' .. above
end

local counts = redis.call('HMGET', KEYS[6], 'retries', 'dead', 'lost')
return {
  due + grouped, active, math.max(later - active, 0),
  finished(KEYS[4], tonumber(ARGV[1])), finished(KEYS[5], tonumber(ARGV[2])),
  tonumber(counts[1] or 0), tonumber(counts[2] or 0), redis.call('HLEN', KEYS[7]), tonumber(counts[3] or 0),
  math.floor(age),
}
