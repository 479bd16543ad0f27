//! The API of experiments over real sockets, with the real store.

mod access;
mod own;
mod protocols;
mod served;
