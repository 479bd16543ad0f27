//! The gateway over real sockets of this machine.

mod harness;
mod proxying;
