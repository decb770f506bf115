-- One request after the other, spread over the clients; wrk calls request() for each and done() at the end.
local method, path, body = os.getenv("METHOD"), os.getenv("TARGET"), os.getenv("BODY")
local number, clients, ready = tonumber(os.getenv("FIRST")), {}, {}

local function filled(text, id)
  return (text:gsub("{id}", id):gsub("{n}", tostring(number)))
end

local function format(id)
  return wrk.format(method, filled(path, id), nil, body ~= "" and filled(body, id) or nil)
end

function init()
  for id in os.getenv("CLIENTS"):gmatch("[^,]+") do clients[#clients + 1] = id end
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
  wrk.headers["Accept"] = "application/json"
  if body ~= "" then wrk.headers["Content-Type"] = "application/json" end
  -- What does not change is made once: the generator must not be what is measured.
  if not body:find("{n}", 1, true) then
    for index, id in ipairs(clients) do ready[index] = format(id) end
  end
end

function request()
  number = number + 1
  local index = number % #clients + 1
  return ready[index] or format(clients[index])
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format('RESULT {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "failed": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    failed.connect + failed.read + failed.write + failed.status + failed.timeout))
end
