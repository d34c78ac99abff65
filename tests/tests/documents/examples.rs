//! The examples in the README work as they stand there, without an account: against the demo model.

use drover_tests::foreign::{self, Language};
use drover_tests::harness::{ClaudeKind, Cluster, binary, workspace};

/// What this test cannot run: it fetches, builds and starts what runs here already.
const NOT_HERE: [&str; 4] = ["git clone", "make start", "docker compose", "make test"];
/// What the demo model says in every answer.
const DEMO: &str = "built-in demo model";

#[tokio::test]
async fn every_example_of_the_readmes_works() {
    let cluster = Cluster::builder().claude(ClaudeKind::Native).workers(2).start().await;
    let answer = cluster.client().post("/v1/chat/completions", &drover_tests::chat::ask("Hello!")).await;
    let job = answer.header("x-drover-job-id").expect("a job").to_owned();
    let address = cluster.api_url().replace("http://", "");
    for (file, shells, others) in [
        ("README.md", 9, 2),
        ("README.zh-CN.md", 9, 2),
        ("api/sessions.md", 1, 0),
        ("api/sessions.zh-CN.md", 1, 0),
        ("worker/agents.md", 1, 0),
        ("worker/agents.zh-CN.md", 1, 0),
        ("api/files.md", 1, 0),
        ("api/files.zh-CN.md", 1, 0),
        ("api/background.md", 2, 0),
        ("api/background.zh-CN.md", 2, 0),
        ("api/websocket.md", 0, 2),
        ("api/websocket.zh-CN.md", 0, 2),
    ] {
        let readme = std::fs::read_to_string(workspace().join(file)).expect("a README");
        let mut ran = Vec::new();
        for (language, block) in blocks(&readme) {
            if NOT_HERE.iter().any(|skipped| block.contains(skipped)) {
                continue;
            }
            let script = block.replace("127.0.0.1:8000", &address);
            assert!(script != block, "{file}: this example reaches no server:\n{block}");
            let said = foreign::run(language, &script, &[("JOB", &job)]).await;
            let expected = if language == Language::Shell { "demo" } else { DEMO };
            assert!(said.contains(expected), "{file}:\n{block}\n{said}");
            ran.push(language);
        }
        let in_shell = ran.iter().filter(|language| **language == Language::Shell).count();
        // Of each README one more is in Python, and one in JavaScript.
        assert_eq!((in_shell, ran.len() - in_shell), (shells, others), "{file}: {ran:?}");
    }
}

/// The examples about keys build on each other, and need a database of their own: they lock the door.
#[tokio::test]
async fn the_examples_about_keys_work() {
    let program = binary("drover-api").display().to_string();
    for file in ["api/keys.md", "api/keys.zh-CN.md"] {
        let cluster = Cluster::builder().workers(0).start().await;
        let address = cluster.api_url().replace("http://", "");
        let text = std::fs::read_to_string(workspace().join(file)).expect("a document");
        let script: String = blocks(&text).into_iter().map(|(_, block)| block + "\n").collect();
        let script =
            script.replace("drover-api keys", &format!("{program} keys")).replace("127.0.0.1:8000", &address);
        let database = format!("sqlite://{}", cluster.database().display());
        let said = foreign::run(Language::Shell, &script, &[("DATABASE_URL", &database)]).await;
        assert!(
            said.contains(r#""key":"sk-drover-"#) && said.contains(r#""object":"list""#),
            "{file}: {said}"
        );
        assert!(said.contains("60 requests/min") && said.contains("$50.50 a month"), "{file}: {said}");
    }
}

/// The code blocks that can be run.
fn blocks(text: &str) -> Vec<(Language, String)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced
        .filter_map(|block| {
            let (language, code) = block.split_once('\n')?;
            let language = match language {
                "sh" => Language::Shell,
                "python" => Language::Python,
                "js" => Language::Node,
                _ => return None,
            };
            Some((language, code.to_owned()))
        })
        .collect()
}
