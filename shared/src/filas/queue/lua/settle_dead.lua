-- Removes dead letters that are stored in Postgres. A newer dead letter under the same id is kept.
--
-- KEYS 1 dead (hash)
-- ARGV two per dead letter: job id, the dead letter that was stored
-- Returns how many were removed.

local removed = 0
for at = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[at]) == ARGV[at + 1] then
    removed = removed + redis.call('HDEL', KEYS[1], ARGV[at])
  end
end
return removed
