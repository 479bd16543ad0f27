//! HTTP/1.1 on the wire, without IO: strict heads, body framing, request targets, PROXY protocol.
