-- Makes jobs due that wait for a newer version, because a worker has not seen them yet. Batched.
--
-- KEYS 1 queue (zset)  2 wake (list)  3 newer (hash)
-- ARGV job ids that are in `newer` and that the calling worker has not seen
-- Returns how many jobs it made due.

local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local now_text = string.format('%.17g', now)
local due = {}
for _, id in ipairs(ARGV) do
  if redis.call('EXISTS', 'arq:job:' .. id) == 0 then
    -- A worker that writes no `newer` (stock arq's, or of an older version) has finished it.
    redis.call('HDEL', KEYS[3], id)
  elseif redis.call('EXISTS', 'arq:in-progress:' .. id) == 0 then
    local score = redis.call('ZSCORE', KEYS[1], id)
    if score and tonumber(score) > now then
      due[#due + 1] = now_text
      due[#due + 1] = id
    end
  end
end
if #due > 0 then
  redis.call('ZADD', KEYS[1], unpack(due))
  if redis.call('EXISTS', KEYS[2]) == 0 then redis.call('RPUSH', KEYS[2], '1') end
end
return #due / 2
