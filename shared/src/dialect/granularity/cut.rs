//! Where a text is cut. Every boundary in here is one whatever follows, and cutting at it changes none behind it.

use unicode_segmentation::UnicodeSegmentation as _;

use super::Granularity;
use crate::schema::limits;

/// How long the first piece of a text is that may go on; `None` while that is open.
pub(super) fn first(granularity: Granularity, text: &str) -> Option<usize> {
    let find: fn(&str) -> Option<usize> = match granularity {
        Granularity::Model => return (!text.is_empty()).then_some(text.len()),
        Granularity::Message => return bounded(text, limits::GRAIN_MESSAGE_BYTES),
        Granularity::Character => character,
        Granularity::Word => word,
        Granularity::Sentence => sentence,
    };
    // What stands behind the longest piece decides nothing, or it would matter how much of it has come.
    let window = &text[..text.ceil_char_boundary(limits::GRAIN_BYTES + 1)];
    let boundary = find(window).filter(|at| *at <= limits::GRAIN_BYTES);
    boundary.or_else(|| bounded(window, limits::GRAIN_BYTES))
}

/// How long the first piece of a text is that is whole.
pub(super) fn last(granularity: Granularity, text: &str) -> usize {
    if let Some(length) = first(granularity, text) {
        return length;
    }
    match granularity {
        // Its ends are not sure before more is there, and no more will come.
        Granularity::Sentence => text.split_sentence_bounds().next().map_or(text.len(), str::len),
        Granularity::Model | Granularity::Character | Granularity::Word | Granularity::Message => text.len(),
    }
}

/// One cluster ends where the next begins: what follows never joins two.
fn character(text: &str) -> Option<usize> {
    text.grapheme_indices(true).nth(1).map(|(at, _)| at)
}

/// A word ends where the next begins: behind a space, or where letters follow without one.
fn word(text: &str) -> Option<usize> {
    let (mut begun, mut has_letters, mut after_space) = (false, false, false);
    for (at, segment) in text.split_word_bound_indices() {
        let is_space = segment.starts_with(char::is_whitespace);
        let is_word = segment.starts_with(char::is_alphanumeric);
        if (after_space && begun && !is_space) || (is_word && has_letters) {
            return Some(at);
        }
        begun |= !is_space;
        has_letters |= is_word;
        after_space = is_space;
    }
    None
}

/// A sentence ends behind its last mark and the space there, unless small letters go on with it: so not before other
/// letters are there (rule SB8). A line ends with its break.
fn sentence(text: &str) -> Option<usize> {
    let (at, rest) = text.split_sentence_bound_indices().nth(1).map(|(at, _)| (at, &text[at..]))?;
    let is_line = text[..at].ends_with(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    let goes_on = rest.graphemes(true).any(|cluster| cluster.starts_with(char::is_alphabetic));
    (is_line || goes_on).then_some(at)
}

/// No piece is longer than `most` bytes, or than its first character. One byte more has to be there, for where its
/// last character ends to be sure.
fn bounded(text: &str, most: usize) -> Option<usize> {
    if text.len() <= most {
        return None;
    }
    let fits = text.floor_char_boundary(most);
    // A character that is longer than all of it is no character.
    let from = text.floor_char_boundary(fits.saturating_sub(limits::GRAIN_CHARACTER_BYTES));
    let clusters = text[from..].grapheme_indices(true).map(|(at, _)| from + at);
    Some(clusters.take_while(|at| *at <= fits).last().filter(|at| *at > from).unwrap_or(fits))
}
