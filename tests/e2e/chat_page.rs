//! The chat page in Chromium, served by `--demo`: people who talk, by each transport, while the rule is swapped and the
//! connection breaks. What it looks like is in `chat_looks`.

use crate::browser::{Browser, Page};
use crate::doors::issuer::{Issuer, claims};
use crate::doors::{jwks, secret_file};
use crate::guests;
use crate::harness::{Scratch, Server, say, workspace};
use crate::operator::Operator;
use crate::our_clients::{Ending, snippets};
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// Somebody at a page.
pub(crate) struct Person {
    pub(crate) page: Page,
}

impl Person {
    /// Comes in, under that name.
    #[track_caller]
    pub(crate) fn enters(browser: &mut Browser, url: &str, name: &str, room: &str) -> Self {
        let mut page = browser.page(url);
        page.fill("#name", name);
        page.fill("#first-room", room);
        page.click("#enter button[type=submit]");
        let mut person = Self { page };
        person.page.wait_for_text("#room-name", room);
        person.is_connected();
        person
    }

    #[track_caller]
    pub(crate) fn is_connected(&mut self) {
        self.page.wait_for("document.querySelector('#state').dataset.state === 'open'");
    }

    /// Listens in that way from now on.
    #[track_caller]
    pub(crate) fn listens_by(&mut self, way: &str, shown: &str) {
        self.page.choose("#transport", way);
        self.page.wait_for_text("#state", &format!("Connected by {shown}"));
    }

    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) {
        self.page.fill("#text", text);
        self.page.press("Enter");
    }

    /// What the conversation on the page is, line by line: who, and what.
    pub(crate) fn lines(&mut self) -> Vec<(String, String)> {
        let lines = self.page.value(
            "[...document.querySelectorAll('.log:not([hidden]) [role=log] .line')].map((line) =>
                [line.querySelector('.who').textContent, line.querySelector('.text').textContent])",
        );
        serde_json::from_value(lines).expect("pairs")
    }

    /// Waits until the last lines are these, and sees that nothing stands twice.
    #[track_caller]
    pub(crate) fn sees(&mut self, last: &[(&str, &str)]) {
        let text = last.last().expect("a line").1;
        self.page.wait_for(&format!(
            "[...document.querySelectorAll('.log:not([hidden]) [role=log] .text')].at(-1)?.textContent === {}",
            json!(text)
        ));
        let lines = self.lines();
        let end = lines[lines.len().saturating_sub(last.len())..].iter().map(|(who, text)| (&**who, &**text));
        assert_eq!(end.collect::<Vec<_>>(), last, "{lines:?}");
    }

    #[track_caller]
    pub(crate) fn notes(&mut self, words: &str) {
        let found =
            "[...document.querySelectorAll('.log:not([hidden]) .note')].some((note) => note.textContent.includes(";
        self.page.wait_for(&format!("{found}{}))", json!(words)));
    }

    /// Chooses something of what can be done about a member.
    #[track_caller]
    pub(crate) fn about(&mut self, name: &str, what: &str) {
        self.page.click(&format!("#members li[data-key={}] button", json!(name)));
        self.page.wait_for("document.querySelector('#member').open");
        self.page.click(&format!("#member button[value={what}]"));
        self.page.wait_for("!document.querySelector('#member').open");
    }
}

pub(crate) fn url(server: &Server) -> String {
    format!("http://{}/", server.listen)
}

const WAYS: [(&str, &str); 3] = [("websocket", "WebSocket"), ("events", "server-sent events"), ("poll", "long polls")];

/// Nothing moves any more.
pub(crate) const SETTLED: &str = "document.getAnimations().every((animation) => animation.playState === 'finished')";

#[test]
fn two_people_talk_while_the_rule_is_swapped() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::start(&["--demo", "--lanes", "2"]);
    let operator = Operator::of(&server, "chat");
    let mut ann = Person::enters(&mut browser, &url(&server), "Ann", "lobby");
    let mut bob = Person::enters(&mut browser, &url(&server), "Bob", "lobby");
    ann.listens_by("websocket", "WebSocket");
    bob.listens_by("events", "server-sent events");
    ann.notes("Bob has come in");
    ann.says("one");
    bob.sees(&[("Ann", "one")]);
    // Between two messages.
    let next = operator.push(&guests::chat_next());
    operator.activate(&next);
    bob.says("two");
    ann.sees(&[("You", "one"), ("Bob", "two")]);
    bob.sees(&[("Ann", "one"), ("You", "two")]);
    // And while messages are on their way, back and forth.
    let swapping = std::thread::spawn(move || {
        for _ in 0..2 {
            operator.rollback();
            operator.activate(&next);
        }
    });
    let mut said = Vec::new();
    for n in 0..20 {
        let text = format!("message {n}");
        ann.says(&text);
        said.push(text);
    }
    swapping.join().expect("swapped");
    let of = |who: &'static str| said.iter().map(|text| (who, &**text)).collect::<Vec<_>>();
    bob.sees(&of("Ann"));
    ann.sees(&of("You"));
    assert_eq!(ann.page.complaints(), Vec::<String>::new());
    assert_eq!(bob.page.complaints(), Vec::<String>::new());
}

#[test]
fn each_transport_by_the_switch() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let mut ann = Person::enters(&mut browser, &url(&server), "Ann", "ways");
    let mut bob = Person::enters(&mut browser, &url(&server), "Bob", "ways");
    let mut said: Vec<(bool, String)> = Vec::new();
    for ((way, shown), (other, other_shown)) in WAYS.into_iter().zip(WAYS.into_iter().cycle().skip(1)) {
        ann.listens_by(way, shown);
        bob.listens_by(other, other_shown);
        ann.says(&format!("from {way}"));
        said.push((true, format!("from {way}")));
        bob.page.wait_for_text(".log:not([hidden])", &format!("from {way}"));
        bob.says(&format!("heard by {other}"));
        said.push((false, format!("heard by {other}")));
        let as_seen = |by_ann: bool| -> Vec<(&str, &str)> {
            let who = |of_ann: bool| {
                if of_ann == by_ann {
                    "You"
                } else if of_ann {
                    "Ann"
                } else {
                    "Bob"
                }
            };
            said.iter().map(|(of_ann, text)| (who(*of_ann), &**text)).collect()
        };
        ann.sees(&as_seen(true));
        bob.sees(&as_seen(false));
    }
    // A tab that is loaded again comes back as who it was, in the way that it had.
    ann.page.go(&url(&server));
    ann.page.wait_for_text("#state", "Connected by long polls");
    ann.page.wait_for_text("#me", "Ann");
    ann.page.wait_for_text("[role=log]", &said.last().expect("a line").1);
    let again: Vec<_> = ann.lines().into_iter().map(|(_, text)| text).collect();
    assert_eq!(again, said.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>(), "the backlog");
}

#[test]
fn writing_and_private_words() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let [mut ann, mut bob, mut eve] =
        ["Ann", "Bob", "Eve"].map(|name| Person::enters(&mut browser, &url(&server), name, "tea"));
    bob.page.fill("#text", "I am just");
    ann.page.wait_for_text("#typing", "Bob is writing");
    bob.says("here");
    ann.sees(&[("Bob", "here")]);
    ann.page.wait_for("document.querySelector('#typing').textContent === ''");
    ann.about("Bob", "tell");
    ann.page.wait_for_text("#privately", "Only Bob will see this");
    ann.page.screenshot("chat-privately");
    ann.says("psst");
    bob.sees(&[("You", "here"), ("Ann", "psst")]);
    ann.sees(&[("Bob", "here"), ("You", "psst")]);
    ann.page.wait_for_text(".private .how", "privately to Bob");
    ann.page.press("Escape");
    ann.page.wait_for("document.querySelector('#privately').hidden");
    ann.says("and to all");
    eve.sees(&[("Bob", "here"), ("Ann", "and to all")]);
    // As somebody writes who likes to type.
    eve.says("/tell Ann so do I");
    ann.sees(&[("You", "and to all"), ("Eve", "so do I")]);
    eve.says("/dance");
    eve.notes("There is no /dance");
}

/// The answer to a publish may be there before the message: then the line did not say to whom it went.
#[test]
fn a_private_line_says_to_whom_whichever_comes_first() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let mut page = browser.page(&url(&server));
    for steps in ["addressed(); hears()", "hears(); addressed()"] {
        let script = format!(
            "import('/room.js').then(({{ Room }}) => {{
                const room = new Room('tea', 'Ann', () => {{}});
                const addressed = () => room.addressed('7', 'Bob');
                const hears = () => room.hear({{ event: '7', data: {{ told: {{ user: 'Ann', text: 'psst' }} }} }});
                {steps};
                return room.element.querySelector('.how').textContent;
            }})"
        );
        assert_eq!(page.value(&script), "privately to Bob", "{steps}");
    }
}

#[test]
fn ops_moderate() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let mut ann = Person::enters(&mut browser, &url(&server), "Ann", "club");
    let mut bob = Person::enters(&mut browser, &url(&server), "Bob", "club");
    ann.notes("You are the first here");
    ann.page.wait_for_text("#members", "Bob");
    bob.about("Ann", "kick");
    bob.notes("only an op may do this");
    ann.about("Bob", "mute");
    ann.notes("Bob can't say anything now (only you see this)");
    bob.says("hello?");
    bob.page.wait_for_text(".failed", "Not sent: you are muted in this room");
    bob.page.screenshot("chat-not-sent");
    ann.about("Bob", "unmute");
    ann.notes("Bob may speak again");
    bob.page.click(".failed button");
    ann.sees(&[("Bob", "hello?")]);
    ann.page.click("#open-room-settings");
    ann.page.fill("#new-subject", "No shouting");
    ann.page.click("#room-settings button[value=subject]");
    bob.page.wait_for_text("#subject", "No shouting");
    ann.about("Bob", "kick");
    bob.page.wait_for("document.querySelector('#text').disabled");
    bob.notes("Bob was removed");
    bob.page.fill("#join-room", "club");
    bob.page.press("Enter");
    bob.page.wait_for("!document.querySelector('#text').disabled");
    ann.page.wait_for_text("#members", "Bob");
    ann.about("Bob", "ban");
    bob.page.wait_for("document.querySelector('#text').disabled");
    bob.page.fill("#join-room", "club");
    bob.page.press("Enter");
    bob.notes("you are banned from this room");
    ann.says("/unban Bob");
    ann.notes("Bob may come back");
    bob.page.fill("#join-room", "club");
    bob.page.press("Enter");
    bob.page.wait_for("!document.querySelector('#text').disabled");
    bob.says("thanks");
    ann.sees(&[("Bob", "thanks")]);
}

#[test]
fn several_rooms_and_what_is_unread() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let mut ann = Person::enters(&mut browser, &format!("{}#music", url(&server)), "Ann", "music");
    let mut bob = Person::enters(&mut browser, &url(&server), "Bob", "music");
    ann.page.fill("#join-room", "two words");
    ann.page.press("Enter");
    ann.page.wait_for_text("#room-name", "two-words");
    bob.says("which song?");
    ann.page.wait_for("document.querySelector('#rooms .count')?.textContent === '1'");
    ann.page.wait_for("document.title.startsWith('(1)')");
    ann.page.click("#rooms li[data-key=music] button");
    ann.sees(&[("Bob", "which song?")]);
    ann.page.wait_for("!document.querySelector('#rooms .count')");
    ann.page.fill("#join-room", "no/room");
    ann.page.press("Enter");
    ann.page.wait_for("document.querySelector('#join-room').validationMessage.includes('letters')");
    ann.page.click("#open-room-settings");
    ann.page.click("#room-settings button[value=leave]");
    ann.page.wait_for_text("#room-name", "two-words");
    bob.notes("Ann has left");
}

#[test]
fn a_page_comes_back_by_itself() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::start(&["--demo"]);
    let listen = server.listen.clone();
    let mut people: Vec<Person> =
        ["Ann", "Bob", "Eve"].iter().map(|name| Person::enters(&mut browser, &url(&server), name, "lobby")).collect();
    for (person, (way, shown)) in people.iter_mut().zip(WAYS) {
        person.listens_by(way, shown);
    }
    people[0].says("before");
    for person in &mut people {
        person.page.wait_for_text("[role=log]", "before");
    }
    // The network is away for a while, and then there again: nothing is missing.
    for at in 1..3 {
        people[at].page.offline(true);
        people[0].says(&format!("while {at} is away"));
        people[at].page.offline(false);
        people[at].page.wait_for_text("[role=log]", &format!("while {at} is away"));
        people[at].is_connected();
    }
    // The server is started anew, and knows of nothing: sessions are opened and rooms are joined again.
    server.terminate();
    assert!(server.wait_for_exit().success());
    for person in &mut people {
        person.page.wait_for("document.querySelector('#state').dataset.state === 'reconnecting'");
    }
    people[0].page.window(390, 844, true);
    people[0].page.wait_for(SETTLED);
    people[0].page.screenshot("chat-phone-reconnecting");
    let _again = Server::start_bare(&["--listen", &listen, "--admin", "127.0.0.1:0", "--demo"]);
    for (person, (_, shown)) in people.iter_mut().zip(WAYS) {
        person.page.wait_for_text("#state", &format!("Connected by {shown}"));
        person.notes("something may be missing here");
        person.page.wait_for("document.querySelectorAll('#members li').length === 3");
    }
    people[2].says("after");
    for person in &mut people {
        person.page.wait_for_text("[role=log]", "after");
        let before = person.lines().iter().filter(|(_, text)| text == "before").count();
        assert_eq!(before, 1, "what was said before stays, once");
    }
}

#[test]
fn what_people_write_is_never_markup() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let bad = "<img src=x onerror=\"document.title='taken'\"><b>bold</b>&amp;<script>document.title='taken'</script>";
    let name = "<img src=x onerror=\"document.title='taken'\">";
    let mut ann = Person::enters(&mut browser, &url(&server), name, "markup");
    let mut bob = Person::enters(&mut browser, &url(&server), "Bob", "markup");
    ann.says(bad);
    bob.sees(&[(name, bad)]);
    ann.says(&format!("/subject {bad}"));
    bob.page.wait_for_text("#subject", bad);
    bob.about(name, "tell");
    bob.page.wait_for_text("#privately", name);
    for person in [&mut ann, &mut bob] {
        let elements = person
            .page
            .value("document.querySelectorAll('#chat b, #chat script, #chat img:not([src=\"icon.svg\"])').length");
        assert_eq!(elements, 0);
        assert_ne!(person.page.value("document.title"), "taken");
        assert_eq!(person.page.complaints(), Vec::<String>::new());
    }
}

#[test]
fn where_tokens_are_wanted_the_page_asks_for_one() {
    let Some(mut browser) = Browser::start() else { return };
    let (issuer, folder) = (Issuer::hs256("page"), Scratch::new());
    let server = Server::start(&["--demo", "--auth-jwks", &secret_file(&folder, "jwks.json", &jwks(&[&issuer]))]);
    let mut page = browser.page(&url(&server));
    page.fill("#name", "whoever");
    page.press("Enter");
    page.wait_for_text("#entrance-problem", "nobody in without a token");
    page.wait_for("document.activeElement.id === 'token'");
    page.screenshot("chat-entrance-token");
    page.type_text(&issuer.token(&claims("Ann", &["chat.>"])));
    page.press("Enter");
    page.wait_for_text("#me", "Ann");
    let mut ann = Person { page };
    ann.is_connected();
    for (way, shown) in WAYS {
        ann.listens_by(way, shown);
        ann.says(way);
        ann.page.wait_for_text("[role=log]", way);
    }
    // What opens everything is not kept, so a tab that is loaded again asks anew.
    ann.page.go(&url(&server));
    ann.page.wait_for("document.activeElement?.id === 'name'");
    assert_eq!(ann.page.value("JSON.stringify(sessionStorage).includes('eyJ')"), false);
}

/// As `examples/chat/README.md` says: with another server of files, and origins that are named.
#[test]
fn served_by_another_server() {
    let [files, volley] = &snippets("examples/chat/README.md", "sh")[..] else { panic!("two commands") };
    let Some(mut browser) = Browser::start() else { return };
    let folder = Scratch::new();
    for name in
        ["chat/index.html", "chat/chat.js", "chat/room.js", "chat/chat.css", "chat/icon.svg", "client-js/volley.js"]
    {
        let copy = folder.path().join("examples").join(name);
        std::fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
        std::fs::copy(workspace().join("examples").join(name), copy).expect("a copy");
    }
    let command = files.replace("python3", "exec python3 -u").replace(" 8000 ", " 0 ");
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", &command]).current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut python = Ending(shell.spawn().expect("a shell"));
    let mut said = String::new();
    BufReader::new(python.0.stdout.take().expect("piped")).read_line(&mut said).expect("what Python says");
    let port = said.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()).map(str::to_owned);
    let Some(port) = port else {
        assert!(std::env::var_os("VOLLEY_TEST_CLIENTS").is_none(), "python3 is to be there: {said:?}");
        return say("SKIPPED: the chat page by another server; there is no python3");
    };
    let origin = volley.trim().strip_prefix("volley serve ").expect("a command").replace("8000", &port);
    let server = Server::start(&origin.split(' ').collect::<Vec<_>>());
    let index = folder.path().join("examples/chat/index.html");
    let page = std::fs::read_to_string(&index).expect("the page");
    let named = format!("<meta name=\"volley-server\" content=\"{}\">", url(&server));
    std::fs::write(&index, page.replace("<meta name=\"volley-server\" content=\"\">", &named)).expect("the page");
    let url = format!("http://127.0.0.1:{port}/chat/");
    let mut ann = Person::enters(&mut browser, &url, "Ann", "lobby");
    let mut bob = Person::enters(&mut browser, &url, "Bob", "lobby");
    for (way, shown) in WAYS {
        ann.listens_by(way, shown);
        bob.says(way);
        ann.page.wait_for_text("[role=log]", way);
    }
    assert_eq!(ann.page.complaints(), Vec::<String>::new());
}
