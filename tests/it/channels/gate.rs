//! A channel sends so many pushes at once and no more, whatever becomes of another. A service that fails is left alone,
//! and no other is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use afterglow::channels::{Address, Channel, Channels, Notice, SendError, Sending};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};

use super::{notice, now};

/// Push services of browsers, of which those below `bad.example` fail.
#[derive(Default)]
struct Browsers(AtomicUsize);

impl Channel for Browsers {
    fn name(&self) -> &'static str {
        "web_push"
    }

    fn send<'a>(&'a self, to: &'a Address, _notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        let Address::WebPush { endpoint, .. } = to else { unreachable!() };
        let fails = endpoint.contains("bad.example");
        self.0.fetch_add(usize::from(fails), Ordering::SeqCst);
        let sent = if fails { Err(SendError::Later { after: None, reason: "down" }) } else { Ok(()) };
        Box::pin(std::future::ready(sent))
    }
}

fn subscription(endpoint: &str) -> Address {
    Address::WebPush { endpoint: endpoint.to_owned(), p256dh: String::new(), auth: String::new() }
}

/// Phones choose the services of Web Push: who names one that fails must not hold the pushes of others.
#[actix_web::test]
async fn a_push_service_that_a_phone_names_rests_alone() {
    let browsers = Arc::new(Browsers::default());
    let channel: Arc<dyn Channel> = Arc::<Browsers>::clone(&browsers);
    let channels = Channels::new([channel]);
    let notice = notice(None);
    let (good, bad) = (subscription("https://push.example/ann"), subscription("https://bad.example/1"));
    for n in 0..20 {
        let to = subscription(&format!("https://bad.example/{n}"));
        let resting = matches!(channels.send(&to, &notice, now()).await, Sending::Resting(_));
        assert_eq!(resting, n >= 5, "{n}");
        assert_eq!(channels.send(&good, &notice, now()).await, Sending::Sent);
    }
    assert_eq!(browsers.0.load(Ordering::SeqCst), 5);
    // Names without end are forgotten, and hold nobody either.
    for n in 0..2000 {
        let to = subscription(&format!("https://{n}.bad.example/"));
        assert!(matches!(channels.send(&to, &notice, now()).await, Sending::Failed(SendError::Later { .. })));
    }
    assert_eq!(channels.send(&good, &notice, now()).await, Sending::Sent);
    assert!(matches!(channels.send(&bad, &notice, now()).await, Sending::Failed(_)), "it is tried again at times");
}

/// A push service that holds what it gets while it is told to, and counts.
#[derive(Clone)]
struct Holding(&'static str, Arc<Counts>);

#[derive(Default)]
struct Counts {
    open: AtomicBool,
    held: AtomicUsize,
    most: AtomicUsize,
    taken: AtomicUsize,
}

impl Channel for Holding {
    fn name(&self) -> &'static str {
        self.0
    }

    fn send<'a>(&'a self, _to: &'a Address, _notice: &'a Notice) -> BoxFuture<'a, Result<(), SendError>> {
        async move {
            let counts = &self.1;
            let held = counts.held.fetch_add(1, Ordering::SeqCst) + 1;
            counts.most.fetch_max(held, Ordering::SeqCst);
            while !counts.open.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            // Each holds its place while the others have their turn.
            tokio::time::sleep(Duration::from_millis(5)).await;
            counts.held.fetch_sub(1, Ordering::SeqCst);
            counts.taken.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        .boxed()
    }
}

#[actix_web::test]
async fn a_channel_sends_sixty_four_pushes_at_once_and_another_does_not_wait_for_it() {
    let [slow, quick] = ["fcm", "webhook"].map(|name| Holding(name, Arc::default()));
    quick.1.open.store(true, Ordering::SeqCst);
    let both: [Arc<dyn Channel>; 2] = [Arc::new(slow.clone()), Arc::new(quick.clone())];
    let channels = Arc::new(Channels::new(both));
    let all = |to: Address, count: usize| {
        let channels = Arc::clone(&channels);
        async move {
            let notice = notice(None);
            join_all((0..count).map(|_| channels.send(&to, &notice, now()))).await
        }
    };
    let slowly = tokio::spawn(all(Address::Fcm { token: "x".to_owned() }, 200));
    for _ in 0..1000 {
        if slow.1.held.load(Ordering::SeqCst) >= 64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let quickly = all(Address::Webhook { token: "y".to_owned() }, 200).await;
    assert!(quickly.iter().all(|sending| *sending == Sending::Sent));
    assert_eq!((slow.1.held.load(Ordering::SeqCst), slow.1.taken.load(Ordering::SeqCst)), (64, 0));
    slow.1.open.store(true, Ordering::SeqCst);
    assert!(slowly.await.unwrap().iter().all(|sending| *sending == Sending::Sent));
    for one in [slow, quick] {
        let counts = (one.1.most.load(Ordering::SeqCst), one.1.taken.load(Ordering::SeqCst));
        assert_eq!(counts, (64, 200), "{}", one.0);
    }
}
