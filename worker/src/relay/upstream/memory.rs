//! Who served a conversation before: its prompt is in that provider's cache.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroUsize;

use drover_shared::schema::{Part, limits};
use lru::LruCache;

use crate::relay::Bound;

/// How much of a conversation's first text tells it from others, in bytes.
const BEGINNING: usize = 4 << 10;

/// What tells one conversation from another: an agent's session, or how a chat began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::relay) struct Conversation(u64);

impl Conversation {
    pub(in crate::relay) fn of(bound: &Bound) -> Self {
        let spec = &bound.spec;
        let mut hasher = DefaultHasher::new();
        spec.model.hash(&mut hasher);
        if let Some(agent) = &spec.agent {
            agent.session.hash(&mut hasher);
        } else {
            bound.owner.0.hash(&mut hasher);
            spec.system.hash(&mut hasher);
            for text in spec.turns.first().into_iter().flat_map(|turn| &turn.parts).filter_map(Part::text) {
                text.as_bytes()[..text.len().min(BEGINNING)].hash(&mut hasher);
            }
        }
        Self(hasher.finish())
    }
}

/// The provider and the fingerprint of the key that served a conversation last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::relay) struct Memorised {
    pub(in crate::relay) provider: String,
    pub(in crate::relay) key: String,
}

/// Bounded: the conversation that was served longest ago is forgotten first.
#[derive(Debug)]
pub(in crate::relay) struct Memory(LruCache<Conversation, Memorised>);

impl Default for Memory {
    fn default() -> Self {
        let room = NonZeroUsize::new(limits::CONVERSATIONS_REMEMBERED).unwrap_or(NonZeroUsize::MIN);
        Self(LruCache::new(room))
    }
}

impl Memory {
    pub(in crate::relay) fn recall(&mut self, conversation: Conversation) -> Option<Memorised> {
        self.0.get(&conversation).cloned()
    }

    pub(in crate::relay) fn note(&mut self, conversation: Conversation, served: Memorised) {
        self.0.put(conversation, served);
    }
}
