//! Where the story is played: a server with a clock that is moved, and people who are logged in.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use crate::app::{self, Server};
use crate::care::Door;
use crate::care::door::Policy;
use crate::delivery::{Channel, ChannelError, Push};
use crate::identity::actions::{self, Grant};
use crate::identity::{Anyone, Claimed, Email, Kind, Passphrase};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result, Text};
use crate::onboarding::model::Person;
use crate::state::State;

/// The passphrase of everybody in the demo.
pub const PASSPHRASE: &str = "lanterns over the lake";

/// Tokens older than this are exchanged before they are used.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// Takes what is delivered, as the channel of development does, without a line for each.
struct Quiet;

impl Channel for Quiet {
    fn name(&self) -> &'static str {
        "log"
    }

    fn send<'a>(&'a self, _: &'a Push) -> BoxFuture<'a, std::result::Result<(), ChannelError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Somebody with an account and a session.
#[derive(Debug)]
pub(super) struct Actor {
    grant: Grant,
    since: Timestamp,
    /// The patient they are.
    pub(super) patient: Option<Id<Patient>>,
}

/// The server of the demo.
pub(super) struct Stage {
    server: Server,
    state: Arc<State>,
}

/// What the story says and the product refuses.
pub(super) fn unfit(why: impl std::fmt::Display) -> Error {
    Error::internal(format!("the story of the demo: {why}"))
}

/// A person of the story, with the demo's passphrase.
pub(super) fn person(name: &str, email: &str) -> Result<Person> {
    let email = Email::parse(email).map_err(unfit)?;
    let passphrase = Passphrase::new(PASSPHRASE.to_owned(), Some(&email)).map_err(unfit)?;
    Ok(Person { name: Text::parse(name).map_err(unfit)?, email, passphrase })
}

impl Stage {
    pub(super) fn new(server: &Server) -> Self {
        Self { server: server.clone(), state: Arc::new(server.state.clone()) }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// Somebody who has just got a session.
    pub(super) fn actor(&self, grant: Grant, patient: Option<Id<Patient>>) -> Actor {
        Actor { grant, since: self.now(), patient }
    }

    /// Lets time pass until `to`, and does the background work of that time when it is due.
    pub(super) async fn advance(&self, to: Timestamp) -> Result<()> {
        app::pass(&self.state, &Quiet, to).await?;
        Ok(())
    }

    /// Who is calling, with a token that is good now.
    pub(super) async fn claimed<K: Kind>(&self, who: &mut Actor) -> Result<Claimed<K>> {
        if self.now().duration_since(who.since) > FRESH {
            let tokens = Arc::clone(&self.server.tokens);
            who.grant = actions::refresh(&self.state, tokens, who.grant.refresh.clone()).await?;
            who.since = self.now();
        }
        Claimed::by_token(&self.server.tokens, &who.grant.access, self.now())
    }

    /// The door to a patient's data, for `who`.
    pub(super) async fn door<L: Policy>(&self, who: &mut Actor, patient: Option<Id<Patient>>) -> Result<Door<L>> {
        let caller = self.claimed(who).await?;
        Door::for_patient(caller, Arc::clone(&self.state), &self.server.directory, patient).await
    }

    /// Ends the session of somebody who has played their part.
    pub(super) async fn log_out(&self, who: &mut Actor) -> Result<()> {
        let caller: Claimed<Anyone> = self.claimed(who).await?;
        let unit = self.state.db.write(move |tx| {
            let live = caller.live(tx)?;
            actions::log_out(tx, &live)
        });
        unit.await
    }
}
