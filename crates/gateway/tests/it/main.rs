//! The gateway over real sockets of this machine.

mod caching;
mod desync;
mod failover;
mod faults;
mod frames;
mod framing;
mod harness;
mod http2;
mod http2_hostile;
mod leaving;
mod limits;
mod proxy_protocol;
mod proxying;
mod reload;
mod routes;
mod tls;
mod tunnel;
