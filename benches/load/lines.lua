-- Sends the tokens of the file LOAD_LINES in turn, from LOAD_FROM on and over again; they are read as they are needed.
dofile(os.getenv("LOAD_FOLDER") .. "/count.lua")
local file
function init(_)
    file = io.open(os.getenv("LOAD_LINES"))
    file:seek("set", tonumber(os.getenv("LOAD_FROM")))
end
function request()
    local line = file:read("*l")
    if not line then
        file:seek("set", 0)
        line = file:read("*l")
    end
    return wrk.format("GET", nil, { ["Authorization"] = "Bearer " .. line })
end
