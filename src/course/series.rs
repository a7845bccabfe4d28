//! Courses: series of infusions. They are derived, never stored.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::model::InfusionFacts;
use super::status::{CourseKind, InfusionStatus};
use crate::kernel::Id;
use crate::kernel::id::Infusion;

/// The longest gap in local days between two infusions of one induction.
const APART: SignedDuration = SignedDuration::from_hours(24 * 28);
/// The gap in local days after which an infusion is the last of its series. The review of the week and its measures
/// follow that infusion.
const WEEK: SignedDuration = SignedDuration::from_hours(24 * 7);

/// A series of infusions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// The purpose, if the clinic recorded one for any of them.
    pub kind: Option<CourseKind>,
    /// Its infusions, by time.
    pub infusions: Vec<Id<Infusion>>,
    /// The number of infusions that have taken place.
    pub completed: usize,
    /// The start, or planned start, of the first infusion.
    pub first_at: Timestamp,
    /// The start of the last known infusion.
    pub last_at: Timestamp,
    /// The infusions of the course after which none follows within seven days.
    pub series_ends: Vec<Id<Infusion>>,
}

/// Derives the courses of a patient's infusions, by time. A new course begins where the clinic records another kind,
/// and after four weeks without an infusion unless both are maintenance. Cancelled and missed infusions belong to none.
/// `date` is the patient's calendar.
pub fn courses<'a>(
    infusions: impl IntoIterator<Item = (Id<Infusion>, &'a InfusionFacts)>,
    date: impl Fn(Timestamp) -> Date,
) -> Vec<Course> {
    let mut live: Vec<_> = infusions.into_iter().filter_map(|(id, facts)| Some((facts.span()?.0, id, facts))).collect();
    live.sort_by_key(|(start, id, _)| (*start, *id));
    let next = |n: usize| live.get(n + 1).map(|(start, ..)| *start);
    let mut list: Vec<Course> = Vec::new();
    for (n, (start, id, facts)) in live.iter().enumerate() {
        let gap = |course: &Course| date(*start).duration_since(date(course.last_at));
        if list.last().is_none_or(|course| course.is_over(gap(course), facts.course)) {
            let (first_at, last_at) = (*start, *start);
            let kind = facts.course;
            list.push(Course { kind, infusions: Vec::new(), completed: 0, first_at, last_at, series_ends: Vec::new() });
        }
        let Some(course) = list.last_mut() else { continue };
        course.kind = course.kind.or(facts.course);
        course.infusions.push(*id);
        course.completed += usize::from(facts.status == InfusionStatus::Completed);
        course.last_at = *start;
        let zero = date(facts.ended_at.unwrap_or(*start));
        if next(n).is_none_or(|next| date(next).duration_since(zero) > WEEK) {
            course.series_ends.push(*id);
        }
    }
    list
}

impl Course {
    /// Whether an infusion so many local days after the last one belongs to another course.
    fn is_over(&self, gap: SignedDuration, kind: Option<CourseKind>) -> bool {
        match (self.kind, kind) {
            (Some(CourseKind::Maintenance), None | Some(CourseKind::Maintenance)) => false,
            // The kind recorded for one infusion holds for its series.
            (None, Some(_)) => gap >= WEEK,
            (Some(known), Some(kind)) if known != kind => true,
            _ => gap > APART,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::course::{InfusionDraft, Source};
    use crate::planning::window::Route;

    fn at(day: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (20_000 + day))
    }

    /// Makes an infusion on day `day`: past until day 10.
    fn infusion(day: i64, course: Option<CourseKind>) -> (Id<Infusion>, InfusionFacts) {
        let status = if day <= 10 { InfusionStatus::Completed } else { InfusionStatus::Planned };
        let ended_at = (day <= 10).then(|| at(day) + SignedDuration::from_mins(40));
        let (planned_start, started_at) = (Some(at(day)), ended_at.map(|_| at(day)));
        let draft = InfusionDraft {
            planned_start,
            started_at,
            ended_at,
            course,
            ..InfusionDraft::new(status, Route::IvInfusion)
        };
        let id = |n: i64| uuid::Uuid::from_u128(u128::try_from(n).unwrap());
        let facts = InfusionFacts::create(draft, Id::from_uuid(id(1000)), Source::Clinic, at(11)).unwrap();
        (Id::from_uuid(id(day)), facts)
    }

    fn of(infusions: &[(Id<Infusion>, InfusionFacts)]) -> Vec<Course> {
        courses(infusions.iter().map(|(id, facts)| (*id, facts)), |at| crate::kernel::Zone::utc().date(at))
    }

    #[test]
    fn a_series_ends_where_the_plan_has_a_week_to_review() {
        // On the eighth day after, or later: on the seventh the next infusion takes the place of the review.
        for (gap, ends) in [(6, 1), (7, 1), (8, 2)] {
            let list = of(&[infusion(2, None), infusion(2 + gap, None)]);
            assert_eq!((list.len(), list[0].series_ends.len()), (1, ends), "{gap} days");
        }
    }

    #[test]
    fn an_induction_of_six_is_followed_by_maintenance() {
        use CourseKind::{Induction, Maintenance};
        let mut all: Vec<_> = [0, 3, 7, 10, 14, 17].map(|day| infusion(day, None)).into();
        all[0].1.course = Some(Induction);
        all.extend([infusion(38, Some(Maintenance)), infusion(80, None)]);
        let list = of(&all);
        let told: Vec<_> = list.iter().map(|course| (course.kind, course.infusions.len(), course.completed)).collect();
        assert_eq!(told, [(Some(Induction), 6, 4), (Some(Maintenance), 2, 0)]);
        assert_eq!((list[0].first_at, list[0].last_at), (at(0), at(17)));
        assert_eq!(list[0].series_ends, [all[5].0], "reviews and measures hang on the last");
        assert_eq!(list[1].series_ends, [all[6].0, all[7].0], "each of them is a series of its own");
    }

    #[test]
    fn what_nobody_named_is_told_apart_by_time() {
        let list = of(&[infusion(9, None), infusion(2, None), infusion(60, None)]);
        assert_eq!(list.iter().map(|course| course.infusions.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(list[0].kind, None);
    }

    #[test]
    fn weeks_are_as_long_as_any_others_when_the_clocks_change_in_them() {
        let berlin = crate::kernel::Zone::parse("Europe/Berlin").unwrap();
        let planned = |number: u128, start: &str, course| {
            let planned_start = Some(start.parse().unwrap());
            let draft = InfusionDraft {
                planned_start,
                course,
                ..InfusionDraft::new(InfusionStatus::Planned, Route::IvInfusion)
            };
            let by = Id::from_uuid(uuid::Uuid::from_u128(1000));
            let facts = InfusionFacts::create(draft, by, Source::Clinic, at(11)).unwrap();
            (Id::from_uuid(uuid::Uuid::from_u128(number)), facts)
        };
        // Each at ten in the morning: four weeks in autumn, and one in spring.
        for (first, second, kind, count) in [
            ("2024-10-16T08:00:00Z", "2024-11-13T09:00:00Z", None, 1),
            ("2025-03-26T09:00:00Z", "2025-04-02T08:00:00Z", Some(CourseKind::Maintenance), 2),
        ] {
            let both = [planned(1, first, None), planned(2, second, kind)];
            let found = courses(both.iter().map(|(id, facts)| (*id, facts)), |at| berlin.date(at));
            assert_eq!(found.len(), count, "{first}");
        }
    }

    #[test]
    fn one_infusion_says_what_its_series_is() {
        let list = of(&[infusion(3, None), infusion(6, Some(CourseKind::Induction)), infusion(9, None)]);
        assert_eq!((list.len(), list[0].kind), (1, Some(CourseKind::Induction)));
        let list = of(&[infusion(3, None), infusion(30, Some(CourseKind::Maintenance))]);
        assert_eq!(list.iter().map(|course| course.kind).collect::<Vec<_>>(), [None, Some(CourseKind::Maintenance)]);
    }

    #[test]
    fn what_was_missed_belongs_to_none() {
        let mut missed = infusion(20, None);
        missed.1.status = InfusionStatus::NoShow;
        let list = of(&[infusion(10, None), missed]);
        assert_eq!((list.len(), list[0].infusions.len()), (1, 1));
        assert!(of(&[]).is_empty());
    }
}
