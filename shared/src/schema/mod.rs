//! The hub vocabulary: what a job is, what happens in it, and how it ends.
//!
//! Dialects, the CLI's protocol, providers and the store meet here and nowhere else.

pub mod agent;
pub mod allowance;
pub mod call;
pub mod changes;
pub mod dollars;
pub mod estimate;
pub mod event;
pub mod failure;
pub mod file;
pub mod fleet;
pub mod history;
pub mod id;
pub mod job;
pub mod kept;
pub mod key;
pub mod limits;
pub mod media;
pub mod network;
pub mod offer;
pub mod output;
pub mod session;
pub mod spec;
pub mod state;
pub mod terms;
pub mod tool;
pub mod trace;
pub mod usage;

pub use agent::{AgentOptions, AgentsOffer, McpServer, Permissions};
pub use allowance::{Allowance, Bucket, Denied, Gauge};
pub use call::{Call, CallOutcome, Dimension, UsageQuery, UsageRow};
pub use changes::{Change, Changes, FileChange};
pub use event::{Block, Event, Seq, SeqEvent, StopReason};
pub use failure::{Failure, FailureKind};
pub use file::{FileQuery, StoredFile};
pub use fleet::{Fleet, PoolReport, WorkerReport};
pub use id::{FileId, JobId, LeaseToken, Owner, ProjectId, SessionId, WorkerId};
pub use job::{CancelReason, IfBusy, Job, NewJob, Told};
pub use kept::{Keep, KeptAnswer, KeptQuery, Metadata};
pub use key::{ApiKey, KeyChange, KeyDigest, KeyLimits, Scope, Scopes};
pub use network::{HostName, HostRule, Target};
pub use offer::Offer;
pub use output::OutputFormat;
pub use session::{Listed, Page, PastTurn, Project, ProjectChange, Session, SessionChange, SessionSums};
pub use spec::{AgentSpec, Class, Effort, JobSpec, Part, Role, Sampling, ServiceTier, ThinkingWish, Turn};
pub use state::{JobState, Transition};
pub use terms::{Delivery, JobQuery, Priority, RequestKey, Terms};
pub use tool::{Tool, ToolChoice};
pub use trace::{Origin, TraceId, TraceParent};
pub use usage::Usage;
