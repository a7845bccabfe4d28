//! The stage of the story: a server with a clock that is moved, and people who are logged in.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

use crate::app::{self, Server};
use crate::care::door::Policy;
use crate::care::{Access, Door, Write};
use crate::db::Tx;
use crate::delivery::{Channel, ChannelError, Push};
use crate::http::Request;
use crate::idempotency::Outcome;
use crate::identity::actions::{self, SessionTokens};
use crate::identity::{AccountPolicy, Anyone, Claimed, Email, Live, Passphrase};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result, Text};
use crate::onboarding::model::Person;
use crate::state::State;

/// The passphrase of everybody in the demo.
pub const PASSPHRASE: &str = "lanterns over the lake";

/// The age above which a token is exchanged before it is used.
const FRESH: SignedDuration = SignedDuration::from_mins(5);

/// A channel that delivers nothing, like the one of development, without a log line.
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
pub(super) struct DemoActor {
    grant: SessionTokens,
    since: Timestamp,
    /// The id of the patient, if they are one.
    pub(super) patient: Option<Id<Patient>>,
}

/// The server of the demo.
pub(super) struct DemoServer {
    server: Server,
    state: Arc<State>,
}

/// Makes the error for a story that the product refuses.
pub(super) fn unfit(why: impl std::fmt::Display) -> Error {
    Error::internal(format!("the story of the demo: {why}"))
}

/// Makes a person of the story, with the demo's passphrase.
pub(super) fn person(name: &str, email: &str) -> Result<Person> {
    let email = Email::parse(email).map_err(unfit)?;
    let passphrase = Passphrase::new(PASSPHRASE.to_owned(), Some(&email)).map_err(unfit)?;
    Ok(Person { name: Text::line(name).map_err(unfit)?, email, passphrase })
}

impl DemoServer {
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

    /// Makes an actor with a new session.
    pub(super) fn actor(&self, grant: SessionTokens, patient: Option<Id<Patient>>) -> DemoActor {
        DemoActor { grant, since: self.now(), patient }
    }

    /// Lets time pass until `to`, and does the background work of that time when it is due.
    pub(super) async fn advance(&self, to: Timestamp) -> Result<()> {
        app::advance(&self.state, &Quiet, to).await?;
        Ok(())
    }

    /// Returns the caller, with a token that is valid now.
    pub(super) async fn claimed<K: AccountPolicy>(&self, who: &mut DemoActor) -> Result<Claimed<K>> {
        if self.now().duration_since(who.since) > FRESH {
            let tokens = Arc::clone(&self.server.tokens);
            who.grant = actions::refresh(&self.state, tokens, who.grant.refresh.clone()).await?.grant;
            who.since = self.now();
        }
        Claimed::by_token(&self.server.tokens, &who.grant.access, self.now())
    }

    /// Returns the door to a patient's data, for `who`.
    pub(super) async fn door<L: Policy>(&self, who: &mut DemoActor, patient: Option<Id<Patient>>) -> Result<Door<L>> {
        let caller = self.claimed(who).await?;
        Door::for_patient(caller, Arc::clone(&self.state), &self.server.directory, patient).await
    }

    /// Does `work` as `who`, as an operation without a patient does it.
    pub(super) async fn change<K: AccountPolicy, T: Send + 'static>(
        &self,
        who: &mut DemoActor,
        mut work: impl FnMut(&mut Tx<'_>, &Live<K>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let caller = self.claimed::<K>(who).await?;
        let answer = caller.change(
            &self.state,
            Request::internal((), ()),
            |_| Ok(()),
            move |tx, live, ()| work(tx, live).map(Outcome::no_content),
            |_, _, outcome| outcome.value.ok_or(Error::NotFound),
        );
        Ok(answer.await?.into_value())
    }

    /// Ends the session of an actor.
    pub(super) async fn log_out(&self, who: &mut DemoActor) -> Result<()> {
        self.change(who, |tx, live: &Live<Anyone>| actions::log_out(tx, live)).await
    }
}

/// Does `work` behind a door, as operation `act`.
pub(super) async fn change<L, C, F>(door: &Door<L>, act: &'static str, command: C, mut work: F) -> Result<()>
where
    L: Policy,
    C: Send + 'static,
    F: FnMut(&mut Tx<'_>, &Access<Write>, &C) -> Result<()> + Send + 'static,
{
    let answer = door.change(
        act,
        Request::internal((), command),
        |command| Ok(command.body),
        move |tx, access, command| work(tx, access, command).map(Outcome::no_content),
        |_, _, _| Ok(()),
    );
    answer.await.map(drop)
}
