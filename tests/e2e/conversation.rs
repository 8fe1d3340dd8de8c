//! The conversation that `volley serve` prints to be pasted into two terminals, run through the real curl.

use crate::ending::InTime as _;
use crate::harness::{Server, say, wait_until};
use crate::http::PATIENCE;
use crate::shell::Terminal;
use std::process::Command;

fn has_curl() -> bool {
    let found = Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        say("SKIPPED: the printed curl conversation, since there is no curl");
    }
    found
}

/// What is to be pasted into each terminal: the indented lines, paragraph by paragraph.
fn terminals(printed: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    for line in printed.lines() {
        match line.strip_prefix("    ") {
            Some(command) if !command.starts_with(' ') => {
                let block = blocks.last_mut().expect("one");
                block.push_str(command);
                block.push('\n');
            }
            _ if blocks.last().is_some_and(|block| !block.is_empty()) => blocks.push(String::new()),
            _ => {}
        }
    }
    blocks.retain(|block| block.contains("curl"));
    blocks
}

/// A terminal into which these commands are pasted.
fn paste(commands: &str) -> Terminal {
    let mut terminal = Terminal::open(&mut Command::new("sh"), PATIENCE);
    terminal.type_in(commands);
    terminal
}

fn wait_for(terminal: &Terminal, words: &str) -> String {
    terminal.wait_for(words, |screen| screen.contains(words).then(|| screen.to_owned()))
}

#[test]
fn pasted_into_two_terminals_it_works() {
    if !has_curl() {
        return;
    }
    let server = Server::start(&[]);
    let printed = server.wait_for_stdout(|text| terminals(text).len() >= 2 && text.contains("Ctrl-C"));
    assert!(printed.contains(&format!("http://{}", server.listen)), "the address as a link: {printed}");
    let blocks = terminals(&printed);
    let bob = paste(&blocks[0]);
    wait_for(&bob, "welcome");
    wait_until("Bob to poll", || (server.metric("volley_parked_polls") == 1).then_some(()));
    let ann = paste(&blocks[1]);
    wait_for(&ann, "\"recipients\":2");
    let screen = wait_for(&bob, "said");
    let lines: Vec<serde_json::Value> = screen
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}")))
        .collect();
    let messages: Vec<_> = lines.iter().flat_map(|line| line["messages"].as_array().expect("a list")).collect();
    assert!(messages[0]["data"]["welcome"].is_object(), "{screen}");
    assert_eq!(messages[1]["data"]["joined"], "ann", "{screen}");
    assert_eq!(messages[2]["data"]["said"]["user"], "ann", "{screen}");
    assert!(blocks[1].contains(messages[2]["data"]["said"]["text"].as_str().expect("a text")), "{screen}");
}

#[test]
fn where_to_look_next_is_there() {
    if !has_curl() {
        return;
    }
    let server = Server::start(&[]);
    let printed = server.wait_for_stdout(|text| text.contains("Ctrl-C"));
    let links = printed.split_whitespace().filter(|word| word.contains("127.0.0.1") && !word.contains('='));
    let mut looked = 0;
    for link in links.filter(|link| link.contains(&server.admin)) {
        let output = Command::new("curl").args(["-sf", link]).output_in_time().expect("curl");
        assert!(output.status.success() && !output.stdout.is_empty(), "{link}");
        looked += 1;
    }
    assert!(looked > 0, "{printed}");
}
