-- Sends the tokens of the file LOAD_LINES in turn.
dofile(os.getenv("LOAD_FOLDER") .. "/count.lua")
local requests, count, at = {}, 0, 0
function init(_)
    for token in io.lines(os.getenv("LOAD_LINES")) do
        count = count + 1
        requests[count] = wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. token })
    end
end
function request()
    at = at % count + 1
    return requests[at]
end
