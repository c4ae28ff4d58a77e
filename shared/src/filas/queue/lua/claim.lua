-- Claim due jobs: each gets a lease, a fencing token (the value of arq:in-progress) and a score at the
-- lease's end, so that nobody sees it until then and it comes back by itself when its worker dies.
-- The token is `epoch-number-now`: the number grows by claim, the epoch tells it from those before a loss of
-- data, the time is when it was claimed.
--
-- KEYS 1 queue  2 active  3 wake  4 grouped  5 lost  6 epoch  7 fence  8 abort  9 counts
-- ARGV 1 limit  2 lease in ms  3 a new epoch, taken when there is none
--      4 what an id must begin with (on a Cluster; '' elsewhere)
-- Returns { now in ms, token, '1' when the epoch was missing, next due time in ms or '', ids that lie in a
--   foreign slot, leases that were found lost, then eight a job: id, score, tries spent, leases lost,
--   group or '', 1 when it is to be aborted, payload or nil, errors of its tries or nil }.

local JOB, IN_PROGRESS, RETRY, HISTORY = 'arq:job:', 'arq:in-progress:', 'arq:retry:', 'arq:history:'
local limit, lease, required = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local bound = string.format('%.17g', now + 1)
local lease_end = string.format('%.17g', now + lease)

local fresh, epoch = '', redis.call('GET', KEYS[6])
if not epoch then
  fresh, epoch = '1', ARGV[3]
  redis.call('SET', KEYS[6], epoch)
end

local token = ''
local ids, scores, foreign, offset = {}, {}, {}, 0

local function take(found)
  local moved = {}
  for i = 1, #found, 2 do
    local id = found[i]
    if required ~= '' and string.sub(id, 1, #required) ~= required then
      foreign[#foreign + 1] = id
      offset = offset + 1
    elseif redis.call('SET', IN_PROGRESS .. id, token, 'NX', 'PX', lease) then
      ids[#ids + 1] = id
      scores[#scores + 1] = found[i + 1]
      moved[#moved + 1] = lease_end
      moved[#moved + 1] = id
    else
      -- Somebody runs it. Ours: a stock abort() has set its score to 1, so put it back to the lease's end.
      -- A stock worker's: its score is the worker's own business, so only step over it.
      local held = redis.call('ZSCORE', KEYS[2], id)
      if held and tonumber(held) > now + 1 then
        moved[#moved + 1] = held
        moved[#moved + 1] = id
      else
        offset = offset + 1
      end
    end
  end
  if #moved > 0 then redis.call('ZADD', KEYS[1], unpack(moved)) end
end

for _ = 1, 8 do
  local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', bound, 'WITHSCORES', 'LIMIT', offset, limit - #ids)
  if #found == 0 then break end
  if token == '' then token = epoch .. '-' .. redis.call('INCR', KEYS[7]) .. '-' .. string.format('%.0f', now) end
  local asked = limit - #ids
  take(found)
  if #ids >= limit or #found < asked * 2 then break end
end

local next_due = ''
if #ids >= limit then
  local rest = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', bound, 'LIMIT', offset, 1)
  if #rest > 0 and redis.call('EXISTS', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
else
  local rest = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. bound, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if #rest > 0 then next_due = rest[2] end
end

local reply = { string.format('%.3f', now), token, fresh, next_due, foreign, 0 }
if #ids == 0 then return reply end

local payload_keys = {}
for i, id in ipairs(ids) do
  payload_keys[2 * i - 1] = JOB .. id
  payload_keys[2 * i] = RETRY .. id
end
local payloads = redis.call('MGET', unpack(payload_keys))
-- An id that still stands among the active ones was claimed before, and its lease ran out.
local held = redis.call('ZMSCORE', KEYS[2], unpack(ids))
local lost = redis.call('HLEN', KEYS[5]) > 0 and redis.call('HMGET', KEYS[5], unpack(ids)) or {}
local grouped = redis.call('HLEN', KEYS[4]) > 0 and redis.call('HMGET', KEYS[4], unpack(ids)) or {}
local aborting = redis.call('ZCARD', KEYS[8]) > 0

local active, lost_now = {}, 0
for i, id in ipairs(ids) do
  active[2 * i - 1] = lease_end
  active[2 * i] = id
  local lost_leases = lost[i] or 0
  if held[i] then
    lost_leases = redis.call('HINCRBY', KEYS[5], id, 1)
    lost_now = lost_now + 1
  end
  local group = ''
  if grouped[i] then group = string.sub(grouped[i], string.find(grouped[i], '|', 1, true) + 1) end
  local spent = tonumber(payloads[2 * i] or 0) or 0
  local at = 6 + (i - 1) * 8
  reply[at + 1] = id
  reply[at + 2] = scores[i]
  reply[at + 3] = spent
  reply[at + 4] = tonumber(lost_leases)
  reply[at + 5] = group
  reply[at + 6] = aborting and redis.call('ZREM', KEYS[8], id) or 0
  reply[at + 7] = payloads[2 * i - 1]
  reply[at + 8] = spent > 0 and redis.call('LRANGE', HISTORY .. id, 0, -1) or false
end
redis.call('ZADD', KEYS[2], unpack(active))
if lost_now > 0 then
  redis.call('HINCRBY', KEYS[9], 'lost', lost_now)
  reply[6] = lost_now
end
return reply
