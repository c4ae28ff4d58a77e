-- Claims due jobs. Each gets a lease, a fencing token (the value of arq:in-progress) and the end of the lease as
-- score. The score hides the job from other workers until then, and makes it due again if its worker dies.
-- The token is `epoch-number-now`. The number grows with each claim; the epoch distinguishes it from numbers before a
-- loss of data; the time is that of the claim, in ms.
--
-- KEYS 1 queue (zset)  2 active (zset)  3 wake (list)  4 grouped (hash)  5 lost (hash)  6 epoch (string)
--      7 fence (string)  8 abort (zset)  9 counts (hash)  10 restoring (string)
-- ARGV 1 limit  2 lease in ms  3 the prefix that an id must have (on a Cluster; otherwise '')  4 the most bytes of
--      payloads (one job may have more)
-- Returns { now in ms, token, '1' if Redis has lost its data and the queue is not restored (`restore.lua`): then nothing
--   is claimed; next due time in ms or '', ids in a foreign hash slot,
--   number of expired leases found }, and if it claimed jobs, also
--   { ids }, { scores }, { payloads or nil }, and six values for each job that is not an ordinary first attempt:
--   { its index (from 0), attempts used, leases lost, `score|group` or '', 1 if it is to be aborted, errors of its
--   attempts }.
-- For more than INLINE jobs, the payloads are missing and the caller reads them. In a script, each payload becomes a
-- Lua string. Lua stores equal strings once, and finds an equal one by a hash of few bytes, so similar payloads are
-- slow.

local JOB, IN_PROGRESS, RETRY, HISTORY = 'arq:job:', 'arq:in-progress:', 'arq:retry:', 'arq:history:'
local INLINE = 16
local limit, lease, required, room = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local bound = string.format('%.17g', now + 1)
-- Whole milliseconds as text: Redis formats and parses long fractions slowly.
local lease_end = string.format('%.0f', now + tonumber(lease))

local epoch, restoring = unpack(redis.call('MGET', KEYS[6], KEYS[10]))
if not epoch or restoring then return { string.format('%.3f', now), '', '1', '', {}, 0 } end

local token = ''
local ids, scores, foreign, offset, full = {}, {}, {}, 0, false

-- Returns the bytes of the payload of `id`; 0 if its key is not a string.
local function payload_bytes(id)
  local size = redis.pcall('STRLEN', JOB .. id)
  return type(size) == 'number' and size or 0
end

local function claim(found)
  local moved = {}
  for i = 1, #found, 2 do
    local id = found[i]
    local is_foreign = required ~= '' and string.sub(id, 1, #required) ~= required
    local size = is_foreign and 0 or payload_bytes(id)
    if size > room and #ids > 0 then
      full = true
      break
    end
    if is_foreign then
      foreign[#foreign + 1] = id
      offset = offset + 1
    elseif redis.call('SET', IN_PROGRESS .. id, token, 'NX', 'PX', lease) then
      room = room - size
      ids[#ids + 1] = id
      scores[#scores + 1] = found[i + 1]
      moved[#moved + 1] = lease_end
      moved[#moved + 1] = id
    else
      -- The job is active. If one of our workers runs it, a stock abort() has set its score to 1: restore the end of
      -- the lease. If a stock worker runs it, leave its score and skip it.
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
  claim(found)
  if full or #ids >= limit or #found < asked * 2 then break end
end

local next_due = ''
if full or #ids >= limit then
  if full then next_due = string.format('%.3f', now) end
  local more = full or #redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', bound, 'LIMIT', offset, 1) > 0
  if more and redis.call('EXISTS', KEYS[3]) == 0 then redis.call('RPUSH', KEYS[3], '1') end
else
  local rest = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. bound, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  if #rest > 0 then next_due = rest[2] end
end

local reply = { string.format('%.3f', now), token, '', next_due, foreign, 0 }
if #ids == 0 then return reply end

local retry_keys = {}
for i, id in ipairs(ids) do retry_keys[i] = RETRY .. id end
local used = redis.call('MGET', unpack(retry_keys))
-- An id that is still among the active ones was claimed before, and its lease has expired.
local held = redis.call('ZMSCORE', KEYS[2], unpack(ids))
local lost = redis.call('HLEN', KEYS[5]) > 0 and redis.call('HMGET', KEYS[5], unpack(ids)) or {}
local grouped = redis.call('HLEN', KEYS[4]) > 0 and redis.call('HMGET', KEYS[4], unpack(ids)) or {}
local aborting = redis.call('ZCARD', KEYS[8]) > 0

local active, special, lost_now = {}, {}, 0
for i, id in ipairs(ids) do
  active[2 * i - 1] = lease_end
  active[2 * i] = id
  local lost_leases = lost[i] or 0
  if held[i] then
    lost_leases = redis.call('HINCRBY', KEYS[5], id, 1)
    lost_now = lost_now + 1
  end
  -- The entry stays until the job has ended, because this worker may die before that.
  local aborted = aborting and redis.call('ZSCORE', KEYS[8], id) and 1 or 0
  if used[i] or lost_leases ~= 0 or grouped[i] or aborted ~= 0 then
    local at = #special
    special[at + 1] = i - 1
    special[at + 2] = tonumber(used[i] or 0) or 0
    special[at + 3] = tonumber(lost_leases)
    special[at + 4] = grouped[i] or ''
    special[at + 5] = aborted
    special[at + 6] = used[i] and redis.call('LRANGE', HISTORY .. id, 0, -1) or {}
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
reply[10] = special
return reply
