//! The chat processes that wait, and which of them is next: pure, for any kind of thing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use drover_shared::schema::Owner;

/// Spares, which have served nobody, and kept ones, which serve one key only.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    /// Oldest first.
    spares: VecDeque<(T, Instant)>,
    /// Least recently used first.
    kept: Vec<Kept<T>>,
}

#[derive(Debug)]
struct Kept<T> {
    item: T,
    owner: Owner,
    since: Instant,
}

/// What a claim was served with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// One that had served nobody.
    Spare,
    /// One that had served the same key.
    Kept,
}

/// How long things may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ages {
    /// A spare.
    pub(super) spare: Duration,
    /// A kept one.
    pub(super) kept: Duration,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { spares: VecDeque::new(), kept: Vec::new() }
    }
}

impl<T> Shelf<T> {
    /// For a job of `owner`: the one that served this key last, else the oldest spare. Never one that has
    /// served another key.
    pub(super) fn take(&mut self, owner: &Owner) -> Option<(T, From)> {
        if let Some(at) = self.kept.iter().rposition(|kept| kept.owner == *owner) {
            return Some((self.kept.remove(at).item, From::Kept));
        }
        self.spares.pop_front().map(|(item, _)| (item, From::Spare))
    }

    /// Whether one waits that has served this key.
    pub(super) fn has_kept(&self, owner: &Owner) -> bool {
        self.kept.iter().any(|kept| kept.owner == *owner)
    }

    pub(super) fn add_spare(&mut self, item: T, now: Instant) {
        self.spares.push_back((item, now));
    }

    /// Keeps one for its key. Where there is room for `room` only, the least recently used leaves.
    pub(super) fn keep(&mut self, item: T, owner: Owner, now: Instant, room: usize) -> Option<T> {
        self.kept.push(Kept { item, owner, since: now });
        (self.kept.len() > room).then(|| self.kept.remove(0).item)
    }

    /// Takes out what is too old, and what `gone` says is dead.
    pub(super) fn sweep(&mut self, now: Instant, ages: Ages, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let old = |since: Instant, age| now.saturating_duration_since(since) >= age;
        let spares = std::mem::take(&mut self.spares).into_iter();
        let (out, stay): (Vec<_>, Vec<_>) =
            spares.partition(|(item, since)| old(*since, ages.spare) || gone(item));
        self.spares = stay.into();
        let mut out: Vec<T> = out.into_iter().map(|(item, _)| item).collect();
        let leaving = self.kept.extract_if(.., |kept| old(kept.since, ages.kept) || gone(&kept.item));
        out.extend(leaving.map(|kept| kept.item));
        out
    }

    /// Takes out everything.
    pub(super) fn empty(&mut self) -> Vec<T> {
        let spares = self.spares.drain(..).map(|(item, _)| item);
        spares.chain(self.kept.drain(..).map(|kept| kept.item)).collect()
    }

    pub(super) fn spares(&self) -> usize {
        self.spares.len()
    }

    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Owner {
        Owner(name.to_owned())
    }

    const AGES: Ages = Ages { spare: Duration::from_secs(10), kept: Duration::from_secs(5) };

    #[test]
    fn a_key_gets_its_own_process_back_and_never_anothers() {
        let (mut shelf, now) = (Shelf::default(), Instant::now());
        shelf.add_spare(1, now);
        shelf.add_spare(2, now);
        assert_eq!(shelf.keep(3, key("a"), now, 9), None);
        assert_eq!(shelf.keep(4, key("a"), now, 9), None);
        assert_eq!(shelf.take(&key("a")), Some((4, From::Kept)));
        assert_eq!(shelf.take(&key("b")), Some((1, From::Spare)));
        assert_eq!(shelf.take(&key("b")), Some((2, From::Spare)));
        assert_eq!(shelf.take(&key("b")), None);
        assert_eq!(shelf.take(&key("a")), Some((3, From::Kept)));
    }

    #[test]
    fn the_least_recently_used_leaves_when_there_is_no_room() {
        let (mut shelf, now) = (Shelf::default(), Instant::now());
        assert_eq!(shelf.keep(1, key("a"), now, 2), None);
        assert_eq!(shelf.keep(2, key("b"), now, 2), None);
        assert_eq!(shelf.keep(3, key("a"), now, 2), Some(1));
        assert_eq!(shelf.keep(4, key("c"), now, 0), Some(2));
        assert_eq!((shelf.spares(), shelf.kept()), (0, 2));
    }

    #[test]
    fn what_is_old_or_dead_is_swept_out() {
        let (mut shelf, now) = (Shelf::default(), Instant::now());
        shelf.add_spare(1, now);
        shelf.add_spare(2, now + Duration::from_secs(3));
        shelf.keep(3, key("a"), now, 9);
        shelf.keep(4, key("a"), now + Duration::from_secs(3), 9);
        let at = |s| now + Duration::from_secs(s);
        assert_eq!(shelf.sweep(at(4), AGES, |_| false), Vec::<i32>::new());
        assert_eq!(shelf.sweep(at(5), AGES, |item| *item == 2), [2, 3]);
        assert_eq!(shelf.sweep(at(10), AGES, |_| false), [1, 4]);
        assert_eq!(shelf.empty(), Vec::<i32>::new());
    }
}
