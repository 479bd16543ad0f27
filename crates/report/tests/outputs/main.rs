//! Whole outputs of the crate, from results that are made here.

mod compare;
mod experiment;
mod golden;
mod live;
mod runfile;
mod sample;
