//! What asks for an agent, and what it may do.

use super::{HELLO, accepted, parse, refused, with};
use crate::dialect::AgentWish;
use crate::schema::{AgentOptions, Permissions};

#[test]
fn an_agent_is_asked_for_by_a_field_or_by_where_it_works() {
    let session = format!("session_{}", "0".repeat(31) + "1");
    let project = format!("project_{}", "0".repeat(31) + "2");
    let wish = |fields: &str| accepted(&with(fields)).agent;
    assert_eq!(wish(""), None);
    assert_eq!(wish(r#""agent":false,"#), None);
    assert_eq!(wish(r#""agent":true,"#), Some(AgentWish::default()));
    assert_eq!(wish(&format!(r#""session_id":"{session}","#)), None, "the session itself will tell");
    let placed = wish(&format!(r#""agent":true,"project_id":"{project}","#)).expect("an agent");
    assert_eq!(placed.project, project.parse().ok());
    for (fields, code, param) in [
        (format!(r#""agent":false,"project_id":"{project}","#).as_str(), "invalid_value", "project_id"),
        (r#""agent":true,"temperature":0.5,"#, "unsupported_parameter", "temperature"),
        (r#""agent":1,"#, "invalid_type", "agent"),
    ] {
        refused(&with(fields), code, Some(param));
    }
    let history = r#"{"model":"m","agent":true,"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":"b"},{"role":"user","content":"c"}]}"#;
    refused(history, "invalid_value", Some("messages"));
}

fn options(fields: &str) -> AgentOptions {
    accepted(&with(&format!(r#""agent":{{{fields}}},"#))).agent.expect("an agent").options
}

#[test]
fn an_agents_options_are_read() {
    let usual = AgentOptions::default();
    assert_eq!(options(""), usual);
    assert_eq!(options(r#""tools":null,"subagents":false,"max_turns":null"#), usual);
    let tools = ["Read", "Grep"].map(str::to_owned).to_vec();
    assert_eq!(options(r#""tools":["Read","Grep","Read"]"#), AgentOptions { tools, ..usual.clone() });
    let expected = AgentOptions { subagents: true, max_turns: Some(3), ..usual.clone() };
    assert_eq!(options(r#""subagents":true,"max_turns":3"#), expected);
    for (budget, microusd) in [
        ("0.25", 250_000),
        (r#""0.25""#, 250_000),
        ("2", 2_000_000),
        ("2.0", 2_000_000),
        ("1e-6", 1),
        (r#""0.000001""#, 1),
    ] {
        let read = options(&format!(r#""budget_usd":{budget}"#));
        assert_eq!(read, AgentOptions { budget_microusd: Some(microusd), ..usual.clone() }, "{budget}");
    }
    let servers = accepted(&with(r#""agent":{"mcp_servers":["notes"]},"#)).agent.expect("an agent");
    assert_eq!((servers.names_servers, servers.options.mcp_servers), (true, vec!["notes".to_owned()]));
    let none = accepted(&with(r#""agent":{"mcp_servers":[]},"#)).agent.expect("an agent");
    assert_eq!((none.names_servers, none.options), (true, usual.clone()));
    for permissions in Permissions::ALL {
        let read = options(&format!(r#""permission_mode":"{}""#, permissions.as_str()));
        assert_eq!(read, AgentOptions { permissions, ..usual.clone() });
    }
}

#[test]
fn what_an_agent_cannot_be_told_is_refused_by_name() {
    for (fields, code, param) in [
        (r#""tools":"Read""#, "invalid_type", "agent.tools"),
        (r#""tools":[]"#, "invalid_value", "agent.tools"),
        (r#""tools":["Read",1]"#, "invalid_type", "agent.tools[1]"),
        (r#""tools":["Read","Agent"]"#, "invalid_value", "agent.tools[1]"),
        (r#""subagents":1"#, "invalid_type", "agent.subagents"),
        (r#""mcp_servers":"notes""#, "invalid_type", "agent.mcp_servers"),
        (r#""mcp_servers":["notes",{}]"#, "invalid_type", "agent.mcp_servers[1]"),
        (r#""permission_mode":"default""#, "invalid_value", "agent.permission_mode"),
        (r#""permission_mode":"auto""#, "invalid_value", "agent.permission_mode"),
        (r#""permission_mode":true"#, "invalid_type", "agent.permission_mode"),
        (r#""max_turns":0"#, "invalid_value", "agent.max_turns"),
        (r#""max_turns":1.5"#, "invalid_type", "agent.max_turns"),
        (r#""budget_usd":0"#, "invalid_value", "agent.budget_usd"),
        (r#""budget_usd":-1"#, "invalid_value", "agent.budget_usd"),
        (r#""budget_usd":1e-7"#, "invalid_value", "agent.budget_usd"),
        (r#""budget_usd":"much""#, "invalid_value", "agent.budget_usd"),
        (r#""budget_usd":[]"#, "invalid_type", "agent.budget_usd"),
    ] {
        refused(&with(&format!(r#""agent":{{{fields}}},"#)), code, Some(param));
    }
    let read = accepted(&with(r#""agent":{"colour":"red","tools":["Read"]},"#));
    assert_eq!(read.ignored, ["agent.colour"]);
}

#[test]
fn a_models_name_may_ask_for_an_agent() {
    let named = |model: &str, fields: &str| {
        let body = format!(r#"{{"model":"{model}",{fields}"messages":{HELLO}}}"#);
        let request = parse(&body).unwrap_or_else(|rejection| panic!("{body}: {rejection:?}"));
        assert_eq!(request.spec.model, model);
        request.agent_by_name.map(|named| (named.model, named.wish))
    };
    assert_eq!(named("m", r#""agent":true,"#), None);
    assert_eq!(named(":agent", ""), None);
    assert_eq!(named("a/b:c:agent", ""), Some(("a/b:c".to_owned(), Ok(AgentWish::default()))));
    let (_, wish) = named("m:agent", r#""agent":{"subagents":true},"#).expect("an agent");
    assert!(wish.expect("a wish").options.subagents, "both ask for the same");
    for (fields, param) in [(r#""agent":false,"#, "agent"), (r#""temperature":0.5,"#, "temperature")] {
        let (_, wish) = named("m:agent", fields).expect("an agent");
        assert_eq!(wish.expect_err(fields).param.as_deref(), Some(param));
    }
}
