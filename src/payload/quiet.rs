//! Wakes that lead nowhere, and how they are kept quiet.
//!
//! Whenever a piece of a body is taken, hyper wakes the connection that it came from, so that more may be read: also after the last
//! piece, when nothing more will come. Over HTTP/1.1 the connection is the task that took the piece, and would be run once more
//! for nothing with each request that has a body.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

/// What becomes of the wakes of this thread.
#[derive(Default)]
enum Wakes {
    /// They are passed on.
    #[default]
    Heard,
    /// The last one is kept back; it may yet be passed on.
    Held(Option<Arc<Connection>>),
}

thread_local! {
    static WAKES: Cell<Wakes> = const { Cell::new(Wakes::Heard) };
}

/// The task of a connection.
struct Connection(Waker);

impl Wake for Connection {
    fn wake(self: Arc<Self>) {
        let Ok(wakes) = WAKES.try_with(Cell::take) else { return self.0.wake_by_ref() };
        let Wakes::Held(earlier) = wakes else { return self.0.wake_by_ref() };
        WAKES.set(Wakes::Held(Some(self)));
        if let Some(earlier) = earlier {
            earlier.0.wake_by_ref();
        }
    }
}

/// While there is one, wakes of [`rousable`] futures by this thread are held, and nobody else's. Dropped, it passes them on: also
/// after a panic. One at a time.
pub(super) struct Hold(());

impl Hold {
    pub(super) fn new() -> Self {
        WAKES.set(Wakes::Held(None));
        Self(())
    }

    /// Nobody needs to be woken.
    pub(super) fn forget(self) {
        WAKES.set(Wakes::Heard);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Wakes::Held(Some(held)) = WAKES.take() {
            held.0.wake_by_ref();
        }
    }
}

/// Runs a connection of HTTP/1.1, so that those of its wakes that lead nowhere can be told from the others. Not one of HTTP/2: that
/// one is woken for the last piece of a body too, to tell its client that there is room again.
pub async fn rousable<T>(connection: impl Future<Output = T>) -> T {
    let mut connection = pin!(connection);
    let mut wakers: Option<(Waker, Waker)> = None;
    poll_fn(|cx| {
        let (_, own) = match wakers.take() {
            Some(known) if known.0.will_wake(cx.waker()) => wakers.insert(known),
            _ => wakers.insert((cx.waker().clone(), Waker::from(Arc::new(Connection(cx.waker().clone()))))),
        };
        connection.as_mut().poll(&mut Context::from_waker(own))
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use super::*;

    /// Counts how often a task is woken.
    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs a connection once that does `work` with its waker. How often its task was woken.
    fn woken_by(work: impl FnOnce(&Waker)) -> usize {
        let (count, mut work) = (Arc::new(Count::default()), Some(work));
        let connection = pin!(rousable(poll_fn(|cx| {
            work.take().unwrap()(cx.waker());
            Poll::<()>::Pending
        })));
        assert!(connection.poll(&mut Context::from_waker(&Waker::from(Arc::clone(&count)))).is_pending());
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_wake_is_held_back_only_while_there_is_a_hold_and_dropped_only_when_that_is_told_to_forget() {
        assert_eq!(woken_by(Waker::wake_by_ref), 1);
        let held = |forgets: bool| {
            woken_by(|waker| {
                let hold = Hold::new();
                waker.wake_by_ref();
                waker.wake_by_ref();
                if forgets { hold.forget() } else { drop(hold) }
            })
        };
        assert_eq!(held(true), 1, "the earlier of two is passed on");
        assert_eq!(held(false), 2);
        let forgotten = |waker: &Waker| {
            let hold = Hold::new();
            waker.wake_by_ref();
            hold.forget();
        };
        assert_eq!(woken_by(forgotten), 0);
        let and_once_more = |waker: &Waker| {
            forgotten(waker);
            waker.wake_by_ref();
        };
        assert_eq!(woken_by(and_once_more), 1, "what comes afterwards is heard");
    }

    #[test]
    fn a_panic_loses_no_wake() {
        let panics = |waker: &Waker| {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                let _hold = Hold::new();
                waker.wake_by_ref();
                panic!("as a library might");
            }));
            assert!(caught.is_err());
            waker.wake_by_ref();
        };
        assert_eq!(woken_by(panics), 2);
    }

    #[test]
    fn wakes_by_other_threads_and_of_others_are_heard_at_once() {
        let from_elsewhere = |waker: &Waker| {
            let hold = Hold::new();
            let waker = waker.clone();
            std::thread::spawn(move || waker.wake()).join().unwrap();
            hold.forget();
        };
        assert_eq!(woken_by(from_elsewhere), 1);
        let (other, count) = (Arc::new(Count::default()), |other: &Arc<Count>| other.0.load(Ordering::Relaxed));
        let hold = Hold::new();
        Waker::from(Arc::clone(&other)).wake();
        hold.forget();
        assert_eq!(count(&other), 1);
    }

    #[test]
    fn a_connection_that_moves_to_another_task_wakes_that_one() {
        let kept = Cell::new(None);
        let mut connection = pin!(rousable(poll_fn(|cx| {
            kept.set(Some(cx.waker().clone()));
            Poll::<()>::Pending
        })));
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        for task in [&first, &second] {
            assert!(connection.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(task)))).is_pending());
        }
        kept.take().unwrap().wake();
        assert_eq!([&first, &second].map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    }
}
