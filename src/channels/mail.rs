//! Letters: mails to the owners of accounts, by the operator's mail server, into a folder, or not at all.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use lettre::message::Mailbox;

use super::email::{EmailChannel, EmailSettings, compose};
use super::model::{Letter, SendError};
use crate::kernel::Clock;

/// The sender of letters in a folder.
const NOBODY: &str = "Afterglow <no-reply@afterglow.invalid>";

/// The way of letters, as the operator configures it.
#[derive(Clone, Debug, Default)]
pub enum MailSettings {
    /// None: a line in the log says that there was a letter.
    #[default]
    Log,
    /// A folder, for development: each letter is a file of its own.
    Folder(PathBuf),
    /// A mail server.
    Smtp(EmailSettings),
}

/// The way of letters.
#[derive(Debug)]
pub enum Mail {
    /// None.
    Log,
    /// A folder.
    Folder(PathBuf),
    /// A mail server.
    Smtp(Box<EmailChannel>),
}

impl Mail {
    /// Makes the way of letters that is configured.
    ///
    /// # Errors
    ///
    /// A sentence for the operator.
    pub fn new(settings: &MailSettings, clock: Clock) -> Result<Self, &'static str> {
        Ok(match settings {
            MailSettings::Log => Self::Log,
            MailSettings::Folder(folder) => Self::Folder(folder.clone()),
            MailSettings::Smtp(server) => Self::Smtp(Box::new(EmailChannel::new(server.clone(), clock)?)),
        })
    }

    /// Sends a letter. The same letter may be sent twice, with the same id.
    ///
    /// # Errors
    ///
    /// The reason why it did not leave.
    pub async fn send(&self, letter: &Letter, now: Timestamp) -> Result<(), SendError> {
        match self {
            Self::Log => {
                tracing::warn!(letter = %letter.id, "a letter is dropped: no way of letters is configured (--mail)");
                Ok(())
            }
            Self::Folder(folder) => {
                let (folder, letter) = (folder.clone(), letter.clone());
                let written = tokio::task::spawn_blocking(move || write(&folder, &letter, now)).await;
                let failed = |reason| SendError::Later { after: None, reason };
                written.unwrap_or(Err(failed("the thread that writes letters ended")))
            }
            Self::Smtp(channel) => channel.send_letter(letter, now).await,
        }
    }
}

/// Writes a letter as `<id>.eml`. A reader of the folder sees whole files only, and nobody but their owner may.
fn write(folder: &Path, letter: &Letter, now: Timestamp) -> Result<(), SendError> {
    let unknown = SendError::Refused { reason: "the address cannot be written into an e-mail" };
    let from: Mailbox = NOBODY.parse().ok().ok_or_else(|| unknown.clone())?;
    let to = letter.to.routable().ok_or_else(|| unknown.clone())?;
    let (_, message) =
        compose(&from, &to, &letter.id.to_string(), (letter.subject.as_str(), letter.body.as_str()), now)
            .ok_or(unknown)?;
    let later = |error: std::io::Error| {
        tracing::error!(%error, "the folder of the letters (--mail-dir) cannot be written");
        SendError::Later { after: None, reason: "the folder of the letters cannot be written" }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(later)?;
    let (part, whole) = (folder.join(format!(".{}.part", letter.id)), folder.join(format!("{}.eml", letter.id)));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).map_err(later)?;
    file.write_all(&message).and_then(|()| file.sync_all()).map_err(later)?;
    fs::rename(part, whole).map_err(later)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use uuid::Uuid;

    use super::*;
    use crate::kernel::Email;

    #[tokio::test]
    async fn a_letter_in_a_folder_is_one_file_that_others_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("letters");
        let mail = Mail::new(&MailSettings::Folder(place.clone()), Clock::System).unwrap();
        let letter = Letter {
            id: Uuid::from_u128(7),
            to: Email::parse("ann@exämple.org").unwrap(),
            subject: "Dein Code".to_owned(),
            body: "Grüße\n\n7K2M-9XQ4-T0VB-HS3D\n".to_owned(),
        };
        for _ in 0..2 {
            mail.send(&letter, Timestamp::UNIX_EPOCH).await.unwrap();
        }
        let files: Vec<_> = fs::read_dir(&place).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&files[0]), mode(&place)), (0o600, 0o700));
        let text = fs::read_to_string(&files[0]).unwrap();
        assert!(text.contains("To: ann@xn--exmple-cua.org\r\n") && text.contains("Subject: Dein Code\r\n"), "{text}");
        assert!(text.contains("7K2M-9XQ4-T0VB-HS3D"), "{text}");
    }
}
