//! Cuts functions out of those files of the server that cannot be compiled here as a whole, because they name hyper, tokio
//! or wasmtime. So the models run what the server runs, not a copy that stays behind.

use std::path::{Path, PathBuf};
use std::{env, fs};

const HOST: &str = "../../host/src";

fn main() {
    connections();
    events();
}

fn cut(file: &str, heads: &[&str]) -> Cut {
    Cut::from(file, heads)
}

/// How polls and streams are parked and answered.
fn connections() {
    cut(
        "bare.rs",
        &[
            "pub enum Doing {",
            "pub enum Turn {",
            "pub fn turn(",
            "fn parked(",
            "fn publishing(",
            "fn after(",
            "fn begin(",
            "pub fn start(",
            "fn write_answer(",
            "fn go_on(",
        ],
    )
    .into_items();
    cut(
        "socket.rs",
        &[
            "pub enum Peer {",
            "pub fn owe(",
            "pub fn disown(",
            "pub fn shut_down(",
            "pub fn is_cut_off(",
            "pub fn answer(",
            "pub fn end_stream(",
            "pub fn hand_back(",
            "pub fn answered(",
            "pub fn await_answer(",
            "pub fn write_now(",
        ],
    )
    .into_methods_of("Socket");
    cut(
        "streaming.rs",
        &[
            "pub struct StreamCall {",
            "pub struct Streaming {",
            "pub fn begin(",
            "fn refuse(",
            "pub fn turn(",
            "fn take_back(",
            "fn hear(",
            "fn write(",
            "fn set_time(",
            "fn go_on(",
            "fn leave(",
            "pub fn leaving(",
            "fn farewell(",
            "pub fn left(",
        ],
    )
    .into_methods_of("Streaming");
}

/// How events come to lanes, and lanes to new versions.
fn events() {
    cut(
        "node.rs",
        &[
            "pub struct Sender {",
            "pub fn end_session(",
            "fn session_over(",
            "fn event(",
            "fn offer(",
            "pub fn tick(",
            "pub fn is_draining(",
            "pub fn begin_drain(",
            "pub fn close_streams(",
            "pub fn end_parked(",
        ],
    )
    .into_methods_of("Node");
    cut(
        "plugin.rs",
        &[
            "pub fn name(",
            "pub fn generation(",
            "fn lane(",
            "pub fn offer(",
            "pub fn offer_reserved(",
            "pub fn publish(",
            "pub async fn settled(",
            "pub async fn pause(",
            "pub async fn any_waiting(",
            "async fn all(",
        ],
    )
    .into_methods_of("Plugin");
    cut(
        "lane.rs",
        &[
            "pub struct Paused {",
            "pub fn offer(",
            "pub fn offer_reserved(",
            "pub fn queued(",
            "pub fn oldest_ms(",
            "pub fn keep_up(",
            "pub fn pause(",
            "pub fn any_waiting(",
            "fn call<T: Send",
        ],
    )
    .into_methods_of("Lane");
    cut(
        "lane/thread.rs",
        &[
            "pub(super) fn run(",
            "fn keep_up(",
            "fn route_one(",
            "fn handle(",
            "fn route(",
            "fn join(",
            "fn ask(",
            "fn subscribe(",
            "fn unsubscribe(",
            "fn route_departure(",
        ],
    )
    .into_methods_of("LaneThread");
    cut("deploy/routes.rs", &["pub(super) async fn move_topics(", "async fn nobody_looks_at("])
        .into_methods_of("Deployer");
}

/// Pieces of one file.
struct Cut {
    file: String,
    types: String,
    functions: String,
}

impl Cut {
    /// `heads` are how the pieces begin; each must be there once.
    fn from(file: &str, heads: &[&str]) -> Self {
        let path = Path::new(HOST).join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let source = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut cut = Self { file: file.into(), types: String::new(), functions: String::new() };
        for head in heads {
            let piece = piece(&source, head);
            if piece.starts_with(' ') {
                cut.functions += &piece;
            } else if head.contains("fn ") {
                cut.types += &piece;
            } else {
                let attribute = match *head {
                    "pub enum Peer {" => "#[derive(Debug, PartialEq, Eq)]",
                    "pub struct Sender {" => "#[derive(Clone, Debug, Default)]",
                    _ => "#[allow(dead_code)]", // What hyper reads is no model's.
                };
                cut.types.extend([attribute, "\n", &piece]);
            }
        }
        cut
    }

    fn into_items(self) {
        let text = format!("{}{}", self.types, self.functions);
        self.write(&text);
    }

    fn into_methods_of(self, name: &str) {
        let text = format!("{}impl {name} {{\n{}}}\n", self.types, self.functions);
        self.write(&text);
    }

    fn write(&self, text: &str) {
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
        fs::write(out.join(self.file.replace('/', "-")), text).expect("cargo's folder can be written");
    }
}

/// From the line that begins so to the brace that closes it, which rustfmt puts at the same indent.
fn piece(source: &str, head: &str) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let is_head = |line: &&str| line.trim_start().starts_with(head);
    let starts: Vec<usize> = (0..lines.len()).filter(|at| is_head(&lines[*at])).collect();
    let [start] = starts[..] else { panic!("{head:?} is in the server's file {} times, not once", starts.len()) };
    let indent = lines[start].len() - lines[start].trim_start().len();
    let end = lines[start..].iter().position(|line| line.len() == indent + 1 && line.ends_with('}'));
    let end = start + end.unwrap_or_else(|| panic!("{head:?} does not end"));
    lines[start..=end].join("\n") + "\n"
}
