//! The guide that a sandbox prints and serves.

use jiff::{SignedDuration, Timestamp};

use crate::demo::DemoClinic;

/// Writes the guide: the log-ins, and the use of clock, outbox and faults.
pub(super) fn sandbox_guide(filled: &DemoClinic, url: &str, now: Timestamp, ticking: bool) -> String {
    format!(
        r#"A sandbox: everything is in memory, and gone when it stops.

{log_ins}
The first hour with it, request by request: {url}/docs/guide (for curl: {url}/docs/guide.md)
API reference: {url}/docs
This page: {url}/sandbox

The clock starts at {now} and {runs}: by a time, or to an instant. What falls due on the
way is done, each at its time. A day has 24 hours; access tokens last as long as this clock says.

{post}/sandbox/clock {json} '{{"advance":"PT3H"}}'
{post}/sandbox/clock {json} '{{"now":"{later}"}}'
curl -s {url}/sandbox/clock

What phones would have been sent, the newest last; go on with "next_after".

curl -s '{url}/sandbox/outbox?after=0'
curl -s -X DELETE {url}/sandbox/outbox

Faults of the next requests below /v1: a reply is lost after the work is done; comes late; or 503 before anything is done;
or 429 with Retry-After, for the next requests, for an address and those below it, or for so many of these.

{post}/sandbox/fault {json} '{{"lose":1}}'
{post}/sandbox/fault {json} '{{"delay_ms":2000,"for":3}}'
{post}/sandbox/fault {json} '{{"unavailable":1}}'
{post}/sandbox/fault {json} '{{"throttle":1}}'
{post}/sandbox/fault {json} '{{"throttle_path":"/v1/patients/me/entries","throttle":1}}'
curl -s {url}/sandbox/fault
curl -s -X DELETE {url}/sandbox/fault

Begin again, with the people, ids and time of the start, an empty outbox and no faults. Log in anew: tokens are void.

curl -s -X POST {url}/sandbox/reset

Let the data be another history, as after a restore: all sessions end, and phones are answered 410 until they have compared.

curl -s -X POST {url}/sandbox/epoch

To begin with:

{script}"#,
        later = now.saturating_add(SignedDuration::from_hours(12)).unwrap_or(now),
        runs = if ticking { "runs with real time, and can be moved" } else { "stands still until somebody moves it" },
        log_ins = filled.log_ins(),
        post = format_args!("curl -s {url}"),
        json = "-H 'content-type: application/json' -d",
        script = filled.script(url),
    )
}
