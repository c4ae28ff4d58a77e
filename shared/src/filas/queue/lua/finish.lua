-- End tries, many a call: completed, retried, given back or dead. Whoever no longer holds the token of a
-- job changes nothing of it.
--
-- KEYS 1 queue  2 active  3 wake  4 grouped  5 lost  6 heads  7 dead  8 completed  9 failed  10 counts
--      11 ring of completed  12 ring of failed  13 abort  14 waiting
-- ARGV 1 size of the rings  2 prefix of the groups' lists  3 ms that a payload is kept beyond its due time
--      4 number of plain jobs: completed at the first try, without group, result or lost lease; then three each:
--        id, token, record
--      then nine for each other job: what, id, token, group or '', leases lost, and by what
--        'complete': result or '', ms to keep it, record, ''
--        'dead':     result or '', ms to keep it, record, dead letter
--        'retry':    due in ms from now, tries spent, error of this try or '' (it spent none), ''
--        'return':   score ('' now), '', '', ''
-- Returns { dead letters that wait, numbers of the jobs (from 0, in the order given) whose token is gone }.

local JOB, IN_PROGRESS, RETRY = 'arq:job:', 'arq:in-progress:', 'arq:retry:'
local RESULT, HISTORY = 'arq:result:', 'arq:history:'
local ring, group_prefix, keep, plain = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local minute = math.floor(now / 60000)

local doomed, removed, inactive, scored, done, failed, lost = {}, {}, {}, {}, {}, {}, {}
local completed_count, failed_count, retried, wake = 0, 0, 0, false

local function remove(id, token_key)
  local n = #doomed
  doomed[n + 1] = JOB .. id
  doomed[n + 2] = token_key
  removed[#removed + 1] = id
end

local function promote(group, id)
  redis.call('HDEL', KEYS[4], id)
  if redis.call('HGET', KEYS[6], group) ~= id then return end
  local following = redis.call('LPOP', group_prefix .. group)
  if not following then
    redis.call('HDEL', KEYS[6], group)
    return
  end
  redis.call('DECR', KEYS[14])
  redis.call('HSET', KEYS[6], group, following)
  local place = redis.call('HGET', KEYS[4], following)
  local score = place and string.match(place, '^[^|]+') or string.format('%.17g', now)
  scored[#scored + 1] = score
  scored[#scored + 1] = following
  wake = true
end

local function ended(at, token_key, ring_list)
  local id, group, result, ttl = ARGV[at + 1], ARGV[at + 3], ARGV[at + 5], ARGV[at + 6]
  remove(id, token_key)
  doomed[#doomed + 1] = RETRY .. id
  doomed[#doomed + 1] = HISTORY .. id
  if result ~= '' then redis.call('SET', RESULT .. id, result, 'PX', ttl) end
  if group ~= '' then promote(group, id) end
  if ARGV[at + 4] ~= '0' then redis.call('HDEL', KEYS[5], id) end
  ring_list[#ring_list + 1] = ARGV[at + 7]
end

local others = 5 + plain * 3
local held_keys = {}
for at = 5, others - 1, 3 do held_keys[#held_keys + 1] = IN_PROGRESS .. ARGV[at] end
for at = others, #ARGV, 9 do held_keys[#held_keys + 1] = IN_PROGRESS .. ARGV[at + 1] end
local tokens = redis.call('MGET', unpack(held_keys))

for i = 1, plain do
  local at = 5 + (i - 1) * 3
  if tokens[i] == ARGV[at + 1] then
    remove(ARGV[at], held_keys[i])
    done[#done + 1] = ARGV[at + 2]
    completed_count = completed_count + 1
  else
    lost[#lost + 1] = i - 1
  end
end

local number = plain
for at = others, #ARGV, 9 do
  number = number + 1
  local what, id = ARGV[at], ARGV[at + 1]
  if tokens[number] ~= ARGV[at + 2] then
    lost[#lost + 1] = number - 1
  elseif what == 'complete' then
    ended(at, held_keys[number], done)
    completed_count = completed_count + 1
  elseif what == 'dead' then
    -- The letter stands before the first key is deleted: a crash of Redis between two commands of a
    -- script is none in its log, yet the order costs nothing.
    redis.call('HSET', KEYS[7], id, ARGV[at + 8])
    ended(at, held_keys[number], failed)
    failed_count = failed_count + 1
  else
    doomed[#doomed + 1] = held_keys[number]
    inactive[#inactive + 1] = id
    local score
    if what == 'retry' then
      local delay = tonumber(ARGV[at + 5])
      score = string.format('%.17g', now + delay)
      local ttl = string.format('%.0f', keep + delay)
      if ARGV[at + 6] ~= '0' then redis.call('SET', RETRY .. id, ARGV[at + 6], 'PX', ttl) end
      if ARGV[at + 7] ~= '' then
        redis.call('RPUSH', HISTORY .. id, ARGV[at + 7])
        retried = retried + 1
      end
      redis.call('PEXPIRE', HISTORY .. id, ttl)
      redis.call('PEXPIRE', JOB .. id, ttl)
    else
      score = ARGV[at + 5]
      if score == '' then score = string.format('%.17g', now) end
    end
    -- A retry wakes somebody too: to learn when it is due.
    wake = true
    -- Not unlike a stock worker's retry: an id that was taken out of the queue meanwhile stays out.
    if redis.call('ZSCORE', KEYS[1], id) then
      scored[#scored + 1] = score
      scored[#scored + 1] = id
    end
  end
end

if #removed > 0 then
  redis.call('ZREM', KEYS[1], unpack(removed))
  redis.call('ZREM', KEYS[2], unpack(removed))
  if redis.call('EXISTS', KEYS[13]) == 1 then redis.call('ZREM', KEYS[13], unpack(removed)) end
end
if #inactive > 0 then redis.call('ZREM', KEYS[2], unpack(inactive)) end
if #scored > 0 then redis.call('ZADD', KEYS[1], unpack(scored)) end
if #doomed > 0 then redis.call('UNLINK', unpack(doomed)) end

local function count(hash, records, number_of, list)
  if number_of == 0 then return end
  redis.call('HINCRBY', hash, minute, number_of)
  redis.call('HINCRBY', hash, 'total', number_of)
  if ring > 0 then
    redis.call('LPUSH', list, unpack(records))
    redis.call('LTRIM', list, 0, ring - 1)
  end
end
count(KEYS[8], done, completed_count, KEYS[11])
count(KEYS[9], failed, failed_count, KEYS[12])
if retried > 0 then redis.call('HINCRBY', KEYS[10], 'retries', retried) end
if failed_count > 0 then redis.call('HINCRBY', KEYS[10], 'dead', failed_count) end
if wake and redis.call('EXISTS', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
return { redis.call('HLEN', KEYS[7]), lost }
