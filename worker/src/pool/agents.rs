//! The agent processes that wait: spares, to be bound to a project, and residents, for their session's next
//! turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use drover_shared::schema::{AgentSpec, ProjectId};
use drover_shared::store::Claim;

use crate::stage::Stage;

/// What waits of the agent class.
#[derive(Default)]
pub(super) struct Agents {
    /// Oldest first.
    spares: VecDeque<(Stage, Instant)>,
    /// Least recently used first.
    residents: Vec<Resident>,
}

/// A process that waits for its session's next turn.
pub(super) struct Resident {
    pub(super) stage: Stage,
    pub(super) spec: AgentSpec,
    /// The client's system text: it was told once, when the process began.
    system: String,
    since: Instant,
}

impl Resident {
    fn serves(&self, claim: &Claim, spec: &AgentSpec) -> bool {
        // Others may have worked in the project since, if the worker has not held it all the time.
        claim.unbroken
            && self.spec.session == spec.session
            && self.spec.options.same_process(&spec.options)
            && self.spec.network == spec.network
            && self.system == claim.spec.system
            && !self.stage.slot.has_exited()
    }
}

impl Agents {
    /// The session's own process, and whichever else stands in the job's project and has to leave it.
    pub(super) fn take_resident(&mut self, claim: &Claim, spec: &AgentSpec) -> (Option<Stage>, Vec<Stage>) {
        let here = self.residents.extract_if(.., |resident| resident.spec.project == spec.project);
        let (mine, others): (Vec<_>, Vec<_>) = here.partition(|resident| resident.serves(claim, spec));
        let stages = |residents: Vec<Resident>| residents.into_iter().map(|resident| resident.stage);
        let mut mine = stages(mine);
        let first = mine.next();
        (first, mine.chain(stages(others)).collect())
    }

    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    pub(super) fn residents(&self) -> usize {
        self.residents.len()
    }

    pub(super) fn add_spare(&mut self, stage: Stage) {
        self.spares.push_back((stage, Instant::now()));
    }

    /// The oldest that lives. What has died waits to be swept out.
    pub(super) fn take_spare(&mut self) -> Option<Stage> {
        let at = self.spares.iter().position(|(stage, _)| !stage.slot.has_exited())?;
        self.spares.remove(at).map(|(stage, _)| stage)
    }

    /// Whether a process waits in the project.
    pub(super) fn stand_in(&self, project: ProjectId) -> bool {
        self.residents.iter().any(|resident| resident.spec.project == project)
    }

    pub(super) fn add_resident(&mut self, stage: Stage, claim: &Claim, spec: &AgentSpec) {
        let system = claim.spec.system.clone();
        self.residents.push(Resident { stage, spec: spec.clone(), system, since: Instant::now() });
    }

    /// Takes out those that stand in one of these projects.
    pub(super) fn in_projects(&mut self, projects: &[ProjectId]) -> Left {
        let there = |resident: &mut Resident| projects.contains(&resident.spec.project);
        Left { residents: self.residents.extract_if(.., there).collect(), spares: Vec::new() }
    }

    /// Takes out the least recently used, so that so many stay.
    pub(super) fn past(&mut self, room: usize) -> Left {
        let past = self.residents.len().saturating_sub(room);
        Left { residents: self.residents.drain(..past).collect(), spares: Vec::new() }
    }

    /// Takes out what is too old or has died.
    pub(super) fn sweep(&mut self, now: Instant, spare_age: Duration, resident_age: Duration) -> Left {
        let old = |since: Instant, age| now.saturating_duration_since(since) >= age;
        let spares = std::mem::take(&mut self.spares).into_iter();
        let (out, stay): (Vec<_>, Vec<_>) =
            spares.partition(|(stage, since)| old(*since, spare_age) || stage.slot.has_exited());
        self.spares = stay.into();
        let gone =
            |resident: &mut Resident| old(resident.since, resident_age) || resident.stage.slot.has_exited();
        Left {
            residents: self.residents.extract_if(.., gone).collect(),
            spares: out.into_iter().map(|(stage, _)| stage).collect(),
        }
    }

    /// Takes out everything.
    pub(super) fn empty(&mut self) -> Left {
        Left {
            residents: std::mem::take(&mut self.residents),
            spares: self.spares.drain(..).map(|(stage, _)| stage).collect(),
        }
    }
}

/// What leaves the pool.
pub(super) struct Left {
    pub(super) residents: Vec<Resident>,
    pub(super) spares: Vec<Stage>,
}

impl Left {
    pub(super) fn len(&self) -> usize {
        self.residents.len() + self.spares.len()
    }
}
