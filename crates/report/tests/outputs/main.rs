//! Whole outputs of the crate, from results that are made here.

mod compare;
mod golden;
mod live;
mod runfile;
mod sample;
