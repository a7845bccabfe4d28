//! The filter of entries.
//!
//! The database finds instants, prompts and states. Sealed values (kind, tags, words, the local date) and derived ones
//! (phase, infusion) are looked for in opened entries, page by page.

use uuid::Uuid;

use super::model::{Entries, EntryContent, EntryKind};
use crate::course::ContextSource;
use crate::items::pages;
use crate::items::{OpenedItem, Scan};
use crate::kernel::id::{Infusion, Prompt};
use crate::kernel::unicode::folded;
use crate::kernel::{DateRange, Fields, Id, Result};
use crate::planning::window::Phase;

/// The filter in a request, not yet checked.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The first local date.
    pub from: Option<String>,
    /// The last local date.
    pub to: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Phase.
    pub phase: Option<String>,
    /// The infusion that an entry names, or else follows.
    pub infusion_id: Option<Uuid>,
    /// The prompt it answers.
    pub prompt_id: Option<Uuid>,
    /// A tag.
    pub tag: Option<String>,
    /// `draft`, `done` or `deleted`.
    pub status: Option<String>,
    /// The words that an entry must have, all of them.
    pub words: Option<String>,
}

/// The status of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A draft.
    Draft,
    /// Done.
    Done,
    /// Deleted, and can be undeleted.
    Deleted,
}

/// The filter of a list or search.
#[derive(Clone, Default)]
pub struct Filter {
    dates: DateRange,
    kind: Option<EntryKind>,
    phase: Option<Phase>,
    infusion: Option<Id<Infusion>>,
    prompt: Option<Id<Prompt>>,
    tag: Option<String>,
    status: Option<Status>,
    words: Vec<String>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Filter(***)")
    }
}

impl Filter {
    /// Parses the filter. `at` stands before the names of fields: `query/` or `/`.
    ///
    /// # Errors
    ///
    /// [`crate::kernel::Error::Invalid`] with every fault.
    pub fn parse(asked: Asked, at: &str) -> Result<Self> {
        let mut fields = Fields::new();
        let dates = DateRange::take(&mut fields, at, asked.from, asked.to);
        let kind = asked.kind.and_then(|kind| fields.take(&format!("{at}kind"), EntryKind::parse(&kind)));
        let phase = asked.phase.and_then(|phase| fields.take(&format!("{at}phase"), Phase::parse(&phase)));
        let status = asked.status.and_then(|status| {
            let parsed = match status.as_str() {
                "draft" => Ok(Status::Draft),
                "done" => Ok(Status::Done),
                "deleted" => Ok(Status::Deleted),
                _ => Err("must be draft, done or deleted"),
            };
            fields.take(&format!("{at}status"), parsed)
        });
        let long = |text: &Option<String>, most: usize| text.as_ref().is_some_and(|text| text.chars().count() > most);
        fields.check(!long(&asked.tag, 40), &format!("{at}tag"), "must have at most 40 characters");
        fields.check(!long(&asked.words, 200), &format!("{at}words"), "must have at most 200 characters");
        fields.done()?;
        Ok(Self {
            dates,
            kind,
            phase,
            infusion: asked.infusion_id.map(Id::from_uuid),
            prompt: asked.prompt_id.map(Id::from_uuid),
            tag: asked.tag.map(|tag| folded(tag.trim())),
            status,
            words: folded(asked.words.as_deref().unwrap_or_default()).split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Returns the scope to which the cursor of a list is bound.
    pub fn scope(&self) -> String {
        let Self { dates, kind, phase, infusion, prompt, tag, status, words } = self;
        format!("{dates:?}|{kind:?}|{phase:?}|{infusion:?}|{prompt:?}|{tag:?}|{status:?}|{words:?}")
    }

    fn says(&self, content: &EntryContent) -> bool {
        if self.words.is_empty() {
            return true;
        }
        let text = content.text.as_ref();
        let title = text.and_then(|text| text.title.as_ref()).map(|title| folded(title.as_str()));
        let body = text.and_then(|text| text.body.as_ref()).map(|body| folded(body.as_str()));
        let tags = content.tags.iter().map(|tag| folded(tag.as_str()));
        let all: Vec<String> = title.into_iter().chain(body).chain(tags).collect();
        self.words.iter().all(|word| all.iter().any(|text| text.contains(word.as_str())))
    }
}

impl pages::Filter<Entries> for Filter {
    fn scan(&self) -> Scan {
        let (from, until) = self.dates.instants();
        Scan {
            deleted: self.status == Some(Status::Deleted),
            draft: match self.status {
                Some(Status::Draft) => Some(true),
                Some(Status::Done) => Some(false),
                Some(Status::Deleted) | None => None,
            },
            from,
            until,
            link: self.prompt.map(|id| ("prompt_id", id.any())),
            ..Scan::default()
        }
    }

    fn is_sparse(&self) -> bool {
        self.kind.is_some()
            || self.phase.is_some()
            || self.infusion.is_some()
            || self.tag.is_some()
            || !self.words.is_empty()
    }

    fn needs_opening(&self) -> bool {
        self.is_sparse() || self.dates != DateRange::default()
    }

    fn admits(&self, opened: &OpenedItem<Entries>, around: &ContextSource) -> Result<bool> {
        let (header, circumstances) = (&opened.header, &opened.header.circumstances);
        let date = circumstances.local_date(|at| around.zone_at(at));
        let context = || around.context(circumstances.occurred_at);
        let fits = self.dates.admits(date)
            && self.kind.is_none_or(|kind| kind == header.kind)
            && self.phase.is_none_or(|phase| phase == context().phase)
            && self.infusion.is_none_or(|id| header.infusion_id.or_else(|| context().infusion_id) == Some(id));
        if !fits || (self.tag.is_none() && self.words.is_empty()) {
            return Ok(fits);
        }
        let said = opened.content()?;
        let tagged = |wanted: &String| said.tags.iter().any(|tag| folded(tag.as_str()) == *wanted);
        Ok(self.tag.as_ref().is_none_or(tagged) && self.says(&said))
    }
}
