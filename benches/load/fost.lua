-- Sends the signed requests of the file LOAD_LINES, each once: a number of 8 digits, a blank, the signature. The first line is the time.
dofile(os.getenv("LOAD_FOLDER") .. "/count.lua")
local lines, headers
local filler = string.rep(".", 1016)
function init(_)
    lines = io.lines(os.getenv("LOAD_LINES"))
    headers = { ["X-FOST-Headers"] = "X-FOST-Headers", ["X-FOST-Timestamp"] = lines() }
end
function request()
    local line = lines()
    if not line then
        error("all signed requests were sent: sign more of them")
    end
    headers["Authorization"] = "FOST bench:" .. string.sub(line, 10)
    return wrk.format("POST", nil, headers, string.sub(line, 1, 8) .. filler)
end
