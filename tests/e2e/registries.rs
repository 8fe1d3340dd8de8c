//! Components in OCI registries: Debian's `docker-registry` where it is installed, and always a small one that speaks
//! the same part of the protocol.

use crate::ending::InTime as _;
use crate::harness::{Scratch, say, volley, wait_until};
use crate::stub::{Answer, Call, Stub};
use crate::terminal::{done, failed, operate, stderr, stdout};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

/// Debian's registry on a free port.
struct Registry {
    child: Child,
    address: String,
    _folder: Scratch,
}

impl Registry {
    /// None, with words, where it is not installed. The settings go into its config.
    fn start(settings: &str) -> Option<Self> {
        let folder = Scratch::new();
        let data = folder.path().join("data");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: '{}'}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n{settings}",
            data.display()
        );
        let (config, log) = (folder.file("registry.yml", &config), folder.path().join("log"));
        let child = Command::new("docker-registry")
            .args(["serve", &config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn();
        let Ok(child) = child else {
            say("SKIPPED: Debian's docker-registry is not installed (apt-get install docker-registry)");
            return None;
        };
        let address = wait_until("the registry to listen", || {
            let said = std::fs::read_to_string(&log).ok()?;
            Some(said.split("listening on ").nth(1)?.split(['"', ' ']).next()?.to_owned())
        });
        Some(Self { child, address, _folder: folder })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The part of the protocol that pushing and pulling takes, with what is stored.
fn small_registry() -> Stub {
    let (blobs, manifests) = (Mutex::new(HashMap::new()), Mutex::new(HashMap::new()));
    let uploads: Mutex<HashMap<String, Vec<u8>>> = Mutex::default();
    Stub::start(move |call| {
        let (method, path) = call.line();
        let (last, kind) = (path[path.len() - 1], *path.iter().rev().nth(1).unwrap_or(&""));
        let mut blobs = blobs.lock().expect("the blobs");
        let mut manifests = manifests.lock().expect("the manifests");
        let mut uploads = uploads.lock().expect("the uploads");
        match (method, kind) {
            ("GET", "v2") => Answer::status(200),
            ("GET" | "HEAD", "blobs") => stored(blobs.get(last), "application/octet-stream", "BLOB_UNKNOWN"),
            ("POST", "uploads" | "blobs") => {
                let name = format!("upload-{}", uploads.len());
                let at = format!("{}/{name}", call.path.trim_end_matches('/'));
                uploads.insert(name, Vec::new());
                Answer::status(202).header("Location", at)
            }
            ("PATCH", "uploads") => {
                let upload = uploads.get_mut(last).expect("an upload");
                upload.extend_from_slice(&call.body);
                let range = format!("0-{}", upload.len() - 1);
                Answer::status(202).header("Location", &*call.path).header("Range", range)
            }
            ("PUT", "uploads") => {
                let mut bytes = uploads.remove(last).expect("an upload");
                bytes.extend_from_slice(&call.body);
                let digest = digest(&bytes);
                assert!(call.query.replace("%3A", ":").contains(&digest), "{call:?}");
                blobs.insert(digest.clone(), bytes);
                Answer::status(201).header("Location", digest)
            }
            ("PUT", "manifests") => {
                let digest = digest(&call.body);
                manifests.insert(last.to_owned(), call.body.clone());
                Answer::status(201).header("Location", &*call.path).header("Docker-Content-Digest", digest)
            }
            ("GET" | "HEAD", "manifests") => {
                stored(manifests.get(last), "application/vnd.oci.image.manifest.v1+json", "MANIFEST_UNKNOWN")
            }
            _ => panic!("not spoken here: {call:?}"),
        }
    })
}

fn stored(bytes: Option<&Vec<u8>>, content_type: &str, unknown: &str) -> Answer {
    match bytes {
        None => Answer::json(404, &json!({"errors": [{"code": unknown, "message": "unknown"}]})),
        Some(bytes) => Answer::status(200)
            .header("Content-Type", content_type)
            .header("Content-Length", bytes.len().to_string())
            .header("Docker-Content-Digest", digest(bytes))
            .body(bytes.clone()),
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".into(), |text, byte| text + &format!("{byte:02x}"))
}

/// The bundled rule, in a folder.
fn component(folder: &Scratch) -> (PathBuf, Vec<u8>) {
    let bytes = std::fs::read(crate::harness::workspace().join("plugins/dist/topic.wasm")).expect("the bundled rule");
    let file = folder.path().join("topic.wasm");
    std::fs::write(&file, &bytes).expect("a file");
    (file, bytes)
}

/// Runs `volley plugin …` without anybody's login.
fn plugin(arguments: &[&str]) -> Output {
    let folder = Scratch::new();
    volley().arg("plugin").args(arguments).env("DOCKER_CONFIG", folder.path()).output_in_time().expect("volley")
}

fn a_component_comes_back_as_it_went(registry: &str) {
    let folder = Scratch::new();
    let (file, bytes) = component(&folder);
    let file = file.to_str().expect("UTF-8");
    let reference = format!("oci://{registry}/rules/topic:1.0");
    let said = failed(&plugin(&["pull", &reference, "-o", file]));
    assert!(said.contains(&format!("{registry} has no rules/topic:1.0")), "{said}");
    // Without a signature, then with one.
    let said = done(&plugin(&["push", &reference, file]));
    assert!(said.contains("sha256:") && !said.contains("signed"), "{said}");
    let back = folder.path().join("back.wasm");
    let back = back.to_str().expect("UTF-8");
    let beside = folder.file("back.wasm.sig", "of what was there before\n");
    let output = plugin(&["pull", &reference, "-o", back]);
    assert_eq!(done(&output).trim_end(), back);
    assert_eq!(std::fs::read(back).expect("a file"), bytes);
    assert!(!std::path::Path::new(&beside).exists() && stderr(&output).contains("not signed"), "{output:?}");
    folder.file("topic.wasm.sig", "c2lnbmVk\n");
    assert!(done(&plugin(&["push", &reference, file])).contains("signed"));
    let first: Value = serde_json::from_str(&done(&plugin(&["push", &reference, file, "--json"]))).expect("JSON");
    let second: Value = serde_json::from_str(&done(&plugin(&["push", &reference, file, "--json"]))).expect("JSON");
    assert_eq!(first, second, "the same component is the same digest");
    done(&plugin(&["pull", &reference, "-o", back]));
    assert_eq!(std::fs::read_to_string(&beside).expect("a signature"), "c2lnbmVk\n");
    // By its digest, which is what it names for ever.
    let by_digest = format!("oci://{registry}/rules/topic@{}", first["digest"].as_str().expect("a digest"));
    let said = failed(&plugin(&["push", &by_digest, file]));
    assert!(said.contains("give it a tag"), "{said}");
    // From the registry straight to a server, the signature with it.
    let version = json!({ "version": digest(&bytes) });
    let admin = Stub::start(move |_| Answer::json(201, &version));
    done(&operate(&admin.address, &["plugin", "push", "topic", &reference]));
    let pushed = admin.last("POST");
    assert_eq!(pushed.path, "/admin/v1/plugins/topic/versions");
    assert!(pushed.body == bytes, "{} bytes", pushed.body.len());
    assert_eq!(pushed.header("volley-signature"), Some("c2lnbmVk"));
    // What is no component does not get there.
    let text = folder.file("text.wasm", "no component");
    let said = failed(&plugin(&["push", &reference, &text]));
    assert!(said.contains("not a WebAssembly component"), "{said}");
}

#[test]
fn a_small_registry_keeps_components() {
    let registry = small_registry();
    a_component_comes_back_as_it_went(&registry.address);
    // As other tools expect it.
    let manifest: Call = registry.last("PUT");
    let manifest = manifest.json();
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json", "{manifest}");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1), "{manifest}");
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm", "{manifest}");
    assert_eq!(manifest["layers"][0]["annotations"]["volley.signature"], "c2lnbmVk", "{manifest}");
}

#[test]
fn debians_registry_keeps_components() {
    if let Some(registry) = Registry::start("") {
        a_component_comes_back_as_it_went(&registry.address);
    }
}

#[test]
fn a_registry_that_wants_a_login_gets_that_of_docker() {
    let folder = Scratch::new();
    // ann, secret
    let users = folder.file("users", "ann:$2b$04$Jo9oA.ahzPeXxNv8sy9KVO65ChlLdQ7Nz2R4l4rK.rpap/sTmBcQK\n");
    let Some(registry) = Registry::start(&format!("auth: {{htpasswd: {{realm: test, path: '{users}'}}}}\n")) else {
        return;
    };
    let (file, _) = component(&folder);
    let push = ["plugin", "push", &format!("oci://{}/rules/topic:1", registry.address), file.to_str().expect("UTF-8")];
    let stranger = volley().args(push).env("DOCKER_CONFIG", folder.path()).output_in_time().expect("volley");
    let said = failed(&stranger);
    assert!(said.contains(&format!("docker login {}", registry.address)), "{said}");
    let login = json!({"auths": {&registry.address: {"auth": "YW5uOnNlY3JldA=="}}});
    folder.file("config.json", &login.to_string());
    let output = volley().args(push).env("DOCKER_CONFIG", folder.path()).output_in_time().expect("volley");
    assert!(done(&output).contains("sha256:"));
    assert!(!stdout(&output).contains("secret") && !stderr(&output).contains("secret"), "{output:?}");
}

/// What a registry says is not believed.
#[test]
fn a_registry_that_lies_is_found_out() {
    let folder = Scratch::new();
    let (file, bytes) = component(&folder);
    let (good, other) = (digest(&bytes), b"other bytes".to_vec());
    let lies: [(Value, Vec<u8>, &str); 5] = [
        (json!({"mediaType": "application/wasm", "digest": good, "size": bytes.len()}), other.clone(), ""),
        (json!({"mediaType": "application/wasm", "digest": digest(&other), "size": 5}), other.clone(), "instead of 5"),
        (json!({"mediaType": "application/wasm", "digest": good, "size": 1_u64 << 40}), bytes.clone(), "larger than"),
        (json!({"mediaType": "application/wasm", "digest": good, "size": -1}), bytes.clone(), "larger than"),
        (
            json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": good, "size": 5}),
            bytes,
            "no component",
        ),
    ];
    let before = std::fs::read(&file).expect("a file");
    for (layer, blob, words) in lies {
        let config = json!({"mediaType": "application/vnd.wasm.config.v0+json", "digest": digest(b"{}"), "size": 2});
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]}).to_string().into_bytes();
        let registry = Stub::start(move |call| match call.line().1[..] {
            [.., "manifests", _] => stored(Some(&manifest), "application/vnd.oci.image.manifest.v1+json", ""),
            [.., "blobs", _] => Answer::status(200).body(blob.clone()),
            _ => Answer::status(200),
        });
        let reference = format!("oci://{}/rules/topic:1", registry.address);
        let said = failed(&plugin(&["pull", &reference, "-o", file.to_str().expect("UTF-8")]));
        assert!(said.contains(words), "{words}: {said}");
        assert!(std::fs::read(&file).expect("a file") == before, "what was there stays");
    }
}

#[test]
fn a_registry_that_is_not_there() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let said = failed(&plugin(&["pull", &format!("oci://{nobody}/rules/topic:1")]));
    assert!(said.contains(&nobody.to_string()) && said.contains("can't reach the registry"), "{said}");
}
