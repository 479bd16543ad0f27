//! What is done about a result: roll back what harms, ship what won step by step, wait otherwise.
//!
//! [`step()`] decides, a pure function of the analysis, the time, the experiment with its policy and
//! plan, and the [`State`] of its automation. [`apply()`] changes the experiment accordingly,
//! [`revert`] takes the last change back. [`Operator`] does it all with a store: it reads, analyses,
//! acts, and writes every action with its reason to the audit log.

mod adopt;
mod apply;
mod caps;
mod command;
mod documents;
mod import;
mod layout;
mod operate;
mod state;
mod step;

pub use apply::{ApplyError, apply, revert};
pub use command::{AUDIT_MAX, Answer, Command, REASON_BYTES_MAX, Shown};
pub use documents::{
    Declared, KIND_AUTOMATION, KIND_HOLDOUT, KIND_LAYER, KIND_METRIC, KIND_PLAN, Listed,
};
pub use import::Taken;
pub use operate::{OperateError, Operator, Report};
pub use state::{Stage, State, UNDO_MAX, Undo};
pub use step::{Action, step};
