//! What threads meet with, by the names of the server's `sync`, made of loom's. And tokio's oneshot, as far as it is used.

use std::ops::{Deref, DerefMut};

pub use loom::sync::atomic;
pub use std::sync::OnceLock;

/// A lock, which loom gets to know when it is first taken: a wheel has two thousand, and a model touches a few.
pub struct Mutex<T> {
    at_first: std::sync::Mutex<Option<T>>,
    known: OnceLock<loom::sync::Mutex<T>>,
}

/// What a lock protects.
pub struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    /// Unlocked.
    pub const fn new(value: T) -> Self {
        Self { at_first: std::sync::Mutex::new(Some(value)), known: OnceLock::new() }
    }

    /// As `parking_lot` does it.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let known = self.known.get_or_init(|| {
            let value = self.at_first.lock().expect("nothing panics under it").take();
            loom::sync::Mutex::new(value.expect("taken once"))
        });
        MutexGuard(Some(known.lock().expect("loom does not poison")))
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> std::fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("none only within wait")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("none only within wait")
    }
}

/// A condition, as `parking_lot` has it.
#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    /// Nobody waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the lock up until somebody notifies.
    #[track_caller]
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let given_up = guard.0.take().expect("none only within wait");
        guard.0 = Some(self.0.wait(given_up).expect("loom does not poison"));
    }

    /// Wakes one that waits.
    #[track_caller]
    pub fn notify_one(&self) {
        self.0.notify_one();
    }
}

/// For lanes that are held: loom's own does not tell when the other end is dropped.
pub mod mpsc {
    use super::{Condvar, Mutex};
    use std::sync::Arc;

    #[derive(Default)]
    struct State {
        over: Mutex<bool>,
        came: Condvar,
    }

    /// Sends nothing but its end.
    pub struct Sender<T>(Arc<State>, Sends<T>);

    /// Waits.
    pub struct Receiver<T>(Arc<State>, Sends<T>);

    type Sends<T> = std::marker::PhantomData<fn(T)>;

    /// The sender was dropped.
    #[derive(Debug)]
    pub struct Over;

    /// A pair.
    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let state = Arc::<State>::default();
        (Sender(state.clone(), Sends::default()), Receiver(state, Sends::default()))
    }

    impl<T> Receiver<T> {
        /// Until the sender is dropped.
        pub fn recv(&self) -> Result<T, Over> {
            let mut over = self.0.over.lock();
            while !*over {
                self.0.came.wait(&mut over);
            }
            Err(Over)
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            *self.0.over.lock() = true;
            self.0.came.notify_one();
        }
    }
}

/// For the polls that hyper holds, and for calls into lanes.
pub mod oneshot {
    use super::Mutex;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    struct State<T> {
        sent: Option<T>,
        over: bool,
        waker: Option<Waker>,
    }

    /// Sends once.
    pub struct Sender<T>(Arc<Mutex<State<T>>>);

    /// Receives once.
    pub struct Receiver<T>(Arc<Mutex<State<T>>>);

    /// A pair.
    pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let state = Arc::new(Mutex::new(State { sent: None, over: false, waker: None }));
        (Sender(state.clone()), Receiver(state))
    }

    impl<T> Sender<T> {
        /// Never fails here: the receiver is told apart by what it has seen.
        pub fn send(self, value: T) -> Result<(), T> {
            self.0.lock().sent = Some(value);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let mut state = self.0.lock();
            state.over = true;
            let waker = state.waker.take();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, Unsent>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut state = self.0.lock();
            if state.over {
                return Poll::Ready(state.sent.take().ok_or(Unsent));
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        }
    }

    /// The sender was dropped unused.
    #[derive(Debug)]
    pub struct Unsent;

    impl<T> Receiver<T> {
        /// None when the sender was dropped unused.
        pub async fn received(self) -> Option<T> {
            self.await.ok()
        }
    }
}
