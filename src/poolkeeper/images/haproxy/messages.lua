-- The beginning of a session of PostgreSQL, and requests to cancel. Other scripts load it by `require`.
--
-- A request to cancel names a process of one server, by a number and a secret key. Pgpool-II hands its server's own
-- number and key to the client. So the request goes past Pgpool-II to every server of a proxy that is up: the one that
-- has this process cancels its statement, and every other one ignores the request. It needs no slot of an endpoint.
--
-- Not promised: that the statement still runs. Servers do not answer a request; the client waits until all closed.

local servers = require("servers")

local messages = { VERSION = 3, CANCEL = 80877102, TLS = 80877103, GSS = 80877104 }

local CANCEL_LENGTH = 16 -- bytes: length, code, process, key (protocol 3.0)
local LONGEST_CANCEL = 268 -- bytes: a key of 256 bytes (protocol 3.2)
local SECONDS = 2 -- for each step of one conversation with a server

-- Returns the next packet's length and code, 0 and 0 when the client has gone. Waits for them.
local function head(request)
    local bytes = request:data(0, 8)
    if not bytes or #bytes < 8 then
        return 0, 0
    end
    return string.unpack(">I4I4", bytes)
end

-- Returns the length and code of the packet that begins a session. Each request for encryption before it is answered
-- with no, as by a server without encryption.
function messages.begin(txn)
    local request = txn.req
    local length, code = head(request)
    while length == 8 and (code == messages.TLS or code == messages.GSS) do
        request:remove(0, length)
        txn.res:send("N")
        length, code = head(request)
    end
    return length, code
end

local function deliver(server, packet)
    local socket = core.tcp()
    socket:settimeout(SECONDS)
    if socket:connect(server:get_addr()) and socket:send(packet) then
        socket:receive("*a") -- the server closes when it has handled the request
    end
    socket:close()
end

-- Delivers the request to cancel at the head of `request`, of this length, to the servers of a proxy.
function messages.deliver_cancel(request, length, proxy)
    if length < CANCEL_LENGTH or length > LONGEST_CANCEL then
        return
    end
    local packet = request:data(0, length)
    if not packet or #packet < length then
        return
    end
    for _, server in pairs(core.backends[proxy].servers) do
        if servers.is_up(server) then
            deliver(server, packet)
        end
    end
end

return messages
