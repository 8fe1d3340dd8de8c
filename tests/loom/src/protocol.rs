//! Stands in for the protocol: answers that a model can read.

/// The answer of a poll.
pub mod answer {
    use super::problem::Problem;
    use crate::mailbox::Page;
    use crate::session::{Form, Owed};

    /// Why a poll ends without messages.
    #[derive(Clone, Copy, Debug)]
    pub enum Ending {
        /// Its time is over.
        Deadline,
        /// Another poll of the session took its place.
        Superseded,
        /// The session has ended.
        SessionOver,
        /// The server goes down.
        Draining {
            /// How long to wait.
            retry_ms: u64,
        },
    }

    /// One line: `cursor:message,message`, or the name of the ending.
    #[derive(Debug, Default)]
    pub struct Answer(Vec<u8>);

    impl Answer {
        /// The line.
        pub fn whole(&self) -> &[u8] {
            &self.0
        }

        /// Lines as they are.
        pub fn raw(&mut self) -> &mut Vec<u8> {
            self.0.clear();
            &mut self.0
        }

        /// As a page of a poll.
        pub fn next(&mut self, _: Form, page: Page<'_>) {
            self.messages(&Owed::default(), page);
        }

        /// As the ending of a poll.
        pub fn last(&mut self, _: Form, ending: Ending) {
            self.ending(&Owed::default(), 0, ending);
        }

        /// A line.
        pub fn heartbeat(&mut self, _: Form) {
            self.0 = b"beat\n".into();
        }

        /// No model asks for what is refused.
        pub fn last_problem_for(&mut self, _: &Owed, problem: &Problem) {
            unreachable!("{}", problem.status().as_u16());
        }

        /// The line.
        pub fn body(&self) -> &[u8] {
            &self.0
        }

        /// Nothing depends on it.
        pub fn status(&self) -> u16 {
            200
        }

        /// The messages of a page.
        pub fn messages(&mut self, _: &Owed, page: Page<'_>) {
            let messages: Vec<_> = page.messages.map(|message| String::from_utf8_lossy(message.json())).collect();
            self.0 = format!("{}:{}\n", page.cursor, messages.join(",")).into();
        }

        /// No messages, and why.
        pub fn ending(&mut self, _: &Owed, _: u64, ending: Ending) {
            let name = match ending {
                Ending::Deadline => "deadline",
                Ending::Superseded => "superseded",
                Ending::SessionOver => "session over",
                Ending::Draining { .. } => "draining",
            };
            self.0 = format!("{name}\n").into();
        }
    }
}

/// What `begin` needs of the clients' protocol.
pub mod client {
    use super::answer::Answer;
    use super::problem::Problem;
    use crate::sessions::{NotBegun, PollCall};

    /// No model begins one that is refused.
    pub fn not_begun(why: NotBegun) -> Problem {
        unreachable!("{why:?}");
    }

    /// No model sends such a cursor.
    pub fn cursor_too_high(call: &PollCall, _: &mut Answer) {
        unreachable!("{call:?}");
    }
}

/// How a stream begins.
pub mod stream {
    use crate::Response;
    use crate::session::Form;

    /// One line.
    pub fn stream_head(_: Form, _: &Response<()>) -> Vec<u8> {
        b"head\n".into()
    }

    /// As it is.
    pub fn write_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        write(out);
    }
}

/// What a poll gets that a full server cannot answer.
pub mod problem {
    /// Stands in for hyper's.
    #[derive(Clone, Copy)]
    pub struct StatusCode(u16);

    /// A status, and no words.
    pub struct Problem(StatusCode);

    impl StatusCode {
        /// The only one.
        pub const SERVICE_UNAVAILABLE: Self = Self(503);

        /// The number.
        pub fn as_u16(self) -> u16 {
            self.0
        }
    }

    impl Problem {
        /// No model asks for a session that is over.
        pub fn gone() -> Self {
            Self(StatusCode(410))
        }

        /// Of that status.
        pub fn new(status: StatusCode, _: &str) -> Self {
            Self(status)
        }

        /// Its status.
        pub fn status(&self) -> StatusCode {
            self.0
        }

        /// A line.
        pub fn body(&self) -> Vec<u8> {
            b"503\n".into()
        }
    }
}

/// What is asked and answered over a WebSocket.
pub mod command {
    use crate::event::Answer;

    /// What an answer refers to.
    pub type Ref = Option<String>;

    /// What was asked.
    pub enum Asked {
        /// That an event be routed.
        Publish,
    }

    /// A line.
    pub fn answered(out: &mut Vec<u8>, _: Option<&str>, _: &Asked, _: Answer) {
        out.extend_from_slice(b"answer\n");
    }
}
