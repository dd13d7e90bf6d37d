-- wrk asks one request of a file at random each time; `wrk … -- <file>`, whose lines are `<path> <key>`.
-- At the end one line of JSON with what happened.

local requests, random = {}, math.random

function init(args)
  for line in io.lines(args[1]) do
    local path, key = line:match("^(%S+) (%S+)$")
    local head = "GET " .. path .. "/things HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nUser-Agent: wrk\r\n"
    requests[#requests + 1] = head .. "X-API-Key: " .. key .. "\r\n\r\n"
  end
  math.randomseed(1)
end

function request()
  return requests[random(#requests)]
end

function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    '\n{"calls": %d, "seconds": %.6f, "refused": %d, "failed": %d, "p50_us": %d, "p99_us": %d, "max_us": %d}\n',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max
  ))
end
