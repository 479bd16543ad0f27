//! The gateway over real sockets of this machine.

mod faults;
mod frames;
mod framing;
mod harness;
mod http2;
mod proxying;
mod proxy_protocol;
mod reload;
mod tls;
mod tunnel;
