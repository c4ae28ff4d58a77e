-- Claim due jobs: each gets a lease, a fencing token (the value of arq:in-progress) and a score at the
-- lease's end, so that nobody sees it until then and it comes back by itself when its worker dies.
-- The token is `epoch-number-now`: the number grows by claim, the epoch tells it from those before a loss of
-- data, the time is when it was claimed.
--
-- KEYS 1 queue  2 active  3 wake  4 grouped  5 lost  6 epoch  7 fence  8 abort  9 counts
-- ARGV 1 limit  2 lease in ms  3 a new epoch, taken when there is none
--      4 what an id must begin with (on a Cluster; '' elsewhere)
-- Returns { now in ms, token, '1' when the epoch was missing, next due time in ms or '', ids that lie in a
--   foreign slot, leases that were found lost }, and when it claimed something after these
--   { ids }, { scores }, { payloads or nil } and, six for each job that is not a plain first try,
--   { its number (from 0), tries spent, leases lost, `score|group` or '', 1 when it is to be aborted, errors of its
--   tries }.
-- Of more than INLINE jobs the payloads are not there: the caller reads them by itself. Here each would become
-- a string of Lua's, which keeps equal ones once and finds out by comparing those alike in every 20th byte or so.

local JOB, IN_PROGRESS, RETRY, HISTORY = 'arq:job:', 'arq:in-progress:', 'arq:retry:', 'arq:history:'
local INLINE = 16
local limit, lease, required = tonumber(ARGV[1]), ARGV[2], ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local bound = string.format('%.17g', now + 1)
-- Whole milliseconds, and text: Redis writes and reads each long fraction digit by digit.
local lease_end = string.format('%.0f', now + tonumber(lease))

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

local retry_keys = {}
for i, id in ipairs(ids) do retry_keys[i] = RETRY .. id end
local spent = redis.call('MGET', unpack(retry_keys))
-- An id that still stands among the active ones was claimed before, and its lease ran out.
local held = redis.call('ZMSCORE', KEYS[2], unpack(ids))
local lost = redis.call('HLEN', KEYS[5]) > 0 and redis.call('HMGET', KEYS[5], unpack(ids)) or {}
local grouped = redis.call('HLEN', KEYS[4]) > 0 and redis.call('HMGET', KEYS[4], unpack(ids)) or {}
local aborting = redis.call('ZCARD', KEYS[8]) > 0

local active, odd, lost_now = {}, {}, 0
for i, id in ipairs(ids) do
  active[2 * i - 1] = lease_end
  active[2 * i] = id
  local lost_leases = lost[i] or 0
  if held[i] then
    lost_leases = redis.call('HINCRBY', KEYS[5], id, 1)
    lost_now = lost_now + 1
  end
  local aborted = aborting and redis.call('ZREM', KEYS[8], id) or 0
  if spent[i] or lost_leases ~= 0 or grouped[i] or aborted ~= 0 then
    local at = #odd
    odd[at + 1] = i - 1
    odd[at + 2] = tonumber(spent[i] or 0) or 0
    odd[at + 3] = tonumber(lost_leases)
    odd[at + 4] = grouped[i] or ''
    odd[at + 5] = aborted
    odd[at + 6] = spent[i] and redis.call('LRANGE', HISTORY .. id, 0, -1) or {}
  end
end
redis.call('ZADD', KEYS[2], unpack(active))
if lost_now > 0 then
  redis.call('HINCRBY', KEYS[9], 'lost', lost_now)
  reply[6] = lost_now
end

local payloads = {}
if #ids <= INLINE then
  for i, id in ipairs(ids) do payloads[i] = JOB .. id end
  payloads = redis.call('MGET', unpack(payloads))
end
reply[7] = ids
reply[8] = scores
reply[9] = payloads
reply[10] = odd
return reply
