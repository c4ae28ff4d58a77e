-- Remove dead letters that are kept elsewhere by now, each only if it still is the one that was stored.
--
-- KEYS 1 dead
-- ARGV two a letter: job id, letter
-- Returns how many were removed.

local removed = 0
for at = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    removed = removed + redis.call('HDEL', KEYS[1], ARGV[at])
  end
end
return removed
