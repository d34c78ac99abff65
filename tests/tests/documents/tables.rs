//! The table of parameters in the README is the one the parser obeys.

use drover_shared::dialect::openai_chat::parameters;
use drover_tests::harness::workspace;

const BEGIN: &str = "<!-- parameters: begin -->\n";
const END: &str = "<!-- parameters: end -->";
/// Set to anything, it makes the test write the table instead of comparing it.
const REWRITE: &str = "DROVER_REWRITE_DOCUMENTS";

#[test]
fn the_readme_lists_the_parameters_as_they_are_treated() {
    let path = workspace().join("README.md");
    let readme = std::fs::read_to_string(&path).expect("a README");
    let (before, rest) = readme.split_once(BEGIN).expect("a mark where the table begins");
    let (table, after) = rest.split_once(END).expect("a mark where the table ends");
    let expected = parameters::markdown();
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}"))
            .expect("the README is written");
        return;
    }
    assert_eq!(table, expected, "the table is out of date; run this test once with {REWRITE}=1");
}
