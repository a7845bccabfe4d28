//! Policies: the accounts that may call an operation on a patient's data, and the role in which each is admitted.

use super::access::Role;
use super::store::Relation;
use crate::identity::{AccountPolicy, Anyone, Need, Staff, Unlocked};
use crate::kernel::Id;
use crate::kernel::id::{Account, Clinic, Patient};

/// A policy: the accounts that may call an operation, and the role in which each is admitted.
pub trait Policy: 'static {
    /// The kinds of account that may call the operation; others get 403, whatever the patient.
    type For: AccountPolicy;
    /// The proof that the operation asks for, beside a session that lives.
    const NEED: Need = Need::Session;
    /// Whether it admits who stands in for a therapist: only then is it asked for whom they do.
    const BY_COVER: bool = false;
    /// Whether it admits staff in an emergency: only then is it asked whether there is one.
    const BY_EMERGENCY: bool = false;
    /// Returns the role of a caller with these relations to the patient; `None` if the policy refuses them. A cover or
    /// an emergency gives a role only to those who have no other.
    fn admits(relations: &Relations<'_>) -> Option<Role>;
}

/// The relations of a caller to a patient.
#[derive(Debug)]
pub struct Relations<'b> {
    pub(super) owner: bool,
    pub(super) links: &'b [Relation],
    /// The clinics and therapists for whom the caller stands in now.
    pub(super) covers: &'b [(Id<Clinic>, Id<Account>)],
    /// The clinics for which the caller has broken the glass over the patient, and still may.
    pub(super) emergencies: &'b [Id<Clinic>],
}

impl Relations<'_> {
    fn owner(&self) -> Option<Role> {
        self.owner.then_some(Role::Owner)
    }

    fn therapist(&self) -> Option<Role> {
        let own = self.links.iter().find(|link| link.own && link.active && link.capabilities.care());
        own.map(|link| Role::Therapist { link: link.link, clinic: link.clinic })
    }

    fn recorder(&self) -> Option<Role> {
        let at = self.links.iter().find(|link| link.active && link.capabilities.record());
        at.map(|link| Role::Recorder { clinic: link.clinic })
    }

    fn cover(&self) -> Option<Role> {
        let covered = |link: &&Relation| self.covers.contains(&(link.clinic, link.therapist));
        let over = self.links.iter().filter(|link| link.active && link.capabilities.care()).find(covered);
        over.map(|link| Role::Cover { link: link.link, clinic: link.clinic })
    }

    /// Whoever may break the glass: staff who treat patients or look after alerts, at a clinic of the patient's.
    fn urgent(&self) -> Option<Role> {
        let may = |link: &&Relation| link.active && (link.capabilities.care() || link.capabilities.duty());
        self.links.iter().find(may).map(|link| Role::BreakGlass { clinic: link.clinic })
    }

    fn emergency(&self) -> Option<Role> {
        let may = |link: &&Relation| link.active && (link.capabilities.care() || link.capabilities.duty());
        let at = self.links.iter().filter(may).find(|link| self.emergencies.contains(&link.clinic));
        at.map(|link| Role::BreakGlass { clinic: link.clinic })
    }
}

macro_rules! policies {
    ($($(#[$doc:meta])* $name:ident for $kind:ty $(, $by:ident)?: $relations:ident => $rule:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Policy for $name {
            type For = $kind;
            $(const $by: bool = true;)?
            fn admits($relations: &Relations<'_>) -> Option<Role> { $rule }
        }
    )* };
}

policies! {
    /// Admits the patient.
    Own for Patient: relations => relations.owner();
    /// Admits the patient and linked therapists.
    Shared for Anyone: relations => relations.owner().or_else(|| relations.therapist());
    /// Admits the patient, linked therapists and recording staff.
    Team for Anyone: relations => relations.owner().or_else(|| relations.therapist()).or_else(|| relations.recorder());
    /// Admits the patient, linked therapists, and whoever stands in for one: to what is granted.
    Granted for Anyone, BY_COVER: relations => {
        relations.owner().or_else(|| relations.therapist()).or_else(|| relations.cover())
    };
    /// Admits the patient, linked therapists, recording staff, and staff in an emergency: to infusions.
    Records for Anyone, BY_EMERGENCY: relations => {
        let team = relations.owner().or_else(|| relations.therapist()).or_else(|| relations.recorder());
        team.or_else(|| relations.emergency())
    };
    /// Admits staff of a clinic of the patient's who treat patients or look after alerts: to break the glass.
    Urgent for Staff: relations => relations.urgent();
    /// Admits linked therapists and recording staff.
    Clinical for Staff: relations => relations.therapist().or_else(|| relations.recorder());
    /// Admits linked therapists.
    Care for Staff: relations => relations.therapist();
    /// Admits the patient, in the role of the therapist whom the address names, or of whoever stands in for one.
    ViewAs for Patient, BY_COVER: relations => relations.therapist().or_else(|| relations.cover());
}

impl<P: Policy> Policy for Unlocked<P> {
    type For = P::For;
    const NEED: Need = <Unlocked<P::For> as AccountPolicy>::NEED;
    const BY_COVER: bool = P::BY_COVER;
    const BY_EMERGENCY: bool = P::BY_EMERGENCY;

    fn admits(relations: &Relations<'_>) -> Option<Role> {
        P::admits(relations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::care::model::Capabilities;

    fn id<K>(number: u128) -> Id<K> {
        Id::from_uuid(uuid::Uuid::from_u128(number))
    }

    /// Every link that somebody may have, alone and beside one of another clinic.
    fn links() -> Vec<Vec<Relation>> {
        let link = |clinic: u128, of: u32| Relation {
            link: id(clinic),
            clinic: id(clinic),
            therapist: id(if of & 1 == 1 { 1 } else { 2 }),
            own: of & 1 == 1,
            active: of & 2 == 2,
            capabilities: Capabilities::from_bits(i32::try_from(of >> 2).unwrap()),
            asks_factor: false,
        };
        let alone = (0..64).map(|one| vec![link(1, one)]);
        let both = (0..64).flat_map(|one| (0..64).map(move |two| vec![link(1, one), link(2, two)]));
        alone.chain(both).collect()
    }

    /// How many are let in by a cover or an emergency alone.
    fn more<P: Policy>() -> usize {
        let mut more = 0;
        for (links, owner) in links().iter().flat_map(|links| [(links, false), (links, true)]) {
            let before = P::admits(&Relations { owner, links, covers: &[], emergencies: &[] });
            let (covers, emergencies) = ([(id(1), id(2)), (id(2), id(2))], [id(1), id(2)]);
            let after = P::admits(&Relations { owner, links, covers: &covers, emergencies: &emergencies });
            assert!(before.is_none() || before == after, "{links:?}: {before:?} became {after:?}");
            more += usize::from(before != after);
        }
        more
    }

    #[test]
    fn a_cover_or_an_emergency_gives_a_role_only_to_those_who_have_no_other() {
        let none =
            [more::<Own>(), more::<Shared>(), more::<Team>(), more::<Urgent>(), more::<Clinical>(), more::<Care>()];
        assert_eq!(none, [0; 6]);
        assert!(more::<Granted>() > 0 && more::<Records>() > 0 && more::<ViewAs>() > 0);
    }
}
