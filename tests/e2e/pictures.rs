//! The dashboard of a busy server, as pictures in `target/screenshots`. The one in the README is of here:
//! `VOLLEY_TEST_PICTURES=1 cargo test --test e2e pictures` takes it anew.

use crate::browser::{Browser, Page};
use crate::client::{Session, publish};
use crate::guests;
use crate::harness::{Scratch, Server, say, workspace};
use crate::operator::{Operator, component_file, done};
use crate::streaming::Events;
use serde_json::json;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// So many seconds a crowd is watched: in a picture that stays, long enough for lines to have a shape.
const WATCHED_S: u32 = 8;
const WATCHED_FOR_README_S: u32 = 75;
/// What is committed stays small.
const PICTURE_BYTES_MAX: u64 = 200_000;

const ROOMS: [&str; 6] = ["lobby", "rust", "erlang", "wasm", "support", "music"];
const NAMES: [&str; 8] = ["ann", "bob", "cleo", "dan", "eve", "finn", "gil", "hana"];

fn bids(release: &str, more: &serde_json::Value) -> Vec<u8> {
    let mut settings = json!({"name": "bids and hammers", "release": release});
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    guests::version(&settings)
}

/// Three plugins; `auction` has had a swap, and has a shadow that would leave the bidder out.
fn server(folder: &Scratch) -> (Server, Operator, String) {
    let plugin = format!("auction={}", component_file(folder.path(), &bids("1.4.0", &json!({}))));
    let server = Server::start(&["--plugin", &plugin, "--route", "auction.>=auction", "--lanes", "2"]);
    let operator = Operator::of(&server, "auction");
    operator.deploy(&bids("1.4.1", &json!({"traps": true})));
    let next = operator.push(&bids("1.5.0", &json!({"to": "others"})));
    let trial = json!({"version": next, "sample": 0.5});
    done(&operator.call(crate::http::post(operator.path("/shadow")).json(&trial)), &[201]);
    (server, operator, next)
}

/// People who poll or listen to streams, and back-ends that publish, until it is over.
fn crowd<'scope>(scope: &'scope std::thread::Scope<'scope, '_>, server: &'scope Server, over: &'scope AtomicBool) {
    for n in 0..40 {
        let user = format!("{}-{n}", NAMES[n % NAMES.len()]);
        let topics = json!([format!("chat.{}", ROOMS[n % ROOMS.len()]), "auction.lot-7", "prices.eur"]);
        let mut session = Session::open_with(server, &json!({"user": user, "topics": topics}));
        scope.spawn(move || {
            if n % 3 == 0 {
                let mut events = Events::open(server, &session);
                while !over.load(Relaxed) && events.next().is_some() {}
                return;
            }
            while !over.load(Relaxed) {
                session.poll(1);
            }
        });
    }
    let mut bidder = Session::open_with(server, &json!({"user": "ida", "topics": ["auction.lot-7", "auction.lot-12"]}));
    scope.spawn(move || {
        for n in 0.. {
            if over.load(Relaxed) {
                return;
            }
            // Two of its bids are too much for the rule.
            let bid = if [5, 9].contains(&n) { json!({"do": "trap"}) } else { json!({"bid": n}) };
            let lot = if n % 3 == 0 { "auction.lot-7" } else { "auction.lot-12" };
            let status = bidder.try_publish(lot, &bid).status;
            assert!([200, 502].contains(&status), "{status}");
            bidder.poll(0);
            std::thread::sleep(Duration::from_millis(400));
        }
    });
    // Some are away, and find what they missed when they come back.
    for n in 0..14 {
        let user = format!("{}-away", NAMES[n % NAMES.len()]);
        let topics = if n % 2 == 0 { json!(["prices.eur"]) } else { json!([]) };
        Session::open_with(server, &json!({"user": user, "topics": topics}));
    }
    let began = Instant::now();
    for (topic, per_s, share) in [
        ("prices.eur", 5.0, 0.6),
        ("auction.lot-7", 3.0, 0.9),
        ("auction.lot-12", 9.0, 0.4),
        ("metrics.load", 14.0, 0.5),
    ] {
        scope.spawn(move || {
            while !over.load(Relaxed) {
                publish(server, topic, &json!({"eur": 4.2}));
                // It comes and goes as real traffic does.
                let now = began.elapsed().as_secs_f64();
                let wave = 1.0 + share * (now / 6.0 + per_s).sin() * (now / 17.0).cos();
                std::thread::sleep(Duration::from_secs_f64(1.0 / (per_s * wave)));
            }
        });
    }
    for (at, room) in ROOMS.into_iter().enumerate() {
        let topic = format!("chat.{room}");
        let mut speaker = Session::open_with(server, &json!({"user": NAMES[at], "topics": [topic]}));
        scope.spawn(move || {
            while !over.load(Relaxed) {
                speaker.publish(&topic, &json!({"say": "hello"}));
                speaker.poll(0);
                std::thread::sleep(Duration::from_millis(220 + 260 * at as u64));
            }
        });
    }
}

/// Width and height as a PNG's head has them.
fn size(picture: &Path) -> (u32, u32) {
    let bytes = std::fs::read(picture).expect("a picture");
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

/// Light and dark, on a desk and on a phone.
fn take(page: &mut Page, name: &str) {
    for (dark, scheme) in [(false, "light"), (true, "dark")] {
        page.scheme(dark);
        for (phone, device, (width, height)) in [(false, "desktop", (1280, 800)), (true, "phone", (390, 844))] {
            page.window(width, height, phone);
            let picture = page.screenshot(&format!("{name}-{device}-{scheme}"));
            let scale = if phone { 2 } else { 1 };
            assert_eq!(size(&picture), (width * scale, height * scale), "{}", picture.display());
        }
    }
    page.scheme(false);
    page.window(1280, 800, false);
}

#[test]
fn a_busy_server_is_looked_at_on_a_desk_and_on_a_phone() {
    let refresh = std::env::var_os("VOLLEY_TEST_PICTURES").is_some();
    let Some(mut browser) = Browser::start() else { return };
    let folder = Scratch::new();
    let (server, operator, next) = server(&folder);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Whatever fails, the crowd goes home.
        let _ends = Ends(&over);
        crowd(scope, &server, &over);
        let mut page = browser.page(&format!("http://{}/", server.admin));
        page.wait_for_text("#state", "live");
        page.wait_for_text("[aria-label='Busiest topics']", "metrics.load");
        for seconds in 1..=if refresh { WATCHED_FOR_README_S } else { WATCHED_S } {
            // A line has a point for each.
            let line = "document.querySelector('.tile .spark .line').getAttribute('d')";
            page.wait_for(&format!("{line}?.split('L').length > {seconds}"));
        }
        let picture = page.screenshot("dashboard");
        let bytes = std::fs::metadata(&picture).expect("a picture").len();
        assert!((20_000..PICTURE_BYTES_MAX).contains(&bytes), "{bytes} bytes");
        if refresh {
            std::fs::copy(&picture, workspace().join("examples/dashboard.png")).expect("the picture in examples/");
            say("examples/dashboard.png is taken anew");
        }
        take(&mut page, "overview");
        let section = |page: &mut Page, at: &str, there: &str| {
            page.value(&format!("location.hash = '#/{at}'; null"));
            page.wait_for(&format!("document.querySelector(\"{there}\")"));
            take(page, &at.replace(['/', ':'], "-"));
        };
        section(&mut page, "plugins/auction", "#shadow-words:not(:empty)");
        section(&mut page, "tables", "main td");
        section(&mut page, "tables/chat:rooms", "main td pre");
        section(&mut page, "sessions", "main td");
        section(&mut page, "routes", "main td");
        section(&mut page, "logs/auction", ".log li");
        page.value("location.hash = '#/plugins/auction'; null");
        page.click(&format!("[aria-label='Activate {}']", &next["sha256:".len()..][..12]));
        page.wait_for_text("dialog h2", "route for auction?");
        take(&mut page, "activate");
        assert_eq!(page.complaints(), [""; 0]);
    });
    assert_eq!(operator.about()["traps"], 2, "{}", operator.about());
}

/// Says that it is over when it is dropped.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
