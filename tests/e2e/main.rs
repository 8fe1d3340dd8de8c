//! End-to-end tests of Volley: real servers, real sockets, rules built from source. They know the program only by its
//! command line, its two listeners and its files, and hold it to the protocol page.
//!
//! Environment: `VOLLEY_TEST_DIST=DIR` tests the bundled plugins of that folder instead of those in the binary,
//! `VOLLEY_TEST_IRC=DIR` names the folder of the IRC logs, `VOLLEY_TEST_IRC_LINES=N` how many lines of each are replayed
//! (0: all). `VOLLEY_TEST_SWAPS`, `VOLLEY_TEST_RSS_SWAPS`, `VOLLEY_TEST_MOVES` and `VOLLEY_TEST_KILLS` say how often
//! rules are swapped under load, swapped while memory is looked at, topics moved, and the server killed amid deploys.
//! `VOLLEY_TEST_CHANGING` says for how many seconds clients change how they listen, `VOLLEY_TEST_CLIENTS` where the clients
//! are that others have written, `VOLLEY_TEST_NGINX` that nginx is installed, and `VOLLEY_TEST_BROWSER` that there is a
//! Chromium. With `VOLLEY_TEST_PICTURES=1` the README's pictures are taken anew.
//! `VOLLEY_TEST_LANGUAGES` names where the tools of JavaScript and Python are that build rules, and `VOLLEY_TEST_CLANG`
//! says that clang must be there.

// What the tests stand on.
mod browser; // headless Chromium, clicked and typed into
mod client; // sessions, publishing and polling, in the words of the protocol
mod crowd; // thousands of clients in one thread
mod ending; // programs that have to end
mod front; // an nginx in front of a server
mod guests; // the rules under test, built once in each run
mod harness; // servers that start on free ports and end with their test
mod http; // an HTTP/1.1 client that shows what really came
mod operator; // pushing, activating and looking, in the words of the admin API
mod process; // the server's process as the system sees it
mod request; // what it sends
mod secure; // certificates, and clients that speak TLS and HTTP/2
mod shared; // servers that several tests share
mod shell; // a terminal that is typed into
mod streaming; // clients of streams
mod stub; // a server that answers as a test says
mod terminal; // runs commands, and answers them as a server would

// The protocol's calls.
mod batch; // many events in one call
mod changing; // many of them, at random and under load
mod events; // server-sent events
mod frames; // what no WebSocket client sends
mod idempotency; // a publish that is sent again
mod polls; // what a poll returns and acknowledges
mod publish; // one event: what arrives is what was sent
mod sessions; // opening and ending sessions
mod subscriptions; // joining and leaving topics
mod transports; // clients that change how they listen
mod websockets; // what is said over a WebSocket

// What happens around them.
mod cors; // pages in browsers
mod doors; // every way in, and who is turned away there
mod garbage; // valid requests that were damaged on their way
mod gone; // clients that go away, and answers that never reached them
mod hostile; // requests that no client library sends
mod linger; // sessions that are not heard of any more
mod memory; // bounds of the whole process
mod order; // everybody sees the same, once
mod overload; // too much of everything
mod parked; // the connection of a parked poll
mod problems; // what every answer says
mod slow; // clients that take their time
mod waiting; // how long a poll waits, and what ends it

// Over TLS.
mod certificates; // what is offered, and how it is replaced
mod http2; // many polls on one connection
mod tls; // who speaks it, who does not, and who takes too long
mod tls_costs; // what they take, measured
mod tls_streams; // events and WebSockets

// Rules.
mod contract; // what a rule may ask of the host
mod faults; // a rule that misbehaves
mod kept; // components as they were built once
mod languages; // rules in Rust, C, JavaScript and Python
mod moderation; // `chat`: what ops may do
mod neighbours; // what a rule that misbehaves costs the others
mod rooms; // `chat`: coming, going, and what is said
mod shelf; // the rules in `plugins/` that are not bundled
mod tables; // a table that several lanes work on at a time

// Versions of rules.
mod candidates; // what is no good is refused
mod chat_next; // `chat` and its next version
mod code_change; // tables, groups and timers change with the version, or nothing does
mod deploys; // operators who do not know of each other, configs, cleaning up
mod durable; // tables that outlive the server
mod explained; // what is said of events is what happened
mod recordings; // `volley record`, whatever happens around it
mod restart; // what was served is served again
mod route_table; // changing all routes at once
mod shadow; // a candidate that only looks on
mod swap; // again and again, under load
mod traces; // what was asked and answered, recorded, asked again and explained
mod trap_policy; // who routes what a rule failed on

// The program.
mod admin; // what operators can look at
mod authors; // new rules, checked and inspected
mod behind_nginx; // what comes through the nginx that `doctor` prints
mod cli; // help, wrong usage, the ready line
mod commanded; // a real server, operated with the commands
mod commands; // what the commands that speak to a server share
mod config; // the config file
mod conversation; // the printed curl conversation
mod conversing; // `publish` and `poll`
mod dashboard; // the operators' page, clicked
mod doctor; // what a machine allows, and what so many clients need
mod drain; // SIGTERM
mod guide; // the guide for authors, followed
mod live; // the server as operators watch it
mod operate; // commands that change a running server
mod operators; // the admin token
mod packaging; // files that a user copies
mod pictures; // the dashboard of a busy server, for people to look at
mod registries; // components in OCI registries
mod rehearsals; // recorded events, played to rules
mod signing; // keys, and signatures of components
mod watch; // deploying by writing files
mod written_back; // files that `plugin test --accept` writes

// Clients that travel with it.
mod chat_looks; // that page to the eye, and to who does not see it
mod chat_page; // examples/chat, in Chromium
mod demo; // what `--demo` serves
mod our_clients; // examples/client-js and its kin

// Clients that others have written.
mod real_clients; // browsers, npm, Python, curl

// Real traffic.
mod irc; // logs of a chat channel, replayed

// What went wrong once.
mod regressions;
