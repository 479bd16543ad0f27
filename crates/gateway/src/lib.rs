//! The gateway: accept → decide → forward → record.

pub mod params;
