-- Sliding windows: at most `max` in any `window` milliseconds, for many limits in one call.
--
-- A window is cut into 20 slices and each slice counted as a whole until its last moment has left the window:
-- never more than `max`, and room comes back at most a twentieth of a window late.
--
-- KEYS[i]            hash of one limit: number of the slice -> requests that passed in it
-- ARGV[3i - 2]       max
-- ARGV[3i - 1]       window in milliseconds
-- ARGV[3i]           the number of present requests
--
-- Returns four numbers per key: how many of them may pass, how many had passed in the window before, in how many
-- milliseconds the oldest slice leaves the window (0 while there is none), and how many are left of the present slice.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for i, key in ipairs(KEYS) do
  local max = tonumber(ARGV[3 * i - 2])
  local window = tonumber(ARGV[3 * i - 1])
  local asked = tonumber(ARGV[3 * i])
  local width = math.max(1, math.floor(window / 20))
  local first = math.floor((now - window) / width)
  local present = math.floor(now / width)
  local used, oldest = 0, nil
  local slices = redis.call('HGETALL', key)
  for j = 1, #slices, 2 do
    local slice = tonumber(slices[j])
    if slice < first then
      redis.call('HDEL', key, slices[j])
    else
      used = used + tonumber(slices[j + 1])
      if oldest == nil or slice < oldest then
        oldest = slice
      end
    end
  end
  local passed = math.max(0, math.min(asked, max - used))
  if passed > 0 then
    redis.call('HINCRBY', key, string.format('%d', present), passed)
    redis.call('PEXPIRE', key, window + 2 * width)
    oldest = oldest or present
  end
  local reset = 0
  if oldest ~= nil then
    reset = (oldest + 1) * width + window - now
  end
  answer[4 * i - 3] = passed
  answer[4 * i - 2] = used
  answer[4 * i - 1] = reset
  answer[4 * i] = (present + 1) * width - now
end
return answer
