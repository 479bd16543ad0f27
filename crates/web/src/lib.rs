//! The administration address: status, metrics, reload, drain and purge of a running gateway.
