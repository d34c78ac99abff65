//! Real processes for tests: the api and the workers of one cluster, or a CLI on its own.

mod agent;
mod cluster;
mod direct;
mod kin;
mod lock;
mod parts;
mod process;
mod wait;

pub use agent::{Agent, AgentSlot};
pub use cluster::{Builder, Cluster, MODEL, PROVIDER_KEY};
pub use direct::DirectCli;
pub use kin::{Kin, read as read_process};
pub use lock::Lock;
pub use parts::{ClaudeKind, binary, demo, installed, settings_in_help, settings_of, workspace};
pub use process::Process;
pub use wait::{wait_for, wait_until};
