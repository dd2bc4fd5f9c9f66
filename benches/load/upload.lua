-- POSTs 1 MiB.
dofile(os.getenv("LOAD_FOLDER") .. "/count.lua")
wrk.method = "POST"
wrk.body = string.rep("x", 1048576)
