-- Holds a new session until its proxy has a server that stays. While one primary replaces another, a client waits
-- instead of being refused.
--
--     tcp-request inspect-delay <longer than the hold>
--     tcp-request content lua.hold_for_server <proxy> <milliseconds>
--
-- A server that is about to stop announces that on the runtime API:
--
--     poolkeeper leave <proxy> <server> <milliseconds>
--
-- A session passes at once when a server is up and no server that is up has announced a stop. It is refused when the
-- time is over, and when its client has gone: no server then gets a session without a client. An announcement expires
-- (0 ends it now), so it need not be withdrawn. Not promised: a server. The one that was up may end before the
-- connection to it is made. HAProxy ends the hold where inspect-delay is the shorter of the two.

local servers = require("servers")

local POLL_MS = 20

local leaving = {} -- proxy → server → end of its announcement (milliseconds)

local function milliseconds()
    local now = core.now()
    return now.sec * 1000 + now.usec // 1000
end

local function is_being_left(backend, proxy)
    for name, ends in pairs(leaving[proxy] or {}) do
        if ends <= milliseconds() then
            leaving[proxy][name] = nil
        elseif servers.is_up(backend.servers[name]) then
            return true
        end
    end
    return false
end

local function may_pass(backend, proxy)
    return backend:get_srv_act() > 0 and not is_being_left(backend, proxy)
end

local function hold_for_server(txn, proxy, hold_ms)
    local backend = core.backends[proxy]
    if may_pass(backend, proxy) then
        return act.CONTINUE
    end
    local deadline = milliseconds() + tonumber(hold_ms)
    while milliseconds() < deadline do
        core.msleep(POLL_MS)
        if not txn.req:may_recv() then
            return act.DENY
        end
        if may_pass(backend, proxy) then
            return act.CONTINUE
        end
    end
    return act.DENY
end

local function leave(applet, _, _, proxy, server, hold_ms)
    local backend, duration = core.backends[proxy or ""], tonumber(hold_ms)
    if not backend or not backend.servers[server or ""] or not duration then
        applet:send("No such server, or no number of milliseconds.\n")
        return
    end
    leaving[proxy] = leaving[proxy] or {}
    leaving[proxy][server] = milliseconds() + duration
end

core.register_action("hold_for_server", { "tcp-req" }, hold_for_server, 2)
core.register_cli({ "poolkeeper", "leave" }, "poolkeeper leave <proxy> <server> <milliseconds>", leave)
