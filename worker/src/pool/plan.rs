//! How many processes wait, for whom, and for how long: decisions, without any process.

use std::time::Duration;

use drover_shared::schema::limits;

use super::Aftermath;
use super::shelf::Ages;
use crate::stage::Served;

/// The operator's wishes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many primed chat processes wait for anybody's job.
    pub spares: usize,
    /// How many used chat processes wait for their key's next job.
    pub kept: usize,
    /// How many agent processes wait to be bound to anybody's project.
    pub agent_spares: usize,
    /// How many agent processes wait for their session's next turn.
    pub residents: usize,
    /// How long they do.
    pub resident_age: Duration,
    /// What one process may serve.
    pub isolation: Isolation,
    /// How many jobs one process serves.
    pub process_jobs: u32,
    /// How long one process serves.
    pub process_age: Duration,
    /// How long a process waits for a job.
    pub spare_age: Duration,
}

/// What one chat process may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Isolation {
    /// The jobs of one API key, one after another.
    Key,
    /// One job.
    Job,
}

impl Plan {
    /// Whether a process may wait for its key's next job.
    pub(super) fn may_keep(&self, after: Aftermath, served: &Served) -> bool {
        self.isolation == Isolation::Key
            && after != Aftermath::Doubtful
            && served.jobs < self.process_jobs
            && served.output_bytes < limits::PROCESS_OUTPUT_BYTES
            && served.since.elapsed() < self.process_age
    }

    /// How long processes wait.
    pub(super) fn ages(&self) -> Ages {
        Ages { spare: self.spare_age, kept: self.spare_age }
    }
}

/// How many spares a worker of so many slots keeps if nobody says: one for each slot, as far as an eighth of
/// the machine's memory holds them, since workers may share a machine.
pub fn default_spares(slots: u32, memory_bytes: u64) -> u32 {
    let room = memory_bytes / 8 / limits::PROCESS_MEMORY_BYTES;
    slots.min(u32::try_from(room).unwrap_or(u32::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PLAN: Plan = Plan {
        spares: 2,
        kept: 2,
        agent_spares: 0,
        residents: 0,
        resident_age: Duration::ZERO,
        isolation: Isolation::Key,
        process_jobs: 3,
        process_age: Duration::from_mins(1),
        spare_age: Duration::from_mins(1),
    };

    fn served(jobs: u32, output_bytes: usize) -> Served {
        Served { since: Instant::now(), jobs, output_bytes }
    }

    #[test]
    fn a_process_is_kept_until_it_has_served_its_turn() {
        assert!(PLAN.may_keep(Aftermath::Ending, &served(2, 0)));
        assert!(PLAN.may_keep(Aftermath::Running, &served(1, 0)));
        assert!(!PLAN.may_keep(Aftermath::Ending, &served(3, 0)));
        assert!(!PLAN.may_keep(Aftermath::Ending, &served(1, limits::PROCESS_OUTPUT_BYTES)));
        let old = Plan { process_age: Duration::ZERO, ..PLAN };
        assert!(!old.may_keep(Aftermath::Ending, &served(1, 0)));
    }

    #[test]
    fn a_doubtful_process_and_one_of_a_single_job_are_never_kept() {
        assert!(!PLAN.may_keep(Aftermath::Doubtful, &served(1, 0)));
        let single = Plan { isolation: Isolation::Job, ..PLAN };
        assert!(!single.may_keep(Aftermath::Ending, &served(1, 0)));
    }

    #[test]
    fn spares_are_as_many_as_slots_where_memory_allows() {
        assert_eq!(default_spares(4, 32 << 30), 4);
        assert_eq!(default_spares(64, 4 << 30), 3);
        assert_eq!(default_spares(4, 512 << 20), 1);
    }
}
