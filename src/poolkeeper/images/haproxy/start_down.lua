-- Every server of the named proxies starts down and comes up by its first good check.
--
--     lua-load /etc/haproxy/start_down.lua <proxy> ...
--
-- HAProxy 3.0 itself starts a server up until its first check failed: for a moment after each start and reload, a
-- session meant for a standby could reach the primary. (From 3.1 on the server keyword init-state says the same.)

local proxies = table.pack(...)

core.register_init(function()
    for _, name in ipairs(proxies) do
        for _, server in pairs(core.backends[name].servers) do
            server:check_force_down()
        end
    end
end)
