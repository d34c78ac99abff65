//! What a job's calls to providers have come to, call by call: the rows that go into the ledger.

use std::sync::atomic::Ordering;
use std::time::Instant;

use drover_shared::clock::now_ms;
use drover_shared::provider::price;
use drover_shared::schema::offer::Tariff;
use drover_shared::schema::{Call, CallOutcome, Usage};

use super::gate::Bound;

/// Whom a call goes to.
#[derive(Clone, Debug)]
pub(super) struct Addressee {
    /// The provider's identifier.
    pub(super) provider: String,
    /// The fingerprint of the key that it is asked with.
    pub(super) key: String,
    /// What it calls the model.
    pub(super) model: String,
    /// What it charges, if that is known.
    pub(super) tariff: Option<Tariff>,
}

/// The calls of one binding, each from when it is made until it is handed to the ledger.
#[derive(Debug, Default)]
pub(super) struct Tab {
    open: Vec<Entry>,
    closed: Vec<Call>,
}

#[derive(Debug)]
struct Entry {
    call: Call,
    tariff: Option<Tariff>,
    since: Instant,
}

impl Tab {
    /// A call is made now. Its number.
    pub(super) fn open(&mut self, bound: &Bound, to: &Addressee) -> u32 {
        let number = bound.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let agent = bound.spec.agent.as_ref();
        let call = Call {
            job: bound.job,
            attempt: bound.attempt,
            number,
            owner: bound.owner.clone(),
            session: bound.spec.session(),
            project: agent.map(|agent| agent.project),
            model: bound.spec.model.clone(),
            provider: to.provider.clone(),
            provider_key: to.key.clone(),
            upstream_model: to.model.clone(),
            started_at_ms: now_ms(),
            first_byte_ms: None,
            took_ms: 0,
            outcome: CallOutcome::BrokenOff,
            usage: Usage::default(),
        };
        self.open.push(Entry { call, tariff: to.tariff, since: Instant::now() });
        number
    }

    /// The first byte of its answer is here. How long that took, in milliseconds.
    pub(super) fn first_byte(&mut self, number: u32) -> Option<u32> {
        let entry = self.entry(number)?;
        let took = *entry.call.first_byte_ms.get_or_insert(millis(entry.since));
        Some(took)
    }

    /// The provider has now told that the call was billed `usage` in all. What that adds to what was known.
    pub(super) fn bill(&mut self, number: u32, usage: Usage) -> Usage {
        let Some(entry) = self.entry(number) else { return Usage::default() };
        let priced = priced(usage, entry.tariff.as_ref());
        let earlier = std::mem::replace(&mut entry.call.usage, priced);
        priced.since(&earlier)
    }

    /// The call is over.
    pub(super) fn close(&mut self, number: u32, outcome: CallOutcome) {
        if let Some(at) = self.open.iter().position(|entry| entry.call.number == number) {
            let Entry { mut call, since, .. } = self.open.swap_remove(at);
            call.outcome = outcome;
            call.took_ms = millis(since);
            self.closed.push(call);
        }
    }

    /// The calls that are over and were not taken before.
    pub(super) fn take(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.closed)
    }

    /// The same once nothing more is to come: what is under way is broken off.
    pub(super) fn settle(&mut self) -> Vec<Call> {
        for number in self.open.iter().map(|entry| entry.call.number).collect::<Vec<_>>() {
            self.close(number, CallOutcome::BrokenOff);
        }
        self.take()
    }

    fn entry(&mut self, number: u32) -> Option<&mut Entry> {
        self.open.iter_mut().find(|entry| entry.call.number == number)
    }
}

/// What one call was billed, with its cost.
fn priced(usage: Usage, tariff: Option<&Tariff>) -> Usage {
    match tariff {
        Some(tariff) => Usage { cost_microusd: price::cost(tariff, &usage), unpriced_calls: 0, ..usage },
        None => Usage { cost_microusd: 0, unpriced_calls: 1, ..usage },
    }
}

fn millis(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}
