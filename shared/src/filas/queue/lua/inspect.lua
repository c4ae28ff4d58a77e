-- Returns what Redis holds about single jobs. Reads only.
--
-- KEYS 1 queue (zset)  2 grouped (hash)
-- ARGV 1 the most bytes of payloads (the first job may have more)  then job ids
-- Returns { now in ms, then six per job: payload, token, attempts used, score, `score|group`, last error }. Jobs beyond
-- the bytes are left out.

local time = redis.call('TIME')
local reply = { string.format('%.3f', time[1] * 1000 + time[2] / 1000) }
local room = tonumber(ARGV[1])
for i = 2, #ARGV do
  local id, at = ARGV[i], 1 + (i - 2) * 6
  local size = redis.pcall('STRLEN', 'arq:job:' .. id)
  room = room - (type(size) == 'number' and size or 0)
  if room < 0 and i > 2 then break end
  local found = redis.call('MGET', 'arq:job:' .. id, 'arq:in-progress:' .. id, 'arq:retry:' .. id)
  reply[at + 1] = found[1]
  reply[at + 2] = found[2]
  reply[at + 3] = found[3]
  reply[at + 4] = redis.call('ZSCORE', KEYS[1], id)
  reply[at + 5] = redis.call('HGET', KEYS[2], id)
  reply[at + 6] = redis.call('LINDEX', 'arq:history:' .. id, -1)
end
return reply
