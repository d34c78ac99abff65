//! What an agent's tools reach: the hosts of its list, by way of its slot's proxy, and nothing else. A host that
//! really answers would have to be a public one; that listed ones are connected to is tested with the proxy.

use drover_shared::schema::{AgentSpec, Event};
use drover_tests::desk::{Desk, text};
use drover_tests::harness::ClaudeKind;
use drover_tests::upstream::Upstream;

use crate::sessions::{builder, run};

const CURL: &str = "curl --silent --show-error --max-time 20";
const PYTHON: &str =
    "import sys, urllib.request as u\ntry: u.urlopen(sys.argv[1])\nexcept Exception as e: print(e)";

/// An agent that is asked to run one command after another.
struct Agent<'a> {
    desk: &'a Desk,
    upstream: &'a Upstream,
    session: AgentSpec,
    turns: usize,
}

impl<'a> Agent<'a> {
    /// In a project of its own. The names that end so lead nowhere (RFC 2606).
    async fn new(desk: &'a Desk, upstream: &'a Upstream, hosts: &[&str]) -> Self {
        let mut session = desk.session(desk.project().await).await;
        session.network = hosts.iter().map(|host| host.parse().expect("a rule")).collect();
        Self { desk, upstream, session, turns: 0 }
    }

    /// What a command prints, as the model is told.
    async fn prints(&mut self, command: &str) -> String {
        self.turns += 1;
        let said = format!("turn {} of {}", self.turns, self.session.session);
        let prompt = run(&format!("({command}) 2>&1"), &said);
        let events = self.desk.events(self.desk.ask(&self.session, &prompt).await).await;
        assert!(matches!(events.last(), Some(Event::Completed { .. })), "{command}: {events:#?}");
        assert_eq!(text(&events), said);
        let told =
            self.upstream.calls_for(&prompt).pop().expect("the model is told").body["messages"].clone();
        let blocks =
            told.as_array().into_iter().flatten().filter_map(|message| message["content"].as_array());
        let result = blocks.flatten().rfind(|block| block["type"] == "tool_result").expect("a result");
        result["content"].as_str().expect("the result is a text").to_owned()
    }
}

async fn an_agent_reaches_what_is_listed(kind: ClaudeKind) {
    let upstream = Upstream::start();
    let cluster = builder(&upstream).claude(kind).start().await;
    let desk = Desk::of(&cluster).await;
    let mut agent = Agent::new(&desk, &upstream, &["listed.invalid"]).await;
    let provider = upstream.url();
    for (command, expected) in [
        (format!("{CURL} http://listed.invalid/"), "listed.invalid does not resolve."),
        (format!("{CURL} https://listed.invalid/"), "CONNECT tunnel failed, response 502"),
        (format!("{CURL} http://listed.invalid:8080/"), "at port 8080 is not among the hosts"),
        (format!("{CURL} http://other.invalid/"), "other.invalid at port 80 is not among the hosts"),
        (format!("{CURL} https://other.invalid/"), "CONNECT tunnel failed, response 403"),
        (format!("/usr/bin/python3 -c '{PYTHON}' https://other.invalid/"), "403 Forbidden"),
        (format!("/usr/bin/python3 -c '{PYTHON}' http://listed.invalid/"), "502"),
        // By address: in its list no agent has one, and past the proxy is no way.
        (format!("{CURL} --noproxy '' {provider}"), "an address is not allowed, only a host name"),
        (format!("{CURL} {provider}"), "(7) Failed to connect"),
        (format!("{CURL} --noproxy '*' http://93.184.215.14/"), "(7) Failed to connect"),
        (
            "node -e 'require(`net`).createServer().listen(0).on(`error`, e => console.log(e.code))'".into(),
            "EACCES",
        ),
    ] {
        let printed = agent.prints(&command).await;
        assert!(printed.contains(expected), "{command}: {printed}");
    }

    let proxy = agent.prints("echo $https_proxy").await;
    assert!(proxy.starts_with("http://slot:"), "{proxy}");
    let fetch = format!("{CURL} --noproxy '' --proxy {} http://listed.invalid/", proxy.trim());
    assert!(agent.prints(&fetch).await.contains("does not resolve"), "its own proxy, still the same");
    let mut stranger = Agent::new(&desk, &upstream, &["listed.invalid"]).await;
    let printed = stranger.prints(&fetch).await;
    assert!(printed.contains("(7) Failed to connect"), "another slot's proxy, with its token: {printed}");
    let mut offline = Agent::new(&desk, &upstream, &[]).await;
    for command in [
        fetch,
        format!("{CURL} --noproxy '*' {provider}"),
        format!("{CURL} http://listed.invalid/"),
        format!("{CURL} https://listed.invalid/"),
    ] {
        let printed = offline.prints(&command).await;
        let refused =
            ["curl: (", "Nothing on the network can be reached"].iter().any(|it| printed.contains(it));
        assert!(refused, "{command}: {printed}");
    }
    let logs = cluster.logs();
    assert!(!logs.contains(proxy.trim().trim_start_matches("http://slot:")), "the token is not logged");
}

#[tokio::test]
async fn a_native_agent_reaches_the_hosts_of_its_list_and_nothing_else() {
    an_agent_reaches_what_is_listed(ClaudeKind::Native).await;
}

#[tokio::test]
async fn a_javascript_agent_reaches_the_hosts_of_its_list_and_nothing_else() {
    an_agent_reaches_what_is_listed(ClaudeKind::JavaScript).await;
}
