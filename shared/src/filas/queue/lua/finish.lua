-- Ends attempts: completed, retried, requeued or dead. Batched. A job with another fencing token is not changed.
--
-- KEYS 1 queue (zset)  2 active (zset)  3 wake (list)  4 grouped (hash)  5 lost (hash)  6 heads (hash)  7 dead (hash)
--      8 completed (hash)  9 failed (hash)  10 counts (hash)  11 ring of completed (list)  12 ring of failed (list)
--      13 abort (zset)  14 waiting (string)  15 newer (hash)
--      16 cancelled (set)
-- ARGV 1 size of the rings  2 prefix of the groups' lists  3 ms that a payload is kept after its due time
--      4 number of runs of plain jobs. A plain job completed at its first attempt and lost no lease. A run is:
--        token, ms to keep the results ('' without results), '1' with groups, number of its jobs, then for each job:
--        id, record, result (with results), group (with groups)
--      then nine for each other job: action, id, token, group or '', leases lost, and by action
--        'complete': result or '', ms to keep it, record, ''
--        'dead':     result or '', ms to keep it, record, dead letter
--        'retry':    ms until it is due, attempts used, error of this attempt or '' (no attempt is used), ''
--        'requeue':  score ('': now), '', '', ''
--        'newer':    worker id, ms of the shortest wait, ms of the longest wait, ms after which the job is too old.
--                    The job waits for a worker of a newer version: as long as it has waited already.
-- Returns { number of dead letters in Redis, indexes of the jobs (from 0, in the order given) whose lease was lost,
--   indexes of the jobs that have waited too long for a newer version and are still claimed }.

local JOB, IN_PROGRESS, RETRY = 'arq:job:', 'arq:in-progress:', 'arq:retry:'
local RESULT, HISTORY = 'arq:result:', 'arq:history:'
local ENDED_KEPT = 24 * 3600 * 1000
local ring, group_prefix, keep, runs = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local minute = math.floor(now / 60000)

local doomed, removed, inactive, scored, done, failed, lost = {}, {}, {}, {}, {}, {}, {}
local left, left_groups = {}, {}
local known, too_old = {}, {}
local completed_count, failed_count, retried, wake = 0, 0, 0, false

local function remove(id, token_key, group)
  local n = #doomed
  doomed[n + 1] = JOB .. id
  doomed[n + 2] = token_key
  removed[#removed + 1] = id
  if group ~= '' then
    left[#left + 1] = id
    left_groups[#left_groups + 1] = group
  end
end

-- The jobs of `left` were group heads: the next job of each group becomes its head. A group occurs once in a call,
-- because the job that it promotes cannot have run yet.
local function promote_all()
  redis.call('HDEL', KEYS[4], unpack(left))
  local heads = redis.call('HMGET', KEYS[6], unpack(left_groups))
  local following, promoted, empty = {}, {}, {}
  for i, group in ipairs(left_groups) do
    if heads[i] == left[i] then
      local id = redis.call('LPOP', group_prefix .. group)
      if id then
        following[#following + 1] = id
        promoted[#promoted + 1] = group
        promoted[#promoted + 1] = id
      else
        empty[#empty + 1] = group
      end
    end
  end
  if #empty > 0 then redis.call('HDEL', KEYS[6], unpack(empty)) end
  if #following == 0 then return end
  redis.call('HSET', KEYS[6], unpack(promoted))
  redis.call('DECRBY', KEYS[14], #following)
  local positions = redis.call('HMGET', KEYS[4], unpack(following))
  for i, id in ipairs(following) do
    scored[#scored + 1] = positions[i] and string.match(positions[i], '^[^|]+') or string.format('%.17g', now)
    scored[#scored + 1] = id
  end
  wake = true
end

-- The ids of cancelled jobs that have ended are noted, so that the stored cancels are deleted.
local function remove_aborts()
  local marks, ended = redis.call('ZMSCORE', KEYS[13], unpack(removed)), {}
  for i, id in ipairs(removed) do
    if marks[i] then ended[#ended + 1] = id end
  end
  if #ended == 0 then return end
  redis.call('ZREM', KEYS[13], unpack(ended))
  redis.call('SADD', KEYS[16], unpack(ended))
  redis.call('PEXPIRE', KEYS[16], ENDED_KEPT)
end

local function finish(at, token_key, ring_list)
  local id, result, ttl = ARGV[at + 1], ARGV[at + 5], ARGV[at + 6]
  remove(id, token_key, ARGV[at + 3])
  doomed[#doomed + 1] = RETRY .. id
  doomed[#doomed + 1] = HISTORY .. id
  if result ~= '' then redis.call('SET', RESULT .. id, result, 'PX', ttl) end
  if ARGV[at + 4] ~= '0' then redis.call('HDEL', KEYS[5], id) end
  ring_list[#ring_list + 1] = ARGV[at + 7]
end

-- Returns the ms until this worker looks at the job again, nil if the job is too old. Notes that the worker does not know
-- the job.
local function wait_for_newer(at, id)
  local worker, shortest, longest = ARGV[at + 5], tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local since, workers = string.match(redis.call('HGET', KEYS[15], id) or '', '^(%d+)|(.*)$')
  local age = math.max(now - tonumber(since or now), 0)
  if age >= tonumber(ARGV[at + 8]) then return nil end
  if not workers then
    workers = worker
  elseif not string.find(workers, worker, 1, true) then
    -- The list is bounded: a worker that it has lost looks at the job once more.
    workers = string.sub(worker .. ',' .. workers, 1, 2000)
  end
  redis.call('HSET', KEYS[15], id, (since or string.format('%.0f', now)) .. '|' .. workers)
  return math.min(math.max(age, shortest), longest)
end

-- The job is due after `delay` ms. Its keys are kept until then.
local function keep_until(id, delay)
  local ttl = string.format('%.0f', keep + delay)
  redis.call('PEXPIRE', HISTORY .. id, ttl)
  redis.call('PEXPIRE', JOB .. id, ttl)
  return string.format('%.17g', now + delay), ttl
end

-- All tokens are read in one call. First find where the arguments of each plain job begin, and its expected token.
local token_keys, places, expected, runs_of = {}, {}, {}, {}
local at = 5
for _ = 1, runs do
  local run = { ttl = ARGV[at + 1] }
  local size = 2
  if run.ttl ~= '' then
    run.result = size
    size = size + 1
  end
  if ARGV[at + 2] == '1' then
    run.group = size
    size = size + 1
  end
  local token = ARGV[at]
  local first = at + 4
  at = first + size * tonumber(ARGV[at + 3])
  for place = first, at - 1, size do
    local n = #places + 1
    token_keys[n] = IN_PROGRESS .. ARGV[place]
    places[n] = place
    expected[n] = token
    runs_of[n] = run
  end
end
local plain, others = #places, at
for other = others, #ARGV, 9 do token_keys[#token_keys + 1] = IN_PROGRESS .. ARGV[other + 1] end
local tokens = redis.call('MGET', unpack(token_keys))

for i, place in ipairs(places) do
  if tokens[i] == expected[i] then
    local id, run = ARGV[place], runs_of[i]
    remove(id, token_keys[i], run.group and ARGV[place + run.group] or '')
    if run.result then redis.call('SET', RESULT .. id, ARGV[place + run.result], 'PX', run.ttl) end
    done[#done + 1] = ARGV[place + 1]
    completed_count = completed_count + 1
  else
    lost[#lost + 1] = i - 1
  end
end

local number = plain
for at = others, #ARGV, 9 do
  number = number + 1
  local action, id = ARGV[at], ARGV[at + 1]
  if tokens[number] ~= ARGV[at + 2] then
    lost[#lost + 1] = number - 1
  elseif action == 'complete' then
    finish(at, token_keys[number], done)
    completed_count = completed_count + 1
  elseif action == 'dead' then
    -- The dead letter is written before any key is deleted. Redis logs a script as a whole, so this is a precaution
    -- that costs nothing.
    redis.call('HSET', KEYS[7], id, ARGV[at + 8])
    finish(at, token_keys[number], failed)
    failed_count = failed_count + 1
  else
    local score, ttl
    if action == 'retry' then
      if ARGV[at + 7] ~= '' then
        redis.call('RPUSH', HISTORY .. id, ARGV[at + 7])
        retried = retried + 1
        known[#known + 1] = id
      end
      score, ttl = keep_until(id, tonumber(ARGV[at + 5]))
      if ARGV[at + 6] ~= '0' then redis.call('SET', RETRY .. id, ARGV[at + 6], 'PX', ttl) end
    elseif action == 'newer' then
      local delay = wait_for_newer(at, id)
      if delay then
        score, ttl = keep_until(id, delay)
        if redis.call('EXISTS', RETRY .. id) == 1 then redis.call('PEXPIRE', RETRY .. id, ttl) end
      else
        too_old[#too_old + 1] = number - 1
      end
    else
      score = ARGV[at + 5]
      if score == '' then score = string.format('%.17g', now) end
    end
    if score then
      doomed[#doomed + 1] = token_keys[number]
      inactive[#inactive + 1] = id
      -- A retry wakes a worker too, so that the worker knows when it is due.
      wake = true
      -- An id that was removed from the queue meanwhile stays removed, as with a stock worker's retry.
      if redis.call('ZSCORE', KEYS[1], id) then
        scored[#scored + 1] = score
        scored[#scored + 1] = id
      end
    end
  end
end

if #left > 0 then promote_all() end
if #removed > 0 then
  redis.call('ZREM', KEYS[1], unpack(removed))
  redis.call('ZREM', KEYS[2], unpack(removed))
  if redis.call('EXISTS', KEYS[13]) == 1 then remove_aborts() end
end
if #removed + #known > 0 and redis.call('EXISTS', KEYS[15]) == 1 then
  for _, ids in ipairs({ removed, known }) do
    if #ids > 0 then redis.call('HDEL', KEYS[15], unpack(ids)) end
  end
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
return { redis.call('HLEN', KEYS[7]), lost, too_old }
