use super::*;
use crate::provider::{price, resolve};
use crate::schema::Usage;
use crate::schema::offer::{Policy, Thinking};

/// The names of a document that was written for the models of 2025.
const NAMES_OF_OLD: [&str; 9] = [
    "claude-opus-4-20250514",
    "claude-sonnet-4-20250514",
    "claude-3-7-sonnet-20250219",
    "claude-3-5-haiku-20241022",
    "kimi-k2-turbo-preview",
    "kimi-k2-0905-preview",
    "zai-org/GLM-4.5",
    "zai-org/GLM-4.5-Air",
    "deepseek-chat",
];

/// What makes a file whole that is about something else.
const HERE: &str = "[[provider]]\nid = \"here\"\nbase_url = \"http://127.0.0.1:1\"\n";

#[test]
fn what_is_shipped_holds() {
    let registry = Registry::shipped();
    let offer = registry.offer(|_| 1, None);
    for model in &registry.models {
        let priced = model.routes.iter().any(|route| route.tariff.is_some());
        assert!(priced && model.abilities.context_tokens.is_some(), "{}", model.id);
        assert!(resolve(&offer, &model.id).is_some(), "{}", model.id);
    }
    for name in NAMES_OF_OLD {
        assert!(resolve(&offer, name).is_some(), "{name}");
    }
    for provider in &registry.providers {
        assert!(!provider.keys.is_empty(), "{}", provider.id);
        assert!(registry.models.iter().any(|model| model.routes.iter().any(|it| it.provider == provider.id)));
    }
    assert!(registry.prices.name.contains("litellm") && registry.prices.read_on.len() == 10);
}

#[test]
fn shipped_prices_are_what_was_reckoned_by_hand() {
    let offer = Registry::shipped().offer(|_| 1, None);
    // A million of each kind of token but the answer's, of which a hundred thousand.
    let usage = Usage {
        input_tokens: 50_000,
        cache_read_tokens: 30_000,
        cache_write_tokens: 20_000,
        output_tokens: 10_000,
        ..Usage::default()
    };
    for (name, microusd) in [
        // 0.05 × 2 + 0.03 × 0.1 + 0.02 × 2.5 + 0.01 × 10 dollars.
        ("claude-sonnet-5-5", 253_000),
        // 0.05 × 10 + 0.03 × 0.25 + 0.02 × 12.5 + 0.01 × 50.
        ("claude-fable-5-1", 1_257_500),
        // 0.05 × 0.1 + 0.03 × 0.01 + 0.02 × 0.125 + 0.01 × 0.5.
        ("claude-haiku-5-5", 12_800),
        // 0.05 × 0.3 + 0.03 × 0.006 + 0.01 × 1.2; writing to the cache is free.
        ("deepseek-chat", 27_180),
        // 0.05 × 1.142857 + 0.03 × 0.285714 + 0.02 × 1.428572 + 0.01 × 4 = 0.13428571.
        ("bigmodel/glm-5.3", 134_286),
    ] {
        let tariff = resolve(&offer, name).expect(name).routes[0].tariff.expect("a price");
        assert_eq!(price::cost(&tariff, &usage), microusd, "{name}");
    }
}

#[test]
fn without_a_key_there_is_only_the_demo() {
    for configured in [None, Some("claude-opus-5")] {
        let offer = Registry::shipped().offer(|_| 0, configured);
        assert_eq!(
            (resolve::names(&offer), offer.default_model.as_deref()),
            (vec![DEMO.to_owned()], Some(DEMO))
        );
    }
}

#[test]
fn the_default_is_what_is_configured_or_the_first_that_can_be_served() {
    for (key, configured, default) in [
        ("anthropic", None, "claude-sonnet-5-5"),
        ("anthropic", Some("claude-opus-5"), "claude-opus-5"),
        ("anthropic", Some("claude-3-5-haiku-20241022"), "claude-3-5-haiku-20241022"),
        ("anthropic", Some("my-own"), "my-own"),
        ("zai", None, "glm-5.3"),
        ("zai", Some("my-own"), "glm-5.3"),
        ("volcengine", None, "doubao-seed-2.1-pro"),
    ] {
        let offer = Registry::shipped().offer(|id| u32::from(id == key), configured);
        assert_eq!(offer.default_model.as_deref(), Some(default), "{key} {configured:?}");
        assert!(resolve(&offer, default).is_some() && resolve(&offer, DEMO).is_none());
    }
}

#[test]
fn an_own_file_adds_to_what_is_shipped_and_replaces() {
    let own = r#"
default_models = ["mine"]

[[provider]]
id = "deepseek"
base_url = "https://deepseek.example/v9/"
auth = "bearer"
keys = [{ file = "/run/secrets/deepseek" }, { env = "DS", auth = "x-api-key" }]
headers = { "x-team" = "blue moon" }
lacks = ["top_k", "thinking"]
max_calls = 7
first_byte_s = 9

[[model]]
id = "mine"
policy = "round-robin"
thinking = "adaptive"
tools = false
routes = [{ provider = "deepseek", model = "a/b", weight = 3 }, { provider = "zai" }]

[[model]]
id = "deepseek-chat"
routes = [{ provider = "deepseek" }]

[aliases]
"gpt-4o" = "mine"
"#;
    let registry = Registry::read(own).expect("a registry");
    let shipped = Registry::shipped();
    assert_eq!(registry.providers.len(), shipped.providers.len());
    assert_eq!(registry.models.len(), shipped.models.len() + 2);
    let deepseek = registry.provider("deepseek").expect("it is there");
    assert_eq!((deepseek.name.as_str(), deepseek.max_calls, deepseek.first_byte_s), ("deepseek", 7, 9));
    assert_eq!(
        deepseek.keys,
        [
            KeySource { place: KeyPlace::File("/run/secrets/deepseek".to_owned()), auth: Auth::Bearer },
            KeySource { place: KeyPlace::Variable("DS".to_owned()), auth: Auth::XApiKey },
        ]
    );
    assert_eq!(deepseek.headers, [("x-team".to_owned(), "blue moon".to_owned())]);
    let mine = resolve(&registry.offer(|_| 1, None), "gpt-4o").expect("another name");
    assert_eq!(
        (mine.policy, mine.abilities.thinking, mine.abilities.tools),
        (Policy::RoundRobin, Thinking::Adaptive, false)
    );
    assert_eq!(
        (mine.routes[0].model.as_str(), mine.routes[0].weight, mine.routes[1].model.as_str()),
        ("a/b", 3, "mine")
    );
    assert!(!registry.aliases.contains_key("deepseek-chat"), "it is a model now");
    let alone = Registry::read(&format!("extends = \"nothing\"\n{HERE}")).expect("a registry");
    assert_eq!((alone.providers.len(), alone.models.len(), alone.aliases.len()), (1, 0, 0));
}

#[test]
fn the_clis_login_comes_before_the_key() {
    let registry = Registry::shipped().with_login();
    let offer = registry.offer(|id| u32::from(id == LOGIN), None);
    let resolved = resolve(&offer, "claude-opus-4-20250514").expect("a model");
    assert_eq!((resolved.routes[0].provider.as_str(), resolved.routes[0].tariff), (LOGIN, None));
    let both = registry.offer(|id| u32::from(id == LOGIN || id == ANTHROPIC), None);
    let routes = resolve(&both, "claude-sonnet-5-5").expect("a model").routes;
    assert_eq!(routes.iter().map(|route| route.provider.as_str()).collect::<Vec<_>>(), [LOGIN, ANTHROPIC]);
    assert!(resolve(&both, "claude-login/claude-sonnet-5-5").is_some());
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let model = |routes: &str| format!("{HERE}\n[[model]]\nid = \"m\"\nroutes = [\n{routes},\n]\n");
    let provider = |line: &str| format!("\n[[provider]]\nid = \"p\"\n{line}\n");
    for (file, line, reason) in [
        ("x = 1".to_owned(), 1, "unknown field"),
        ("\n\nnot toml".to_owned(), 3, "expected"),
        ("[[provider]]\nid = \"p\"\nbase_url = 3\n".to_owned(), 3, "expected a string"),
        (provider("base_url = \"ftp://x\""), 2, "neither https:// nor http://"),
        (provider("base_url = \"https://\""), 2, "no host"),
        (provider("base_url = \"https://a:b@x\""), 2, "a user"),
        (provider("base_url = \"https://x?key=1\""), 2, "a query"),
        (provider("base_url = \"https://x\"\nkeys = [{}]"), 2, "a key is in a variable"),
        (
            provider("base_url = \"https://x\"\nkeys = [{ env = \"A\", file = \"b\" }]"),
            2,
            "a key is in a variable",
        ),
        (
            provider("base_url = \"https://x\"\nheaders = { \"X-Api-Key\" = \"1\" }"),
            2,
            "no header that may be set",
        ),
        (provider("base_url = \"https://x\"\nheaders = { a = \"1\\n2\" }"), 2, "no plain text"),
        (provider("base_url = \"https://x\"\nmax_calls = 0"), 2, "at least 1"),
        (provider("base_url = \"https://x\"\nlacks = [\"humour\"]"), 5, "unknown variant `humour`"),
        ("[[provider]]\nid = \"Big\"\nbase_url = \"https://x\"".to_owned(), 1, "lower-case letters"),
        (format!("{HERE}{HERE}"), 4, "`here` stands here twice"),
        (model("{ provider = \"here\" },\n{ provider = \"nobody\" }"), 9, "there is no provider `nobody`"),
        (model("{ provider = \"here\", weight = 0 }"), 8, "a weight is from 1"),
        (model("{ provider = \"here\" },\n{ provider = \"here\" }"), 9, "twice"),
        (model("{ provider = \"here\", price = { input = -1, output = 1 } }"), 8, "-1 is no price"),
        (model("{ provider = \"here\", price = { input = 0.0000001, output = 1 } }"), 8, "six decimals"),
        (model("{ provider = \"here\", price = { input = \"1\", output = 1 } }"), 8, "invalid type"),
        ("[[model]]\nid = \"m\"\nroutes = []".to_owned(), 1, "has no route"),
        ("[[model]]\nid = \"a b\"\nroutes = []".to_owned(), 1, "no name for a model"),
        ("[[model]]\nid = \"drover-demo\"\nroutes = [{ provider = \"zai\" }]".to_owned(), 1, "Drover's own"),
        ("[aliases]\na = \"b\"\nc = \"glm-5.3\"".to_owned(), 2, "there is no model `b`"),
        ("[aliases]\n\n\"glm-5.3\" = \"glm-5.2\"".to_owned(), 3, "is a model and cannot"),
        ("# x\ndefault_models = [\"nope\"]".to_owned(), 2, "there is no model `nope`"),
    ] {
        let error = Registry::read(&file).expect_err(&file);
        assert_eq!(error.line, line, "{file}\n{error}");
        assert!(error.reason.contains(reason), "{file}\n{error}");
    }
}
