-- Starts every server of the named proxies as down; its first good check brings it up.
--
--     lua-load /etc/haproxy/start_down.lua <proxy> ...
--
-- HAProxy 3.0 starts a server as up until its first check has failed. For a moment after each start and reload, a
-- session meant for a standby could reach the primary. (From 3.1 on the server keyword init-state does the same.)

local proxies = table.pack(...)

core.register_init(function()
    for _, name in ipairs(proxies) do
        for _, server in pairs(core.backends[name].servers) do
            server:check_force_down()
        end
    end
end)
