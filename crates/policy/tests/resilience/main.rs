//! Laws of the resilience decisions: what must hold whatever happens in whatever order.

mod breaking;
mod limiting;
mod retrying;
