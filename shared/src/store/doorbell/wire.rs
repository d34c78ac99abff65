//! What is in a datagram: one byte of kind per ring, and the job's 16 bytes where there is one.

use uuid::Uuid;

use crate::schema::{JobId, limits};
use crate::store::Ring;

const TASK: u8 = b'T';
const EVENTS: u8 = b'E';
const CALLED_OFF: u8 = b'C';

/// Longest datagram, in bytes.
pub(super) const DATAGRAM_BYTES: usize = limits::RINGS_PER_DATAGRAM * 17;

/// The rings as one datagram.
pub(super) fn encode(rings: &[Ring]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rings.len() * 17);
    for ring in rings {
        let (kind, job) = match ring {
            Ring::Task => (TASK, None),
            Ring::Events(job) => (EVENTS, Some(job)),
            Ring::CalledOff(job) => (CALLED_OFF, Some(job)),
        };
        bytes.push(kind);
        bytes.extend(job.iter().flat_map(|job| job.uuid().into_bytes()));
    }
    bytes
}

/// The rings in a datagram, up to the first that this version does not know.
pub(super) fn decode(mut bytes: &[u8]) -> Vec<Ring> {
    let mut rings = Vec::new();
    while let Some((ring, rest)) = decode_one(bytes) {
        rings.push(ring);
        bytes = rest;
    }
    rings
}

fn decode_one(bytes: &[u8]) -> Option<(Ring, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    if *kind == TASK {
        return Some((Ring::Task, rest));
    }
    let (uuid, rest) = rest.split_first_chunk()?;
    let job = JobId::from_uuid(Uuid::from_bytes(*uuid));
    match *kind {
        EVENTS => Some((Ring::Events(job), rest)),
        CALLED_OFF => Some((Ring::CalledOff(job), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_read_back_and_nonsense_ends_them() {
        let job = JobId::from_uuid(Uuid::from_u128(42));
        let rings = [Ring::Events(job), Ring::Task, Ring::CalledOff(job)];
        let mut bytes = encode(&rings);
        assert_eq!(decode(&bytes), rings);
        bytes.extend([EVENTS, 1, 2]);
        assert_eq!(decode(&bytes), rings);
        assert_eq!(decode(b"?0123456789abcdef"), []);
    }
}
