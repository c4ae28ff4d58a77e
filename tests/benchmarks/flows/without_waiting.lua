-- Posts webhooks, each from a new contact. Prints one line of JSON at the end, with times in microseconds.
local headers = { ['Content-Type'] = 'application/json' }
local number = 0
local run = os.time()

function request()
  number = number + 1
  return wrk.format('POST', nil, headers, string.format('{"from":"%d-%d","text":"oi"}', run, number))
end

function done(summary, latency, requests)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '\n{"accepted":%d,"failed":%d,"duration":%d,"p99":%d}\n',
    summary.requests - errors.status, failed, summary.duration, latency:percentile(99)
  ))
end
