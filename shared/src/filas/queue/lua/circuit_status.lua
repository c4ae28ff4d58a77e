-- Returns the circuits of channels. Reads only.
--
-- KEYS one per channel: its circuit (hash, see report.lua)
-- ARGV none
-- Returns now in ms, then three per channel: until or '', reason or '', failures or ''.

local time = redis.call('TIME')
local reply = { string.format('%.3f', time[1] * 1000 + time[2] / 1000) }
for _, key in ipairs(KEYS) do
  local found = redis.call('HMGET', key, 'until', 'reason', 'failures')
  for i = 1, 3 do reply[#reply + 1] = found[i] or '' end
end
return reply
