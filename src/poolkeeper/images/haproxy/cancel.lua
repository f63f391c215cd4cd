-- Delivers requests to cancel to the servers themselves; any other session passes unchanged.
--
--     tcp-request inspect-delay <how long a client may take to begin>
--     tcp-request content lua.take_cancel <proxy>
--
-- A request to cancel thus neither waits for a slot of the endpoint nor depends on its Pgpool-II. A request for
-- encryption is answered with no before, as Pgpool-II would. A client that does not begin in time is refused.

local messages = require("messages")

local function take_cancel(txn, proxy)
    local length, code = messages.begin(txn)
    if code ~= messages.CANCEL then
        return length > 0 and act.CONTINUE or act.DENY
    end
    messages.deliver_cancel(txn.req, length, proxy)
    return act.DENY
end

core.register_action("take_cancel", { "tcp-req" }, take_cancel, 1)
