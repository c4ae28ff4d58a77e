-- Enqueues jobs. Batched; each job has its own outcome.
--
-- KEYS 1 queue (zset)  2 wake (list)  3 dead (hash)  4 heads (hash)  5 grouped (hash)  6 last (string)
--      7 waiting (string)  8 held (zset)  9 restoring (string)
-- ARGV 1 ms that a payload is kept after its due time
--      2 mode: '0'; '1' if the call may be a repetition, so that a job with the same payload counts as enqueued;
--        '2' to revive dead letters: their entries in `dead` are removed; '3' for a relay; or the token of the worker
--        that restores the queue (`restore.lua`): each job with a group goes to the end of its group, also if it is
--        enqueued already. While a worker restores the queue, a relay enqueues no job with a group, and other calls hold
--        such jobs back
--      3 prefix of the groups' lists
--      then five per job: id, payload, due time in ms (`+ms`: from now; '': now), ms to move it ahead for its
--      priority, group or ''
-- Returns a list with 1 (enqueued) or 0 (duplicate) per job, and then now in ms.

local JOB, RESULT = 'arq:job:', 'arq:result:'
local keep, repeated, group_prefix = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000

-- A score can represent about 1/4096 ms, which keeps jobs of one millisecond in order. If the clock was set back, the
-- order across that moment is lost, because the alternative would delay the jobs.
local last = tonumber(redis.call('GET', KEYS[6]) or 0)
if last > now + 0.9 then last = now end
local step = 1 / 2048
local restorer = redis.call('GET', KEYS[9])
local restores = restorer == ARGV[2]
local holds = restorer and not restores
local skips = holds and ARGV[2] == '3'

local results = {}
for i = 4, #ARGV, 5 do results[#results + 1] = RESULT .. ARGV[i] end
local any_result = redis.call('EXISTS', unpack(results)) > 0
if ARGV[2] == '2' then
  for i = 4, #ARGV, 5 do redis.call('HDEL', KEYS[3], ARGV[i]) end
end
local any_dead = redis.call('HLEN', KEYS[3]) > 0

local outcomes, scores, held, waiting, assigned = {}, {}, {}, 0, false

-- Puts the job `id` behind the other jobs of its group. Such a job was enqueued since Redis lost its data, by a process
-- that did not know it, and jobs of older rows belong before it. A job that is held back comes after all of these.
local function move_to_end(id, group)
  if redis.call('EXISTS', 'arq:in-progress:' .. id) == 1 then return end
  local list = group_prefix .. group
  if redis.call('HGET', KEYS[4], group) == id then
    local following = redis.call('LPOP', list)
    if following then
      redis.call('HSET', KEYS[4], group, following)
      redis.call('ZREM', KEYS[1], id)
      local its = redis.call('HGET', KEYS[5], following)
      redis.call('ZADD', KEYS[1], its and string.match(its, '^[^|]+') or string.format('%.17g', now), following)
      redis.call('RPUSH', list, id)
    end
  elseif redis.call('LREM', list, 1, id) == 1 then
    redis.call('RPUSH', list, id)
  end
end

for i = 4, #ARGV, 5 do
  local id, payload, due, advance, group = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4]
  if due and string.sub(ARGV[i + 2], 1, 1) == '+' then due = now + due end
  local outcome, stored = 0, false
  if skips and group ~= '' then
    stored = false
  elseif any_dead and redis.call('HEXISTS', KEYS[3], id) == 1 then
    stored = false
  elseif any_result and redis.call('EXISTS', RESULT .. id) == 1 then
    stored = false
  else
    local delay = (due and due > now) and due - now or 0
    stored = redis.call('SET', JOB .. id, payload, 'NX', 'PX', string.format('%.0f', keep + delay))
    if not stored and repeated and redis.call('GET', JOB .. id) == payload then outcome = 1 end
    if not stored and restores and group ~= '' then move_to_end(id, group) end
  end
  if stored then
    outcome = 1
    local score
    if due and due > now then
      score = due
    else
      last = math.max(last + step, now)
      score = last - advance
      assigned = true
    end
    local text = string.format('%.17g', score)
    local first, is_held = true, holds and group ~= ''
    if group ~= '' then
      redis.call('HSET', KEYS[5], id, text .. '|' .. group)
      first = not is_held and redis.call('HSETNX', KEYS[4], group, id) == 1
    end
    if is_held then
      last, assigned = last + step, true
      held[#held + 1] = string.format('%.17g', last)
      held[#held + 1] = id
      waiting = waiting + 1
    elseif first then
      scores[#scores + 1] = text
      scores[#scores + 1] = id
    else
      redis.call('RPUSH', group_prefix .. group, id)
      waiting = waiting + 1
    end
  end
  outcomes[#outcomes + 1] = outcome
end

if #scores > 0 then redis.call('ZADD', KEYS[1], unpack(scores)) end
if #held > 0 then redis.call('ZADD', KEYS[8], unpack(held)) end
if assigned then redis.call('SET', KEYS[6], string.format('%.17g', last)) end
if waiting ~= 0 then redis.call('INCRBY', KEYS[7], waiting) end
-- A deferred job wakes a worker too, so that the worker knows when it is due.
if #scores > 0 and redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RPUSH', KEYS[2], '1') end
outcomes[#outcomes + 1] = string.format('%.0f', now)
return outcomes
