//! The tables in the documents that tell what the code says are what it says.

use drover_shared::dialect::openai_chat::parameters;
use drover_shared::metrics;
use drover_shared::provider::registry;
use drover_tests::harness::workspace;

/// Set to anything, it makes the tests write their tables instead of comparing them.
const REWRITE: &str = "DROVER_REWRITE_DOCUMENTS";

#[test]
fn the_documents_list_parameters_providers_and_metrics_as_they_are() {
    // In one test, since some write the same file.
    check("shared/parameters.md", "parameters", &parameters::markdown(parameters::PARAMETERS));
    check("shared/parameters.md", "responses", &parameters::markdown(parameters::RESPONSES_PARAMETERS));
    check("README.md", "providers", &registry::markdown());
    check("shared/observability.md", "metrics", &metrics::markdown());
}

fn check(file: &str, name: &str, expected: &str) {
    let path = workspace().join(file);
    let document = std::fs::read_to_string(&path).expect("a document");
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = document.split_once(&begin).expect("a mark where the table begins");
    let (table, after) = rest.split_once(&end).expect("a mark where the table ends");
    if std::env::var_os(REWRITE).is_some() {
        std::fs::write(&path, format!("{before}{begin}{expected}{end}{after}"))
            .expect("the document is written");
        return;
    }
    assert_eq!(table, expected, "{name}: the table is out of date; run this test once with {REWRITE}=1");
}

#[test]
fn files_of_providers_that_the_readme_shows_can_be_read() {
    let readme = std::fs::read_to_string(workspace().join("README.md")).expect("a README");
    let shown: Vec<&str> =
        readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!shown.is_empty());
    for file in shown {
        registry::Registry::read(file).unwrap_or_else(|error| panic!("{error}\n{file}"));
    }
}
