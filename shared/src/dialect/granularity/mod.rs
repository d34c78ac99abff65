//! In what pieces a stream tells what the model says: a transformation of events in front of any dialect's encoder.
//!
//! A piece goes out as soon as nothing that may follow can change it: a word with the beginning of the next one,
//! at the latest with the end of its block. So the pieces depend on the text alone, however it came.

mod cut;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::StreamEncoder;
use crate::schema::Event;

/// What one piece of a stream is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Granularity {
    /// What the model said at once.
    #[default]
    Model,
    /// What a reader takes for one character: a grapheme cluster (Unicode Standard Annex #29).
    Character,
    /// A word with what stands behind it, up to the next one.
    Word,
    /// A sentence with the space behind it, or a line.
    Sentence,
    /// All of a block.
    Message,
}

impl Granularity {
    /// Every one, finest first after the usual.
    pub const ALL: [Self; 5] = [Self::Model, Self::Character, Self::Word, Self::Sentence, Self::Message];

    /// The name by which clients ask for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Character => "character",
            Self::Word => "word",
            Self::Sentence => "sentence",
            Self::Message => "message",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// An encoder that is told text and thinking in such pieces, and everything else as it is.
pub fn in_pieces(granularity: Granularity, encoder: Box<dyn StreamEncoder>) -> Box<dyn StreamEncoder> {
    match granularity {
        Granularity::Model => encoder,
        Granularity::Character | Granularity::Word | Granularity::Sentence | Granularity::Message => {
            Box::new(Pieces { granularity, encoder, blocks: Vec::new() })
        }
    }
}

struct Pieces {
    granularity: Granularity,
    encoder: Box<dyn StreamEncoder>,
    /// The blocks that are being told: one of each choice at most.
    blocks: Vec<Told>,
}

/// A block of text or thinking, and what of it is held back.
struct Told {
    place: Place,
    held: String,
}

#[derive(Clone, Copy, PartialEq)]
struct Place {
    choice: Option<u32>,
    block: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Text,
    Thinking,
}

impl StreamEncoder for Pieces {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        let (choice, said) = event.split();
        match said {
            Event::TextDelta { index, text } => {
                self.tell(Place { choice, block: *index, kind: Kind::Text }, text, out);
            }
            Event::ThinkingDelta { index, thinking } => {
                self.tell(Place { choice, block: *index, kind: Kind::Thinking }, thinking, out);
            }
            // They may come at any time, and are no end of anything.
            Event::Routed { .. } | Event::Notice { .. } | Event::Unrecognised { .. } => {
                self.encoder.encode(event, out);
            }
            Event::AttemptStarted { .. }
            | Event::MessageStarted { .. }
            | Event::BlockStarted { .. }
            | Event::SignatureDelta { .. }
            | Event::ToolInputDelta { .. }
            | Event::BlockStopped { .. }
            | Event::MessageStopped { .. }
            | Event::ToolStarted { .. }
            | Event::ToolFinished { .. }
            | Event::FilesChanged(_)
            | Event::Choice { .. }
            | Event::Completed { .. }
            | Event::Failed { .. }
            | Event::Cancelled { .. }
            | Event::Expired => {
                self.close(choice, out);
                self.encoder.encode(event, out);
            }
        }
    }
}

impl Pieces {
    fn tell(&mut self, place: Place, more: &str, out: &mut Vec<u8>) {
        let known = self.blocks.iter().position(|block| block.place.choice == place.choice);
        if known.is_some_and(|at| self.blocks[at].place != place) {
            self.close(place.choice, out);
        }
        let known = self.blocks.iter().position(|block| block.place == place);
        let at = known.unwrap_or_else(|| {
            self.blocks.push(Told { place, held: String::new() });
            self.blocks.len() - 1
        });
        let held = &mut self.blocks[at].held;
        held.push_str(more);
        let mut told = 0;
        while let Some(length) = cut::first(self.granularity, &held[told..]) {
            self.encoder.encode(&place.delta(&held[told..told + length]), out);
            told += length;
        }
        held.drain(..told);
    }

    /// Nothing more belongs to the block of the choice, or to any: what is held back goes out.
    fn close(&mut self, choice: Option<u32>, out: &mut Vec<u8>) {
        let closed = |block: &mut Told| choice.is_none() || block.place.choice == choice;
        for block in self.blocks.extract_if(.., closed) {
            let mut rest = block.held.as_str();
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(cut::last(self.granularity, rest));
                self.encoder.encode(&block.place.delta(piece), out);
                rest = later;
            }
        }
    }
}

impl Place {
    fn delta(self, piece: &str) -> Event {
        let (index, piece) = (self.block, piece.to_owned());
        let delta = match self.kind {
            Kind::Text => Event::TextDelta { index, text: piece },
            Kind::Thinking => Event::ThinkingDelta { index, thinking: piece },
        };
        delta.of(self.choice)
    }
}
