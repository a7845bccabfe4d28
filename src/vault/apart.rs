//! Work on so many bytes that it is done away from the threads that answer requests: reading a long body, opening a
//! long page.

use std::sync::LazyLock;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use crate::kernel::{Error, Result};

/// The number of bytes below which work is done on the thread of its request: the way to another thread would cost
/// more. A page of 20 entries of 2 KB, with tags and dials, has fewer.
const FEW: usize = 96 * 1024;

/// Permits for work on blocking threads: one for every second processor. However much of it there is, short requests
/// have the other ones.
static ROOM: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new((available_parallelism().map_or(1, usize::from) / 2).max(1)));

/// Runs `work` on so many `bytes`: on a blocking thread, for which no other request waits, unless they are few.
///
/// # Errors
///
/// [`Error::Internal`] when it panics.
pub async fn apart<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if bytes < FEW {
        return Ok(work());
    }
    let room = ROOM.acquire().await.map_err(|error| Error::Internal(Box::new(error)))?;
    let work = move || {
        // Held until it is done, also when the client has gone away.
        let _room = room;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[actix_web::test]
    async fn long_work_leaves_the_thread_and_short_work_does_not() {
        let here = std::thread::current().id();
        assert_eq!(apart(FEW - 1, || std::thread::current().id()).await.unwrap(), here);
        assert_ne!(apart(FEW, || std::thread::current().id()).await.unwrap(), here);
    }

    #[actix_web::test]
    async fn no_more_long_work_is_done_at_once_than_there_is_room_for_and_none_is_lost() {
        static AT_WORK: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let room = (available_parallelism().unwrap().get() / 2).max(1);
        let work = |n: usize| {
            apart(FEW, move || {
                MOST.fetch_max(AT_WORK.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(2));
                AT_WORK.fetch_sub(1, Ordering::SeqCst);
                assert!(!n.is_multiple_of(5), "a panic gives its room back");
                n
            })
        };
        // Whoever goes away while it is done has let go of its room as well.
        drop(tokio::time::timeout(Duration::ZERO, work(1)).await);
        let done: Vec<_> = futures_util::future::join_all((0..8 * room).map(work)).await;
        let done: Vec<usize> = done.into_iter().filter_map(Result::ok).collect();
        assert_eq!(done, (0..8 * room).filter(|n| !n.is_multiple_of(5)).collect::<Vec<_>>());
        assert!(MOST.load(Ordering::SeqCst) <= room, "{MOST:?} at once");
    }
}
