//! The guide for authors of rules, `plugins/README.md`, done from top to bottom as a reader would: every command is typed into
//! a terminal, every diff made in its file, and what is shown behind them is what came. Commands in running text are among
//! those of the blocks, and the limits are those of the server.

use crate::ending::InTime as _;
use crate::harness::{
    Scratch, address, run, say, target, unconfigured, volley, volley_path, with_programs_of, workspace,
};
use crate::shell::Terminal;
use crate::terminal::done;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const GUIDE: &str = "plugins/README.md";
/// Rules are compiled, on machines that have other things to do.
const PATIENCE: Duration = Duration::from_mins(10);
/// What stands for anything, within a line or as several lines.
const ANYTHING: char = '…';

/// A block of the guide.
#[derive(Debug, PartialEq)]
enum Block<'a> {
    /// In which terminal (empty: the first), and whether a command among them is to fail.
    Commands {
        terminal: &'a str,
        fails: bool,
        text: &'a str,
    },
    /// What that terminal shows then.
    Shown {
        terminal: &'a str,
        text: &'a str,
    },
    Diff(&'a str),
}

/// Blocks in other languages than these nobody would run.
fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let (mut terminal, mut fails) = ("", false);
    let mut lines = page.split_inclusive('\n').scan(0, |at, line| {
        *at += line.len();
        Some((*at, line.trim_end()))
    });
    while let Some((begin, line)) = lines.next() {
        if let Some(named) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            match named.strip_prefix("terminal: ") {
                Some(name) => terminal = name,
                None => fails = named == "fails",
            }
        } else if let Some(language) = line.strip_prefix("```") {
            let mut end = begin;
            while let Some((next, _)) = lines.next().filter(|(_, line)| *line != "```") {
                end = next;
            }
            let text = &page[begin..end];
            blocks.push(match language {
                "sh" => Block::Commands { terminal, fails, text },
                "text" => Block::Shown { terminal, text },
                "diff" => Block::Diff(text),
                other => panic!("{other:?}: the guide has sh, text and diff, which are tried"),
            });
            (terminal, fails) = ("", false);
        }
    }
    blocks
}

/// Whether a line is as the guide has it.
fn is_like(line: &str, shown: &str) -> bool {
    let mut parts = shown.trim().split(ANYTHING);
    let Some(mut rest) = line.trim().strip_prefix(parts.next().unwrap_or("")) else { return false };
    let mut goes_on = false;
    for part in parts {
        goes_on = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    goes_on || rest.is_empty()
}

/// Where on the screen the lines of the guide end, which are there one behind the other; or the first that is not.
fn find<'a>(screen: &str, shown: &'a str) -> Result<usize, &'a str> {
    let mut lines = screen.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some((*end, line))
    });
    shown
        .lines()
        .filter(|line| !line.trim().is_empty())
        .try_fold(0, |_, shown| lines.find(|(_, line)| is_like(line, shown)).map(|(end, _)| end).ok_or(shown))
}

/// Makes the changes below that folder. Their places are told by the lines around them, which must be there once.
fn apply(folder: &Path, diff: &str) {
    for of_file in diff.split("--- ").filter(|text| !text.is_empty()) {
        let name = of_file.lines().next().expect("a name");
        let path = folder.join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        let mut text = format!("\n{text}");
        for hunk in of_file.split("\n@@").skip(1) {
            let (mut before, mut after) = (String::from("\n"), String::from("\n"));
            for line in hunk.lines().skip(1) {
                let (to_before, to_after) = match line.chars().next() {
                    Some('-') => (true, false),
                    Some('+') => (false, true),
                    None | Some(' ') => (true, true),
                    Some(_) => panic!("not a line of a diff: {line}"),
                };
                let line = line.get(1..).unwrap_or("").to_owned() + "\n";
                before.push_str(if to_before { &line } else { "" });
                after.push_str(if to_after { &line } else { "" });
            }
            assert_eq!(text.matches(&before).count(), 1, "these lines are to be in {name} once:{before}");
            text = text.replacen(&before, &after, 1);
        }
        std::fs::write(&path, &text[1..]).expect("write");
    }
}

/// Somebody who follows the guide, in a folder of their own.
struct Reader {
    terminals: HashMap<String, Terminal>,
    /// How much of a terminal's screen has been looked at.
    seen: HashMap<String, usize>,
    /// Where the server is that the guide has started: elsewhere than a reader's, which has the ports to itself.
    server: String,
    /// What the first terminal said to the last commands.
    said: String,
    folder: PathBuf,
}

impl Reader {
    /// In a folder that is the same in each run, so that what its rule is built with is built once.
    fn new() -> Self {
        let folder = target().join("guide");
        let _ = std::fs::remove_dir_all(&folder);
        for name in ["bin", "data", "run"] {
            std::fs::create_dir_all(folder.join(name)).expect("a folder");
        }
        std::os::unix::fs::symlink(volley_path(), folder.join("bin/volley")).expect("a link");
        std::os::unix::fs::symlink(workspace().join("plugins"), folder.join("plugins")).expect("a link");
        let (terminals, seen) = (HashMap::new(), HashMap::new());
        Self { terminals, seen, server: String::new(), said: String::new(), folder }
    }

    fn terminal(&mut self, name: &str) -> &mut Terminal {
        let Self { folder, terminals, server, .. } = self;
        terminals.entry(name.to_owned()).or_insert_with(|| {
            // What was built for other tests is not built again, and nothing is downloaded.
            let mut shell = Command::new("bash");
            unconfigured(&mut shell);
            with_programs_of(shell.current_dir(&*folder), &folder.join("bin"));
            shell.env("CARGO_TARGET_DIR", target()).env("CARGO_NET_OFFLINE", "true");
            shell.env("XDG_DATA_HOME", folder.join("data")).env("XDG_RUNTIME_DIR", folder.join("run"));
            shell.env("VOLLEY_LISTEN", "127.0.0.1:0").env("VOLLEY_ADMIN", "127.0.0.1:0");
            let mut terminal = Terminal::open(&mut shell, PATIENCE);
            terminal.type_in(server);
            terminal
        })
    }

    fn follow(&mut self, block: &Block<'_>) {
        match *block {
            Block::Commands { terminal: "", fails, text } => {
                let (said, failed) = self.terminal("").run(text);
                assert_eq!(failed, u32::from(fails), "commands that failed of\n{text}{said}");
                self.said = said;
                // The versions that the workspace has, which are there.
                let lock = self.folder.join("lounge/Cargo.lock");
                if !lock.exists() {
                    std::fs::copy(workspace().join("Cargo.lock"), lock).expect("a copy");
                }
            }
            Block::Commands { terminal, text, .. } => {
                self.terminal(terminal).type_in(text);
                if text == "volley serve\n" {
                    self.find_server();
                }
            }
            Block::Shown { terminal: "", text } => {
                find(&self.said, text).unwrap_or_else(|missing| panic!("not there: {missing}\n{}", self.said));
            }
            Block::Shown { terminal: name, text } => {
                let terminal = self.terminals.get(name).unwrap_or_else(|| panic!("there is no terminal {name}"));
                let seen = self.seen.entry(name.to_owned()).or_default();
                *seen += terminal.wait_for(text, |screen| find(&screen[*seen..], text).ok());
            }
            Block::Diff(diff) => apply(&self.folder, diff),
        }
    }

    /// Tells all terminals where the server is.
    fn find_server(&mut self) {
        let both = |screen: &str| {
            let ready = screen.lines().find(|line| line.starts_with("volley ready "))?;
            address(ready, "listen").zip(address(ready, "admin"))
        };
        let (listen, admin) = self.terminal("server").wait_for("the ready line", both);
        self.server = format!("export VOLLEY_SERVER_URL=http://{listen} VOLLEY_ADMIN_URL=http://{admin}");
        let tell = self.server.clone();
        self.terminal("").type_in(&tell);
    }
}

#[test]
fn every_command_does_what_the_guide_says() {
    if Command::new("bash").arg("--version").output().is_err() {
        return say("SKIPPED: the guide for authors; there is no bash");
    }
    let page = std::fs::read_to_string(workspace().join(GUIDE)).expect("the guide");
    let blocks = blocks(&page);
    assert!(blocks.len() > 40, "{}", blocks.len());
    let mut reader = Reader::new();
    for block in &blocks {
        reader.follow(block);
    }
}

/// A command that is named in running text alone would be run by nobody.
#[test]
fn commands_in_running_text_are_among_those_that_are_run() {
    let page = std::fs::read_to_string(workspace().join(GUIDE)).expect("the guide");
    let typed: Vec<&str> = blocks(&page)
        .into_iter()
        .filter_map(|block| if let Block::Commands { text, .. } = block { Some(text) } else { None })
        .collect();
    let typed = typed.concat();
    let outside = page.split("```").step_by(2);
    let named = outside.flat_map(|text| text.split('`').skip(1).step_by(2)).filter_map(|code| {
        let words: Vec<&str> =
            code.split_whitespace().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).collect();
        (words.first() == Some(&"volley") && words.len() > 1).then(|| words.join(" "))
    });
    for command in named {
        if page.contains(&format!("`{command} --help`")) {
            let words: Vec<&str> = command.split(' ').skip(1).chain(["--help"]).collect();
            done(&run(&words));
        } else {
            assert!(typed.contains(&command), "nothing runs {command:?}");
        }
    }
}

/// The table of limits: names and defaults as `serve --help` has them.
#[test]
fn limits_are_those_of_the_server() {
    let page = std::fs::read_to_string(workspace().join(GUIDE)).expect("the guide");
    let help = volley().args(["serve", "--help"]).output_in_time().expect("volley");
    let help = String::from_utf8_lossy(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, table) = page.split_once("| limit | default |").expect("the table");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert!(rows.len() > 25, "{}", rows.len());
    for row in rows {
        let [name, default, _] = row[..] else { panic!("{row:?}") };
        let name = name.trim_matches('`');
        let value = number(default);
        assert!(help.contains(&format!(" {name} = {value} ")), "{name} = {value} is not among the limits");
    }
}

/// `64 MiB`, `5,000 ms` or `1,000`.
fn number(text: &str) -> u64 {
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let number: u64 = number.replace(',', "").parse().expect("a number");
    number
        << match unit {
            "GiB" => 30,
            "MiB" => 20,
            "KiB" => 10,
            _ => 0,
        }
}

#[test]
fn lines_and_changes_are_told_apart() {
    for (line, shown, same) in [
        ("a b c", "a b c", true),
        ("  a b c ", "a b c", true),
        ("a b c", "a b", false),
        ("a b c", "a …", true),
        ("a b c", "… c", true),
        ("a b c", "a … c", true),
        ("a b c", "b …", false),
        ("a b c", "… b", false),
    ] {
        assert_eq!(is_like(line, shown), same, "{line:?} {shown:?}");
    }
    assert_eq!(find("one\ntwo\nthree\nfour\n", "one\nthree\n"), Ok(14));
    assert_eq!(find("one\ntwo\n", "two\none\n"), Err("one"));
    let page = "text\n<!-- terminal: bob -->\n```sh\necho\n```\n<!-- fails -->\n```sh\nfalse\n```\n```text\nno\n```\n";
    let told = [
        Block::Commands { terminal: "bob", fails: false, text: "echo\n" },
        Block::Commands { terminal: "", fails: true, text: "false\n" },
        Block::Shown { terminal: "", text: "no\n" },
    ];
    assert_eq!(blocks(page), told);
    let folder = Scratch::new();
    folder.file("a", "one\ntwo\nthree\n");
    apply(folder.path(), "--- a\n+++ a\n@@ here\n one\n-two\n+2\n+2b\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("a")).expect("a text"), "one\n2\n2b\nthree\n");
}
