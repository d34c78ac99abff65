//! Where a client's frames end (RFC 6455, section 5.2), so that nobody reads beyond one. Whether a frame is a good one is
//! for the library to say: here it has a length, and may be a piece of a message.

use drover_shared::schema::limits;

/// Longest head of a frame: two bytes, eight of length, four of mask.
const HEAD: usize = 14;
/// Shortest head of a client's.
const SHORTEST: usize = 6;

/// How far the frames have been read.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the frame that are to come after its head.
    left: u64,
    /// Bytes of the message that is open, those to come included. Control frames are no part of it.
    message: u64,
    /// Whether more frames of the message are to come.
    open: bool,
}

impl Boundary {
    /// Whether nothing has begun that is not whole.
    pub(super) fn is_between_messages(&self) -> bool {
        self.have == 0 && self.left == 0 && !self.open
    }

    /// How many bytes of the head are wanted next; 0 once it is whole. All frames of clients are masked, so that no head is
    /// shorter than six bytes; one that is not is broken, and nothing that follows is read.
    pub(super) fn head_wants(&self) -> usize {
        match self.have {
            0 | 1 => SHORTEST - self.have,
            _ if !self.is_masked() => 0,
            have => (SHORTEST + self.length_bytes()).saturating_sub(have),
        }
    }

    /// The head, as far as it is there.
    pub(super) fn head(&self) -> &[u8] {
        &self.head[..self.have]
    }

    /// Adds bytes to the head, no more than it wants.
    pub(super) fn add_to_head(&mut self, bytes: &[u8]) {
        self.head[self.have..self.have + bytes.len()].copy_from_slice(bytes);
        self.have += bytes.len();
        if self.head_wants() == 0 {
            self.left = if self.is_masked() { self.length() } else { 0 };
            if !self.is_control() {
                self.message = self.message.saturating_add(self.left);
                self.open = !self.is_final();
            }
        }
    }

    /// Bytes of the frame that are to come after its head.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// So many bytes of the frame have come. After the last one the next frame begins.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.left -= bytes as u64;
        if self.left == 0 {
            if !self.is_control() && !self.open {
                self.message = 0;
            }
            self.have = 0;
        }
    }

    /// How much room the message takes, if it is a large one: as much as any may where it comes in pieces, since nobody
    /// knows what is still to come. What is too large takes none: the library refuses it by its head.
    pub(super) fn large(&self) -> Option<usize> {
        let bytes = usize::try_from(self.message).ok()?;
        let known = !self.open;
        (!self.is_control() && bytes > limits::SOCKET_SMALL_BYTES && bytes <= limits::SOCKET_MESSAGE_BYTES)
            .then_some(if known { bytes } else { limits::SOCKET_MESSAGE_BYTES })
    }

    fn is_control(&self) -> bool {
        self.head[0] & 0x08 != 0
    }

    fn is_final(&self) -> bool {
        self.head[0] & 0x80 != 0
    }

    fn is_masked(&self) -> bool {
        self.head[1] & 0x80 != 0
    }

    fn length_bytes(&self) -> usize {
        match self.head[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn length(&self) -> u64 {
        match self.length_bytes() {
            0 => u64::from(self.head[1] & 0x7f),
            bytes => self.head[2..2 + bytes].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames as they are found in the bytes, which come in pieces of that size.
    fn split(bytes: &[u8], piece: usize) -> (Vec<(Vec<u8>, u64)>, Boundary) {
        let (mut boundary, mut frames, mut rest) = (Boundary::default(), Vec::new(), bytes);
        loop {
            let wants = boundary.head_wants();
            if wants > 0 {
                let (some, more) = rest.split_at(wants.min(piece).min(rest.len()));
                if some.is_empty() {
                    return (frames, boundary);
                }
                boundary.add_to_head(some);
                rest = more;
                continue;
            }
            frames.push((boundary.head().to_vec(), boundary.left()));
            while boundary.left() > 0 {
                let some = rest.len().min(piece).min(usize::try_from(boundary.left()).expect("small"));
                boundary.advance(some);
                rest = &rest[some..];
            }
            if boundary.head_wants() == 0 {
                boundary.advance(0);
            }
        }
    }

    #[test]
    fn frames_end_where_their_heads_say() {
        let mut bytes = vec![0x81, 0x82, 1, 2, 3, 4, b'h', b'i'];
        bytes.extend([0x89, 0x80, 1, 2, 3, 4]);
        bytes.extend([0x82, 0xfe, 0, 200, 1, 2, 3, 4]);
        bytes.extend([7; 200]);
        bytes.extend([0x01, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]);
        bytes.extend(vec![9; 65_536]);
        bytes.extend([0x80, 0x80, 1, 2, 3, 4]);
        for piece in [1, 2, 3, 7, 1_000, usize::MAX] {
            let (frames, boundary) = split(&bytes, piece);
            let lengths: Vec<_> = frames.iter().map(|(head, left)| (head.len(), *left)).collect();
            assert_eq!(lengths, [(6, 2), (6, 0), (8, 200), (14, 65_536), (6, 0)], "{piece}");
            assert!(boundary.is_between_messages(), "{piece}");
        }
    }

    #[test]
    fn a_large_message_is_seen_by_its_heads() {
        let head = |first: u8, length: u64| {
            let mut boundary = Boundary::default();
            let head = [&[first, 0xff][..], &length.to_be_bytes(), &[1, 2, 3, 4]].concat();
            boundary.add_to_head(&head[..SHORTEST]);
            boundary.add_to_head(&head[SHORTEST..]);
            boundary
        };
        let (small, most) = (limits::SOCKET_SMALL_BYTES, limits::SOCKET_MESSAGE_BYTES);
        assert_eq!(head(0x81, small as u64).large(), None);
        assert_eq!(head(0x81, small as u64 + 1).large(), Some(small + 1));
        assert_eq!(head(0x01, small as u64 + 1).large(), Some(most), "nobody knows how long it gets");
        assert_eq!(head(0x81, most as u64 + 1).large(), None, "it is refused");
        assert_eq!(head(0x81, u64::MAX).large(), None);
        assert_eq!(head(0x89, most as u64).large(), None, "a control frame cannot be so long");
        let mut pieces = head(0x01, small as u64);
        pieces.advance(small);
        assert!(!pieces.is_between_messages());
        pieces.add_to_head(&[0x80, 0x81, 1, 2, 3, 4]);
        assert_eq!(pieces.large(), Some(small + 1));
        pieces.advance(1);
        assert!(pieces.is_between_messages());
    }
}
