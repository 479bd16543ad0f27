//! The real binary on loopback: what a person types, what comes out, and the exit code.

mod capacity;
mod command;
mod compare;
mod demo;
mod experiment_guide;
mod experiment_verbs;
mod experiments;
mod experiments_hostile;
mod experiments_laws;
mod experiments_sample;
mod load;
mod logs;
mod nginx;
mod plan;
mod plan_serve;
mod replay;
mod scenarios;
mod shop;
mod up;
