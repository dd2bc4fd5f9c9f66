-- Sends the signed requests of the file LOAD_LINES, each once: a number of 8 digits, a blank, the signature. The first line is the time.
dofile(os.getenv("LOAD_FOLDER") .. "/count.lua")
local lines, before, between, after
local number, signature = "NNNNNNNN", string.rep("S", 28)
function init(_)
    lines = io.lines(os.getenv("LOAD_LINES"))
    local headers = { ["X-FOST-Headers"] = "X-FOST-Headers", ["X-FOST-Timestamp"] = lines(), ["Authorization"] = "FOST bench:" .. signature }
    -- Written once, with room for what differs: to write each from its parts would keep the load's core busier than the proxy's.
    local all = wrk.format("POST", nil, headers, number .. string.rep(".", 1016))
    local at, body = string.find(all, signature, 1, true), string.find(all, number, 1, true)
    before, between, after = string.sub(all, 1, at - 1), string.sub(all, at + #signature, body - 1), string.sub(all, body + #number)
end
function request()
    local line = lines()
    if not line then
        error("all signed requests were sent: sign more of them")
    end
    return before .. string.sub(line, 10) .. between .. string.sub(line, 1, 8) .. after
end
