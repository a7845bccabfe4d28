//! Failed log-ins: for whom they are counted, and when log-ins rest.
//!
//! A stranger's failures are counted for the account and their network, and for the account. A device that the account
//! knows presents the token of an earlier log-in: its failures are counted apart, so that nobody locks out the owner.
//! That token is of the account, not of its address, and counts apart as well once the device was thrown out: it lets
//! nobody in. Only for a day after a reset does it help to log in, and then a thrown-out device is a stranger's, as it
//! is in what the owner is told of its log-in.
//! Codes of a second factor have counters of their own, which the right passphrase does not set back.
//! The counters lie in the database under keyed hashes, for addresses that no account has, too: the same rows are
//! written for them.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::store;
use crate::db::Tx;
use crate::kernel::id::{Account, Session};
use crate::kernel::{Id, Result};
use crate::vault::{MacLabel, Vault};

/// The number of failures after which log-ins rest, and the time for which they do.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    failures: i32,
    rest: SignedDuration,
}

/// For an account and a known device.
const OF_DEVICE: Allowance = Allowance { failures: 10, rest: SignedDuration::from_mins(15) };
/// For an account and the network of a stranger.
const OF_NETWORK: Allowance = Allowance { failures: 10, rest: SignedDuration::from_mins(15) };
/// For an account and all strangers.
const OF_ACCOUNT: Allowance = Allowance { failures: 100, rest: SignedDuration::from_hours(1) };

/// What is guessed, with the names of its counters: for a device, a network, an account.
#[derive(Clone, Copy, Debug)]
struct Guessed {
    device: &'static [u8],
    network: &'static [u8],
    account: &'static [u8],
}

const PASSPHRASE: Guessed = Guessed { device: b"device", network: b"network", account: b"account" };
const CODE: Guessed = Guessed { device: b"code device", network: b"code network", account: b"code account" };

/// A counter of failures: the keyed hash of what it counts for, and what it allows.
#[derive(Clone, Debug)]
struct Counter {
    key: Vec<u8>,
    allowance: Allowance,
}

/// The counters of one attempt to log in.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    counters: Vec<Counter>,
    /// The session in which the account came to know the device; `None` for a stranger.
    device: Option<Id<Session>>,
}

impl Attempt {
    /// Finds the counters of an attempt from `network` with the address of this keyed hash, and its account: for an
    /// address that nobody has, an id that no account has. A token that is not of this account counts as none; attempts
    /// without a network count as those of one.
    pub(super) fn new(
        vault: &Vault,
        (account, email_key): (Id<Account>, &[u8]),
        device_token: Option<&str>,
        network: Option<IpAddr>,
    ) -> Self {
        Self::at(PASSPHRASE, vault, (account, email_key), (device_token, network))
    }

    /// Finds the counters of the code of such an attempt.
    pub(super) fn with_code(
        vault: &Vault,
        (account, email_key): (Id<Account>, &[u8]),
        device_token: Option<&str>,
        network: Option<IpAddr>,
    ) -> Self {
        Self::at(CODE, vault, (account, email_key), (device_token, network))
    }

    fn at(
        guessed: Guessed,
        vault: &Vault,
        (account, email_key): (Id<Account>, &[u8]),
        (device_token, network): (Option<&str>, Option<IpAddr>),
    ) -> Self {
        match device_token.and_then(|token| device_of(vault, account, token)) {
            Some(session) => Self::by_device(guessed, vault, account, session),
            None => Self::by_network(guessed, vault, email_key, network),
        }
    }

    fn by_device(guessed: Guessed, vault: &Vault, account: Id<Account>, session: Id<Session>) -> Self {
        let (account, device) = (account.uuid(), session.uuid());
        let of_device = (guessed.device, device.as_bytes().as_slice());
        Self { counters: vec![counter(vault, account.as_bytes(), of_device, OF_DEVICE)], device: Some(session) }
    }

    fn by_network(guessed: Guessed, vault: &Vault, email_key: &[u8], network: Option<IpAddr>) -> Self {
        let network = network.map(|network| network.to_string()).unwrap_or_default();
        let counters = vec![
            counter(vault, email_key, (guessed.network, network.as_bytes()), OF_NETWORK),
            counter(vault, email_key, (guessed.account, b""), OF_ACCOUNT),
        ];
        Self { counters, device: None }
    }

    /// Finds the counters of a stranger's attempt from `network`.
    pub(super) fn of_stranger(vault: &Vault, email_key: &[u8], network: Option<IpAddr>) -> Self {
        Self::by_network(PASSPHRASE, vault, email_key, network)
    }

    /// Finds the counter of an attempt to prove oneself within a session.
    pub(super) fn of_session(vault: &Vault, account: Id<Account>, session: Id<Session>) -> Self {
        Self::by_device(PASSPHRASE, vault, account, session)
    }

    /// Finds the counter of a code that is shown within a session.
    pub(super) fn of_code(vault: &Vault, account: Id<Account>, session: Id<Session>) -> Self {
        Self::by_device(CODE, vault, account, session)
    }

    /// Whether log-ins rest. Nothing is counted.
    pub(super) fn rests(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<bool> {
        for counter in &self.counters {
            let (_, until) = store::hold_failures(tx, &counter.key, now)?;
            if until.is_some_and(|until| until > now) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether it comes from a device that the account knows: nobody has thrown it out. One whose session is cleared is
    /// a stranger's. Only such a device logs in while the account is guarded, and only of it no letter tells.
    pub(super) fn is_of_known_device(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<bool> {
        let Some(session) = self.device else { return Ok(false) };
        // Not held: a unit that ends sessions may hold them while it waits for the account.
        Ok(store::find_live(tx, session)?.is_some_and(|(session, _)| session.knows_device(now)))
    }

    /// Sets the counters back.
    pub(super) fn forget(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<()> {
        for counter in &self.counters {
            store::hold_failures(tx, &counter.key, now)?;
            store::update_failures(tx, &counter.key, 0, None)?;
        }
        Ok(())
    }

    /// Counts the attempt, and returns whether it is let in: when it is `right` and log-ins do not rest. What comes
    /// while they rest is not counted, and one that is let in sets its counters back.
    pub(super) fn count(&self, tx: &mut Tx<'_>, right: bool, now: Timestamp) -> Result<bool> {
        let mut held = Vec::with_capacity(self.counters.len());
        for counter in &self.counters {
            held.push(store::hold_failures(tx, &counter.key, now)?);
        }
        let resting = held.iter().any(|(_, until)| until.is_some_and(|until| until > now));
        let welcome = right && !resting;
        for (Counter { key, allowance }, (failures, until)) in self.counters.iter().zip(held) {
            let (failures, until) = match (welcome, resting) {
                (true, _) => (0, None),
                (false, true) => (failures, until),
                (false, false) => allowance.after(failures.saturating_add(1), until, now),
            };
            store::update_failures(tx, key, failures, until)?;
        }
        Ok(welcome)
    }
}

/// Makes a counter for `owner`: the keyed hash of an address, or the id of an account.
fn counter(vault: &Vault, owner: &[u8], (what, of): (&[u8], &[u8]), allowance: Allowance) -> Counter {
    Counter { key: vault.mac(MacLabel::Attempts, &[what, owner, of]).to_vec(), allowance }
}

impl Allowance {
    /// Returns the state of a counter after another failure: log-ins rest each time when it is full.
    fn after(self, failures: i32, until: Option<Timestamp>, now: Timestamp) -> (i32, Option<Timestamp>) {
        let full = failures % self.failures == 0;
        (failures, if full { now.checked_add(self.rest).ok() } else { until })
    }
}

/// Makes the token by which the device of a session is known at its next log-in. Nothing of it is stored.
pub(super) fn device_token(vault: &Vault, account: Id<Account>, session: Id<Session>) -> String {
    let id = session.uuid();
    let mac = vault.mac(MacLabel::Device, &[account.uuid().as_bytes(), id.as_bytes()]);
    URL_SAFE_NO_PAD.encode([id.as_bytes().as_slice(), mac.as_slice()].concat())
}

/// Returns the session whose device a token is of, if it was made for this account.
fn device_of(vault: &Vault, account: Id<Account>, token: &str) -> Option<Id<Session>> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (id, mac) = bytes.split_at_checked(16)?;
    let ours = vault.mac(MacLabel::Device, &[account.uuid().as_bytes(), id]);
    let session = Id::from_uuid(Uuid::from_slice(id).ok()?);
    bool::from(ours.as_slice().ct_eq(mac)).then_some(session)
}
