-- Executes an operator's command for one job.
--
-- KEYS 1 queue (zset)  2 active (zset)  3 wake (list)  4 heads (hash)  5 grouped (hash)  6 waiting (string)
--      7 abort (zset)  8 cancelled (set)
-- ARGV 1 'cancel' or 'promote'  2 job id  3 prefix of the groups' lists
-- Returns 'done'; 'running' (a cancel takes effect soon); 'absent'; or 'waiting' (the job is after its group head, and
-- a promotion would break the order).

local command, id, group_prefix = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = string.format('%.17g', time[1] * 1000 + time[2] / 1000)
local function wake()
  if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
end

if command == 'cancel' then redis.call('SREM', KEYS[8], id) end
if redis.call('EXISTS', 'arq:in-progress:' .. id) == 1 then
  if command ~= 'cancel' then return 'running' end
  redis.call('ZADD', KEYS[7], now, id)
  return 'running'
end

local score = redis.call('ZSCORE', KEYS[1], id)
if not score then
  local position = redis.call('HGET', KEYS[5], id)
  if not position then return 'absent' end
  if command ~= 'cancel' then return 'waiting' end
  -- The worker that claims the job later writes its dead letter.
  redis.call('ZADD', KEYS[7], now, id)
  return 'done'
end
if command == 'cancel' then redis.call('ZADD', KEYS[7], now, id) end
if tonumber(score) > tonumber(now) then redis.call('ZADD', KEYS[1], now, id) end
wake()
return 'done'
