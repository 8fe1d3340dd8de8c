//! What a config says, and what it says when it is wrong.

use super::*;
use crate::signatures::public_key;
use clap::Parser;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    flags: Flags,
}

fn resolve(args: &[&str]) -> Result<Config, BadConfig> {
    Command::try_parse_from([&["volley"], args].concat()).expect("well-formed flags").flags.resolve()
}

/// A config file in a folder of its own.
fn with_file(text: &str, args: &[&str]) -> Result<Config, BadConfig> {
    let folder = std::env::temp_dir().join(format!("volley-config-{:016x}", rand::random::<u64>()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("volley.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.join("rule.wasm"), "").unwrap();
    let resolved = resolve(&[&["--config", path.to_str().unwrap()], args].concat());
    std::fs::remove_dir_all(folder).unwrap();
    resolved
}

#[test]
fn defaults_are_those_of_the_protocol_page() {
    let config = resolve(&[]).unwrap();
    assert_eq!((config.listen.port(), config.admin.port()), (8080, 9090));
    let routes: Vec<_> = config.routes.iter().map(|route| (route.topics.to_string(), &*route.plugin)).collect();
    assert_eq!(routes, [("chat.>".to_owned(), "chat"), (">".to_owned(), "topic")]);
}

#[test]
fn a_file_and_flags_over_it() {
    let text = r#"
        listen = "127.0.0.1:1"
        log_format = "json"
        [limits]
        linger_ms = 7
        wait_ms = 8
        [plugins.mine]
        file = "rule.wasm"
        [[routes]]
        topics = "a.>"
        plugin = "mine"
        config = { answer = 42 }
    "#;
    let config = with_file(text, &["--listen", "127.0.0.1:2", "--limit", "wait_ms=9", "--route", "b.*=chat"]).unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!((config.limits.linger_ms, config.limits.wait_ms), (7, 9));
    let rows: Vec<_> = config.routes.iter().map(|row| (row.topics.to_string(), &*row.plugin, &*row.config)).collect();
    assert_eq!(rows, [("a.>".to_owned(), "mine", r#"{"answer":42}"#), ("b.*".to_owned(), "chat", "null")]);
}

#[test]
fn a_bad_file_names_file_line_and_key() {
    let cases = [
        ("\nlistn = \"127.0.0.1:1\"\n", 2, "listn"),
        ("\n\nlisten = 5\n", 3, "listen"),
        ("[limits]\nlinger = 5\n", 2, "linger"),
        ("[limits]\nlinger_ms = -5\n", 2, "linger_ms"),
        ("[limits]\nwait_ms = 2\nmailbox_messages_max = 0\n", 3, "mailbox_messages_max"),
        ("[[routes]]\ntopics = \"a..b\"\nplugin = \"chat\"\n", 2, "routes.topics"),
        ("[[routes]]\ntopics = \"a\"\nplugin = \"chatt\"\n", 3, "routes.plugin"),
        ("[plugins.x]\nfile = \"nowhere.wasm\"\n", 2, "plugins.x.file"),
        ("[cors]\norigins = [\"example.org/\"]\n", 2, "cors.origins"),
        (
            "[[routes]]\ntopics = \"a\"\nplugin = \"chat\"\n[[routes]]\ntopics = \"a\"\nplugin = \"topic\"\n",
            5,
            "routes.topics",
        ),
    ];
    for (text, line, key) in cases {
        let words = with_file(text, &[]).expect_err(text).to_string();
        assert!(words.contains(&format!("volley.toml:{line}:")), "{words}");
        assert!(words.contains(key), "{words}");
    }
}

#[test]
fn what_json_has_not_is_no_config_of_a_rule() {
    for value in ["1979-05-27", "nan", "[{ a = -inf }]"] {
        let text = format!("[[routes]]\ntopics = \"a\"\nplugin = \"chat\"\nconfig = {{ at = {value} }}\n");
        let words = with_file(&text, &[]).expect_err(value).to_string();
        assert!(words.contains("volley.toml:4: routes.config"), "{words}");
    }
}

#[test]
fn an_origin_has_a_scheme() {
    assert!(resolve(&["--cors-origin", "://example.org"]).is_err());
}

#[test]
fn no_token_is_for_loopback() {
    assert!(resolve(&["--admin", "0.0.0.0:0", "--admin-no-token"]).is_err());
    assert_eq!(resolve(&["--admin-no-token"]).unwrap().admin_token, AdminToken::Off);
}

#[test]
fn what_outlives_a_restart_has_a_place() {
    let data = |args: &[&str]| resolve(args).unwrap().data;
    assert_eq!(data(&["--data", "here"]), Data::Explicit("here".into()));
    assert_eq!(data(&["--ephemeral"]), Data::Off);
    let Data::PerUser(folder) = data(&[]) else { panic!("a folder of the user's") };
    assert!(folder.is_absolute() && folder.ends_with("volley"), "{}", folder.display());
    assert_eq!(with_file("data = \"/there\"", &["--data", "here"]).unwrap().data, Data::Explicit("here".into()));
    assert_eq!(with_file("data = \"/there\"", &[]).unwrap().data, Data::Explicit("/there".into()));
    assert_eq!(with_file("data = \"/there\"", &["--ephemeral"]).unwrap().data, Data::Off);
}

#[test]
fn a_token_is_found_by_the_port_unless_a_folder_was_asked_for() {
    assert_eq!(resolve(&[]).unwrap().admin_token, AdminToken::Made(None));
    assert_eq!(resolve(&["--ephemeral"]).unwrap().admin_token, AdminToken::Made(None));
    assert_eq!(resolve(&["--data", "here"]).unwrap().admin_token, AdminToken::Made(Some("here".into())));
}

/// Of RFC 8032, its first two.
const KEYS: [&str; 2] =
    ["11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="];

#[test]
fn signing_keys_come_from_the_file_and_from_flags() {
    let text = format!("require_signed = true\n[signing_keys]\nalice = {:?}\nbob = {:?}\n", KEYS[0], KEYS[0]);
    let signing = with_file(&text, &["--signing-key", &format!("bob={}", KEYS[1])]).unwrap().signing;
    assert!(signing.required);
    let key = |text| public_key(text).unwrap();
    assert_eq!(signing.keys, [("alice".to_owned(), key(KEYS[0])), ("bob".to_owned(), key(KEYS[1]))].into());
    let signing = resolve(&["--require-signed", "--signing-key", &format!("alice={}", KEYS[0])]).unwrap().signing;
    assert!(signing.required && signing.keys.len() == 1);
    assert!(!resolve(&[]).unwrap().signing.required);
}

#[test]
fn a_wrong_signing_key_is_told() {
    let secret = format!("volley-secret-key:{}", KEYS[0]);
    let weak = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for wrong in ["", "x", &secret, &KEYS[0][1..], weak] {
        let words = with_file(&format!("\n[signing_keys]\nalice = {wrong:?}\n"), &[]).expect_err(wrong).to_string();
        assert!(words.contains("volley.toml:3: signing_keys.alice"), "{words}");
    }
    let words = resolve(&["--signing-key", &format!("a b={}", KEYS[0])]).unwrap_err().to_string();
    assert!(words.contains("--signing-key") && words.contains("name"), "{words}");
    let words = resolve(&["--require-signed"]).unwrap_err().to_string();
    assert!(words.contains("--signing-key"), "{words}");
}

#[test]
fn a_listener_for_tls_has_its_files() {
    let text = "[tls]\nlisten = \"127.0.0.1:1\"\ncert = \"cert.pem\"\nkey = \"/there/key.pem\"\n";
    let tls = with_file(text, &["--tls-listen", "127.0.0.1:2"]).unwrap().tls.expect("a listener");
    assert_eq!(tls.listen.port(), 2);
    assert!(tls.files.cert.ends_with("cert.pem") && tls.files.cert.is_absolute(), "beside the config");
    assert_eq!(tls.files.key, PathBuf::from("/there/key.pem"));
    for (args, words) in [
        (&["--tls-listen", "127.0.0.1:2"][..], "--tls-cert FILE and --tls-key FILE"),
        (&["--tls-cert", "x", "--tls-key", "y"], "needs --tls-listen ADDR"),
        (&["--tls-listen", "127.0.0.1:2", "--tls-cert", "x"], "needs --tls-key FILE"),
    ] {
        let wrong = resolve(args).unwrap_err().to_string();
        assert!(wrong.contains(words), "{wrong}");
    }
    assert_eq!(resolve(&[]).unwrap().tls, None);
}

#[test]
fn the_example_file_says_the_defaults() {
    let example = with_file(include_str!("../../examples/volley.toml"), &[]).unwrap();
    let default = resolve(&[]).unwrap();
    assert_eq!(format!("{example:?}"), format!("{default:?}"));
}
