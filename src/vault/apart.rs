//! Opening so many documents that it is done away from the threads that answer requests.

use crate::kernel::{Error, Result};

/// The number of bytes below which work is done on the thread of its request: the way to another thread would cost
/// more. A page of 20 entries of 2 KB, with tags and dials, has fewer.
const FEW: usize = 96 * 1024;

/// Runs `work` on so many `bytes`: on a thread that no other request waits for, unless they are few.
///
/// # Errors
///
/// [`Error::Internal`] when it panics.
pub async fn apart<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if bytes < FEW {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn long_work_leaves_the_thread_and_short_work_does_not() {
        let here = std::thread::current().id();
        assert_eq!(apart(FEW - 1, || std::thread::current().id()).await.unwrap(), here);
        assert_ne!(apart(FEW, || std::thread::current().id()).await.unwrap(), here);
    }
}
