//! The worker: owns Claude CLI slots, runs jobs and publishes their events. Read `work` first.

pub mod attempt;
pub mod doctor;
pub mod egress;
pub mod fleet;
pub mod heartbeat;
pub mod install;
pub mod machine;
pub mod metrics;
mod news;
pub mod pool;
pub mod publish;
pub mod registry;
pub mod relay;
pub mod rings;
pub mod running;
pub mod serve;
pub mod settings;
pub mod slot;
pub mod stage;
pub mod work;
pub mod workshop;
