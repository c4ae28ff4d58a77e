-- Removes finished jobs of one state, one chunk per call: minutes of the counter, then records of the ring.
--
-- KEYS 1 counter (hash: completed or failed)  2 ring (list)
-- ARGV 1 Unix ms: jobs that finished before are removed  2 cursor ('0' at the start)  3 fields or records per call
-- Returns { cursor of the next call ('0' at the end), number of jobs removed from the counter }. The cursor is that of
-- HSCAN, or 'ring' when only records of the ring remain.

local RING = 'ring'
local before, cursor, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local removed = 0
if cursor ~= RING then
  local answer = redis.call('HSCAN', KEYS[1], cursor, 'COUNT', limit)
  local fields = answer[2]
  for i = 1, #fields, 2 do
    local minute = tonumber(fields[i])
    -- Only whole minutes: a job that finished later in the minute is not old enough.
    if minute and (minute + 1) * 60000 <= before then
      local number = tonumber(fields[i + 1])
      redis.call('HDEL', KEYS[1], fields[i])
      redis.call('HINCRBY', KEYS[1], 'total', -number)
      removed = removed + number
    end
  end
  if answer[1] ~= '0' then return { answer[1], removed } end
end
-- The newest records are first, so the oldest are at the end.
for _ = 1, limit do
  local last = redis.call('LINDEX', KEYS[2], -1)
  if not last then return { '0', removed } end
  local finished = tonumber(string.match(last, '"finishedOn":(%d+)') or 0)
  if finished >= before then return { '0', removed } end
  redis.call('RPOP', KEYS[2])
end
return { RING, removed }
