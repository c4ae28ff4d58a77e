-- Posts the requests of the file that the environment variable BODIES names, one a line: signature, tab, body.
local source = io.open(os.getenv('BODIES'), 'r')
local headers = { ['Content-Type'] = 'application/json' }
local threads = {}
local began = nil
sent = {} -- global, so that `done` can read it: the number of requests in each ten seconds

function setup(thread)
  table.insert(threads, thread)
end

function request()
  local line = source:read('*l')
  if line == nil then
    source:seek('set', 0)
    line = source:read('*l')
  end
  began = began or os.time()
  local interval = math.floor((os.time() - began) / 10) + 1
  sent[interval] = (sent[interval] or 0) + 1
  local tab = line:find('\t', 1, true)
  headers['X-Hub-Signature-256'] = line:sub(1, tab - 1)
  return wrk.format('POST', nil, headers, line:sub(tab + 1))
end

-- One line of JSON: times in microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d,"sent":[%s]}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, table.concat(threads[1]:get('sent'), ',')
  ))
end
