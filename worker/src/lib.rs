//! The worker: owns Claude CLI slots, runs jobs and publishes their events. Read `work` first.

pub mod attempt;
pub mod fleet;
pub mod heartbeat;
pub mod publish;
pub mod relay;
pub mod rings;
pub mod running;
pub mod slot;
