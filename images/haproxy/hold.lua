-- Holds a new session until its proxy has a server, so that while one primary follows another a client waits instead
-- of being refused.
--
--     tcp-request inspect-delay <longer than the hold>
--     tcp-request content lua.hold_for_server <proxy> <milliseconds>
--
-- A session passes at once when a server is up. It is refused when the time is over, and when its client has gone:
-- no server then sees a session that nobody waits for. It promises no server: the one that was up may end before the
-- connection to it is made. HAProxy ends the hold by itself where inspect-delay is the shorter of the two.

local POLL_MS = 20

local function milliseconds()
    local now = core.now()
    return now.sec * 1000 + now.usec // 1000
end

local function hold_for_server(txn, proxy, hold_ms)
    local backend = core.backends[proxy]
    if backend:get_srv_act() > 0 then
        return act.CONTINUE
    end
    local deadline = milliseconds() + tonumber(hold_ms)
    while milliseconds() < deadline do
        core.msleep(POLL_MS)
        if not txn.req:may_recv() then
            return act.DENY
        end
        if backend:get_srv_act() > 0 then
            return act.CONTINUE
        end
    end
    return act.DENY
end

core.register_action("hold_for_server", { "tcp-req" }, hold_for_server, 2)
