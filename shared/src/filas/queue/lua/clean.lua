-- Removes finished jobs of one state, one chunk per call: minutes of the counter, then records of the ring.
--
-- KEYS 1 counter (hash: completed or failed)  2 ring (list)
-- ARGV 1 Unix ms: jobs that finished before are removed  2 cursor ('0' at the start)  3 fields per call
-- Returns { cursor ('0' at the end), number of jobs removed from the counter }.

local before, cursor, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local removed = 0
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
if answer[1] == '0' then
  -- The newest records are first, so the oldest are at the end.
  for _ = 1, limit do
    local last = redis.call('LINDEX', KEYS[2], -1)
    if not last then break end
    local finished = tonumber(string.match(last, '"finishedOn":(%d+)') or 0)
    if finished >= before then break end
    redis.call('RPOP', KEYS[2])
  end
end
return { answer[1], removed }
