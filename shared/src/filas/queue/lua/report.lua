-- Records the outcomes of messages in the circuits of their channels. Batched.
--
-- KEYS one per report: the circuit of its channel (hash). A closed circuit without failures does not exist. The fields
--      are `failures` (in a row) while the circuit is closed; otherwise `until`, `reason`, `trips` (pauses in a row),
--      `probe` (the message that tests the channel) and `probe_until`.
-- ARGV 1 failures that open the circuit  2 ms of the first pause after failures  3 ms of the first pause after a busy
--        response without a time  4 ms of the longest pause, to which pauses double  5 ms of the shortest pause
--      then three per report: message id, outcome (success, failure, busy, unsent), ms of the requested pause or -1
-- Returns two per report: 0 no change, 1 paused, 2 recovered; ms until the channel may be used.

local FAILURES_KEPT, PAUSE_KEPT = 60000, 3600000
local threshold, break_ms, pause_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local longest, shortest = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000

local function text(number) return string.format('%.3f', number) end

local function pause(key, reason, ms, first, ends, trips)
  -- If several messages fail at the same time, only the first doubles the next pause.
  if not ends or ends <= now then trips = trips + 1 end
  if ms < 0 then ms = math.min(first * 2 ^ math.min(trips - 1, 30), longest) end
  local new = math.max(ends or 0, now + math.max(ms, shortest))
  redis.call('HSET', key, 'until', text(new), 'reason', reason, 'trips', trips)
  redis.call('HDEL', key, 'probe', 'probe_until', 'failures')
  redis.call('PEXPIRE', key, math.ceil(new - now + PAUSE_KEPT))
  local opened = (not ends or ends <= now) and 1 or 0
  return opened, new - now
end

local function report(key, id, outcome, ms)
  local found = redis.call('HMGET', key, 'until', 'trips', 'probe')
  local ends, trips = found[1] and tonumber(found[1]), tonumber(found[2] or 0)
  local rest = ends and math.max(ends - now, 0) or 0
  local probe = ends and found[3] == id
  if outcome == 'busy' then return pause(key, 'busy', ms, pause_ms, ends, trips) end
  if outcome == 'success' then
    if ends and not probe then return 0, rest end
    redis.call('UNLINK', key)
    return ends and 2 or 0, 0
  end
  if outcome == 'failure' then
    if probe then return pause(key, 'failing', ms, break_ms, ends, trips) end
    if ends then return 0, rest end
    local failures = redis.call('HINCRBY', key, 'failures', 1)
    if failures >= threshold then return pause(key, 'failing', ms, break_ms, nil, 0) end
    redis.call('PEXPIRE', key, FAILURES_KEPT)
    return 0, 0
  end
  if probe then redis.call('HDEL', key, 'probe', 'probe_until') end
  return 0, rest
end

local reply = {}
for n, key in ipairs(KEYS) do
  local at = 6 + (n - 1) * 3
  local change, rest = report(key, ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]))
  reply[#reply + 1] = change
  reply[#reply + 1] = text(rest)
end
return reply
