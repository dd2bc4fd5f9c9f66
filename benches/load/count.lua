-- Prints one line for the program that started wrk.
function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format('COUNT {"requests":%d,"seconds":%f,"bad":%d,"p50":%d,"p99":%d}\n', summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
