//! Afterglow: the backend of a companion phone app for ketamine therapy.
//!
//! An **infusion** opens a **window**; the window makes a **plan of prompts** for the days that follow; the patient,
//! often offline, writes **reflections**; shares what they choose; the **therapist** reads it before the next session.
//!
//! # Architecture map
//!
//! Vertical slices on a kernel. The modules below stand in import order: every file imports only what stands before its
//! module, and no files name each other in a circle. A test reads every path and holds the tree to this; it lists the
//! exceptions with their reasons.
//!
//! | module | owns | never does |
//! |---|---|---|
//! | [`kernel`] | ids, clock, entropy, text, zones, limits, errors | SQL, HTTP |
//! | [`planning`] | the window of an infusion, the protocol, the plan and its differences: pure | read a row, a request or the clock |
//! | [`db`] | units of work on SQLite and PostgreSQL, tables, migrations | know what a row means |
//! | [`vault`] | key folder, keyring, sealing and opening of documents, the end of keys that nothing was sealed with, the identity that data and keys share, the file of the revocation ledger | touch the database of the data, but for that identity |
//! | [`channels`] | the ways to a phone: push services, gateways; the way of letters | know a patient, a row or a rule |
//! | [`http`] | problems, extractors, preconditions, layers, limits | know a table or a person |
//! | [`config`], [`state`] | the configuration of a server, the parts that handlers share | |
//! | [`tasks`] | the interface of a task of the background work, the time at which the first of several is due, the pauses of work that fails | know a slice |
//! | [`audit`] | the access log: a chain of readings for each patient | hold content |
//! | [`idempotency`] | idempotency keys | keep a body |
//! | [`changes`] | the per-patient sequence: commit order is number order | |
//! | [`identity`] | accounts, sessions, tokens, second factors, passkeys, failed log-ins; `Claimed` → `Live`, and how fresh its proof is | know a clinic |
//! | [`letters`] | mails to the owners of accounts: an outbox, their texts, and the codes that prove an address | know what a code is used for |
//! | [`care`] | clinics, their members, links and their transfers, covers, emergencies, the reach of grants, receipts, admins' codes for new passphrases, what enters the revocation ledger; the only maker of an `Access` | show content |
//! | [`settings`] | a patient's own settings, and those of their therapists for them | plan |
//! | [`account`] | the life of an account: its name, address and passphrase, its end | open anything of a patient |
//! | [`devices`] | the phones of a patient, and where pushes reach them | send |
//! | [`consents`] | the documents of consent, what a patient gave and withdrew, and the gate of what they cover | do what a document covers |
//! | [`onboarding`] | the first run, invitations, registration: accounts and their first rows | open the content of others |
//! | [`course`] | infusions, the courses they make and the window they open, pauses | plan |
//! | [`prompts`] | prompts and the patients' actions on them | plan, deliver |
//! | [`items`] | versioned, sealed objects with sections: declared by the slices, done once here | know the content of a section |
//! | [`exercises`] | the library, responses to its exercises, assignments | decide on access, plan |
//! | [`journal`] | entries: sections, revisions, search, comments | decide on access |
//! | [`sharing`] | making, listing and ending grants | decide on the reach of a grant |
//! | [`feed`] | what has changed for each therapist: the last step of every unit | know content |
//! | [`protocols`] | the protocols that clinics write: drafts, versions, the choice of a clinic, and what every process knows of them | plan; choose for a patient |
//! | [`schedule`] | plans again, once, at the end of a unit that changed a fact; shows prompts and protocols | deliver |
//! | [`delivery`] | prompts that come due, the outbox, channels, also after an outage | plan |
//! | [`calendar`] | the calendar feed of a patient: what it shows, and its secret address | say what an event is about |
//! | [`sync`] | what a phone holds: its pull, its push of what was written offline, the comparison of both, the stream that wakes it; epochs; the page of a therapist's feed; the bundle of texts for an app without a network | add a second way to write |
//! | [`jobs`] | the loop that does every task when it is due | rules, SQL; know a slice |
//! | [`app`] | the one list of mounted operations and the one of tasks, the OpenAPI document, the guide, health | rules |
//! | [`demo`] | a believable clinic, made by the same actions that requests call | write rows that the product could not write |
//! | [`sandbox`] | that clinic in memory for integrators: a clock to move, the outbox, faults | run in `serve` |
//! | [`cli`] | the command line | |
//!
//! Inside a slice: `model` (and other pure files) ← `store` (SQL only) ← `actions` (one function for each use case) ←
//! `routes` (DTOs and handlers). The same names everywhere.
//!
//! # One request
//!
//! 1. **Layers**: request id, limits, headers, log; the methods and the query parameters that the document declares.
//! 2. **Extractors**: a [`care::Door`] (the lock is in the handler's signature), [`identity::Claimed`] or nothing;
//!    typed path, bounded body. Only the token's signature is verified so far.
//! 3. **Parse**: the DTO becomes domain values; all field errors at once.
//! 4. **One unit of work** ([`db::Db::write`]): its first statement makes the caller live; the door opens an
//!    [`care::Access`], which every storage function takes; the names in the query; replay record; the head row of the
//!    patient is locked and gives the change its number; objects; change row; for anybody but the patient, the audit
//!    row.
//!    A row that was chosen before its lock is asked again by the statement that writes it: on PostgreSQL it may have
//!    changed in between. What a limit counts is counted once its owner is held.
//!    Rows are held in one order, so that of two units that meet only one waits: members of clinics, accounts, care
//!    links, covers, heads of patients, heads of feeds; and of an account its codes and factors, its sessions, its log
//!    (`tests/it/lock_order.rs`).
//!    What is asked for by its id is looked for among the things of the caller: whether somebody else has it shows in
//!    no row that is read, checked or held, and so not in the time either (`tests/it/strangers.rs`).
//!    The keys of a new subject are made before the unit; a [`vault::KeyGuard`] has them destroyed if no unit begins to
//!    use them.
//!    A row that does not fit its MAC is taken for absent, and a list goes on behind it
//!    ([`db::authentic::checked_page`]); where an absent row would allow or end something, the unit refuses
//!    ([`db::authentic::all_checked`]).
//!    On SQLite a reading by anybody but the patient is made beside the one writer, on a snapshot; the unit opens the
//!    door again, and answers with that reading if nothing has changed for the patient since.
//!    What closes access is answered once it also stands in the revocation ledger ([`db::FollowUp`]), and so is its
//!    repetition.
//! 5. **View**: sealed rows are opened after the unit, outside the database threads. Inside it, only rows that
//!    planning or a check needs are opened, by store functions that say so. The patient's own list of prompts counts
//!    as planning: which rows it reads next depends on what it finds in the last. So does a reader's list of items,
//!    which is by local date: headers are opened while it is read.
//!
//! # Adding an operation
//!
//! 1. Write the rule in `model`, the SQL in `store`, the use case in `actions`.
//! 2. Write the handler: choose its door, take a [`http::Request`] or a [`http::Listing`], declare its errors with a
//!    set of [`http::document`], register it in the slice's `configure`. Its name is the operation's.
//! 3. `cargo run -- openapi > openapi/openapi.json`.
//! 4. Add its row to `tests/golden/authz_matrix.txt`, with the proof that it asks for ([`identity::Need`]), and its
//!    request to `tests/it/support/requests`: tests fail until each kind of caller has a status. If it changes
//!    something that no operation changed before, its address stands in `PARTS` of `tests/it/support/world.rs`.
//! 5. `AFTERGLOW_WRITE_EXAMPLES=1 cargo test --test it examples`, then step 3 again: its example, from a run.
//!
//! `.github/CONTRIBUTING.md` has the other commands, the habits, and the work of CI.
//!
//! # Adding a slice
//!
//! A module here, its row in the map, its place in `ORDER` of `tests/it/architecture.rs`. Files beside the four usual
//! ones are named for what they hold; `KINDS` there says which of the four each is like. Its operations are mounted in
//! `app::mount`, its tag stands in `app::openapi`.
//!
//! # Adding a table
//!
//! A migration of the next number, with one name for both databases: ids are `BLOB` and `uuid`, numbers `INTEGER` and
//! `bigint` (versions and numbers are named `version`, `rev`, `seq` or end so: a new epoch finds them by that, and a
//! table of heads by its ending `_heads`), sealed columns `BLOB` and `bytea`, instants `INTEGER` (microseconds) and
//! `timestamptz`. The table in [`db::schema`], its owner in `tests/it/tables.rs`, its words in the clear in
//! `tests/it/at_rest.rs`, and what keeps it small in `tests/it/limits.rs`: a limit ([`kernel::limits`]), the patient's
//! quota ([`changes::Bytes`]), or a reason.
//!
//! # Adding a kind of item
//!
//! A kind of object that a patient writes, with versions and sections, is declared on [`items`], which does the rest.
//! The smallest kind is `tests/it/support/dreams.rs`, 150 lines with its table and routes; [`exercises`] is a full one.
//! Its versions are made by [`db::Tx::version_after`], in every kind: they are above the floor of the epoch.
//! In order: its id ([`kernel::id`]), its number in [`changes::Entity`], whether it feeds the plan and how therapists
//! see it in their feeds, its table (with
//! the indexes `…_list` and `…_purge` of the others), the kind ([`items::ItemKind`], [`item_table!`], [`items::Item`]),
//! its view ([`items::view::ItemPresenter`]), its bodies ([`items::routes::WritableItem`]), the routes, and its task
//! ([`items::Purging`]).
//!
//! # Adding a task
//!
//! Background work is a file beside the slice whose rows it works on, which implements [`tasks::Task`] (or is a
//! [`tasks::Clearing`]) and names the column of its due time, with an index that begins with it. `app::tasks`
//! has the list. What may fail for one patient, account, cover or clinic goes through the [`tasks::PutOff`] of the
//! round, so that the others do not wait for it; statements that find due work leave out what is put off
//! (`tests/it/put_off.rs`).
//! `tests/it/tasks.rs` fails until a test looks into the table after a round.

pub mod kernel;
pub mod planning;
pub mod db;
pub mod vault;
pub mod channels;
pub mod http;
pub mod config;
pub mod changes;
pub mod state;
pub mod tasks;
pub mod audit;
pub mod idempotency;
pub mod identity;
pub mod letters;
pub mod care;
pub mod settings;
pub mod account;
pub mod devices;
pub mod consents;
pub mod onboarding;
pub mod course;
pub mod prompts;
pub mod items;
pub mod exercises;
pub mod journal;
pub mod sharing;
pub mod feed;
pub mod protocols;
pub mod schedule;
pub mod delivery;
pub mod calendar;
pub mod sync;
pub mod jobs;
pub mod app;
pub mod demo;
pub mod sandbox;
pub mod cli;
