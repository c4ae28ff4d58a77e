-- Admits messages to their channels, or returns when they may ask again. Batched.
--
-- The rate of a channel assigns slots: `tat` (theoretical arrival time, as in GCRA) is the next free slot. A message
-- whose slot is in the future keeps it as a reservation and asks again then, so waiting messages do not compete. A
-- message that asks late, because its worker was busy, keeps its reservation, but no second exceeds the rate.
--
-- KEYS four per message:
--      1 circuit (hash)  2 pace (hash)  3 reservations (zset)  4 the recipient's next free time (string)
-- ARGV 1 ms that a caller waits itself, instead of asking again  2 ms that a probe may take
--      then four per message: id, ms between two messages (0: no rate), most messages in a second,
--        ms between two messages to one recipient (0: no rate)
-- Returns two per message: code, ms.
--   code 0 admitted; 1 admitted, and a success must be reported; 2 admitted as the probe; each after ms
--        -1 paused  -2 half-open  -3 rate  -4 recipient: ask again in ms

local KEPT = 60000
local patience, probe_lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local this_second = math.floor(now / 1000)

local function text(number) return string.format('%.3f', number) end

-- Returns 0, 1 or 2 as above, or -1 or -2 with the ms.
local function circuit(key, id)
  local found = redis.call('HMGET', key, 'until', 'failures', 'probe', 'probe_until')
  if not found[1] then return found[2] and 1 or 0, 0 end
  local rest = tonumber(found[1]) - now
  if rest > 0 then return -1, rest end
  if found[3] and found[3] ~= id and tonumber(found[4]) > now then
    return -2, math.min(tonumber(found[4]) - now, 250)
  end
  return 2, 0
end

-- Returns whether the rate admits the message, and the ms until it or its reservation is due.
local function pace(key, reservations, id, interval, most)
  local found = redis.call('HMGET', key, 'tat', 'second', 'count')
  local tat = math.max(tonumber(found[1] or 0), now)
  local count = (tonumber(found[2] or -1) == this_second) and tonumber(found[3]) or 0
  local room = count < most
  local mine = tonumber(redis.call('ZSCORE', reservations, id) or -1)
  if mine > now + patience then return false, mine - now end
  local slot
  if mine >= 0 and room then
    slot = math.max(mine, now)
    redis.call('ZREM', reservations, id)
  elseif mine < 0 and room and tat <= now + patience then
    slot = tat
    redis.call('HSET', key, 'tat', text(slot + interval))
  else
    slot = room and tat or math.max(tat, (this_second + 1) * 1000)
    redis.call('ZREMRANGEBYSCORE', reservations, '-inf', now - KEPT)
    redis.call('ZADD', reservations, text(slot), id)
    redis.call('HSET', key, 'tat', text(slot + interval))
    local ttl = math.ceil(slot - now + interval + KEPT)
    redis.call('PEXPIRE', reservations, ttl)
    redis.call('PEXPIRE', key, ttl)
    return false, slot - now
  end
  redis.call('HSET', key, 'second', this_second, 'count', count + 1)
  if redis.call('PTTL', key) < KEPT then redis.call('PEXPIRE', key, math.ceil(interval + 2 * KEPT)) end
  return true, slot - now
end

local function admit(first, at)
  local id, interval, most, spacing = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local code, rest = circuit(KEYS[first], id)
  if code < 0 then return code, rest end
  local wait = 0
  if spacing > 0 then
    local free = tonumber(redis.call('GET', KEYS[first + 3]) or 0)
    if free > now + patience then return -4, free - now end
    wait = math.max(free - now, 0)
  end
  if interval > 0 then
    local admitted, due = pace(KEYS[first + 1], KEYS[first + 2], id, interval, most)
    if not admitted then return -3, due end
    wait = math.max(wait, due)
  end
  if spacing > 0 then
    redis.call('SET', KEYS[first + 3], text(now + wait + spacing), 'PX', math.ceil(wait + spacing))
  end
  if code == 2 then
    redis.call('HSET', KEYS[first], 'probe', id, 'probe_until', text(now + probe_lease))
  end
  return code, wait
end

local reply = {}
for n = 0, (#ARGV - 2) / 4 - 1 do
  local code, ms = admit(n * 4 + 1, n * 4 + 3)
  reply[#reply + 1] = code
  reply[#reply + 1] = text(ms)
end
return reply
