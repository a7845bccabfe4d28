//! What the owner of an account is told of it and of its sessions. The events stand in the account's own chain of the
//! audit log; of those that may be the work of somebody else a letter tells as well.

use jiff::Timestamp;

use super::Live;
use super::model::Notice;
use super::store;
use crate::audit::{self, AuditRow, Record, Subject};
use crate::db::Tx;
use crate::kernel::id::{Account, Session};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Id, Result};
use crate::vault::{Keys, Vault};

/// An event that the owner of an account is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityEvent {
    /// A log-in on a device that the account knows.
    LogIn,
    /// A log-in on a device that the account did not know, or that was thrown out.
    NewDevice,
    /// A spent refresh token came again, which ended its session.
    RefreshReused,
    /// A session was ended from another one.
    SessionEnded,
    /// All sessions but one were ended.
    OtherSessionsEnded,
    /// The passphrase was changed by somebody who knew it, which ended all other sessions.
    PassphraseChanged,
    /// The passphrase was set anew with a code from a letter, which ended all sessions.
    PassphraseReset,
    /// Another address was asked for.
    EmailAsked,
    /// An address was proved with a code from a letter.
    EmailVerified,
    /// The account was disabled by its owner, which ended all sessions.
    Disabled,
    /// The account was enabled again by the operator. Its sessions stay ended.
    EnabledByOperator,
    /// A second factor was switched on.
    FactorOn,
    /// The second factor was switched off.
    FactorOff,
    /// The operator took the second factor and all passkeys away, which ended all sessions.
    FactorsForgotten,
    /// A new set of recovery codes took the place of the last one.
    RecoveryCodesMade,
    /// A recovery code was used.
    RecoveryCodeUsed,
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was taken away.
    PasskeyRemoved,
    /// A passkey was refused because its counter did not go on: there may be a copy of it.
    PasskeyCopied,
    /// The lock was switched on.
    LockOn,
    /// The lock was switched off.
    LockOff,
}

impl SecurityEvent {
    /// Returns the stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LogIn => "log_in",
            Self::NewDevice => "log_in_new_device",
            Self::RefreshReused => "refresh_reused",
            Self::SessionEnded => "session_ended",
            Self::OtherSessionsEnded => "other_sessions_ended",
            Self::PassphraseChanged => "passphrase_changed",
            Self::PassphraseReset => "passphrase_reset",
            Self::EmailAsked => "email_asked",
            Self::EmailVerified => "email_verified",
            Self::Disabled => "disabled",
            Self::EnabledByOperator => "enabled_by_operator",
            Self::FactorOn => "second_factor_on",
            Self::FactorOff => "second_factor_off",
            Self::FactorsForgotten => "factors_forgotten_by_operator",
            Self::RecoveryCodesMade => "recovery_codes_made",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::PasskeyAdded => "passkey_added",
            Self::PasskeyRemoved => "passkey_removed",
            Self::PasskeyCopied => "passkey_copied",
            Self::LockOn => "lock_on",
            Self::LockOff => "lock_off",
        }
    }

    /// Returns what a letter tells of it. Letters about addresses go out where these change.
    const fn notice(self) -> Option<Notice> {
        match self {
            Self::NewDevice => Some(Notice::NewDevice),
            Self::RefreshReused => Some(Notice::RefreshReused),
            Self::PassphraseChanged | Self::PassphraseReset => Some(Notice::PassphraseChanged),
            Self::Disabled => Some(Notice::Disabled),
            Self::EnabledByOperator => Some(Notice::EnabledByOperator),
            Self::FactorsForgotten => Some(Notice::FactorsForgotten),
            Self::PasskeyAdded => Some(Notice::PasskeyAdded),
            Self::FactorOff => Some(Notice::FactorOff),
            Self::RecoveryCodesMade => Some(Notice::RecoveryCodesMade),
            Self::FactorOn | Self::RecoveryCodeUsed | Self::PasskeyRemoved | Self::PasskeyCopied => {
                Some(Notice::SecondFactor)
            }
            Self::LogIn
            | Self::SessionEnded
            | Self::OtherSessionsEnded
            | Self::EmailAsked
            | Self::EmailVerified
            | Self::LockOn
            | Self::LockOff => None,
        }
    }
}

/// Tells the owner of an account of an event, in the unit in which it happens: in its list, and with a letter if there
/// is one for it. `session` is the session it is about.
///
/// # Errors
///
/// When the database fails, or `keys` are not the account's.
pub fn tell_owner(
    tx: &mut Tx<'_>,
    sealing: (&Vault, &Keys),
    account: Id<Account>,
    session: Option<Id<Session>>,
    event: SecurityEvent,
    now: Timestamp,
) -> Result<()> {
    tell(tx, sealing, account, (Some(account), session), event, now)
}

/// Tells the owner of an account of what the operator did to it, in the unit in which it happens.
///
/// # Errors
///
/// As [`tell_owner`].
pub(super) fn tell_of_operator(
    tx: &mut Tx<'_>,
    sealing: (&Vault, &Keys),
    account: Id<Account>,
    event: SecurityEvent,
    now: Timestamp,
) -> Result<()> {
    tell(tx, sealing, account, (None, None), event, now)
}

/// Writes an event into the list of an account and asks for its letter. Without an actor it is the operator's work.
fn tell(
    tx: &mut Tx<'_>,
    (vault, keys): (&Vault, &Keys),
    account: Id<Account>,
    (actor, session): (Option<Id<Account>>, Option<Id<Session>>),
    event: SecurityEvent,
    now: Timestamp,
) -> Result<()> {
    let role = if actor.is_some() { "owner" } else { "operator" };
    let record = Record { act: event.name().to_owned(), role: role.to_owned(), refused: false, ids: Vec::new() };
    audit::append(tx, vault, keys, Subject::Account(account), actor, session, now, &record)?;
    event.notice().map_or(Ok(()), |notice| store::ask_notice(tx, account, notice, now))
}

/// Lists the events of the caller's account, newest first.
///
/// # Errors
///
/// When the database fails.
pub fn list<K>(tx: &mut Tx<'_>, live: &Live<K>, asked: PageRequest<i64>) -> Result<Page<AuditRow, i64>> {
    let rows = audit::list(tx, Subject::Account(live.account()), asked.after, asked.rows())?;
    Ok(asked.cut(rows, |row| row.doc.len(), |row| row.seq))
}
