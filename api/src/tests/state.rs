//! What the store of the tests holds and has been asked for.

use std::collections::BTreeMap;

use drover_shared::schema::{
    Allowance, Call, CancelReason, Fleet, Job, JobId, JobQuery, JobSpec, KeptAnswer, KeptQuery, Origin, Page,
    Project, ProjectId, RequestKey, SeqEvent, UsageQuery, UsageRow,
};
use drover_shared::store::{Enqueued, KnownKey, Millis, Recalled, Ring, Ticket};
use tokio::sync::mpsc;

#[derive(Default)]
pub(super) struct State {
    pub(super) jobs: BTreeMap<JobId, (Job, Vec<SeqEvent>)>,
    pub(super) fleet: Fleet,
    pub(super) cancels: Vec<(JobId, CancelReason)>,
    /// How often calling off was asked for, of whatever job.
    pub(super) cancel_calls: usize,
    pub(super) rescues: Vec<(Millis, Millis)>,
    pub(super) prunes: Vec<Millis>,
    pub(super) call_prunes: Vec<Millis>,
    pub(super) spent_prunes: Vec<Millis>,
    pub(super) session_prunes: Vec<Millis>,
    pub(super) calls: Vec<Call>,
    pub(super) kept: BTreeMap<JobId, KeptAnswer>,
    pub(super) specs: BTreeMap<JobId, JobSpec>,
    pub(super) origins: BTreeMap<JobId, Origin>,
    /// The jobs under their clients' keys, and how many apis wait for each.
    pub(super) keys: BTreeMap<String, (RequestKey, JobId)>,
    pub(super) attended: BTreeMap<JobId, u32>,
    pub(super) api_keys: Vec<KnownKey>,
    pub(super) tickets: Vec<Ticket>,
    /// How often all keys were asked for.
    pub(super) key_reads: usize,
    /// How often it was asked whether keys have changed, and how long it takes to say.
    pub(super) key_looks: usize,
    pub(super) key_delay: std::time::Duration,
    /// What is left of every key's minute.
    pub(super) allowance: Allowance,
    /// What lists were asked for.
    pub(super) listed: Vec<KeptQuery>,
    pub(super) jobs_asked: Vec<(JobQuery, Page<JobId>)>,
    pub(super) expiries: Vec<Millis>,
    pub(super) projects: BTreeMap<ProjectId, Project>,
    /// Those of which a job runs.
    pub(super) busy_projects: Vec<ProjectId>,
    /// Deleted ones whose files are still to be removed.
    pub(super) abandoned: Vec<ProjectId>,
    /// What was asked of the ledger, and what it answers.
    pub(super) asked: Vec<UsageQuery>,
    pub(super) usage: Vec<UsageRow>,
    /// Whether rings get lost.
    pub(super) deaf: bool,
    pub(super) enqueueing: usize,
    pub(super) recalling: usize,
    /// What becomes of every job that is to be added, if not the usual.
    pub(super) refusal: Option<Enqueued>,
    pub(super) rings: Vec<mpsc::Sender<Ring>>,
}

impl State {
    /// The job under the key, which one api more waits for.
    pub(super) fn recall(&mut self, key: &RequestKey) -> Option<Recalled> {
        let (known, id) = self.keys.get(&key.key)?;
        if known.digest != key.digest {
            return Some(Recalled::Other);
        }
        *self.attended.entry(*id).or_default() += 1;
        Some(Recalled::Same(*id))
    }
}
