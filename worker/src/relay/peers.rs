//! Whose connections a relay hears: those of its own slot. Where slots share one user, file modes do not
//! keep them apart, so the kernel's word on who has connected does.

use nix::unistd::geteuid;
use tokio::net::unix::UCred;
use tokio::sync::watch;

use crate::slot::lineage;
use crate::slot::walls::User;

/// Where the relay is told which process its slot descends from.
#[derive(Debug)]
pub(super) struct Supervisor(watch::Sender<Option<i32>>);

/// What decides about connections.
#[derive(Debug)]
pub(super) struct Peers {
    uids: [u32; 2],
    supervisor: watch::Receiver<Option<i32>>,
}

/// Both ends, for a slot with this user.
pub(super) fn of(user: Option<User>) -> (Supervisor, Peers) {
    let (told, supervisor) = watch::channel(None);
    let own = geteuid().as_raw();
    // The supervisor keeps the worker's user; it connects on behalf of the slot.
    let uids = [own, user.map_or(own, |user| user.uid)];
    (Supervisor(told), Peers { uids, supervisor })
}

impl Supervisor {
    pub(super) fn is(&self, pid: i32) {
        self.0.send_replace(Some(pid));
    }
}

impl Peers {
    /// Whether a peer belongs to the slot, once that is known. Its ancestors are looked up at once: later its
    /// process id may be another's.
    pub(super) fn admit(&self, peer: UCred) -> impl Future<Output = bool> + Send + use<> {
        let pid = peer.pid().filter(|pid| *pid > 0);
        let lineage = pid.map(lineage).unwrap_or_default();
        let known_user = self.uids.contains(&peer.uid());
        let mut supervisor = self.supervisor.clone();
        async move {
            let Ok(supervisor) = supervisor.wait_for(Option::is_some).await.map(|pid| *pid) else {
                return false;
            };
            let admitted = known_user && supervisor.is_some_and(|pid| lineage.contains(&pid));
            if !admitted {
                tracing::warn!(pid, uid = peer.uid(), "a stranger has connected to a relay and is not heard");
            }
            admitted
        }
    }
}
