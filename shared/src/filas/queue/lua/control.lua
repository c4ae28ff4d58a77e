-- One job, by hand.
--
-- KEYS 1 queue  2 active  3 wake  4 heads  5 grouped  6 waiting  7 abort
-- ARGV 1 'cancel' or 'promote'  2 id  3 prefix of the groups' lists
-- Returns 'running' (a cancel was asked for and takes effect soon), 'done', 'absent', or 'waiting' (behind
-- its group's head: a promotion would break the order).

local what, id, group_prefix = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = string.format('%.17g', time[1] * 1000 + time[2] / 1000)
local function wake()
  if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
end

if redis.call('EXISTS', 'arq:in-progress:' .. id) == 1 then
  if what ~= 'cancel' then return 'running' end
  redis.call('ZADD', KEYS[7], now, id)
  return 'running'
end

local score = redis.call('ZSCORE', KEYS[1], id)
if not score then
  local place = redis.call('HGET', KEYS[5], id)
  if not place then return 'absent' end
  if what ~= 'cancel' then return 'waiting' end
  -- It ends when its turn comes: its dead letter is written by whoever claims it then.
  redis.call('ZADD', KEYS[7], now, id)
  return 'done'
end
if what == 'cancel' then redis.call('ZADD', KEYS[7], now, id) end
if tonumber(score) > tonumber(now) then redis.call('ZADD', KEYS[1], now, id) end
wake()
return 'done'
