//! How answers are told, and which of them are stored for their clients when their jobs' time is up.

use std::collections::BTreeMap;

use super::id::{JobId, Owner};

/// A client's labels, by name.
pub type Metadata = BTreeMap<String, String>;

/// What is kept with a job for its answer to be told again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The dialect that the answer is told in, by its name.
    pub dialect: String,
    /// What the dialect has to know to tell it again; nobody else reads it.
    pub form: String,
    /// Whether the client stores the answer, to have it when the job's time is up.
    pub stored: bool,
    /// The client's labels of what it stores.
    pub metadata: Metadata,
}

/// A stored answer of a job that is completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The job, whose spec and events are the conversation.
    pub job: JobId,
    /// What was kept with it.
    pub keep: Keep,
}

/// Which stored answers are asked for. In the order of their age, by the identifiers of their jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptQuery {
    /// Whose.
    pub owner: Owner,
    /// In which dialect.
    pub dialect: String,
    /// Of this model only, as clients named it.
    pub model: Option<String>,
    /// With all of these labels only.
    pub metadata: Metadata,
    /// Behind this one, which need not be there any more.
    pub after: Option<JobId>,
    /// The latest first.
    pub latest_first: bool,
    /// So many at most.
    pub limit: u32,
}
