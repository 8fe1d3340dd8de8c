//! The operator's dashboard in Chromium: what it shows, and what is done by clicking.

use crate::browser::{Browser, Page};
use crate::client::{Session, publish};
use crate::guests;
use crate::harness::{Scratch, Server, TOPIC_ONLY, volley};
use crate::live::beyond_loopback;
use crate::operator::{Operator, component_file, named};
use crate::rooms::{enter, say};
use serde_json::json;

const TOKEN: &str = "a-secret-of-more-than-16";
/// A name that would be a picture, and say so, if it were ever taken for markup.
const MARKUP: &str = "<img src=x onerror=\"document.title='pwned'\"><b>bold</b>";

/// A server that wants the token, with version `a` of `versions` on `v.>`.
fn guarded(folder: &Scratch) -> (Server, Operator) {
    let (token, plugin) = (folder.file("token", TOKEN), component_file(folder.path(), &named("a")));
    let config = folder.file("volley.toml", TOPIC_ONLY);
    let mut command = volley();
    command.args(["serve", "--ephemeral", "--admin-token-file", &token, "--config", &config]);
    command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--plugin", &format!("versions={plugin}"), "--route", "v.>=versions"]);
    let server = Server::start_as(&mut command);
    let operator = Operator::of(&server, "versions").with_token(TOKEN);
    (server, operator)
}

fn url(server: &Server, section: &str) -> String {
    format!("http://{}/#/{section}", server.admin)
}

fn short(version: &str) -> &str {
    &version["sha256:".len()..][..12]
}

/// The page goes to another section, as by a link.
fn go(page: &mut Page, section: &str) {
    page.value(&format!("location.hash = '#/{section}'; null"));
}

/// What the console was told besides the answers that a test asked for.
#[track_caller]
fn expect_no_complaints(page: &mut Page, but_for: &[&str]) {
    let expected = |complaint: &&String| but_for.iter().any(|words| complaint.contains(words));
    let complaints = page.complaints();
    let others: Vec<&String> = complaints.iter().filter(|complaint| !expected(complaint)).collect();
    assert!(others.is_empty(), "{others:#?}");
}

const FIRST_BUTTON: &str = "dialog button[type=submit]";

#[test]
fn numbers_move_with_what_happens() {
    let server = Server::start_plain(&[]);
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, ""));
    page.wait_for_text("#state", "live");
    page.wait_for_text("#server", &server.admin);
    let tile = |name: &str| {
        format!(
            "[...document.querySelectorAll('.tile')].find(tile => tile.querySelector('dt').innerText === '{name}').innerText"
        )
    };
    page.wait_for(&format!("{}.includes('0 polls')", tile("Parked")));
    let (ann, _bob) = (Session::on(&server, "board.busy"), Session::on(&server, "board.busy"));
    let _parked = ann.park(&server);
    page.wait_for(&format!("{}.includes('1 poll')", tile("Parked")));
    page.wait_for(&format!("{}.includes('2')", tile("Sessions")));
    for n in 0..30 {
        publish(&server, "board.busy", &json!(n));
    }
    page.wait_for(&format!("{}.includes('32 in all')", tile("Events")));
    page.wait_for(&format!("{}.includes('60 in all')", tile("Deliveries")));
    page.wait_for("document.querySelector('[aria-label=\"Busiest topics\"]').innerText.includes('board.busy')");
    page.wait_for("document.querySelectorAll('.tile .spark .line[d]').length >= 6");
    let depths = "document.querySelector('[aria-label^=\"Sessions by\"]').innerText";
    page.wait_for(&format!("/10 – 99\\s+2/.test({depths})"));
    expect_no_complaints(&mut page, &[]);
    let state = |kind: &str| format!("document.querySelector('#state').dataset.kind === '{kind}'");
    // It comes back by itself when the server does.
    server.terminate();
    server.wait_for_exit();
    page.wait_for(&state("lost"));
    let folder = Scratch::new();
    let config = folder.file("volley.toml", TOPIC_ONLY);
    let _again = Server::start_bare(&["--config", &config, "--listen", "127.0.0.1:0", "--admin", &server.admin]);
    page.wait_for(&state("live"));
    page.wait_for(&format!("{}.includes('0 in all')", tile("Events")));
}

/// A shadow, a swap and a rollback by clicking; the token is asked for once, and a wrong one is told.
#[test]
fn a_shadow_a_swap_and_a_rollback_by_clicking() {
    let folder = Scratch::new();
    let (server, operator) = guarded(&folder);
    let mut ann = Session::on(&server, "v.board");
    let old = operator.active();
    let new = operator.push(&guests::version(&json!({"name": "b", "release": "0.1.7", "to": "others"})));
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "plugins/versions"));
    let press =
        |page: &mut Page, what: &str, version: &str| page.click(&format!("[aria-label='{what} {}']", short(version)));

    press(&mut page, "Shadow", &new);
    page.fill("dialog input[type=number]", "100");
    page.click(FIRST_BUTTON);
    page.fill("dialog.token input", "not the token of this server");
    page.click("dialog.token button[type=submit]");
    page.wait_for_text("dialog.token .wrong", "not the token");
    page.fill("dialog.token input", TOKEN);
    page.press("Enter");
    page.wait_for_text("#notes", &format!("{} looks on", short(&new)));
    for n in 0..10 {
        ann.publish("v.board", &json!(n));
    }
    page.wait_for_text("#shadow-words", "10 different");
    assert_eq!(operator.active(), old);

    press(&mut page, "Activate", &new);
    page.wait_for_text("dialog h2", &format!("Let {} route for versions?", short(&new)));
    let text = page.value("document.querySelector('dialog').innerText");
    let text = text.as_str().expect("text");
    for words in [short(&old), "0.1.0", "0.1.7", "10 compared, 10 different", "Imports: the same", &*ann.pid] {
        assert!(text.contains(words), "{words}: {text}");
    }
    page.fill("dialog textarea", r#"{"greeting": "hello"}"#);
    page.wait_for_text("dialog .patch", "greeting");
    page.click(FIRST_BUTTON);
    page.wait_for_text("#notes", &format!("versions is routed by {} (before: {})", short(&new), short(&old)));
    assert_eq!(operator.active(), new);
    ann.skip_all();
    assert_eq!(publish(&server, "v.board", &json!("new")).recipients, 1);
    let message = ann.next();
    assert_eq!((&message["by"], &message["config"]), (&json!("b"), &json!({"greeting": "hello"})));

    page.wait_for(&format!("document.querySelector('[aria-label=\"Activate {}\"]')", short(&old)));
    page.click(".title .actions button:first-child");
    page.wait_for_text("dialog h2", &format!("Let {} route for versions again?", short(&old)));
    page.click(FIRST_BUTTON);
    page.wait_for_text("#notes", &format!("versions is routed by {}", short(&old)));
    assert_eq!(operator.active(), old);
    publish(&server, "v.board", &json!("old"));
    assert_eq!(ann.next()["by"], "a");
    let kept = page.value("JSON.stringify([location.href, document.cookie, { ...localStorage }])");
    assert!(!kept.to_string().contains(TOKEN), "{kept}");
    page.click("#forget");
    assert_eq!(page.value("Object.keys(sessionStorage).length"), 0);
    expect_no_complaints(&mut page, &["a status of 401"]);
}

#[test]
fn a_component_is_checked_first_and_all_that_is_wrong_is_told() {
    let folder = Scratch::new();
    let (server, operator) = guarded(&folder);
    let misfit = guests::edited(&named("b"), b"volley:router/handler@0.1.0", b"volley:router/handler@0.2.0");
    let misfit = guests::edited(&misfit, b"volley:router/logger@0.1.0", b"volley:router/lagger@0.1.0");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("write");
        path
    };
    let (misfit, fit) = (write("misfit.wasm", &misfit), write("fit.wasm", &named("c")));
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "plugins/versions"));
    page.click(".title .actions .primary");
    page.choose_file("dialog input[accept*=wasm]", &misfit);
    page.click(FIRST_BUTTON);
    page.fill("dialog.token input", TOKEN);
    page.press("Enter");
    page.wait_for_text("dialog .wrong", "and what runs goes on");
    let told = page.value("document.querySelector('dialog .wrong').innerText").to_string();
    for words in ["of volley:router 0.2.0; this host speaks 0.1", "lagger"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let versions = |operator: &Operator| operator.about()["versions"].as_array().expect("a list").len();
    assert_eq!(versions(&operator), 1);
    page.choose_file("dialog input[accept*=wasm]", &fit);
    page.click(FIRST_BUTTON);
    page.wait_for_text("dialog [role=status]", "It fits");
    assert_eq!(versions(&operator), 1, "a dry run");
    page.click(FIRST_BUTTON);
    page.wait_for_text("#notes", "is on the server, and does not route yet");
    assert_eq!(versions(&operator), 2);
    page.wait_for("document.querySelectorAll('[aria-label^=\"Activate \"]').length === 1");
    expect_no_complaints(&mut page, &["a status of 401", "a status of 422"]);
}

#[test]
fn two_operators_do_not_overwrite_each_other() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    let (mine, theirs) = (operator.push(&named("b")), operator.push(&named("c")));
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "plugins/versions"));
    page.click(&format!("[aria-label='Activate {}']", short(&mine)));
    page.wait_for("document.querySelector('dialog')");
    operator.activate(&theirs);
    page.click(FIRST_BUTTON);
    page.wait_for_text("dialog .wrong", "somebody else deployed meanwhile");
    assert_eq!(operator.active(), theirs);
    page.press("Escape");
    page.wait_for("!document.querySelector('dialog')");
    expect_no_complaints(&mut page, &["a status of 409"]);
}

/// Names, topics' neighbours, tables and logs are what others wrote.
#[test]
fn what_others_wrote_is_never_markup() {
    let server = Server::start_with_probe(&[]);
    let ann = Session::open_as(&server, MARKUP);
    let eve = Session::open_as(&server, "eve");
    let write = json!({"do": "log", "level": "warning", "message": MARKUP});
    assert_eq!(crate::client::try_publish(&server, "probe.markup", &write).status, 200);
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "sessions"));
    page.wait_for_text("main table", MARKUP);
    page.click(&format!("a[href='#/sessions/{}']", crate::harness::in_path(&ann.pid)));
    page.wait_for_text("main .facts", MARKUP);
    go(&mut page, "sessions");
    page.click(&format!("[aria-label='Kick eve {}']", eve.pid));
    page.click(FIRST_BUTTON);
    page.wait_for_text("#notes", "has ended");
    page.wait_for("!document.querySelector('main').innerText.includes('eve')");
    let listed = crate::http::call(&server.admin, &crate::http::get("/admin/v1/sessions")).json();
    assert_eq!(listed["sessions"].as_array().expect("a list").len(), 1, "{listed}");
    for section in ["overview", "plugins", "routes", "tables", "logs/probe", "sessions"] {
        go(&mut page, section);
        page.wait_for(&format!(
            "document.querySelector('nav a[aria-current]').hash === '#/{}'",
            section.split('/').next().expect("a name")
        ));
        assert_eq!(page.value("document.querySelectorAll('main img, main b:not(.log b)').length"), 0, "{section}");
    }
    assert!(page.value("document.title") != "pwned");
    expect_no_complaints(&mut page, &[]);
}

#[test]
fn tables_and_routes_are_read_page_by_page() {
    let server = Server::start(&[]);
    let mut rooms: Vec<Session> = Vec::new();
    for n in 0..3 {
        let (mut session, _) = enter(&server, MARKUP, &format!("chat.board-{n}"));
        for line in 0..18 {
            say(&mut session, &format!("chat.board-{n}"), &format!("line {line} {MARKUP}"));
        }
        rooms.push(session);
    }
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "tables"));
    page.click("main table a[href*='rooms']");
    page.wait_for_text("main .below", "Page 1");
    page.wait_for("document.querySelectorAll('main tbody tr').length === 50");
    assert_eq!(page.value("document.querySelectorAll('main img').length"), 0);
    page.click("main .buttons button:nth-child(2)");
    page.wait_for_text("main .below", "Page 2");
    page.fill("main input[type=search]", "chat.board-1");
    page.press("Enter");
    page.wait_for_text("main .below", "Page 1");
    page.wait_for(
        "[...document.querySelectorAll('main tbody th')].every(key => key.innerText.startsWith('chat.board-1'))",
    );
    page.wait_for("document.querySelectorAll('main tbody pre').length > 5");
    page.click("nav a[href='#/tables']");
    page.wait_for_text("main table", "chat:rooms");
    page.offline(true);
    page.click("main .buttons button");
    page.wait_for_text("main .wrong", "can't be reached");
    page.offline(false);
    page.click("main .buttons button");
    page.wait_for("document.querySelector('main .wrong').innerText === ''");
    go(&mut page, "routes");
    page.wait_for("/chat\\.>\\s+chat[^]*>\\s+topic/.test(document.querySelector('main table')?.innerText)");
    expect_no_complaints(&mut page, &["ERR_INTERNET_DISCONNECTED"]);
}

#[test]
fn a_log_goes_on_while_it_is_read() {
    let server = Server::start_with_probe(&[]);
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "logs/probe"));
    page.wait_for_text("main [role=status]", "as they come");
    assert_eq!(
        crate::client::try_publish(&server, "probe.log", &json!({"do": "trap", "words": "told to"})).status,
        502
    );
    page.wait_for_text(".log", "probe.log");
    page.wait_for("document.querySelector('.log [data-level=error]')");
    expect_no_complaints(&mut page, &[]);
}

/// Contrast of texts with what is behind them, by the formula of WCAG 2: those below 4.5 (AA), outside pictures.
const TOO_FAINT: &str = r"(() => {
    const channels = color => color.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = element => {
        for (; element; element = element.parentElement) {
            const color = channels(getComputedStyle(element).backgroundColor);
            if (color.length < 4 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const texts = [...document.querySelectorAll('body *')].filter(one => one.checkVisibility() && !one.closest('.unseen, :disabled')
        && [...one.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
    const faint = texts.map(one => {
        const [a, b] = [light(channels(getComputedStyle(one).color)), light(behind(one))].sort((a, b) => b - a);
        return [one.outerHTML.slice(0, 120), (a + 0.05) / (b + 0.05)];
    }).filter(([_, contrast]) => contrast < 4.5);
    return texts.length > 20 ? faint : ['too few texts'] })()";

/// Every link, button and field is reached with Tab and has a name; a screen reader hears headings, tables and their names.
#[test]
fn the_keyboard_reaches_all_and_everything_has_a_name() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    operator.push(&named("b"));
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "plugins/versions"));
    page.wait_for("document.querySelector('[aria-label^=\"Activate \"]')");
    let can_be_used = "[...document.querySelectorAll('a[href], button, input, select, textarea')].filter(one => !one.disabled && one.checkVisibility())";
    let wanted = page.value(&format!("{can_be_used}.length")).as_u64().expect("a number");
    page.value("window.reached = new Set(); document.addEventListener('focusin', event => reached.add(event.target)); document.activeElement?.blur?.()");
    for _ in 0..wanted + 12 {
        page.press("Tab");
    }
    let missed = page.value(&format!("{can_be_used}.filter(one => !reached.has(one)).map(one => one.outerHTML)"));
    assert_eq!(missed, json!([]), "not reached with Tab");
    let heard = page.heard();
    for (role, name) in [
        ("heading", "versions"),
        ("heading", "Versions"),
        ("table", "Versions, the newest first"),
        ("navigation", "Sections"),
        ("status", ""),
    ] {
        assert!(
            heard.iter().any(|(heard, words)| heard == role && words.starts_with(name)),
            "{role} {name}: {heard:?}"
        );
    }
    for (role, name) in &heard {
        let needs_one =
            ["button", "link", "textbox", "searchbox", "combobox", "table", "spinbutton", "checkbox", "dialog"];
        assert!(!needs_one.contains(&&**role) || !name.is_empty(), "a {role} without a name");
    }
    for dark in [false, true] {
        page.scheme(dark);
        assert_eq!(page.value(TOO_FAINT), json!([]), "dark: {dark}");
    }
    page.value("document.querySelector('nav a[href=\"#/routes\"]').focus()");
    page.press("Enter");
    page.wait_for_text("main h2", "Routes");
    assert_eq!(page.value("document.activeElement.id"), "main", "what follows is read from there");
    expect_no_complaints(&mut page, &[]);
}

#[test]
fn on_a_phone_nothing_scrolls_sideways() {
    let (server, operator) = Server::start_with_version(&named("a"), &[]);
    operator.push(&named("b"));
    let session =
        Session::on(&server, "v.a-topic-with-a-name-that-is-long-enough-to-be-in-the-way-on-a-phone.and.goes.on");
    publish(&server, "v.a-topic-with-a-name-that-is-long-enough-to-be-in-the-way-on-a-phone.and.goes.on", &json!(1));
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&url(&server, "overview"));
    page.window(390, 844, true);
    let pid = crate::harness::in_path(&session.pid);
    for (section, there) in [
        ("overview", ".tile .value"),
        ("plugins", "main td"),
        ("plugins/versions", "[aria-label^='Activate ']"),
        ("routes", "main td"),
        ("tables", "main td"),
        ("sessions", "main td"),
        (&*format!("sessions/{pid}"), "main dd"),
        ("logs/versions", ".log"),
    ] {
        go(&mut page, section);
        page.wait_for(&format!("document.querySelector(\"{there}\")"));
        let widths = page.value("[document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(widths[0], widths[1], "{section}");
    }
    go(&mut page, "plugins/versions");
    page.click("[aria-label^='Activate ']");
    page.wait_for("document.querySelector('dialog')");
    let widths = page.value("[document.documentElement.scrollWidth, innerWidth]");
    assert_eq!(widths[0], widths[1], "a dialog");
    expect_no_complaints(&mut page, &[]);
}

#[test]
fn beyond_loopback_the_page_asks_for_the_token_at_once() {
    let (_server, admin) = beyond_loopback();
    let Some(mut browser) = Browser::start() else { return };
    let mut page = browser.page(&format!("http://{admin}/"));
    page.wait_for("document.querySelector('dialog.token')");
    assert!(!page.value("document.body.innerText").to_string().contains("in all"), "nothing is told before");
    page.press("Escape");
    page.wait_for_text("#state", "needs the admin token");
    page.click("nav a[href='#/routes']");
    page.fill("dialog.token input", TOKEN);
    page.click("dialog.token button[type=submit]");
    page.wait_for_text("#state", "live");
    page.wait_for("!document.querySelector('dialog')");
    expect_no_complaints(&mut page, &["a status of 401"]);
}
