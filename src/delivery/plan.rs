//! The plan of a device: the prompts of the next two weeks that it shows by itself, also without a network.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};

use crate::care::{Access, Write};
use crate::db::Tx;
use crate::devices::actions::get_device;
use crate::devices::model::TakenPlan;
use crate::devices::store as devices;
use crate::kernel::id::Device;
use crate::kernel::{Id, Result};
use crate::planning::PromptKind;
use crate::prompts::model::{DeliveryStage, StoredPrompt};
use crate::prompts::store as prompts;
use crate::settings::settings_or_default;
use crate::vault::{MacLabel, Vault};

/// The length of a plan.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 14);
/// The most prompts of a plan: a phone of Apple keeps 64 pending notifications.
const MOST: usize = 64;
/// The end of a plan moves in steps of this length, so that the plan is the same for as long.
const STEP: i64 = 6 * 60 * 60;

/// The prompts that a device shows by itself.
#[derive(Clone, Debug)]
pub struct DevicePlan {
    /// The prompts, by time.
    pub prompts: Vec<StoredPrompt>,
    /// The instant before which the plan has every prompt that is known now.
    pub until: Timestamp,
}

/// Whether a prompt stands in the plans of devices. What is asked when something else calls for it does not.
pub fn is_in_plans(prompt: &StoredPrompt) -> bool {
    prompt.doc.planned.push && prompt.doc.planned.kind != PromptKind::OnDemand
}

impl DevicePlan {
    /// Reads the plan as it is now. It is empty for a patient who wants no notifications.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn read<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Self> {
        let now = access.now();
        let step = now.as_second().div_euclid(STEP) * STEP;
        let end = Timestamp::from_second(step).and_then(|start| start.checked_add(AHEAD)).unwrap_or(now);
        if !settings_or_default(tx, access)?.notifications.enabled {
            return Ok(Self { prompts: Vec::new(), until: end });
        }
        let found = prompts::list_opened(tx, access, (now, end))?;
        let shown = |prompt: &StoredPrompt| {
            is_in_plans(prompt) && prompt.stage == DeliveryStage::Planned && prompt.state(now) == "planned"
        };
        let mut list: Vec<_> = found.list.into_iter().filter(shown).collect();
        let until = list.get(MOST).map_or(end, |first_left_out| first_left_out.due_at);
        list.retain(|prompt| prompt.due_at < until);
        Ok(Self { prompts: list, until })
    }

    /// Returns the name of this state of the plan.
    pub fn version(&self, vault: &Vault) -> String {
        let mut bytes = self.until.as_second().to_be_bytes().to_vec();
        for prompt in &self.prompts {
            bytes.extend_from_slice(prompt.id.uuid().as_bytes());
            bytes.extend_from_slice(&prompt.version.to_be_bytes());
        }
        URL_SAFE_NO_PAD.encode(vault.mac(MacLabel::ReaderTag, &[b"device plan", &bytes]))
    }
}

/// Notes that a device shows the plan of this `version` by itself, if that is still the plan. Returns the end of the plan,
/// or nothing when it has changed since.
///
/// # Errors
///
/// As [`get_device`].
pub fn take_plan(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    vault: &Vault,
    (device, version): (Id<Device>, &str),
) -> Result<Option<Timestamp>> {
    let row = get_device(tx, access, device)?;
    let plan = DevicePlan::read(tx, access)?;
    if plan.version(vault) != version {
        return Ok(None);
    }
    devices::mark_plan(tx, access, row.key.id, TakenPlan { made_at: access.now(), until: plan.until })?;
    Ok(Some(plan.until))
}

/// Returns the end of the plan that a device has taken.
///
/// # Errors
///
/// As [`get_device`].
pub fn plan_of(tx: &mut Tx<'_>, access: &Access<Write>, device: Id<Device>) -> Result<Option<Timestamp>> {
    Ok(get_device(tx, access, device)?.plan.map(|plan| plan.until))
}
