-- Enqueues jobs. Batched; each job has its own outcome.
--
-- KEYS 1 queue (zset)  2 wake (list)  3 dead (hash)  4 heads (hash)  5 grouped (hash)  6 last (string)
--      7 waiting (string)
-- ARGV 1 ms that a payload is kept after its due time
--      2 mode: '0'; '1' if the call may be a repetition, so that a job with the same payload counts as enqueued;
--        '2' to revive dead letters: their entries in `dead` are removed
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

local results = {}
for i = 4, #ARGV, 5 do results[#results + 1] = RESULT .. ARGV[i] end
local any_result = redis.call('EXISTS', unpack(results)) > 0
if ARGV[2] == '2' then
  for i = 4, #ARGV, 5 do redis.call('HDEL', KEYS[3], ARGV[i]) end
end
local any_dead = redis.call('HLEN', KEYS[3]) > 0

local outcomes, scores, waiting = {}, {}, 0
for i = 4, #ARGV, 5 do
  local id, payload, due, advance, group = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4]
  if due and string.sub(ARGV[i + 2], 1, 1) == '+' then due = now + due end
  local outcome, stored = 0, false
  if any_dead and redis.call('HEXISTS', KEYS[3], id) == 1 then
    stored = false
  elseif any_result and redis.call('EXISTS', RESULT .. id) == 1 then
    stored = false
  else
    local delay = (due and due > now) and due - now or 0
    stored = redis.call('SET', JOB .. id, payload, 'NX', 'PX', string.format('%.0f', keep + delay))
    if not stored and repeated and redis.call('GET', JOB .. id) == payload then outcome = 1 end
  end
  if stored then
    outcome = 1
    local score
    if due and due > now then
      score = due
    else
      last = math.max(last + step, now)
      score = last - advance
    end
    local text = string.format('%.17g', score)
    local first = true
    if group ~= '' then
      redis.call('HSET', KEYS[5], id, text .. '|' .. group)
      first = redis.call('HSETNX', KEYS[4], group, id) == 1
    end
    if first then
      scores[#scores + 1] = text
      scores[#scores + 1] = id
    else
      redis.call('RPUSH', group_prefix .. group, id)
      waiting = waiting + 1
    end
  end
  outcomes[#outcomes + 1] = outcome
end

if #scores > 0 then
  redis.call('ZADD', KEYS[1], unpack(scores))
  redis.call('SET', KEYS[6], string.format('%.17g', last))
end
if waiting > 0 then redis.call('INCRBY', KEYS[7], waiting) end
-- A deferred job wakes a worker too, so that the worker knows when it is due.
if #scores > 0 and redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RPUSH', KEYS[2], '1') end
outcomes[#outcomes + 1] = string.format('%.0f', now)
return outcomes
