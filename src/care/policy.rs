//! Policies: the accounts that may call an operation on a patient's data, and the role in which each is admitted.

use super::access::Role;
use super::store::Relation;
use crate::identity::{AccountPolicy, Anyone, Staff};
use crate::kernel::id::Patient;

/// A policy: the accounts that may call an operation, and the role in which each is admitted.
pub trait Policy: 'static {
    /// The kinds of account that may call the operation; others get 403, whatever the patient.
    type For: AccountPolicy;
    /// Returns the role of a caller with these relations to the patient; `None` if the policy refuses them.
    fn admits(relations: &Relations<'_>) -> Option<Role>;
}

/// The relations of a caller to a patient.
#[derive(Debug)]
pub struct Relations<'b> {
    pub(super) owner: bool,
    pub(super) links: &'b [Relation],
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
}

macro_rules! policies {
    ($($(#[$doc:meta])* $name:ident for $kind:ty: $relations:ident => $rule:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}
        impl Policy for $name {
            type For = $kind;
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
    /// Admits linked therapists and recording staff.
    Clinical for Staff: relations => relations.therapist().or_else(|| relations.recorder());
    /// Admits linked therapists.
    Care for Staff: relations => relations.therapist();
    /// Admits the patient, in the role of the therapist whom the address names.
    ViewAs for Patient: relations => relations.therapist();
}
