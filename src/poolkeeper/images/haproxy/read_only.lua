-- Makes every session of PostgreSQL read-only from its first byte on, whichever server it reaches.
--
--     tcp-request inspect-delay <how long a client may take to begin>
--     tcp-request content lua.read_only <proxy>
--
-- The action appends one setting to the start-up packet, `default_transaction_read_only = on`. The last setting wins
-- there, also over the packet's `options`, over ALTER ROLE and ALTER DATABASE; RESET and DISCARD ALL return to it. A
-- request to cancel goes to every server of the proxy. A request for encryption is answered with no, as by a server
-- without encryption. Any other start, or a late one, is refused: no session passes unread.
--
-- Not promised: a session that itself asks for READ WRITE gets it where the server can write.

local messages = require("messages")

local SETTING = "default_transaction_read_only\0on\0"
local LONGEST = 10000 -- bytes: MAX_STARTUP_PACKET_LENGTH
local function read_only(txn, proxy)
    local request = txn.req
    local length, code = messages.begin(txn)
    if code == messages.CANCEL then
        messages.deliver_cancel(request, length, proxy)
        return act.DENY
    end
    if code >> 16 ~= messages.VERSION or length < 9 or length > LONGEST then
        return act.DENY
    end
    local packet = request:data(0, length)
    if not packet or #packet < length or packet:byte(-1) ~= 0 then
        return act.DENY
    end
    packet = string.pack(">I4", length + #SETTING) .. packet:sub(5, -2) .. SETTING .. "\0"
    request:remove(0, length)
    return request:insert(packet, 0) == #packet and act.CONTINUE or act.DENY
end

core.register_action("read_only", { "tcp-req" }, read_only, 1)
