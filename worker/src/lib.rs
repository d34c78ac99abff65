//! Drover's worker: owns Claude CLI slots, runs jobs and publishes their events.

pub mod install;
pub mod slot;
