-- One request, made once: the body in the file REQUEST_BODY, or none; what came of it as one line of JSON.
local path = os.getenv("REQUEST_BODY")
if path then
  wrk.method = "POST"
  wrk.body = assert(io.open(path, "rb")):read("*a")
  wrk.headers["Content-Type"] = os.getenv("REQUEST_TYPE")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"answers": %d, "refused": %d, "failed": %d, "seconds": %.6f, "p50": %.3f, "p99": %.3f}\n',
    summary.requests - errors.status, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
