//! Moves of the clock, and pending faults.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::kernel::clock::seconds;
use crate::kernel::{Error, Fields, Result};

/// The furthest that one move goes.
pub const FURTHEST: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The most requests that one fault hits.
pub const MOST: u16 = 1000;
/// The addresses that faults can hit begin with this.
pub const ROOT: &str = "/v1/";
/// The `Retry-After` of a throttled request, in seconds.
pub const RETRY_AFTER: u32 = 3;
/// The longest that a reply is held back, in milliseconds.
pub const LONGEST: i64 = 60_000;

/// How a sandbox begins, and begins again at a reset.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The first time of the clock.
    pub at: Timestamp,
    /// The seed of the ids.
    pub seed: u64,
    /// Whether the clock runs with real time.
    pub ticking: bool,
}

/// A move of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// To an instant.
    To(Timestamp),
    /// By a time.
    By(SignedDuration),
}

impl Move {
    /// Parses a move, given either as an instant or as a duration.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with the field.
    pub fn parse(now: Option<&str>, advance: Option<&str>) -> Result<Self> {
        match (now, advance) {
            (Some(now), None) => match now.parse::<Timestamp>() {
                Ok(at) => Ok(Self::To(seconds(at))),
                Err(_) => Err(Error::field("/now", "is an instant with an offset, such as 2026-03-11T09:00:00Z")),
            },
            (None, Some(advance)) => elapsed(advance).map(Self::By).ok_or_else(|| {
                Error::field("/advance", "is an ISO 8601 duration in weeks, days and less, such as PT3H or P1DT30M")
            }),
            (None, None) => Err(Error::field("/advance", "is required, or else `now`")),
            (Some(_), Some(_)) => Err(Error::field("/now", "goes without `advance`: one of the two says where to go")),
        }
    }

    /// Returns the end of the move that begins at `now`. A move to the present time is allowed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a move back or further than [`FURTHEST`].
    pub fn target(self, now: Timestamp) -> Result<Timestamp> {
        let (field, to) = match self {
            Self::To(at) => ("/now", Some(at)),
            Self::By(time) => ("/advance", now.checked_add(time).ok()),
        };
        match to {
            Some(to) if to < now => Err(Error::field(field, format!("goes back: the clock stands at {now}"))),
            Some(to) if to.duration_since(now) <= FURTHEST => Ok(to),
            _ => Err(Error::field(field, "goes further than 400 days in one move")),
        }
    }
}

/// Parses an ISO 8601 duration. It is elapsed time, as the phases of the window count it: a day has 24 hours.
fn elapsed(text: &str) -> Option<SignedDuration> {
    // The parser also takes words, and signs.
    let span: Span = text.starts_with('P').then(|| text.parse().ok())??;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// A request for faults. Faults that it does not name stay.
#[derive(Clone, Debug, Default)]
pub struct FaultRequest {
    /// The number of replies to lose.
    pub lose: Option<i64>,
    /// The delay of a reply in milliseconds.
    pub delay_ms: Option<i64>,
    /// The number of replies to delay; one, unless said otherwise.
    pub times: Option<i64>,
    /// The number of requests to refuse.
    pub unavailable: Option<i64>,
    /// The number of requests to throttle; with a path alone, all until it is removed.
    pub throttle: Option<i64>,
    /// The address whose requests are throttled, and those below it; every address, unless said otherwise.
    pub throttle_path: Option<String>,
}

/// The requests that are throttled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// The number of requests; all of them if it is absent.
    pub left: Option<u16>,
    /// The address at and below which requests are hit; every one if it is absent.
    pub path: Option<String>,
}

/// The faults that are waiting for requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The number of replies that will be lost.
    pub lose: u16,
    /// The delay of late replies.
    pub delay: Duration,
    /// The number of replies that will be late.
    pub late: u16,
    /// The number of requests that will be refused.
    pub unavailable: u16,
    /// The requests that will be throttled.
    pub throttle: Option<Throttle>,
}

/// The fate of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InjectedFault {
    /// The request is answered as one too many, before anything is done.
    Throttle,
    /// The request is refused before anything is done.
    Refuse,
    /// The request is done; its reply is held back, and then perhaps lost.
    Reply {
        /// The time for which the reply is held back.
        after: Duration,
        /// Whether it is then lost.
        lost: bool,
    },
}

impl Faults {
    /// Adds the faults of `request` to these.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] with each wrong field; then nothing is changed.
    pub fn with(mut self, request: &FaultRequest) -> Result<Self> {
        let mut fields = Fields::new();
        let FaultRequest { lose, delay_ms, times, unavailable, throttle, throttle_path } = request.clone();
        if [lose, delay_ms, unavailable, throttle].iter().all(Option::is_none) && throttle_path.is_none() {
            fields.fault("", "names one of `lose`, `delay_ms`, `unavailable`, `throttle` and `throttle_path` at least");
        }
        if let Some(count) = lose.and_then(|count| fields.take("/lose", bounded(count))) {
            self.lose = count;
        }
        if let Some(count) = unavailable.and_then(|count| fields.take("/unavailable", bounded(count))) {
            self.unavailable = count;
        }
        let late = times.map_or(Some(1), |count| fields.take("/for", bounded(count)));
        fields.check(times.is_none() || delay_ms.is_some(), "/for", "says how often `delay_ms` is to happen");
        if let Some(millis) = delay_ms {
            match u64::try_from(millis).ok().filter(|_| millis <= LONGEST) {
                Some(0) => (self.delay, self.late) = (Duration::ZERO, 0),
                Some(millis) => (self.delay, self.late) = (Duration::from_millis(millis), late.unwrap_or_default()),
                None => fields.fault("/delay_ms", format!("must be between 0 and {LONGEST}")),
            }
        }
        if throttle.is_some() || throttle_path.is_some() {
            let left = throttle.map(|count| fields.take("/throttle", bounded(count)).unwrap_or_default());
            let path = throttle_path.map(|path| fields.take("/throttle_path", address(&path)).unwrap_or_default());
            self.throttle = (left != Some(0)).then_some(Throttle { left, path });
        }
        fields.done()?;
        Ok(self)
    }

    /// Takes the fate of the request that arrives now at the decoded `path`; this uses up the fault.
    pub fn take_next(&mut self, path: &str) -> InjectedFault {
        if !path.starts_with(ROOT) {
            return InjectedFault::Reply { after: Duration::ZERO, lost: false };
        }
        if let Some(throttle) = self.throttle.as_mut().filter(|throttle| throttle.hits(path)) {
            throttle.left = throttle.left.map(|left| left.saturating_sub(1));
            self.throttle.take_if(|throttle| throttle.left == Some(0));
            return InjectedFault::Throttle;
        }
        if use_up(&mut self.unavailable) {
            return InjectedFault::Refuse;
        }
        let after = if use_up(&mut self.late) { self.delay } else { Duration::ZERO };
        InjectedFault::Reply { after, lost: use_up(&mut self.lose) }
    }
}

impl Throttle {
    fn hits(&self, path: &str) -> bool {
        self.path.as_ref().is_none_or(|root| {
            path.strip_prefix(root.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// Checks the address of a fault. Returns it without a slash at its end.
fn address(path: &str) -> std::result::Result<String, String> {
    let plain = path.strip_suffix('/').unwrap_or(path);
    if plain.starts_with(ROOT) && !plain.contains(['?', '#', '{', '%']) {
        return Ok(plain.to_owned());
    }
    Err(format!("is an address below {ROOT} without a query, such as {ROOT}patients/me/entries"))
}

fn bounded(count: i64) -> std::result::Result<u16, String> {
    u16::try_from(count).ok().filter(|count| *count <= MOST).ok_or_else(|| format!("must be between 0 and {MOST}"))
}

fn use_up(left: &mut u16) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-03-10T08:00:00Z";

    fn target(now: Option<&str>, advance: Option<&str>) -> Result<String, String> {
        let to = Move::parse(now, advance).and_then(|step| step.target(NOW.parse().unwrap()));
        match to {
            Ok(at) => Ok(at.to_string()),
            Err(Error::Invalid(fields)) => Err(fields[0].pointer.clone()),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_move_is_to_an_instant_or_by_a_time() {
        assert_eq!(target(Some("2026-03-10T10:30:00+01:00"), None).unwrap(), "2026-03-10T09:30:00Z");
        assert_eq!(target(None, Some("PT3H")).unwrap(), "2026-03-10T11:00:00Z");
        assert_eq!(target(None, Some("P1DT30M")).unwrap(), "2026-03-11T08:30:00Z");
        assert_eq!(target(None, Some("P2W")).unwrap(), "2026-03-24T08:00:00Z");
        assert_eq!(target(Some(NOW), None).unwrap(), NOW, "the same move again is no error");
        assert_eq!(target(None, Some("P400D")).unwrap(), "2027-04-14T08:00:00Z");
    }

    #[test]
    fn other_moves_are_refused_with_their_field() {
        for now in ["2026-03-10T07:59:59Z", "2026-03-10", "soon", "", "2027-04-14T08:00:01Z"] {
            assert_eq!(target(Some(now), None).unwrap_err(), "/now", "{now}");
        }
        for advance in ["-PT1H", "3 hours", "P1M", "P1Y", "P401D", "PT99999999999999H", "P", "", "PT", "+PT1H"] {
            assert_eq!(target(None, Some(advance)).unwrap_err(), "/advance", "{advance}");
        }
        assert_eq!(target(None, None).unwrap_err(), "/advance");
        assert_eq!(target(Some(NOW), Some("PT1H")).unwrap_err(), "/now");
    }

    #[test]
    fn each_fault_hits_as_many_requests_as_was_asked_for() {
        let wish = FaultRequest {
            lose: Some(1),
            delay_ms: Some(250),
            times: Some(2),
            unavailable: Some(1),
            ..FaultRequest::default()
        };
        let mut faults = Faults::default().with(&wish).unwrap();
        let late = Duration::from_millis(250);
        let expected = [
            InjectedFault::Refuse,
            InjectedFault::Reply { after: late, lost: true },
            InjectedFault::Reply { after: late, lost: false },
            InjectedFault::Reply { after: Duration::ZERO, lost: false },
        ];
        assert_eq!([(); 4].map(|()| faults.take_next("/v1/me")), expected);
    }

    #[test]
    fn a_throttle_hits_a_number_of_requests_a_path_and_what_lies_below_it_or_both() {
        let wish = |throttle, path: Option<&str>| FaultRequest {
            throttle,
            throttle_path: path.map(str::to_owned),
            ..FaultRequest::default()
        };
        let hit = |faults: &mut Faults, path: &str| faults.take_next(path) == InjectedFault::Throttle;
        let mut two = Faults::default().with(&wish(Some(2), None)).unwrap();
        let paths = ["/healthz", "/v1/me", "/v1/meta", "/v1/me"];
        assert_eq!(paths.map(|path| hit(&mut two, path)), [false, true, true, false]);
        assert_eq!(two, Faults::default());
        let mut all = Faults::default().with(&wish(None, Some("/v1/me/"))).unwrap();
        let paths = ["/v1/meta", "/v1/me", "/v1/me/devices", "/v1/me", "/v1/patients/me"];
        assert_eq!(paths.map(|path| hit(&mut all, path)), [false, true, true, true, false]);
        assert_eq!(all.with(&wish(Some(0), None)).unwrap(), Faults::default());
        let mut one = Faults::default().with(&wish(Some(1), Some("/v1/me"))).unwrap();
        let paths = ["/v1/meta", "/v1/me", "/v1/me"];
        assert_eq!(paths.map(|path| hit(&mut one, path)), [false, true, false]);
    }

    #[test]
    fn a_wish_changes_what_it_names_and_nothing_else() {
        let lose = |count| FaultRequest { lose: Some(count), ..FaultRequest::default() };
        let faults = Faults::default().with(&lose(3)).unwrap();
        let faults = faults.with(&FaultRequest { delay_ms: Some(5), ..FaultRequest::default() }).unwrap();
        assert_eq!((faults.lose, faults.late), (3, 1), "one reply is late unless said otherwise");
        assert_eq!(faults.clone().with(&lose(0)).unwrap().lose, 0);
        assert_eq!(faults.with(&FaultRequest { delay_ms: Some(0), ..FaultRequest::default() }).unwrap().late, 0);
    }

    #[test]
    fn wishes_out_of_bounds_are_refused_with_every_field() {
        let pointers = |wish: FaultRequest| match Faults::default().with(&wish) {
            Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.pointer).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let all = FaultRequest {
            lose: Some(1001),
            delay_ms: Some(60_001),
            times: Some(-1),
            unavailable: Some(-1),
            throttle: Some(1001),
            throttle_path: Some("/sandbox".to_owned()),
        };
        assert_eq!(pointers(all), ["/lose", "/unavailable", "/for", "/delay_ms", "/throttle", "/throttle_path"]);
        assert_eq!(pointers(FaultRequest::default()), [""]);
        assert_eq!(pointers(FaultRequest { times: Some(2), lose: Some(1), ..FaultRequest::default() }), ["/for"]);
    }
}
