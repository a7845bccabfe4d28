//! Statements on the tables whose rows decide who gets in read those rows with their MACs, or are known.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::sources::{functions, names, shipped};

/// The statements that name such a table and do not read its checked row: file, function, table, and why no changed row
/// shows anything to anybody. An entry that is not needed fails.
const UNCHECKED: &[(&str, &str, &str, &str)] = &[
    (
        "care/grants/store.rs",
        "find_doc",
        "grants",
        "copies a sealed document, which is bound to its row; a ledger opens nothing",
    ),
    ("care/grants/store.rs", "count_open", "grants", "a limit on what the patient makes"),
    ("care/grants/store.rs", "count_by_rule", "grants", "the same"),
    ("care/grants/store.rs", "count_made", "grants", "only says how much one unit does"),
    ("care/grants/store.rs", "list_by_rule_among", "grants", "only says how much one unit does"),
    ("care/grants/store.rs", "list_named", "grant_readers", "only says what is looked at again"),
    ("care/grants/store.rs", "list_named", "grant_items", "the same"),
    ("care/grants/store.rs", "list_items_since", "grant_items", "only says what is looked at again"),
    ("care/grants/store.rs", "list_items_since", "grants", "the same"),
    ("care/grants/store/due.rs", "list_all_to_tell", "grants", "only says whose grants are looked at"),
    ("care/grants/store.rs", "list_to_tell", "grants", "only says what is looked at again"),
    ("care/grants/store.rs", "mark_told", "grants", "when a feed is told is not covered: nothing is decided by it"),
    ("care/grants/store.rs", "mark_told", "grant_items", "only says what is looked at again"),
    ("care/grants/store.rs", "hold_readers_of_all", "care_links", "only locks"),
    ("care/grants/store.rs", "hold_readers", "care_links", "only locks"),
    ("care/grants/store.rs", "hold_readers", "grant_readers", "only says which rows to lock"),
    (
        "care/grants/store.rs",
        "list_of_item_alone",
        "grant_items",
        "says which grants to end as well; the item leaves every grant anyway",
    ),
    ("care/grants/store/items.rs", "delete_item", "grant_items", "takes away"),
    ("care/grants/store/items.rs", "delete_item_everywhere", "grant_items", "takes away"),
    ("care/grants/store/items.rs", "delete_item_everywhere", "grants", "only says of which kind the item is"),
    (
        "care/grants/store.rs",
        "close_unread",
        "grant_readers",
        "takes away; a grant kept open by a changed row has no reader whose row fits",
    ),
    ("care/grants/store.rs", "forget", "grant_items", "takes away"),
    ("care/grants/store.rs", "forget", "grant_readers", "takes away"),
    ("care/grants/store.rs", "forget", "team_grants", "takes away"),
    (
        "care/store.rs",
        "find_consent_doc",
        "consents",
        "copies a sealed document, which is bound to its row and version; a ledger opens nothing",
    ),
    ("care/store/covers.rs", "count_covers", "covers", "a limit"),
    ("care/store/covers.rs", "find_cover_to_tell", "covers", "columns that decide on no access"),
    ("care/store/covers.rs", "find_cover_telling", "covers", "the same"),
    ("care/store/covers.rs", "update_cover_telling", "covers", "the same"),
    ("care/store/resets.rs", "delete_reset", "staff_resets", "takes away; find_reset reads the row before"),
    ("care/store/resets.rs", "delete_resets", "staff_resets", "takes away"),
    ("care/store/resets.rs", "delete_resets_at", "staff_resets", "takes away"),
    ("care/store/resets.rs", "delete_resets_at", "staff_members", "the same, also of those whose rows do not fit"),
    ("care/store/emergencies.rs", "hold_emergency", "emergencies", "only locks; find_emergency reads the row"),
    ("care/store/clinics.rs", "count_members", "staff_members", "a limit"),
    ("care/store/clinics.rs", "hold_some_members", "staff_members", "only locks; memberships reads the rows"),
    ("care/store/clinics.rs", "find_to_tell", "staff_members", "columns that decide on no access"),
    ("care/store/clinics.rs", "find_telling", "staff_members", "the same"),
    ("care/store/clinics.rs", "update_telling", "staff_members", "the same"),
    ("care/store/links.rs", "hold_link", "care_links", "only locks; find_link reads the row"),
    ("care/store/links.rs", "find_own_patient", "patients", "only says whose link is looked for"),
    ("care/store/links.rs", "count_live_links", "care_links", "a limit"),
    ("care/store/links.rs", "find_linked_therapist", "care_links", "a name in a ledger, which opens nothing"),
    (
        "care/store/links.rs",
        "list_linked",
        "care_links",
        "only says whose keys are fetched; hold_links_at reads the rows",
    ),
    (
        "care/store/links.rs",
        "list_roster",
        "care_links",
        "ids alone; hold_links_between reads the rows of what is shown",
    ),
    ("care/store/links.rs", "count_patients", "care_links", "a number that whoever changes the rows can count there"),
    (
        "care/store.rs",
        "is_related",
        "care_links",
        "decides whether keys are fetched; relations reads the rows, in the unit that opens the door",
    ),
    ("care/store.rs", "is_related", "staff_members", "the same"),
    ("delivery/store.rs", "claim", "care_links", "in which lane a delivery waits, not whether or where it goes"),
    ("delivery/store.rs", "clinic_of", "care_links", "the same"),
    (
        "delivery/store.rs",
        "list_sealed",
        "accounts",
        "stops what would leave; live_sessions reads the rows before anything goes to a device",
    ),
    ("exercises/assignments/store.rs", "count", "assignments", "a limit"),
    ("exercises/assignments/store.rs", "is_taken", "assignments", "refuses an id"),
    ("identity/store.rs", "is_email_taken", "accounts", "refuses an address"),
    (
        "identity/store.rs",
        "names_of",
        "accounts",
        "sealed profiles, bound to account and version; the caller has checked who is named",
    ),
    (
        "identity/store/sessions.rs",
        "find_refresh_owner",
        "refresh_tokens",
        "says whose keys are fetched; find_refresh reads the rows",
    ),
    ("identity/store/sessions.rs", "find_refresh_owner", "sessions", "the same"),
    ("identity/store/sessions.rs", "delete_spent", "refresh_tokens", "clears"),
    ("identity/store/sessions.rs", "delete_over", "refresh_tokens", "clears"),
    ("identity/store/sessions.rs", "delete_over", "sessions", "clears"),
    (
        "identity/store/factors.rs",
        "delete_factor",
        "second_factors",
        "takes away; whether a code is asked for stands in the row of the account",
    ),
    ("identity/passkeys/store.rs", "count", "passkeys", "a limit, and what the operator is told"),
    ("identity/passkeys/store.rs", "delete_passkey", "passkeys", "takes away"),
    ("identity/passkeys/store.rs", "delete_passkeys", "passkeys", "takes away"),
    ("journal/comments/store.rs", "exists", "comments", "words of a refusal to the patient"),
    ("journal/comments/store.rs", "count", "comments", "a limit"),
    ("journal/comments/store.rs", "delete_all", "comments", "clears, with the entry"),
    (
        "letters/store.rs",
        "count_proofs",
        "address_proofs",
        "a limit, and a pause of resets that would end as well if its row were deleted",
    ),
    ("letters/store.rs", "count_proofs_of", "address_proofs", "a limit"),
    ("letters/store.rs", "delete_expired", "address_proofs", "clears"),
    ("onboarding/store.rs", "count_since", "invitations", "a limit"),
    ("onboarding/store.rs", "count_open_staff", "invitations", "a limit"),
    ("schedule/store.rs", "find_holds", "care_links", "what the patient is asked, not who reads"),
    ("schedule/store.rs", "find_holds", "grant_items", "the same"),
    ("schedule/store.rs", "find_holds", "grants", "the same"),
    ("schedule/store.rs", "has_unshared", "grant_items", "the same"),
    ("schedule/store.rs", "has_unshared", "grants", "the same"),
    ("schedule/store.rs", "may_hold_otherwise", "grant_items", "whether to plan again"),
    ("schedule/store.rs", "may_hold_otherwise", "grants", "the same"),
    ("schedule/store.rs", "may_hold_otherwise", "patients", "the same"),
    ("schedule/store.rs", "mark_planned", "patients", "columns that decide on no access"),
    ("schedule/store.rs", "awaits_activity", "patients", "the same"),
    ("schedule/store.rs", "is_to_plan", "patients", "the same"),
    ("schedule/store.rs", "postpone_plan", "patients", "the same"),
    ("schedule/store.rs", "list_to_plan", "patients", "the same"),
    ("schedule/store.rs", "mark_all_to_plan", "patients", "the same"),
    ("schedule/store.rs", "mark_to_plan", "patients", "the same"),
    ("protocols/store.rs", "is_taken", "protocols", "an id is free or not, whatever its row says"),
    ("protocols/store.rs", "count", "protocols", "a limit"),
    ("protocols/store.rs", "find_to_follow", "clinic_plans", "columns that decide on no access"),
    ("protocols/store.rs", "mark_followed", "clinic_plans", "the same"),
    ("calendar/store.rs", "mark_read", "calendars", "the time of a reading is not covered: nothing is decided by it"),
    ("devices/store.rs", "count", "devices", "a limit counts rows, whoever they are of"),
    ("devices/store.rs", "mark_plan", "devices", "what a device has taken is not covered: it wakes itself"),
    ("devices/store.rs", "mark_seen", "devices", "the time of a receipt is not covered: nothing is decided by it"),
    ("devices/store.rs", "retire", "devices", "it only takes addresses away"),
    ("devices/store.rs", "retire_others", "devices", "it only takes addresses away"),
];

/// The statements with a limit on such rows that do not go on behind those that are left out: file, function, and why
/// nobody takes what they found for all that there is. An entry that is not needed fails.
const WITHOUT_PAGES: &[(&str, &str, &str)] = &[
    (
        "care/grants/store/visible.rs",
        "visible_page",
        "goes on behind the last row that was read, and counts those alone",
    ),
    ("care/store/links.rs", "hold_links_at", "leaves none out: it refuses"),
    ("care/store/links.rs", "find_link_with", "one row, for which no older one stands"),
    ("identity/passkeys/store.rs", "list_passkeys", "an account has no more rows"),
    ("identity/store/sessions.rs", "list_sessions", "no more are live: a log-in ends those behind them"),
    ("identity/store/sessions.rs", "displace", "a log-in puts one behind the newest, and looks at many there"),
    ("identity/store/sessions.rs", "end_all_sessions", "goes on behind the last row that was read"),
    ("identity/store/sessions.rs", "mark_logged_out", "a log-out puts one behind the newest, and looks at many there"),
    ("protocols/store.rs", "find", "one row, for which no older one stands"),
];

/// Which table each row with a MAC is of, by the name of its type.
fn rows() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in shipped() {
        for (at, _) in source.code.match_indices("authentic! {") {
            let rest = &source.code[at..];
            let Some((_, rest)) = rest.split_once("struct ") else { continue };
            let Some((name, rest)) = rest.split_once(" of ") else { continue };
            let Some((table, _)) = rest.split_once(" {") else { continue };
            found.insert(table.to_owned(), name.to_owned());
        }
    }
    found
}

/// Whether a function names `table`, as diesel or SQL text knows it.
fn touches(text: &str, table: &str) -> bool {
    let columns = text.match_indices(&format!("{table}::")).any(|(at, _)| {
        let before = text[..at].chars().next_back().unwrap_or(' ');
        let after = text[at + table.len() + 2..].chars().next().unwrap_or(' ');
        // What follows the name of a module with the same name is a function or a type.
        !(before.is_alphanumeric() || before == '_' || before == ':' || after.is_uppercase())
    });
    columns || ["FROM", "JOIN", "INTO", "UPDATE"].iter().any(|verb| names(text, &format!("{verb} {table}")))
}

#[test]
fn a_statement_reads_rows_that_decide_with_their_macs_or_is_known() {
    let rows = rows();
    assert_eq!(rows.len(), 25, "{rows:?}");
    let (mut faults, mut needed) = (Vec::new(), BTreeSet::new());
    for source in shipped().iter().filter(|source| source.slice() != "db") {
        let schema =
            source.paths().into_iter().filter(|path| path.starts_with(&["db".to_owned(), "schema".to_owned()]));
        let tables: BTreeSet<String> = schema.filter_map(|path| path.get(2).cloned()).collect();
        for (name, whole) in &functions(source) {
            for (table, row) in rows.iter().filter(|(table, _)| tables.contains(*table) && touches(whole, table)) {
                let reads = names(whole, &format!("Stored<{row}>"));
                let writes = whole.contains(".signed(");
                if reads || writes {
                    continue;
                }
                let known =
                    UNCHECKED.iter().find(|(file, of, at, _)| *file == source.name && of == name && at == table);
                match known {
                    Some((file, of, at, _)) => drop(needed.insert((*file, *of, *at))),
                    None => faults.push(format!("(\"{}\", \"{name}\", \"{table}\", \"\"),", source.name)),
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}\n\nRead the row as a Stored one, or say in UNCHECKED why not.", faults.join("\n"));
    for (file, name, table, _) in UNCHECKED {
        assert!(needed.contains(&(*file, *name, *table)), "{name} of {file} is checked: take it off the list");
    }
}

#[test]
fn a_statement_with_a_limit_goes_on_behind_rows_that_are_left_out_or_is_known() {
    let (mut faults, mut needed, mut pages) = (Vec::new(), BTreeSet::new(), 0);
    for source in shipped().iter().filter(|source| source.slice() != "db") {
        for (name, whole) in functions(source) {
            if !whole.contains(".limit(") || !whole.contains("Stored<") {
                continue;
            }
            if names(&whole, "checked_page") {
                pages += 1;
                continue;
            }
            match WITHOUT_PAGES.iter().find(|(file, of, _)| *file == source.name && *of == name) {
                Some((file, of, _)) => drop(needed.insert((*file, *of))),
                None => faults.push(format!("(\"{}\", \"{name}\", \"\"),", source.name)),
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{}\n\nRead them with checked_page, or say in WITHOUT_PAGES why not.",
        faults.join("\n")
    );
    for (file, name, _) in WITHOUT_PAGES {
        assert!(needed.contains(&(*file, *name)), "{name} of {file} needs no reason: take it off the list");
    }
    assert!(pages >= 14, "{pages}");
}
