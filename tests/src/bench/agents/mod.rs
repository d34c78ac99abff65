//! Agents: processes that learn of their project late, that stay for their session, and that stand behind walls.

mod sessions;
mod walls;

use super::report::Section;

pub(super) async fn measure() -> Vec<Section> {
    vec![sessions::measure().await, walls::measure().await]
}
