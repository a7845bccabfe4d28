//! The error type, by meaning, and the registry of stable error codes.

use std::error::Error as StdError;
use std::fmt;

use uuid::Uuid;

/// The result of every fallible function of the crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The place: a JSON Pointer into the body (`/text/title`, or nothing for the whole body), or the name of a
    /// parameter behind its place: `path/…`, `query/…`, `header/…`.
    pub pointer: String,
    /// The fault, in words.
    pub detail: String,
}

/// The reason why something was not done.
#[derive(Debug)]
pub enum Error {
    /// The object does not exist, or the caller may not know that it does.
    NotFound,
    /// The object existed and was deleted.
    Deleted,
    /// The caller has no valid log-in; the code says what to do about it.
    Unauthenticated(Code),
    /// The caller is known and may not do this, whatever the object.
    Forbidden(Code),
    /// The request is well-formed and some of its fields are wrong.
    Invalid(Vec<FieldError>),
    /// The request cannot be read at all.
    Malformed(Code, String),
    /// The request cannot be read from this field on.
    Unreadable(FieldError),
    /// The request does not fit the present state; the id is that of the conflicting object.
    Conflict(Code, Option<Uuid>),
    /// The object's state does not allow the step.
    State(Code, Standing),
    /// It needs the patient's consent to the document of this key, in this version.
    ConsentRequired(&'static str, u32),
    /// The caller has to prove themself again first.
    StepUp(StepUp),
    /// The set with this name in `GET /v1/meta` is full.
    LimitReached(&'static str),
    /// The caller's copy is older than the server's.
    Stale,
    /// The caller must say which version they change.
    PreconditionRequired,
    /// What the client asks to go on from is not of this history: it begins again from the start.
    Resync(Resync),
    /// The client sent too many requests, and has to wait so many seconds.
    TooMany(u32),
    /// The request cannot be served now; it may be sent again.
    Unavailable(&'static str),
    /// The storage is full.
    StorageFull,
    /// The unit of work may be run again from its start (deadlock, lost connection). Becomes 503 if it escapes.
    Transient(Box<dyn StdError + Send + Sync>),
    /// A sealed value of the row with this id, in the table of that name, does not open, or the row does not fit its
    /// MAC and must not be taken for absent.
    Damaged(&'static str, Uuid),
    /// A fault of the server. Clients see a request id only.
    Internal(Box<dyn StdError + Send + Sync>),
}

/// The state of an object, and the steps that it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state, as the object's view names it.
    pub state: &'static str,
    /// The steps that the caller may take.
    pub allowed: Vec<&'static str>,
}

/// The proofs that a session lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    /// The age in seconds that they may have.
    pub max_age_seconds: i64,
    /// The fields of `step_up` that prove it: `passphrase`, `code`. A `passkey` proves both.
    pub factors: Vec<&'static str>,
}

/// Why a client cannot go on from where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resync {
    /// The reason: `epoch` when the data began another epoch, `too_old` when what came after the cursor may have been
    /// forgotten, `ahead` when the cursor is newer than the data.
    pub reason: &'static str,
    /// The epoch of the server's data.
    pub epoch: String,
}

impl Error {
    /// Makes a fault of the server, from words.
    pub fn internal(why: impl Into<String>) -> Self {
        Self::Internal(why.into().into())
    }

    /// Makes the error for a corrupt row.
    pub fn corrupt(table: &str, id: impl fmt::Display) -> Self {
        Self::internal(format!("corrupt row in {table}: {id}"))
    }

    /// Keeps a damaged row from spoiling what stands beside it: turns [`Error::Damaged`] into `None`.
    ///
    /// # Errors
    ///
    /// Every other error of `opened`.
    pub fn skip_damaged<T>(opened: Result<T>) -> Result<Option<T>> {
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(Self::Damaged(..)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Makes the error for one wrong field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// Returns the same error to answer it a second time: a form that is wrong or unreadable keeps its fields.
    #[must_use]
    pub fn again(&self) -> Self {
        match self {
            Self::Invalid(fields) => Self::Invalid(fields.clone()),
            Self::Unreadable(field) => Self::Unreadable(field.clone()),
            Self::LimitReached(name) => Self::LimitReached(name),
            Self::ConsentRequired(document, version) => Self::ConsentRequired(document, *version),
            Self::Malformed(code, detail) => Self::Malformed(*code, detail.clone()),
            Self::Damaged(table, row) => Self::Damaged(table, *row),
            other => Self::internal(other.to_string()),
        }
    }

    /// Whether it is a fault of the server and no refusal: sent again, the same request may succeed.
    pub const fn is_fault(&self) -> bool {
        matches!(self, Self::Internal(_)) || self.is_outage()
    }

    /// Whether others would meet it, too: the server can do nothing of the kind just now. [`Error::Transient`] may also
    /// be met by one subject alone, as a deadlock.
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Transient(_)) || self.is_outage_for_all()
    }

    /// Whether others would meet it in any case: it is an outage, and cannot be a deadlock of one subject.
    pub const fn is_outage_for_all(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::StorageFull)
    }

    /// Makes a conflict that names no object.
    pub fn conflict(code: Code) -> Self {
        Self::Conflict(code, None)
    }

    /// Makes the error for a step that an object's `state` does not allow; it allows the steps `allowed`.
    pub fn state(state: &'static str, allowed: impl IntoIterator<Item = &'static str>) -> Self {
        Self::State(Code::StateConflict, Standing { state, allowed: allowed.into_iter().collect() })
    }

    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Deleted => Code::Deleted,
            Self::Unauthenticated(code)
            | Self::Forbidden(code)
            | Self::Malformed(code, _)
            | Self::Conflict(code, _)
            | Self::State(code, _) => *code,
            Self::Unreadable(_) => Code::Malformed,
            Self::Invalid(_) => Code::Invalid,
            Self::ConsentRequired(..) => Code::ConsentRequired,
            Self::StepUp(_) => Code::StepUpRequired,
            Self::LimitReached(_) => Code::LimitReached,
            Self::Stale => Code::Stale,
            Self::PreconditionRequired => Code::PreconditionRequired,
            Self::Resync(_) => Code::ResyncRequired,
            Self::TooMany(_) => Code::TooManyRequests,
            Self::Unavailable(_) | Self::Transient(_) => Code::Unavailable,
            Self::StorageFull => Code::StorageFull,
            Self::Damaged(..) => Code::Unreadable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient(source) | Self::Internal(source) => write!(f, "{}: {source}", self.code().name()),
            Self::Unavailable(why) => write!(f, "unavailable: {why}"),
            Self::Damaged(table, row) => write!(f, "unreadable: {table} {row}"),
            _ => f.write_str(self.code().name()),
        }
    }
}

impl StdError for Error {}

macro_rules! actions {
    ($($variant:ident = $name:literal, $help:literal;)*) => {
        /// The action that an app takes on an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ClientAction { $(#[doc = $help] $variant,)* }

        impl ClientAction {
            /// Every action.
            pub const ALL: &'static [ClientAction] = &[$(ClientAction::$variant,)*];
            /// Returns the name on the wire.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)* } }
            /// Returns what an app does, for documentation.
            pub const fn help(self) -> &'static str { match self { $(Self::$variant => $help,)* } }
        }
    };
}

actions! {
    Keep = "keep", "Keep local data and carry on. Send the same request again only if `retryable` is true.";
    Refresh = "refresh", "Read the object again, merge it with the local copy, and decide anew; a change then names the new `ETag`.";
    Fix = "fix", "Mend the request, or ask the person to. Unchanged it is refused again.";
    Relogin = "relogin", "Get new tokens: refresh them, or log in again. Keep local data.";
    Erase = "erase", "Erase the local data of this account.";
    Update = "update", "Ask the person to update the app.";
}

macro_rules! codes {
    ($($variant:ident = $name:literal, $status:literal, $action:ident, $title:literal, $help:literal;)*) => {
        /// The stable code of an error: its name is part of the API and never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];
            /// Returns the name on the wire.
            pub const fn name(self) -> &'static str { match self { $(Code::$variant => $name,)* } }
            /// Returns the HTTP status.
            pub const fn status(self) -> u16 { match self { $(Code::$variant => $status,)* } }
            /// Returns the action that an app takes. It erases only for a session that was ended on purpose.
            pub const fn action(self) -> ClientAction { match self { $(Code::$variant => ClientAction::$action,)* } }
            /// Returns a short title that is the same for every occurrence.
            pub const fn title(self) -> &'static str { match self { $(Code::$variant => $title,)* } }
            /// Returns the meaning and the remedy, for the page that the problem's `type` points to.
            pub const fn help(self) -> &'static str { match self { $(Code::$variant => $help,)* } }
        }
    };
}

codes! {
    Malformed = "malformed", 400, Fix, "The request cannot be read", "The body, a header or the query is not well-formed. `detail` says where reading stopped, and `errors` in which field. Mend the request; sending it again unchanged gives the same answer.";
    Unauthenticated = "unauthenticated", 401, Relogin, "Log in first", "The access token is missing, expired or not one of this server's. Refresh it, or log in again. Keep local data.";
    CredentialsWrong = "credentials_wrong", 401, Fix, "E-mail or passphrase is wrong", "The answer is the same for an unknown address, a wrong passphrase and a disabled account.";
    KnownDeviceRequired = "known_device_required", 401, Keep, "A known device is needed", "A code from a letter has set this passphrase within the last 24 hours. Until they are over, a log-in needs the `device_token` of a device that was logged in before, and was not logged out from elsewhere. Keep local data; log in on such a device, or wait.";
    SessionRevoked = "session_revoked", 401, Erase, "This session was ended", "The session was ended on purpose, by the account's owner or by an administrator. Erase local data of this account and log in again.";
    RefreshInvalid = "refresh_invalid", 401, Relogin, "The refresh token is not valid", "The refresh token is unknown or too old. Log in again. Keep local data.";
    SecondFactorRequired = "second_factor_required", 401, Fix, "A code is needed, too", "The account has a second factor: send the same log-in again with `code`, from the authenticator app or a recovery code, or with `passkey`.";
    SecondFactorWrong = "second_factor_wrong", 401, Fix, "The code is not right", "The code is not the present one, was used before, or there were too many wrong ones: wait a while, then send the next code.";
    PasskeyRefused = "passkey_refused", 401, Fix, "The passkey is not accepted", "The answer is the same for a passkey that is not known here, a signature that does not fit, a challenge that was used or is older than five minutes, and a disabled account. Begin again.";
    StepUpRequired = "step_up_required", 403, Keep, "Prove who you are once more", "The log-in is too old for this: `factors` names what to send to `POST /v1/auth/step-up`, and `max_age_seconds` how old it may be. Then send the request again.";
    SecondFactorMissing = "second_factor_missing", 403, Keep, "A second factor is needed", "The clinic asks its staff for a second factor, and this account has none. Set it up with `POST /v1/me/factors/totp`, then send the request again.";
    Forbidden = "forbidden", 403, Keep, "Not allowed for this kind of account", "The operation is for another kind of account, whatever the object.";
    NotFound = "not_found", 404, Keep, "Not found", "There is nothing here that you may see.";
    MethodNotAllowed = "method_not_allowed", 405, Fix, "Method not allowed", "`Allow` lists the methods of this address.";
    NotAcceptable = "not_acceptable", 406, Fix, "Not acceptable", "`Accept-Encoding` refuses every coding that the server has, and `identity` as well. Allow one of them, or leave the header out.";
    RequestTimeout = "request_timeout", 408, Keep, "The request took too long to arrive", "Send it again.";
    Conflict = "conflict", 409, Refresh, "The request does not fit the present state", "Read the object again and decide.";
    AlreadyExists = "already_exists", 409, Refresh, "It exists already", "An object with this id exists and differs. Choose a new id, or change the existing one with its version.";
    StateConflict = "state_conflict", 409, Refresh, "Not possible in the present state", "The object's state does not allow this step: `state` names it, and `allowed` the steps that it allows. Read the object again.";
    AlreadyLinked = "already_linked", 409, Refresh, "Already linked", "There is a care link between this patient and this therapist already.";
    SetupDone = "setup_done", 409, Refresh, "The server is set up already", "The first clinic exists. Further clinics are made by the operator.";
    PasskeysOff = "passkeys_off", 409, Refresh, "There are no passkeys here", "The operator of this server has not switched passkeys on; `passkey_rp_id` of `GET /v1/meta` is absent. Log in with the passphrase.";
    InfusionOverlaps = "infusion_overlaps", 409, Refresh, "Overlaps another infusion", "Another infusion of this patient lies within six hours. `conflicting_id` names it. If they are two administrations, repeat with `distinct_from`.";
    LimitReached = "limit_reached", 409, Refresh, "A limit is reached", "The set is as large as the server lets it grow. `detail` names the limit; `GET /v1/meta` publishes them all. Keep local data; end or delete something of the kind, or ask the operator.";
    WrongAccount = "wrong_account", 403, Keep, "Of another account", "The mutation is of another patient's phone, or of another account on this one. Keep it until that account is logged in.";
    ItemRepeated = "item_repeated", 429, Keep, "The same thing twice in one batch", "A batch holds at most one mutation of each thing. Send the second one with the next batch, on the version that the first one made.";
    NotShareable = "not_shareable", 409, Refresh, "Cannot be shared", "A draft cannot be shared. Mark it done first.";
    ConsentRequired = "consent_required", 403, Keep, "A consent is needed first", "The patient has not agreed to what this does, or has withdrawn it: `document` names the document of `GET /v1/consent-documents`, and `document_version` its version. Show it, give the consent, and send the request again.";
    ExerciseWithheld = "exercise_withheld", 409, Refresh, "Not offered now", "The exercise is not offered to the patient now, or only together with a therapist. What has been worked on already is kept: send it with its answers.";
    Deleted = "deleted", 410, Refresh, "It was deleted", "The object was deleted by its owner. The owner can undelete it for 30 days.";
    ResyncRequired = "resync_required", 410, Keep, "Begin again from the start", "The server cannot go on from this cursor or epoch: `reason` says why, `epoch` is the present one. Keep everything: it never means that something was deleted. Compare what you hold, pull without a cursor, then push.";
    CodeInvalid = "code_invalid", 422, Fix, "The code is not valid", "The code is unknown, used, revoked or expired, or is bound to another e-mail address. Ask for a new one.";
    Stale = "stale", 412, Refresh, "Your copy is out of date", "The object has changed since you read it. Read it again, merge, and repeat with the new ETag.";
    TooLarge = "too_large", 413, Fix, "Too large", "The body is larger than the server takes. `GET /v1/meta` publishes the limits.";
    UnsupportedMediaType = "unsupported_media_type", 415, Fix, "Unsupported media type", "Send `application/json` (or `application/merge-patch+json` for PATCH).";
    Invalid = "invalid", 422, Fix, "Some fields are wrong", "`errors` lists each field: `in` says where it stands, `pointer` (in a body) or `name` which it is, `detail` what is wrong with it.";
    KeyReused = "idempotency_key_reused", 422, Fix, "The idempotency key was used for another request", "The same Idempotency-Key came with another method, address or body. Use a new key for each new request.";
    MutationReused = "mutation_reused", 422, Fix, "The mutation id was used for another mutation", "A mutation with this id was done, and it said something else. What was added since is a new mutation, with a new id.";
    PreconditionRequired = "precondition_required", 428, Refresh, "Say which version you change", "Send `If-Match` with the ETag you read.";
    TooManyRequests = "too_many_requests", 429, Keep, "Too many requests", "Wait as long as `Retry-After` says.";
    HeadersTooLarge = "headers_too_large", 431, Fix, "The headers are too large", "Send fewer or shorter headers.";
    Internal = "internal", 500, Keep, "A fault of the server", "Nothing was changed. Report the `request_id`.";
    Unreadable = "unreadable", 500, Keep, "It cannot be read", "What is stored here is damaged and does not open: only its operator can bring it back, from a backup. Nothing was changed, and it is not overwritten. Keep the local copy; everything else works. In lists it stands as `{id, unreadable: true}`.";
    Unavailable = "unavailable", 503, Keep, "Not possible just now", "Nothing is known to have been changed. Send the same request again after `Retry-After`; with the same id or Idempotency-Key that is always safe.";
    StorageFull = "storage_full", 507, Keep, "The storage is full", "The server cannot store more until its operator makes room. Keep local data and try again later.";
}
