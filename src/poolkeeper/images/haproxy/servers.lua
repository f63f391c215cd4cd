-- The state of servers. Other scripts load it by `require`.

local servers = {}

-- Returns whether the checks of a server report it as up; a server without checks is not.
function servers.is_up(server)
    return string.sub(server:get_stats()["status"], 1, 2) == "UP"
end

return servers
