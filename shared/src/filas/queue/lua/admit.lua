-- Let messages go to their destinations, or say when they may ask again; many a call.
--
-- A destination's rate is kept by giving out slots: `tat` is the next one that is free. A message whose slot
-- lies ahead keeps it as a reservation and comes back for it, so that waiting messages don't race each other.
-- One that comes late (its worker was busy) still has it, but no second sees more than the rate.
--
-- KEYS four a message: 1 state  2 pace  3 reservations  4 the receiver's next free time
-- ARGV 1 ms that a caller would rather wait for itself than come back  2 ms that a probe has for its answer
--      then four a message: id, ms between two messages (0: no rate), most a second,
--        ms between two messages to one receiver (0: no rate)
-- Returns two a message: what, ms.
--   what 0 go; 1 go, and tell a success too; 2 go as a probe; each after ms
--        -1 paused  -2 half-open  -3 rate  -4 receiver: ask again in ms

local KEPT = 60000
local patience, probe_lease = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local this_second = math.floor(now / 1000)

local function text(number) return string.format('%.3f', number) end

-- 0, 1 or 2 as above, or -1, -2 with the ms.
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

-- Whether the message may go within the rate, and in how many ms it or its reservation is due.
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
  local what, rest = circuit(KEYS[first], id)
  if what < 0 then return what, rest end
  local wait = 0
  if spacing > 0 then
    local free = tonumber(redis.call('GET', KEYS[first + 3]) or 0)
    if free > now + patience then return -4, free - now end
    wait = math.max(free - now, 0)
  end
  if interval > 0 then
    local may, due = pace(KEYS[first + 1], KEYS[first + 2], id, interval, most)
    if not may then return -3, due end
    wait = math.max(wait, due)
  end
  if spacing > 0 then
    redis.call('SET', KEYS[first + 3], text(now + wait + spacing), 'PX', math.ceil(wait + spacing))
  end
  if what == 2 then
    redis.call('HSET', KEYS[first], 'probe', id, 'probe_until', text(now + probe_lease))
  end
  return what, wait
end

local reply = {}
for n = 0, (#ARGV - 2) / 4 - 1 do
  local what, ms = admit(n * 4 + 1, n * 4 + 3)
  reply[#reply + 1] = what
  reply[#reply + 1] = text(ms)
end
return reply
