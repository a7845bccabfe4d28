//! The text of a feed: iCalendar (RFC 5545).
//!
//! It is written here and not by the crate `icalendar`, which brings a second library for time with its clock: a feed has
//! a dozen properties, and no text of the patient's that would have to be escaped or folded.
//!
//! Times are in UTC. Every event stands alone, so no zone is needed to repeat it: the server has worked out its instant
//! from the patient's zone, by its own data of zones, and every calendar app shows it in the zone in which its
//! phone is. A `TZID` would need a `VTIMEZONE` with its rules, which apps read differently or replace by older ones of
//! their own.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::model::Event;

/// What stands before the events. RFC 5545 wants a component in every calendar, also in one without events: hence the
/// time zone. An app asks again after six hours, if it heeds that.
const HEAD: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//moments//calendar//EN\r\nCALSCALE:GREGORIAN\r\n\
    REFRESH-INTERVAL;VALUE=DURATION:PT6H\r\nX-PUBLISHED-TTL:PT6H\r\n";
const ZONE: &str = "BEGIN:VTIMEZONE\r\nTZID:UTC\r\nBEGIN:STANDARD\r\nDTSTART:19700101T000000\r\n\
    TZOFFSETFROM:+0000\r\nTZOFFSETTO:+0000\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\n";

/// Writes a feed of this `name`.
///
/// What stands here is no invitation, so the time stamp of an event is that of its last change. An app that has read it
/// takes a moved event for the same one unless stamp and sequence have grown.
pub(super) fn write(name: &str, events: &[Event]) -> String {
    let mut text = format!("{HEAD}NAME:{name}\r\nX-WR-CALNAME:{name}\r\n{ZONE}");
    for event in events {
        let end = event.start.saturating_add(event.length).unwrap_or(event.start);
        let shown_as = if event.busy { "OPAQUE" } else { "TRANSPARENT" };
        let revised_at = utc(event.revised_at);
        // Writing into a string does not fail.
        let _written = write!(
            text,
            "BEGIN:VEVENT\r\nUID:{}\r\nDTSTAMP:{revised_at}\r\nLAST-MODIFIED:{revised_at}\r\nSEQUENCE:{}\r\n\
             DTSTART:{}\r\nDTEND:{}\r\nSUMMARY:{}\r\nCLASS:PRIVATE\r\nTRANSP:{shown_as}\r\nEND:VEVENT\r\n",
            event.id,
            event.sequence,
            utc(event.start),
            utc(end),
            event.title,
        );
    }
    text.push_str("END:VCALENDAR\r\n");
    text
}

fn utc(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use uuid::Uuid;

    use super::*;
    use crate::delivery::calendar_titles;
    use crate::kernel::Id;

    #[test]
    fn a_feed_has_lines_of_seventy_five_bytes_at_most_and_every_component_ends() {
        let at: Timestamp = "2026-03-10T09:15:00Z".parse().unwrap();
        for language in ["en", "de", "pt", "pl", "da"] {
            let titles = calendar_titles(language);
            let id = Id::from_uuid(Uuid::max());
            let length = SignedDuration::from_mins(15);
            let (start, revised_at, sequence) = (at, at - SignedDuration::from_hours(3), i64::from(i32::MAX));
            let event = |title| Event { id, start, length, title, busy: true, sequence, revised_at };
            let text = write(titles.prompt, &[titles.prompt, titles.infusion].map(event));
            assert!(
                text.contains("DTSTAMP:20260310T061500Z\r\nLAST-MODIFIED:20260310T061500Z\r\nSEQUENCE:2147483647\r\n")
            );
            assert!(text.contains("DTSTART:20260310T091500Z\r\nDTEND:20260310T093000Z\r\n"), "{text}");
            let lines: Vec<&str> = text.strip_suffix("\r\n").unwrap().split("\r\n").collect();
            assert!(lines.iter().all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{text}");
            let count = |word: &str| lines.iter().filter(|line| line.starts_with(word)).count();
            assert_eq!(count("BEGIN:"), count("END:"));
            assert_eq!(count("BEGIN:VEVENT"), 2);
        }
    }
}
