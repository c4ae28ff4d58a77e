-- Restores a queue after Redis has lost its data. One worker at a time does it; the others claim nothing until it has.
-- It enqueues the jobs of the unfinished rows in their order (`enqueue.lua` with its token), while jobs with a group that
-- others enqueue are held back. Then it releases these, so no job overtakes an older one of its group.
--
-- KEYS 1 queue (zset)  2 wake (list)  3 heads (hash)  4 grouped (hash)  5 waiting (string)  6 held (zset)
--      7 restoring (string)  8 restorer (string)  9 epoch (string)
-- ARGV 1 'begin', 'renew', 'leave' or 'release'  2 token of the worker  3 ms until another worker may begin again
--      4 prefix of the groups' lists  5 the most jobs to release  6 the new epoch
-- Returns 'restored' if there is nothing to restore, 'busy' if another worker does it (or this one has lost its place),
-- 'more' if jobs are still held back, otherwise 'done'.

local command, token, group_prefix = ARGV[1], ARGV[2], ARGV[4]
local restorer = redis.call('GET', KEYS[8])

if command == 'begin' then
  if redis.call('EXISTS', KEYS[9]) == 1 and redis.call('EXISTS', KEYS[7]) == 0 then return 'restored' end
  if restorer then return 'busy' end
  redis.call('SET', KEYS[8], token, 'PX', ARGV[3])
  redis.call('SET', KEYS[7], token)
  return 'done'
end

-- Redis may have lost its data again.
if restorer ~= token or redis.call('GET', KEYS[7]) ~= token then return 'busy' end
if command == 'leave' then
  redis.call('DEL', KEYS[8])
  return 'done'
end
redis.call('PEXPIRE', KEYS[8], ARGV[3])
if command == 'renew' then return 'done' end

local limit = tonumber(ARGV[5])
local held = redis.call('ZRANGE', KEYS[6], 0, limit - 1)
local scores, left = {}, 0
for _, id in ipairs(held) do
  local position = redis.call('HGET', KEYS[4], id)
  local score, group = string.match(position or '', '^([^|]+)|(.*)$')
  if not group or redis.call('EXISTS', 'arq:job:' .. id) == 0 then
    redis.call('HDEL', KEYS[4], id)
    left = left + 1
  elseif redis.call('HSETNX', KEYS[3], group, id) == 1 then
    scores[#scores + 1] = score
    scores[#scores + 1] = id
    left = left + 1
  else
    redis.call('RPUSH', group_prefix .. group, id)
  end
end
if #held > 0 then redis.call('ZREM', KEYS[6], unpack(held)) end
if left > 0 then redis.call('DECRBY', KEYS[5], left) end
if #scores > 0 then redis.call('ZADD', KEYS[1], unpack(scores)) end
if #held == limit then return 'more' end
redis.call('DEL', KEYS[7], KEYS[8])
redis.call('SET', KEYS[9], ARGV[6])
if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RPUSH', KEYS[2], '1') end
return 'done'
