//! The commands on one account, which the operator gives for an owner who has proved in person who they are.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::account::operator::{self, Forgetting};
use crate::app::Server;
use crate::config::Config;
use crate::identity::operator::AccountSummary;
use crate::kernel::{Clock, Email, Entropy, Error, Result};
use crate::state::State;
use crate::vault::Vault;

#[derive(Clone, Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Print who gets into an account: its kind, since when it is disabled, its second factor, passkeys and sessions,
    /// and whether its address is proved.
    ///
    /// Neither name nor content is printed. An SQLite file belongs to one server: stop it first.
    Show(Named),
    /// Enable a disabled account. Nothing of it was lost.
    ///
    /// Its sessions stay ended, any device logs in, and a letter tells the owner. An SQLite file belongs to one server:
    /// stop it first.
    Enable(Named),
    /// End every session of an account, on all devices, which keep what they hold.
    ///
    /// None of them counts as known any more: after a reset by mail any device logs in, also within the 24 hours after
    /// one. The event stands in its owner's list. An SQLite file belongs to one server: stop it first.
    LogOut(Named),
    /// Note that the address of an account is its owner's, who has lost the passphrase before they proved it.
    ///
    /// See in person who asks, and have them spell it: a code for a new passphrase is then sent there. An SQLite file
    /// belongs to one server: stop it first.
    ProveAddress(Named),
    /// Take the second factor, its recovery codes and all passkeys away from an owner who has lost them.
    ///
    /// See in person who asks: the passphrase alone logs in afterwards. All sessions end, a letter tells the owner, and
    /// for 24 hours no mailed code sets the passphrase. For an owner who has lost the passphrase as well the order is:
    /// prove-address where the address is not proved, the reset by mail, a day later this command. An SQLite file
    /// belongs to one server: stop it first.
    ForgetFactors {
        #[command(flatten)]
        named: Named,
        /// Do it also within 24 hours after a mailed code has set the passphrase.
        #[arg(long)]
        force: bool,
    },
}

// No doc comment: it would be the help of the commands.
#[derive(Args, Clone, Debug)]
pub(super) struct Named {
    /// The e-mail address of the account.
    #[arg(long)]
    email: String,
}

impl AccountCommand {
    fn email(&self) -> &str {
        match self {
            Self::Show(named)
            | Self::Enable(named)
            | Self::LogOut(named)
            | Self::ProveAddress(named)
            | Self::ForgetFactors { named, .. } => &named.email,
        }
    }
}

/// Does a command on an account, and returns the line to print. On SQLite no server may be using the database.
///
/// # Errors
///
/// A sentence for the operator.
pub(super) async fn run(config: Config, command: &AccountCommand) -> Result<String> {
    let email = Email::parse(command.email());
    let email = email.map_err(|fault| Error::internal(format!("the address of the account (--email) {fault}")))?;
    if Vault::check(&config.vault(), &config.database)?.refuse()?.is_new {
        return Err(Error::internal(format!(
            "{} holds no installation: there are no accounts",
            config.database.place()
        )));
    }
    let server = Server::open(config, Clock::System, Entropy::System).await?;
    let done = act(&server.state, command, &email).await;
    server.close();
    done.map_err(|error| match error {
        Error::NotFound => Error::internal("no account has this address (--email)"),
        other => other,
    })
}

async fn act(state: &State, command: &AccountCommand, email: &Email) -> Result<String> {
    match command {
        AccountCommand::Show(_) => {
            let (summary, is_reset_lately) = operator::summary(state, email).await?;
            Ok(line_of(&summary, is_reset_lately))
        }
        AccountCommand::Enable(_) => {
            let line = if operator::enable(state, email).await? {
                "the account is enabled again; its sessions stay ended, and a letter tells the owner"
            } else {
                "the account was not disabled: nothing has changed"
            };
            Ok(line.to_owned())
        }
        AccountCommand::LogOut(_) => {
            operator::log_out(state, email).await?;
            Ok("every session of the account has ended; its devices keep what they hold".to_owned())
        }
        AccountCommand::ProveAddress(_) => {
            let line = if operator::prove_address(state, email).await? {
                "the address counts as proved: a code for a new passphrase is sent there when its owner asks for one"
            } else {
                "the address was proved before: nothing has changed"
            };
            Ok(line.to_owned())
        }
        AccountCommand::ForgetFactors { force, .. } => forgotten(operator::forget_factors(state, email, *force).await?),
    }
}

fn forgotten(came: Forgetting) -> Result<String> {
    let line = match came {
        Forgetting::Done => {
            "the second factor and all passkeys are gone, and all sessions have ended; the passphrase alone logs in \
             now, no mailed code sets it for 24 hours, and a letter tells the owner"
        }
        Forgetting::Nothing => "the account has neither second factor nor passkeys: nothing has changed",
        Forgetting::ResetLately => {
            return Err(Error::internal(
                "a mailed code has set the passphrase of this account within the last 24 hours: whoever asks may be \
                 reading the owner's mail. Nothing has changed; wait, or be sure who asks and give --force",
            ));
        }
    };
    Ok(line.to_owned())
}

/// Returns the line that tells who gets into an account.
fn line_of(summary: &AccountSummary, is_reset_lately: bool) -> String {
    let AccountSummary { account, kind, disabled_at, factor_since, passkeys, sessions, verified } = *summary;
    let since = |at: Option<Timestamp>, is: &str, is_not: &str| {
        at.map_or_else(|| is_not.to_owned(), |at| format!("{is} since {at}"))
    };
    let (disabled, factor) = (since(disabled_at, "disabled", "enabled"), since(factor_since, "on", "none"));
    let proved = if verified { "proved" } else { "not proved" };
    let reset = if is_reset_lately { "; passphrase: set by a mailed code within the last 24 hours" } else { "" };
    format!(
        "account {account}: {}, {disabled}; second factor: {factor}; passkeys: {passkeys}; live sessions: {sessions}; \
         address: {proved}{reset}",
        kind.name()
    )
}
