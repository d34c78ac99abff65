//! The worker: owns Claude CLI processes, runs jobs and publishes their events.

pub mod relay;
