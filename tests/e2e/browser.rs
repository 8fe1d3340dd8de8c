//! A browser as a person has it, headless Chromium, driven over its `DevTools` protocol: pages with a profile each, real mouse
//! and keys, screenshots. Where there is none a test says that it was skipped, and fails where one was promised.

use crate::harness::{Scratch, say, wait_until, workspace};
use crate::http::PATIENCE;
use base64::Engine as _;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use tungstenite::{Message, WebSocket};

/// A browser that runs; its pages end with it.
pub(crate) struct Browser {
    child: Child,
    /// Where it listens for `DevTools`.
    address: String,
    devtools: Devtools,
    _profile: Scratch,
}

impl Browser {
    /// None, with words, where Chromium is not installed; `.ci/run` installs it, and sets `VOLLEY_TEST_BROWSER`.
    #[track_caller]
    pub(crate) fn start() -> Option<Self> {
        let profile = Scratch::new();
        let mut command = Command::new("chromium");
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]);
        command.args([
            "--remote-debugging-port=0",
            "--disable-background-networking",
            "--hide-scrollbars",
            "about:blank",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            assert!(std::env::var_os("VOLLEY_TEST_BROWSER").is_none(), "chromium is to be there");
            say("SKIPPED: chromium is not installed (`apt install chromium`; .ci/run does that)");
            return None;
        };
        let url = Self::devtools_url(&mut child);
        let address = url.split('/').nth(2).expect("an address").to_owned();
        Some(Self { child, devtools: Devtools::open(&address, &url), address, _profile: profile })
    }

    /// What Chromium says on stderr of itself. Everything that follows is read and dropped.
    #[track_caller]
    fn devtools_url(child: &mut Child) -> String {
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("DevTools listening on ") {
                    let _ = sender.send(url.trim().to_owned());
                }
            }
        });
        said.recv_timeout(PATIENCE).expect("Chromium to say where it listens")
    }

    /// A page with cookies, storage and connections of its own, as of another person.
    #[track_caller]
    pub(crate) fn page(&mut self, url: &str) -> Page {
        let context = self.devtools.call("Target.createBrowserContext", &json!({}));
        let target = json!({ "url": "about:blank", "browserContextId": context["browserContextId"] });
        let target = self.devtools.call("Target.createTarget", &target);
        let id = target["targetId"].as_str().expect("a target");
        let url_of_page = format!("ws://{}/devtools/page/{id}", self.address);
        let mut page = Page { devtools: Devtools::open(&self.address, &url_of_page) };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            page.devtools.call(domain, &json!({}));
        }
        page.window(1280, 800, false);
        page.go(url);
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One page. Whatever goes wrong in it, an exception that nobody catches or a script that can't be loaded, fails the test.
pub(crate) struct Page {
    devtools: Devtools,
}

impl Page {
    /// Goes to an address, and waits until everything of it has loaded.
    #[track_caller]
    pub(crate) fn go(&mut self, url: &str) {
        let went = self.devtools.call("Page.navigate", &json!({ "url": url }));
        assert!(went.get("errorText").is_none(), "{url}: {went}");
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// The window's size in CSS pixels; `phone` brings touch and a phone's pixels.
    pub(crate) fn window(&mut self, width: u32, height: u32, phone: bool) {
        let scale = if phone { 2 } else { 1 };
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone });
        self.devtools.call("Emulation.setDeviceMetricsOverride", &metrics);
        self.devtools.call("Emulation.setTouchEmulationEnabled", &json!({ "enabled": phone }));
    }

    /// The value of an expression, of its promise if it is one.
    #[track_caller]
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let evaluate =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let answer = self.devtools.call("Runtime.evaluate", &evaluate);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"].get("value").cloned().unwrap_or(Value::Null)
    }

    /// Waits until an expression is true, or whatever else is truthy, and has its value.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, expression: &str) -> Value {
        let started = std::time::Instant::now();
        loop {
            let value = self.value(expression);
            if !(value.is_null() || value == false || value == 0 || value == "") {
                return value;
            }
            if started.elapsed() > PATIENCE {
                let text = self.value("document.body.innerText");
                panic!("waited {PATIENCE:?} for {expression}; the page says: {text}");
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Waits until the text of the first element that the selector finds contains this.
    #[track_caller]
    pub(crate) fn wait_for_text(&mut self, selector: &str, text: &str) {
        self.wait_for(&format!("document.querySelector({})?.innerText.includes({})", json!(selector), json!(text)));
    }

    /// Clicks on the middle of an element, once it is there, can be seen and moves no more, as a mouse does.
    #[track_caller]
    pub(crate) fn click(&mut self, selector: &str) {
        let middle = self.wait_for(&format!(
            "(async () => {{ const found = document.querySelector({});
                if (!found || found.disabled) return null;
                found.scrollIntoView({{ block: 'nearest' }});
                const before = found.getBoundingClientRect();
                await new Promise((resolve) => setTimeout(resolve, 50));
                const box = found.getBoundingClientRect();
                if (!box.width || !box.height || box.x !== before.x || box.y !== before.y) return null;
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const top = document.elementFromPoint(x, y);
                return top && (found.contains(top) || top.contains(found)) ? {{ x, y }} : null }})()",
            json!(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": middle["x"], "y": middle["y"], "button": "left", "clickCount": 1 });
            self.devtools.call("Input.dispatchMouseEvent", &event);
        }
    }

    /// Clicks on a field and types, in place of what is in it.
    #[track_caller]
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.wait_for(&format!("document.activeElement === document.querySelector({})", json!(selector)));
        self.value("document.activeElement.select?.()");
        self.devtools.call("Input.insertText", &json!({ "text": text }));
    }

    /// Types into whatever has the focus.
    #[track_caller]
    pub(crate) fn type_text(&mut self, text: &str) {
        self.devtools.call("Input.insertText", &json!({ "text": text }));
    }

    /// Chooses an option of a list, as a person does who has opened it.
    #[track_caller]
    pub(crate) fn choose(&mut self, selector: &str, value: &str) {
        self.wait_for(&format!(
            "(() => {{ const found = document.querySelector({});
                if (!found || ![...found.options].some((option) => option.value === {1})) return false;
                found.value = {1};
                found.dispatchEvent(new Event('change', {{ bubbles: true }}));
                return true }})()",
            json!(selector),
            json!(value)
        ));
    }

    /// What the system would say of its user, as `[{"name":"prefers-color-scheme","value":"dark"}]`.
    #[track_caller]
    pub(crate) fn emulate(&mut self, features: &Value) {
        self.devtools.call("Emulation.setEmulatedMedia", &json!({ "features": features }));
    }

    /// The system's colours are dark, or light.
    #[track_caller]
    pub(crate) fn scheme(&mut self, dark: bool) {
        self.emulate(&json!([{ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } }]));
    }

    /// Chooses a file in a field for files, as the system's own dialog does.
    #[track_caller]
    pub(crate) fn choose_file(&mut self, selector: &str, file: &Path) {
        self.wait_for(&format!("document.querySelector({})", json!(selector)));
        let find = json!({ "expression": format!("document.querySelector({})", json!(selector)) });
        let object = self.devtools.call("Runtime.evaluate", &find)["result"]["objectId"].take();
        self.devtools.call("DOM.setFileInputFiles", &json!({ "files": [file], "objectId": object }));
    }

    /// Presses a key by its name, such as `Enter` or `Tab`.
    #[track_caller]
    pub(crate) fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Enter" => (13, Some("\r")),
            "Tab" => (9, None),
            "Escape" => (27, None),
            _ => panic!("{key}: no key that this knows yet"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if let (Some(text), "keyDown") = (text, kind) {
                event["text"] = json!(text);
            }
            self.devtools.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// What somebody hears of the page who does not see it: role and name of each node that has both.
    #[track_caller]
    pub(crate) fn heard(&mut self) -> Vec<(String, String)> {
        self.devtools.call("Accessibility.enable", &json!({}));
        let tree = self.devtools.call("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().expect("nodes").iter().filter(|node| node["ignored"] != true);
        let words = |node: &Value, key: &str| node[key]["value"].as_str().unwrap_or_default().to_owned();
        nodes.map(|node| (words(node, "role"), words(node, "name"))).collect()
    }

    /// A picture of the window as a PNG, `target/screenshots/NAME.png`.
    #[track_caller]
    pub(crate) fn screenshot(&mut self, name: &str) -> PathBuf {
        let picture = self.devtools.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let picture = base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().expect("data"));
        let folder = workspace().join("target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, picture.expect("base64")).expect("write the picture");
        file
    }

    /// Lets the page's connections break, or come back.
    pub(crate) fn offline(&mut self, offline: bool) {
        self.devtools.call("Network.enable", &json!({}));
        let conditions = json!({ "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1 });
        self.devtools.call("Network.emulateNetworkConditions", &conditions);
    }

    /// What the page's console was told of by mistakes, and by the browser, so far.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        self.value("null"); // whatever was on its way is read before its answer
        self.devtools.complaints.clone()
    }
}

/// A connection to the browser, or to one of its pages: calls that are answered, and events between them.
struct Devtools {
    socket: WebSocket<TcpStream>,
    calls: u64,
    complaints: Vec<String>,
}

impl Devtools {
    #[track_caller]
    fn open(address: &str, url: &str) -> Self {
        // A target may be announced before its door is open.
        let socket = wait_until("DevTools to open", || {
            let stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
            tungstenite::client(url, stream).ok()
        });
        Self { socket: socket.0, calls: 0, complaints: Vec::new() }
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.calls += 1;
        let call = json!({ "id": self.calls, "method": method, "params": params });
        self.socket.send(Message::text(call.to_string())).unwrap_or_else(|wrong| panic!("{method}: {wrong}"));
        loop {
            let message = self.socket.read().unwrap_or_else(|wrong| panic!("{method}: {wrong}"));
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text).expect("JSON of DevTools");
            if message["id"] == self.calls {
                assert!(message.get("error").is_none(), "{method} {params}: {message}");
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.complaints.push(params["exceptionDetails"].to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.complaints.push(params["entry"].to_string());
            }
            _ => {}
        }
    }
}
