//! Certificates, made with the `openssl` command, and clients that speak TLS: HTTP/2 by the crate `h2`, and whatever a test
//! writes itself.

use crate::ending::InTime as _;
use crate::harness::{Scratch, Server, wait_until};
use crate::http::{Connection, PATIENCE};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use hyper::{Method, Request};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority of the test's own, in a folder with what it issues.
pub(crate) struct Authority(Scratch);

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = Scratch::new();
        folder.file("req.conf", "[req]\ndistinguished_name = name\n[name]\n");
        let authority = Self(folder);
        authority.request(
            &["-subj", "/CN=tests of Volley", "-keyout", "ca.key", "-out", "ca.pem"],
            "P-256",
            &["basicConstraints=critical,CA:TRUE"],
        );
        authority
    }

    /// A certificate of that name for 127.0.0.1, as `STEM.pem` and `STEM.key`.
    pub(crate) fn issue(&self, stem: &str, name: &str) {
        self.issue_for_days(stem, name, 30);
    }

    pub(crate) fn issue_for_days(&self, stem: &str, name: &str, days: u32) {
        let (cert, key) = (format!("{stem}.pem"), format!("{stem}.key"));
        let (days, subject) = (days.to_string(), format!("/CN={name}"));
        let arguments =
            ["-CA", "ca.pem", "-CAkey", "ca.key", "-days", &days, "-subj", &subject, "-keyout", &key, "-out", &cert];
        self.request(&arguments, "P-256", &["basicConstraints=critical,CA:FALSE", "subjectAltName=IP:127.0.0.1"]);
    }

    fn request(&self, arguments: &[&str], curve: &str, extensions: &[&str]) {
        let curve = format!("ec_paramgen_curve:{curve}");
        let mut all = vec!["req", "-x509", "-config", "req.conf", "-newkey", "ec", "-pkeyopt", &curve, "-nodes"];
        all.extend(arguments);
        all.extend(extensions.iter().flat_map(|extension| ["-addext", extension]));
        self.openssl(&all);
    }

    /// Runs `openssl` in the folder.
    #[track_caller]
    pub(crate) fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl").args(arguments).current_dir(self.0.path()).output_in_time();
        let done = done.expect("the command openssl, of the package of that name");
        assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("UTF-8").into()
    }

    /// A server that speaks TLS with that certificate.
    #[track_caller]
    pub(crate) fn serve(&self, stem: &str, arguments: &[&str]) -> Server {
        let (cert, key) = (self.path(&format!("{stem}.pem")), self.path(&format!("{stem}.key")));
        let tls = ["--tls-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
        Server::start_plain(&[&tls, arguments].concat())
    }

    /// Speaks TLS to the server, and wants that protocol of it.
    pub(crate) async fn connect(&self, server: &Server, protocol: &str) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(server.tls()).await.expect("a connection");
        self.over(socket, protocol).await
    }

    /// The same on a socket that takes in next to nothing before it is read.
    pub(crate) async fn connect_narrow(&self, server: &Server, protocol: &str) -> TlsStream<TcpStream> {
        let socket = Connection::open_narrow(server.tls()).into_stream();
        socket.set_nonblocking(true).expect("a socket of tokio's");
        self.over(TcpStream::from_std(socket).expect("a socket of tokio's"), protocol).await
    }

    async fn over(&self, socket: TcpStream, protocol: &str) -> TlsStream<TcpStream> {
        socket.set_nodelay(true).expect("nodelay");
        let name = ServerName::try_from("127.0.0.1").expect("an address");
        in_time(self.connector(protocol).connect(name, socket)).await.expect("a handshake")
    }

    /// A client that trusts the authority.
    fn connector(&self, protocol: &str) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).expect("PEM")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        TlsConnector::from(Arc::new(config))
    }

    /// A way to the server's TLS listener for clients that speak none: what they say goes there encrypted.
    pub(crate) fn tunnel(&self, server: &Server) -> Tunnel {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        listener.set_nonblocking(true).expect("a socket of tokio's");
        let (connector, server) = (self.connector("http/1.1"), server.tls().to_owned());
        let (over, ends) = tokio::sync::oneshot::channel::<()>();
        let relay = async move |mut near: TcpStream, connector: TlsConnector, server: String| {
            let far = TcpStream::connect(server).await?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let name = ServerName::try_from("127.0.0.1").expect("an address");
            let mut far = connector.connect(name, far).await?;
            tokio::io::copy_bidirectional(&mut near, &mut far).await
        };
        std::thread::spawn(move || {
            run(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let accepting = async {
                    while let Ok((near, _)) = listener.accept().await {
                        tokio::spawn(relay(near, connector.clone(), server.clone()));
                    }
                };
                tokio::select! { () = accepting => {}, _ = ends => {} }
            });
        });
        Tunnel { address, _over: over }
    }

    /// The name in the certificate that a fresh connection is offered.
    pub(crate) async fn offered(&self, server: &Server) -> String {
        let stream = self.connect(server, "http/1.1").await;
        let chain = stream.get_ref().1.peer_certificates().expect("a certificate");
        // A common name is the only text in it that is of our making.
        let text = String::from_utf8_lossy(&chain[0]).into_owned();
        let at = text.find("named-").unwrap_or_else(|| panic!("no name: {text}"));
        text[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect()
    }

    /// A connection by HTTP/2.
    pub(crate) async fn http2(&self, server: &Server) -> Http2 {
        Http2::over(self.connect(server, "h2").await, &mut h2::client::Builder::new()).await
    }
}

/// It is there for as long as this.
pub(crate) struct Tunnel {
    pub(crate) address: String,
    _over: tokio::sync::oneshot::Sender<()>,
}

impl Server {
    /// Where it speaks TLS.
    pub(crate) fn tls(&self) -> &str {
        self.tls.as_deref().expect("a listener that speaks TLS")
    }
}

/// What a client that is async does in a test.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test)
}

pub(crate) async fn in_time<F: Future>(what: F) -> F::Output {
    timeout(PATIENCE, what).await.expect("in time")
}

/// A connection by HTTP/2, and the task that drives it.
pub(crate) struct Http2 {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) driven: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|wrong| panic!("{wrong}: {}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// A request for a server's TLS listener.
pub(crate) fn request(method: Method, target: &str, token: Option<&str>) -> Request<()> {
    let builder = Request::builder().method(method).uri(format!("https://127.0.0.1{target}"));
    let builder = match token {
        Some(token) => builder.header("volley-session", token),
        None => builder,
    };
    builder.body(()).expect("a request")
}

impl Http2 {
    pub(crate) async fn over(stream: TlsStream<TcpStream>, builder: &mut h2::client::Builder) -> Self {
        let (requests, connection) = in_time(builder.handshake(stream)).await.expect("HTTP/2");
        Self { requests, driven: tokio::spawn(connection) }
    }

    /// Sends a request without a body, and does not wait.
    pub(crate) async fn send(&self, request: Request<()>) -> ResponseFuture {
        let mut requests = in_time(self.requests.clone().ready()).await.expect("room for a stream");
        requests.send_request(request, true).expect("sent").0
    }

    pub(crate) async fn get(&self, target: &str, token: &str) -> Answer {
        receive(self.send(request(Method::GET, target, Some(token))).await).await
    }

    pub(crate) async fn post(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        let mut requests = in_time(self.requests.clone().ready()).await.expect("room for a stream");
        let (answer, mut stream) = requests.send_request(request(Method::POST, target, None), false).expect("sent");
        let mut body = body.into();
        // As much as the window lets through; a refusal may come before all of it is.
        while !body.is_empty() {
            stream.reserve_capacity(body.len());
            match in_time(std::future::poll_fn(|context| stream.poll_capacity(context))).await {
                Some(Ok(capacity)) => {
                    let part = body.split_to(capacity.min(body.len()));
                    if stream.send_data(part, body.is_empty()).is_err() {
                        break;
                    }
                }
                _ => break,
            }
        }
        receive(answer).await
    }

    /// Opens a session that is subscribed to the topic: its token.
    pub(crate) async fn session(&self, topic: &str) -> String {
        let opened = self.post("/v1/sessions", json!({ "topics": [topic] }).to_string()).await.expect(201);
        opened.json()["session"].as_str().expect("a token").into()
    }
}

/// The whole answer.
pub(crate) async fn receive(answer: ResponseFuture) -> Answer {
    try_receive(answer).await.expect("an answer")
}

pub(crate) async fn try_receive(answer: ResponseFuture) -> Result<Answer, h2::Error> {
    let response = in_time(answer).await?;
    let status = response.status().as_u16();
    let (mut stream, mut body) = (response.into_body(), Vec::new());
    while let Some(data) = in_time(stream.data()).await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend(data);
    }
    Ok(Answer { status, body })
}

/// Waits in a test that is async, while its connections go on.
pub(crate) async fn wait_for_metric(server: &Server, name: &str, is_right: impl Fn(u64) -> bool) {
    let started = std::time::Instant::now();
    while !is_right(server.metric(name)) {
        assert!(started.elapsed() < PATIENCE, "{name} is {}", server.metric(name));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What curl makes of it: its exit code and what it printed.
pub(crate) fn curl(arguments: &[&str]) -> (i32, String) {
    let output = Command::new("curl").args(["-sS", "--max-time", "60"]).args(arguments).output_in_time().expect("curl");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("an exit code"), said)
}

/// Waits until that many polls are parked.
pub(crate) fn wait_until_parked(server: &Server, polls: u64) {
    wait_until("polls to be parked", || (server.metric("volley_parked_polls") == polls).then_some(()));
}
