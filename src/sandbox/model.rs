//! Moves of the clock, and pending faults.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::kernel::clock::seconds;
use crate::kernel::{Error, Fields, Result};

/// The furthest that one move goes.
pub const FURTHEST: SignedDuration = SignedDuration::from_hours(400 * 24);
/// The most requests that one fault hits.
pub const MOST: u16 = 1000;
/// The longest that a reply is held back, in milliseconds.
pub const LONGEST: i64 = 60_000;

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
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultRequest {
    /// The number of replies to lose.
    pub lose: Option<i64>,
    /// The delay of a reply in milliseconds.
    pub delay_ms: Option<i64>,
    /// The number of replies to delay; one, unless said otherwise.
    pub times: Option<i64>,
    /// The number of requests to refuse.
    pub unavailable: Option<i64>,
}

/// The faults that are waiting for requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The number of replies that will be lost.
    pub lose: u16,
    /// The delay of late replies.
    pub delay: Duration,
    /// The number of replies that will be late.
    pub late: u16,
    /// The number of requests that will be refused.
    pub unavailable: u16,
}

/// The fate of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
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
        let FaultRequest { lose, delay_ms, times, unavailable } = *request;
        if lose.is_none() && delay_ms.is_none() && unavailable.is_none() {
            fields.fault("", "names one of `lose`, `delay_ms` and `unavailable` at least");
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
        fields.done()?;
        Ok(self)
    }

    /// Takes the fate of the request that arrives now; this uses up the fault.
    pub fn take_next(&mut self) -> Fault {
        if use_up(&mut self.unavailable) {
            return Fault::Refuse;
        }
        let after = if use_up(&mut self.late) { self.delay } else { Duration::ZERO };
        Fault::Reply { after, lost: use_up(&mut self.lose) }
    }
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
        let wish = FaultRequest { lose: Some(1), delay_ms: Some(250), times: Some(2), unavailable: Some(1) };
        let mut faults = Faults::default().with(&wish).unwrap();
        let late = Duration::from_millis(250);
        let expected = [
            Fault::Refuse,
            Fault::Reply { after: late, lost: true },
            Fault::Reply { after: late, lost: false },
            Fault::Reply { after: Duration::ZERO, lost: false },
        ];
        assert_eq!([(); 4].map(|()| faults.take_next()), expected);
    }

    #[test]
    fn a_wish_changes_what_it_names_and_nothing_else() {
        let lose = |count| FaultRequest { lose: Some(count), ..FaultRequest::default() };
        let faults = Faults::default().with(&lose(3)).unwrap();
        let faults = faults.with(&FaultRequest { delay_ms: Some(5), ..FaultRequest::default() }).unwrap();
        assert_eq!((faults.lose, faults.late), (3, 1), "one reply is late unless said otherwise");
        assert_eq!(faults.with(&lose(0)).unwrap().lose, 0);
        assert_eq!(faults.with(&FaultRequest { delay_ms: Some(0), ..FaultRequest::default() }).unwrap().late, 0);
    }

    #[test]
    fn wishes_out_of_bounds_are_refused_with_every_field() {
        let pointers = |wish: FaultRequest| match Faults::default().with(&wish) {
            Err(Error::Invalid(fields)) => fields.into_iter().map(|field| field.pointer).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let all = FaultRequest { lose: Some(1001), delay_ms: Some(60_001), times: Some(-1), unavailable: Some(-1) };
        assert_eq!(pointers(all), ["/lose", "/unavailable", "/for", "/delay_ms"]);
        assert_eq!(pointers(FaultRequest::default()), [""]);
        assert_eq!(pointers(FaultRequest { times: Some(2), lose: Some(1), ..FaultRequest::default() }), ["/for"]);
    }
}
