//! What the upstream was asked, and how each answer went.

use super::compose::Usage;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// One call, as far as it has gone.
#[derive(Debug, Clone)]
pub struct Call {
    /// Number of the call, from 1.
    pub number: usize,
    /// Method, path and query, as in `POST /v1/messages?beta=true`.
    pub request: String,
    /// Headers by lower-case name; of a repeated header the last value.
    pub headers: BTreeMap<String, String>,
    /// The body, or null when it was no JSON.
    pub body: Arc<Value>,
    /// The prompt that was taken as the script.
    pub prompt: String,
    /// When the head of the request was read.
    pub started: Instant,
    /// Events sent so far.
    pub events: usize,
    /// When each delta was handed to the connection.
    pub deltas_at: Vec<Instant>,
    /// What was billed, once the answer is complete.
    pub usage: Option<Usage>,
    /// How it ended.
    pub ending: Ending,
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Not yet.
    Answering,
    /// It was sent whole.
    Complete,
    /// The script cut it.
    Cut,
    /// The client left before the end.
    ClientLeft,
}

/// All calls.
#[derive(Default)]
pub(super) struct Record {
    /// What is played instead of the prompts.
    script: Option<String>,
    calls: Mutex<Calls>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Calls {
    forgotten: usize,
    kept: Vec<Call>,
    /// How often each prompt was played that answers differently from one time to the next.
    counted: HashMap<String, u32>,
}

impl Record {
    pub(super) fn playing(script: &str) -> Self {
        Self { script: Some(script.to_owned()), ..Self::default() }
    }

    /// What to play for a prompt.
    pub(super) fn script<'a>(&'a self, prompt: &'a str) -> &'a str {
        self.script.as_deref().unwrap_or(prompt)
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().kept.clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(super) fn forget(&self) {
        let mut calls = self.lock();
        calls.forgotten += calls.kept.len();
        calls.kept.clear();
    }

    /// How often the prompt was counted before.
    pub(super) fn count(&self, prompt: &str) -> u32 {
        let mut calls = self.lock();
        let count = calls.counted.entry(prompt.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    /// Adds a call.
    pub(super) fn add(
        self: &Arc<Self>,
        request: String,
        headers: BTreeMap<String, String>,
        body: Arc<Value>,
        prompt: String,
        started: Instant,
    ) -> Ongoing {
        let mut calls = self.lock();
        let number = calls.forgotten + calls.kept.len() + 1;
        calls.kept.push(Call {
            number,
            request,
            headers,
            body,
            prompt,
            started,
            events: 0,
            deltas_at: Vec::new(),
            usage: None,
            ending: Ending::Answering,
        });
        drop(calls);
        self.changed.send_replace(());
        Ongoing { number, record: Arc::clone(self), ended: false }
    }

    fn change(&self, number: usize, change: impl FnOnce(&mut Call)) {
        let mut calls = self.lock();
        if let Some(call) = number.checked_sub(calls.forgotten + 1).and_then(|at| calls.kept.get_mut(at)) {
            change(call);
        }
        drop(calls);
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call being answered. Dropped without an end, it records that the client left.
pub(super) struct Ongoing {
    /// Number of the call.
    pub(super) number: usize,
    record: Arc<Record>,
    ended: bool,
}

impl Ongoing {
    pub(super) fn sent(&self, is_delta: bool) {
        let now = Instant::now();
        self.record.change(self.number, |call| {
            call.events += 1;
            if is_delta {
                call.deltas_at.push(now);
            }
        });
    }

    pub(super) fn end(&mut self, ending: Ending, usage: Option<Usage>) {
        self.ended = true;
        self.record.change(self.number, |call| {
            call.ending = ending;
            call.usage = usage;
        });
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Ending::ClientLeft, None);
        }
    }
}
