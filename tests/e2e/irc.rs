//! Real traffic: logs of a chat channel replayed over HTTP against `chat`. Everybody present gets exactly what was said
//! while it was present, in order and once, and sees exactly who came and went.
//!
//! One session for each nick, polling on a connection and a thread of its own as it goes. The publisher goes on to the
//! next line when the line before is answered, so who is present at a line is known exactly. Times are compressed to
//! nothing. A rename is a leave and the join of a new session.

use crate::client::{Session, events, publish};
use crate::harness::{Server, say, workspace};
use crate::http::{Connection, delete, post, put};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Instant;

/// Of each file so many lines are replayed, unless `VOLLEY_TEST_IRC_LINES` says another number (0: all).
const LINES: usize = 400;
/// So many files at once, to keep the sockets in bounds.
const FILES_AT_ONCE: usize = 3;

#[test]
fn a_conversation_of_our_own() {
    let file = workspace().join("tests/e2e/conversation.jsonl");
    let told = replay(&Server::shared(), &file, usize::MAX);
    assert!(told.sayings > 25 && told.people > 8, "{told:?}");
}

#[test]
fn the_logs_of_a_busy_channel() {
    let folder = std::env::var_os("VOLLEY_TEST_IRC")
        .map_or_else(|| workspace().join("../shared/data/ubuntu-irc"), PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    if files.is_empty() {
        say(&format!(
            "SKIPPED: the replay of IRC logs, since {} has no *.jsonl (VOLLEY_TEST_IRC=DIR names another folder); \
             only the small conversation of tests/e2e was replayed",
            folder.display()
        ));
        return;
    }
    let lines = std::env::var("VOLLEY_TEST_IRC_LINES").map_or(LINES, |lines| lines.parse().expect("a number"));
    let lines = if lines == 0 { usize::MAX } else { lines };
    let server = Server::start(&[]);
    for some in files.chunks(FILES_AT_ONCE) {
        std::thread::scope(|scope| {
            for file in some {
                scope.spawn(|| {
                    let started = Instant::now();
                    let told = replay(&server, file, lines);
                    let name = file.file_name().expect("a name").display();
                    say(&format!("replayed {name} in {:.1} s: {told:?}", started.elapsed().as_secs_f64()));
                });
            }
        });
    }
}

/// What was replayed.
#[derive(Debug)]
#[expect(dead_code, reason = "shown with Debug")]
struct Told {
    people: usize,
    sayings: usize,
    deliveries: usize,
    polls: usize,
}

fn replay(server: &Server, file: &Path, lines: usize) -> Told {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
    let script = script(&std::fs::read_to_string(file).expect("a log"), lines);
    let mut channel = Channel::new(server, format!("chat.irc-{stem}"));
    for step in script {
        match step {
            Step::Join(nick) => channel.join(&nick),
            Step::Part(nick) => channel.part(&nick),
            Step::Say(nick, text) => channel.say(&nick, &text),
        }
    }
    channel.end()
}

enum Step {
    Join(String),
    Part(String),
    Say(String, String),
}

/// What happens, with what the log leaves out put in: who was there before it begins joins first, and who joins while
/// it is there was gone unseen.
fn script(log: &str, lines: usize) -> Vec<Step> {
    let (mut before, mut known) = (Vec::new(), BTreeSet::new());
    let mut present = BTreeSet::new();
    let mut steps = Vec::new();
    for line in log.lines().take(lines) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|wrong| panic!("{wrong}: {line}"));
        let field = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("{key}: {line}")).to_owned();
        let (nick, kind) = (field("nick"), field("kind"));
        let is_new = known.insert(nick.clone());
        if kind == "join" {
            if !present.insert(nick.clone()) {
                steps.push(Step::Part(nick.clone()));
            }
            steps.push(Step::Join(nick));
            continue;
        }
        if present.insert(nick.clone()) {
            if is_new {
                before.push(Step::Join(nick.clone()));
            } else {
                steps.push(Step::Join(nick.clone()));
            }
        }
        match &*kind {
            "say" => steps.push(Step::Say(nick, field("text"))),
            "action" => steps.push(Step::Say(nick, format!("/me {}", field("text")))),
            "part" => {
                present.remove(&nick);
                steps.push(Step::Part(nick));
            }
            "nick" => {
                let to = field("to");
                present.remove(&nick);
                steps.push(Step::Part(nick));
                known.insert(to.clone());
                if !present.insert(to.clone()) {
                    steps.push(Step::Part(to.clone()));
                }
                steps.push(Step::Join(to));
            }
            _ => panic!("an unknown kind: {line}"),
        }
    }
    before.into_iter().chain(steps).collect()
}

/// The room as it should be, and the people in it.
struct Channel<'a> {
    server: &'a Server,
    room: String,
    /// All calls but polls go over this one connection, each in the name of its session.
    calls: Connection,
    present: BTreeMap<String, Person>,
    leaving: Vec<(String, Person)>,
    people: usize,
    sayings: usize,
}

struct Person {
    token: String,
    /// A topic of its own: a message there says that nothing more comes.
    own: String,
    members: BTreeSet<String>,
    expected: Vec<Value>,
    poller: JoinHandle<(Vec<Value>, usize)>,
}

impl<'a> Channel<'a> {
    fn new(server: &'a Server, room: String) -> Self {
        let calls = Connection::open(&server.listen);
        Self { server, room, calls, present: BTreeMap::new(), leaving: Vec::new(), people: 0, sayings: 0 }
    }

    fn all_see(&mut self, message: &Value) {
        for person in self.present.values_mut() {
            person.expected.push(message.clone());
        }
    }

    fn join(&mut self, nick: &str) {
        self.people += 1;
        let own = format!("irc.{}.{}", self.room.replace('.', "-"), self.people);
        let mut session = Session::open_with(self.server, &json!({"user": nick, "topics": [own]}));
        let token = session.token.clone();
        let poller = std::thread::spawn({
            let own = own.clone();
            move || follow(&mut session, &own)
        });
        let subscription = format!("/v1/topics/{}/subscription", self.room);
        self.calls.call(&put(subscription).token(&token)).expect(204);
        self.all_see(&json!({ "joined": nick }));
        let members = self.present.keys().cloned().chain([nick.to_owned()]).collect();
        let person = Person { token, own, members, expected: Vec::new(), poller };
        assert!(self.present.insert(nick.to_owned(), person).is_none(), "{nick} is there already");
    }

    fn part(&mut self, nick: &str) {
        let person = self.present.remove(nick).unwrap_or_else(|| panic!("{nick} is not there"));
        let subscription = format!("/v1/topics/{}/subscription", self.room);
        self.calls.call(&delete(subscription).token(&person.token)).expect(204);
        self.all_see(&json!({"left": {"user": nick, "reason": "leave"}}));
        assert_eq!(publish(self.server, &person.own, &json!("end")).recipients, 1);
        self.leaving.push((nick.to_owned(), person));
    }

    fn say(&mut self, nick: &str, text: &str) {
        let token = &self.present[nick].token;
        let request = post(events(&self.room)).json(&json!({ "say": text })).token(token);
        let answer = self.calls.call(&request).expect(200).json();
        assert_eq!(answer["recipients"].as_u64(), Some(self.present.len() as u64), "{nick}: {text}");
        self.sayings += 1;
        self.all_see(&json!({"said": {"user": nick, "text": text}}));
    }

    /// Everybody leaves, and what each has got is compared with what it should have got.
    fn end(mut self) -> Told {
        for person in self.present.values() {
            assert_eq!(publish(self.server, &person.own, &json!("end")).recipients, 1);
        }
        let (people, sayings) = (self.people, self.sayings);
        let (mut deliveries, mut polls) = (0, 0);
        for (nick, person) in self.leaving.drain(..).chain(std::mem::take(&mut self.present)) {
            let (got, its_polls) = person.poller.join().unwrap_or_else(|_| panic!("{nick}'s poller failed"));
            let (welcome, got) = got.split_first().unwrap_or_else(|| panic!("{nick} got nothing"));
            let members = welcome["welcome"]["members"].as_array().unwrap_or_else(|| panic!("{nick}: {welcome}"));
            let members: BTreeSet<_> = members.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
            assert_eq!(members, person.members, "whom {nick} found");
            for (at, (got, expected)) in got.iter().zip(&person.expected).enumerate() {
                assert_eq!(got, expected, "message {at} of {nick}");
            }
            assert_eq!(got.len(), person.expected.len(), "{nick} got more or less than was said");
            deliveries += got.len() + 1;
            polls += its_polls;
        }
        Told { people, sayings, deliveries, polls }
    }
}

/// Polls along the cursor until the session's own topic says that it is over; all that came, and how many polls it took.
fn follow(session: &mut Session, own: &str) -> (Vec<Value>, usize) {
    let mut got = Vec::new();
    for polls in 1.. {
        let before = session.cursor;
        let page = session.poll(25);
        assert!(page.gap.is_none() && !page.superseded, "{}", page.raw);
        assert_eq!(page.cursor, before + page.messages.len() as u64, "{}", page.raw);
        for mut message in page.messages {
            if message["topic"] == own {
                return (got, polls);
            }
            got.push(message["data"].take());
        }
    }
    unreachable!("polls have no end")
}
