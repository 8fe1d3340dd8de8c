//! `volley plugin test --accept` writes files that somebody else works on, too: all of what came or nothing, and never over
//! what it has not read.

use crate::ending::{InTime as _, ended_in_time};
use crate::guests;
use crate::harness::{Scratch, volley, volley_path, wait_until};
use crate::rehearsals::{play, room};
use crate::terminal::{stderr, stdout};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Whoever opens it does not wait for the other end.
const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

fn read(file: &str) -> String {
    fs::read_to_string(file).expect("the events")
}

fn names(folder: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).expect("the folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// A name at which two processes meet.
fn fifo(folder: &Scratch, name: &str) -> String {
    let path = folder.path().join(name);
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo, of coreutils").success());
    path.to_str().expect("UTF-8").into()
}

fn accepting(rule: &str, events: &str, arguments: &[&str]) -> Child {
    let mut command = volley();
    command.args(["plugin", "test", rule, "--events", events, "--accept"]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("volley")
}

/// It was written in place: emptied first, and then as far as the disk had room.
#[test]
fn a_full_disk_or_an_interruption_leaves_the_file_as_it_was() {
    const FILE_BYTES_MAX: usize = 32 << 20;
    let folder = Scratch::new();
    let padding = " ".repeat(FILE_BYTES_MAX);
    let events = room(&folder, &format!("{padding}\n{{\"publish\": \"ann\", \"data\": 1}}\n"));
    let before = read(&events);
    let probe = guests::probe();
    for (trap, is_told) in [("trap '' XFSZ; ", true), ("", false)] {
        // In blocks of 512 bytes, as POSIX has it.
        let limited = format!("ulimit -c 0; ulimit -f {}; {trap}exec \"$0\" \"$@\"", FILE_BYTES_MAX / 512);
        let mut command = Command::new("sh");
        command.args(["-c", &limited]).arg(volley_path()).args(["plugin", "test"]).arg(probe);
        let output = command.args(["--events", &events, "--accept"]).output_in_time().expect("sh");
        let said = stdout(&output) + &stderr(&output);
        assert!(read(&events) == before, "{said}");
        assert_eq!(output.status.code(), is_told.then_some(1), "{said}");
        if is_told {
            assert!(said.contains("events.jsonl: nothing accepted: it can't be written: "), "{said}");
            assert_eq!(names(&folder), ["events.jsonl"], "{said}");
        }
    }
    let (code, said) = play(&events, &["--accept"]);
    assert_eq!(code, 0, "{said}");
    assert!(read(&events).len() > before.len());
}

#[test]
fn a_link_to_the_file_stays_and_so_do_its_permissions() {
    let folder = Scratch::new();
    let elsewhere = Scratch::new();
    let events = room(&elsewhere, "{\"publish\": \"ann\", \"data\": 1}\n");
    fs::set_permissions(&events, Permissions::from_mode(0o600)).expect("permissions");
    let link = folder.path().join("linked.jsonl");
    symlink(&events, &link).expect("a link");
    let link = link.to_str().expect("UTF-8");
    assert_eq!(play(link, &["--accept"]), (0, format!("{link}: 3 steps accepted\n")));
    assert_eq!(fs::read_link(link).expect("still a link"), Path::new(&events));
    assert!(read(&events).contains("\"data\": 1, \"expect\": {\"ann\": [1], \"bob\": [1]}}"));
    assert_eq!(fs::metadata(&events).expect("the file").permissions().mode() & 0o777, 0o600);
    assert_eq!([names(&folder), names(&elsewhere)], [["linked.jsonl"], ["events.jsonl"]]);
}

/// The file was read before the rule was built, which takes a while, and written back from there.
#[test]
fn what_is_edited_while_the_rule_is_built_is_played_and_kept() {
    let folder = Scratch::new();
    let events = room(&folder, "");
    let rule = fifo(&folder, "rule.wasm");
    let child = accepting(&rule, &events, &[]);
    let asked_for = |path: &String| OpenOptions::new().write(true).custom_flags(NONBLOCK).open(path).ok();
    let held = wait_until("the rule to be read", || asked_for(&rule));
    room(&folder, "{\"publish\": \"ann\", \"data\": \"edited\"}\n");
    let mut writer = OpenOptions::new().write(true).open(&rule).expect("the rule");
    writer.write_all(&fs::read(guests::probe()).expect("the probe")).expect("write");
    drop((held, writer));
    let output = ended_in_time(child);
    assert_eq!(stdout(&output) + &stderr(&output), format!("{events}: 3 steps accepted\n"));
    assert!(read(&events).contains("\"data\": \"edited\", \"expect\": {\"ann\": [\"edited\"]"), "{}", read(&events));
}

/// Likewise while it was played.
#[test]
fn what_is_edited_while_it_is_played_is_left_alone() {
    // More than a pipe takes.
    const LINE_BYTES: usize = 200_000;
    let folder = Scratch::new();
    let padding = " ".repeat(LINE_BYTES);
    let events = room(&folder, &format!("{{\"publish\": \"ann\", \"data\": 1,{padding}\"expect\": {{}}}}\n"));
    let report = fifo(&folder, "junit.xml");
    let probe = guests::probe().to_str().expect("UTF-8");
    let child = accepting(probe, &events, &["--junit", &report]);
    // That is written after it was played; and as long as nobody reads it, the files are not.
    let mut first = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&report).expect("a FIFO");
    wait_until("the report", || (first.read(&mut [0]).ok() == Some(1)).then_some(()));
    let edited = room(&folder, "{\"publish\": \"ann\", \"data\": \"edited\"}\n");
    let edited = read(&edited);
    let mut all = Vec::new();
    File::open(&report).expect("the report").read_to_end(&mut all).expect("read");
    let output = ended_in_time(child);
    let said = stdout(&output) + &stderr(&output);
    assert!(output.status.code() == Some(1) && said.contains("it was changed while it was played"), "{said}");
    assert!(said.contains("1 of 1 file stayed as before"), "{said}");
    assert_eq!(read(&events), edited);
}

/// Messages that look like what files say of messages were written as they were, and read as something else or not at all.
#[test]
fn what_was_accepted_is_as_expected_whatever_came() {
    let folder = Scratch::new();
    let nested = format!("{}{}", "[".repeat(127), "]".repeat(127));
    let messages = [
        r#"{"$text":"hi"}"#,
        r#"{"$base64":"aGk="}"#,
        r#"{"$base64":5}"#,
        r#"{"$json":"1"}"#,
        "\"$any\"",
        "1e400",
        &nested,
    ];
    let lines = messages.map(|message| {
        let told = json!({"publish": null, "data": {"do": "bad-json", "json": message}});
        format!("{told}\n")
    });
    let events = room(&folder, &lines.concat());
    assert_eq!(play(&events, &["--accept"]), (0, format!("{events}: 9 steps accepted\n")));
    let (code, said) = play(&events, &[]);
    assert!(code == 0 && said.contains("9 compared"), "{said}");
    // And by nothing else.
    let accepted = read(&events);
    for message in &messages[..5] {
        let other = json!({"publish": null, "data": {"do": "bad-json", "json": message}}).to_string();
        let changed = other.replace("bad-json", "text").replace("\"json\"", "\"data\"");
        fs::write(&events, accepted.replace(&other[1..other.len() - 1], &changed[1..changed.len() - 1]))
            .expect("write");
        let (code, said) = play(&events, &[]);
        assert!(code == 1 && said.contains("1 failed"), "{message}: {said}");
    }
}

#[test]
fn programs_read_what_was_accepted_as_json() {
    let folder = Scratch::new();
    let events = room(
        &folder,
        "{\"publish\": \"ann\", \"data\": 1}\n{\"publish\": \"ann\", \"data\": {\"do\": \"trap\", \"words\": \"x\"}}\n",
    );
    let (code, said) = play(&events, &["--accept", "--json"]);
    let (found, told) = said.split_at(said.rfind('}').expect("an object") + 1);
    let found: Value = serde_json::from_str(found).unwrap_or_else(|wrong| panic!("{wrong}: {said}"));
    let file = &found["files"][0];
    assert_eq!((code, &file["file"], &file["accepted"]), (1, &json!(events), &json!(3)), "{found}");
    assert_eq!(file["failures"][0]["line"], 7, "{found}");
    assert!(told.contains("1 step failed, which is nothing to expect"), "{told}");
}
