//! The chat page to the eye, and to somebody who does not see it: what screen readers are told, keys alone, contrast, a phone,
//! pictures.

use crate::browser::{Browser, Page};
use crate::chat_page::{Person, SETTLED, url};
use crate::harness::{Server, say, workspace};
use serde_json::json;

/// What is in the tree that screen readers read, by role and name.
#[track_caller]
fn is_heard(page: &mut Page, all: &[(&str, &str)]) {
    let heard = page.heard();
    for (role, name) in all {
        assert!(heard.iter().any(|(r, n)| r == role && n == name), "no {role} {name:?} among {heard:#?}");
    }
}

/// The least contrast of a text on the page with what is behind it, and which text that is. What is faded is mixed first.
const CONTRAST: &str = r"(() => {
    const channels = (color) => (color.match(/[\d.]+/g) ?? []).map(Number);
    const light = (color) => {
        const [r, g, b] = color.map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const mix = ([r, g, b, a = 1], under) => [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
    const behind = (element) => {
        if (!element) return [255, 255, 255];
        const own = channels(getComputedStyle(element).backgroundColor);
        return (own[3] ?? 1) === 1 ? own : mix(own, behind(element.parentElement));
    };
    let least = [99, ''];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const text = walker.currentNode.textContent.trim();
        if (!text || !element.checkVisibility({ visibilityProperty: true }) || element.closest('.unseen, .pending')) continue;
        const under = behind(element);
        const [a, b] = [light(mix(channels(getComputedStyle(element).color), under)), light(under)];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < least[0]) least = [contrast, `${text} (${element.className || element.tagName})`];
    }
    return least;
})()";

#[test]
fn it_can_be_read_heard_and_used_by_keys_alone() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let mut page = browser.page(&url(&server));
    is_heard(
        &mut page,
        &[("heading", "Volley chat"), ("textbox", "Your name"), ("textbox", "Room"), ("button", "Enter")],
    );
    // Nothing but keys: the name has the focus from the beginning.
    assert_eq!(page.value("document.activeElement.id"), "name");
    page.type_text("Ann");
    page.press("Tab");
    page.type_text("keys");
    page.press("Enter");
    page.wait_for_text("#room-name", "keys");
    let mut ann = Person { page };
    ann.is_connected();
    assert_eq!(ann.page.value("document.activeElement.id"), "text");
    ann.page.type_text("by keys");
    ann.page.press("Enter");
    ann.sees(&[("You", "by keys")]);
    let mut bob = Person::enters(&mut browser, &url(&server), "Bob", "keys");
    bob.says("hello");
    ann.sees(&[("You", "by keys"), ("Bob", "hello")]);
    ann.about("Bob", "tell");
    ann.says("for you");
    bob.page.wait_for_text("[role=log]", "for you");
    is_heard(
        &mut ann.page,
        &[
            ("navigation", "Rooms"),
            ("complementary", "Members"),
            ("heading", "keys"),
            ("log", "Messages in keys"),
            ("region", "Conversation in keys"),
            ("textbox", "Message"),
            ("button", "Send"),
            ("button", "This room"),
            ("button", "Bob"),
            ("button", "keys"),
            ("combobox", "Messages come by"),
            ("button", "Sign out"),
        ],
    );
    // The order of the tab key is that of the page: rooms, what can be done in the room, members.
    let order = ann.page.value(
        "[...document.querySelectorAll('button, input, select, textarea, [tabindex]')]
            .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.disabled)
            .map((element) => element.tabIndex)",
    );
    assert!(order.as_array().is_some_and(|order| order.len() > 10 && order.iter().all(|index| *index == 0)), "{order}");
    for dark in [false, true] {
        ann.page.scheme(dark);
        let least = ann.page.value(CONTRAST);
        assert!(least[0].as_f64().is_some_and(|contrast| contrast >= 4.5), "dark: {dark}: {least}");
    }
    // Moved by nothing where people want that.
    ann.page.emulate(&json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]));
    let moving =
        "[...document.querySelectorAll('*')].filter((element) => getComputedStyle(element).animationName !== 'none'
        || getComputedStyle(element).transitionDuration !== '0s').length";
    assert_eq!(ann.page.value(moving), 0);
}

#[test]
fn on_a_phone() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let mut ann = Person::enters(&mut browser, &url(&server), "Ann", "phone");
    let _bob = Person::enters(&mut browser, &url(&server), "Bob", "phone");
    ann.says(&"a long word that nobody breaks: ".repeat(3));
    ann.says(&"x".repeat(300));
    for width in [390, 320] {
        ann.page.window(width, 700, true);
        let wider = ann.page.value("document.documentElement.scrollWidth - innerWidth");
        assert_eq!(wider, 0, "nothing stands out sideways at {width}");
        let small = ann.page.value(
            "[...document.querySelectorAll('button, select, input')]
                .filter((element) => element.checkVisibility({ visibilityProperty: true }))
                .map((element) => element.getBoundingClientRect()).filter(({ width, height }) => Math.min(width, height) < 32).length",
        );
        assert_eq!(small, 0, "what is touched is large enough at {width}");
    }
    // Panels come and go, by button, by a touch beside them, by Escape.
    ann.page.click("#open-members");
    ann.page.wait_for_text("#members-panel.open", "Bob");
    ann.page.press("Escape");
    ann.page.wait_for("!document.querySelector('.panel.open') && document.activeElement.id === 'open-members'");
    ann.page.click("#open-rooms");
    ann.page.wait_for("document.querySelector('#rooms-panel.open')?.contains(document.activeElement)");
    ann.page.fill("#join-room", "other");
    ann.page.press("Enter");
    ann.page.wait_for_text("#room-name", "other");
    ann.page.wait_for("!document.querySelector('.panel.open')");
}

/// A desk with a conversation on it, for pictures.
fn conversation(browser: &mut Browser, server: &Server) -> Person {
    let url = url(server);
    let mut ann = Person::enters(browser, &url, "Ann", "garden");
    let mut bob = Person::enters(browser, &url, "Bob", "garden");
    let mut chiara = Person::enters(browser, &url, "Chiara", "garden");
    ann.says("/subject What grows, and what does not");
    for (who, text) in [
        (1, "Has anybody had luck with tomatoes on a north balcony?"),
        (2, "Luck, no. Leaves, yes."),
        (2, "Try chard. It wants nothing and looks like a sunset."),
        (0, "I swapped mine for chard last year and never looked back. Same pot, no downtime."),
        (1, "Sold. What do I do with eleven seedlings?"),
    ] {
        let person = [&mut ann, &mut bob, &mut chiara].into_iter().nth(who).expect("one of three");
        person.says(text);
        ann.page.wait_for_text(".log:not([hidden])", text);
    }
    chiara.about("Ann", "tell");
    chiara.says("He bought them at my stall, I can't say it out loud.");
    ann.page.wait_for_text(".log:not([hidden])", "out loud");
    ann.says("Bring them on Saturday, the school is planting.");
    for room in ["recipes", "weather"] {
        ann.page.fill("#join-room", room);
        ann.page.press("Enter");
        ann.page.wait_for_text("#room-name", room);
    }
    for text in ["Chard with lemon", "and raisins"] {
        crate::client::publish(server, "chat.recipes", &json!({ "say": text }));
    }
    ann.page.click("#rooms li[data-key=garden] button");
    ann.page.wait_for_text("#room-name", "garden");
    ann.page.wait_for("document.querySelector('#rooms .count')?.textContent === '2'");
    bob.page.fill("#text", "Saturday it is");
    ann.page.wait_for_text("#typing", "Bob is writing");
    // They stay while pictures are taken.
    std::mem::forget((bob, chiara));
    ann
}

/// Pictures for people to look at, in `target/screenshots`. With `VOLLEY_TEST_PICTURES=1` the README's is taken anew.
#[test]
fn pictures() {
    let Some(mut browser) = Browser::start() else { return };
    let server = Server::shared_with_demo();
    let mut page = browser.page(&url(&server));
    page.screenshot("chat-entrance");
    let mut ann = conversation(&mut browser, &server);
    for (name, width, height, phone, dark) in [
        ("chat-desktop", 1180, 720, false, false),
        ("chat-desktop-dark", 1180, 720, false, true),
        ("chat-tablet", 800, 720, false, false),
        ("chat-phone", 390, 844, true, false),
        ("chat-phone-dark", 390, 844, true, true),
    ] {
        ann.page.window(width, height, phone);
        ann.page.scheme(dark);
        ann.page.value("document.querySelector('.log:not([hidden])').scrollTop = 1e6");
        ann.page.wait_for(SETTLED);
        let picture = std::fs::read(ann.page.screenshot(name)).expect("the picture");
        // Width and height stand behind the first 16 bytes of a PNG.
        let [shown_width, shown_height] =
            [16, 20].map(|at| u32::from_be_bytes(picture[at..at + 4].try_into().expect("four")));
        let scale = if phone { 2 } else { 1 };
        assert_eq!((shown_width, shown_height), (width * scale, height * scale), "{name}");
        if name == "chat-desktop" && std::env::var_os("VOLLEY_TEST_PICTURES").is_some() {
            assert!(picture.len() < 150_000, "{} bytes", picture.len());
            std::fs::write(workspace().join("examples/chat/chat.png"), picture).expect("the README's picture");
            say("examples/chat/chat.png is taken anew");
        }
    }
    ann.page.scheme(false);
    for (button, name) in [("#open-rooms", "chat-phone-rooms"), ("#open-members", "chat-phone-members")] {
        ann.page.click(button);
        ann.page.wait_for(SETTLED);
        ann.page.screenshot(name);
        ann.page.press("Escape");
    }
    ann.page.click("#open-room-settings");
    ann.page.screenshot("chat-phone-settings");
    ann.page.press("Escape");
    ann.page.window(1180, 720, false);
    ann.page.click("#members li[data-key=Bob] button");
    ann.page.screenshot("chat-desktop-member");
    assert_eq!(ann.page.complaints(), Vec::<String>::new());
}
