//! The tables, in the portable types of this folder.
//!
//! Columns of [`Binary`](diesel::sql_types::Binary) named `doc`, `meta`, `text`, `mood`, `tags`, `attachments`,
//! `answers`, `distress`, `cautions`, `profile`, `credential` or `sealed` hold sealed documents (see [`crate::vault`]);
//! the others hold ids, numbers, instants, states, keyed hashes and wrapped keys.

#![expect(missing_docs, reason = "written by the macro; the module docs say what the columns hold")]

/// Declares tables with the types of this folder.
macro_rules! tables {
    ($($table:ident ($($key:ident),+) { $($columns:tt)* })+) => { $(
        diesel::table! {
            use crate::db::types::columns::*;

            $table ($($key),+) { $($columns)* }
        }
    )+ };
}

tables! {
    settings (name) {
        name -> Text,
        value -> Binary,
    }
    accounts (id) {
        id -> Uid,
        kind -> Text,
        patient_id -> Nullable<Uid>,
        email_key -> Binary,
        profile -> Binary,
        credential -> Binary,
        disabled_at -> Nullable<TimestampTz>,
        version -> BigInt,
        created_at -> TimestampTz,
        mac -> Binary,
        factor_since -> Nullable<TimestampTz>,
        lock_since -> Nullable<TimestampTz>,
        guarded_until -> Nullable<TimestampTz>,
    }
    account_heads (account_id) {
        account_id -> Uid,
        audit_seq -> BigInt,
        audit_mac -> Binary,
        anchor_due_at -> Nullable<TimestampTz>,
    }
    sessions (id) {
        id -> Uid,
        account_id -> Uid,
        created_at -> TimestampTz,
        last_used_at -> TimestampTz,
        expires_at -> TimestampTz,
        revoked_at -> Nullable<TimestampTz>,
        revoked_cause -> Nullable<Integer>,
        mac -> Binary,
        doc -> Nullable<Binary>,
        version -> BigInt,
        verified_at -> Nullable<TimestampTz>,
        factor_at -> Nullable<TimestampTz>,
    }
    refresh_tokens (hash) {
        hash -> Binary,
        session_id -> Uid,
        created_at -> TimestampTz,
        spent_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    clinics (id) {
        id -> Uid,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
    }
    protocols (id, number) {
        id -> Uid,
        number -> Integer,
        clinic_id -> Uid,
        state -> Text,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        updated_at -> TimestampTz,
        published_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    clinic_plans (clinic_id) {
        clinic_id -> Uid,
        protocol_id -> Nullable<Uid>,
        version -> BigInt,
        follow_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    staff_members (clinic_id, account_id) {
        clinic_id -> Uid,
        account_id -> Uid,
        capabilities -> Integer,
        created_at -> TimestampTz,
        ended_at -> Nullable<TimestampTz>,
        version -> BigInt,
        tell_at -> Nullable<TimestampTz>,
        tell_after -> Nullable<Uid>,
        tell_session -> Nullable<Uid>,
        mac -> Binary,
        factor_from -> Nullable<TimestampTz>,
    }
    invitations (id) {
        id -> Uid,
        code_hash -> Binary,
        clinic_id -> Uid,
        inviter_id -> Uid,
        capabilities -> Nullable<Integer>,
        email_key -> Nullable<Binary>,
        doc -> Binary,
        created_at -> TimestampTz,
        expires_at -> TimestampTz,
        used_at -> Nullable<TimestampTz>,
        used_by -> Nullable<Uid>,
        revoked_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    patients (id) {
        id -> Uid,
        account_id -> Uid,
        plan_version -> BigInt,
        next_plan_at -> Nullable<TimestampTz>,
        awaits_activity -> Bool,
        created_at -> TimestampTz,
        mac -> Binary,
    }
    log_in_failures (counter) {
        counter -> Binary,
        failures -> Integer,
        locked_until -> Nullable<TimestampTz>,
        last_at -> TimestampTz,
    }
    second_factors (account_id) {
        account_id -> Uid,
        last_step -> BigInt,
        recovery_used -> Integer,
        confirmed_at -> Nullable<TimestampTz>,
        version -> BigInt,
        created_at -> TimestampTz,
        doc -> Binary,
        mac -> Binary,
    }
    passkeys (id) {
        id -> Uid,
        account_id -> Uid,
        credential_key -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        last_used_at -> Nullable<TimestampTz>,
        doc -> Binary,
        mac -> Binary,
    }
    passkey_ceremonies (ceremony_key) {
        ceremony_key -> Binary,
        expires_at -> TimestampTz,
    }
    letters (id) {
        id -> Uid,
        doc -> Binary,
        attempts -> Integer,
        created_at -> TimestampTz,
        expires_at -> TimestampTz,
        due_at -> Nullable<TimestampTz>,
        done_at -> Nullable<TimestampTz>,
    }
    address_proofs (id) {
        id -> Uid,
        code_hash -> Binary,
        purpose -> Integer,
        email_key -> Binary,
        account_id -> Nullable<Uid>,
        created_at -> TimestampTz,
        expires_at -> TimestampTz,
        used_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    patient_heads (patient_id) {
        patient_id -> Uid,
        change_seq -> BigInt,
        audit_seq -> BigInt,
        audit_mac -> Binary,
        text_bytes -> BigInt,
        comment_bytes -> BigInt,
        anchor_due_at -> Nullable<TimestampTz>,
        version_floor -> BigInt,
        horizon_seq -> BigInt,
        has_rules -> Bool,
        awaits_entry -> Bool,
    }
    patient_settings (patient_id) {
        patient_id -> Uid,
        doc -> Binary,
        version -> BigInt,
        updated_at -> TimestampTz,
        cautions -> Nullable<Binary>,
        cautions_rev -> BigInt,
    }
    care_links (id) {
        id -> Uid,
        patient_id -> Uid,
        clinic_id -> Uid,
        therapist_id -> Uid,
        state -> Text,
        version -> BigInt,
        created_at -> TimestampTz,
        accepted_at -> Nullable<TimestampTz>,
        active_at -> Nullable<TimestampTz>,
        ended_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    staff_resets (id) {
        id -> Uid,
        code_hash -> Binary,
        account_id -> Uid,
        created_at -> TimestampTz,
        expires_at -> TimestampTz,
        mac -> Binary,
    }
    transfers (link_id) {
        link_id -> Uid,
        patient_id -> Uid,
        therapist_id -> Uid,
        state -> Text,
        version -> BigInt,
        offered_at -> TimestampTz,
        answered_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    covers (id) {
        id -> Uid,
        clinic_id -> Uid,
        therapist_id -> Uid,
        colleague_id -> Uid,
        version -> BigInt,
        created_at -> TimestampTz,
        starts_at -> TimestampTz,
        ends_at -> TimestampTz,
        ended_at -> Nullable<TimestampTz>,
        tell_at -> Nullable<TimestampTz>,
        tell_after -> Nullable<Uid>,
        tell_session -> Nullable<Uid>,
        mac -> Binary,
    }
    team_grants (patient_id, grant_id) {
        patient_id -> Uid,
        grant_id -> Uid,
        mac -> Binary,
    }
    emergencies (id) {
        id -> Uid,
        clinic_id -> Uid,
        patient_id -> Uid,
        account_id -> Uid,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        ends_at -> TimestampTz,
        reviewed_at -> Nullable<TimestampTz>,
        reviewer_id -> Nullable<Uid>,
        mac -> Binary,
    }
    grants (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        doc -> Binary,
        sections -> Integer,
        version -> BigInt,
        created_at -> TimestampTz,
        expires_at -> Nullable<TimestampTz>,
        closed_at -> Nullable<TimestampTz>,
        visible_from -> Nullable<TimestampTz>,
        tell_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    grant_readers (patient_id, grant_id, link_id) {
        patient_id -> Uid,
        grant_id -> Uid,
        link_id -> Uid,
        mac -> Binary,
    }
    grant_items (patient_id, item_id, grant_id) {
        patient_id -> Uid,
        item_id -> Uid,
        grant_id -> Uid,
        occurred_at -> TimestampTz,
        mac -> Binary,
    }
    infusions (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        updated_at -> TimestampTz,
    }
    pauses (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        updated_at -> TimestampTz,
        deleted_at -> Nullable<TimestampTz>,
    }
    prompts (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        doc -> Binary,
        stage -> Integer,
        due_at -> TimestampTz,
        expires_at -> TimestampTz,
        next_action_at -> Nullable<TimestampTz>,
        fired_at -> Nullable<TimestampTz>,
        delivered_at -> Nullable<TimestampTz>,
        version -> BigInt,
        created_at -> TimestampTz,
        updated_at -> TimestampTz,
    }
    deliveries (id) {
        id -> Uid,
        patient_id -> Uid,
        prompt_id -> Uid,
        ordinal -> Integer,
        channel -> Text,
        state -> Text,
        attempts -> Integer,
        due_at -> TimestampTz,
        expires_at -> TimestampTz,
        lease_until -> Nullable<TimestampTz>,
        leased_by -> Nullable<Uid>,
        done_at -> Nullable<TimestampTz>,
        created_at -> TimestampTz,
        device_id -> Nullable<Uid>,
        sent_at -> Nullable<TimestampTz>,
        resends -> Integer,
        received_at -> Nullable<TimestampTz>,
        lane -> Integer,
    }
    calendars (patient_id) {
        patient_id -> Uid,
        address_id -> Uid,
        address_key -> Nullable<Binary>,
        address_version -> BigInt,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        updated_at -> TimestampTz,
        deleted_at -> Nullable<TimestampTz>,
        read_at -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    consents (patient_id, version) {
        patient_id -> Uid,
        version -> BigInt,
        withdrawn -> Bool,
        doc -> Binary,
        created_at -> TimestampTz,
        mac -> Binary,
    }
    devices (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        session_id -> Uid,
        doc -> Binary,
        reach_key -> Nullable<Binary>,
        version -> BigInt,
        created_at -> TimestampTz,
        updated_at -> TimestampTz,
        deleted_at -> Nullable<TimestampTz>,
        retired_at -> Nullable<TimestampTz>,
        seen_at -> Nullable<TimestampTz>,
        plan_at -> Nullable<TimestampTz>,
        plan_until -> Nullable<TimestampTz>,
        mac -> Binary,
    }
    entries (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        version -> BigInt,
        meta -> Binary,
        meta_rev -> BigInt,
        text -> Nullable<Binary>,
        text_rev -> BigInt,
        mood -> Nullable<Binary>,
        mood_rev -> BigInt,
        tags -> Nullable<Binary>,
        tags_rev -> BigInt,
        attachments -> Nullable<Binary>,
        attachments_rev -> BigInt,
        draft -> Bool,
        infusion_id -> Nullable<Uid>,
        prompt_id -> Nullable<Uid>,
        occurred_at -> TimestampTz,
        received_at -> TimestampTz,
        updated_at -> TimestampTz,
        deleted_at -> Nullable<TimestampTz>,
        purge_at -> Nullable<TimestampTz>,
    }
    revisions (patient_id, item_id, section, rev) {
        patient_id -> Uid,
        item_id -> Uid,
        section -> Integer,
        rev -> BigInt,
        sealed -> Nullable<Binary>,
        replaced_at_version -> BigInt,
    }
    comments (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        entry_id -> Uid,
        link_id -> Uid,
        author_id -> Uid,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        held -> Bool,
        mac -> Binary,
    }
    receipts (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        entity -> Integer,
        item_id -> Uid,
        account_id -> Uid,
        version -> BigInt,
        delivered_at -> Nullable<TimestampTz>,
        opened_at -> Nullable<TimestampTz>,
    }
    changes (patient_id, seq) {
        patient_id -> Uid,
        seq -> BigInt,
        entity -> Integer,
        entity_id -> Uid,
        version -> BigInt,
        op -> Integer,
        actor_id -> Nullable<Uid>,
        session_id -> Nullable<Uid>,
        at -> TimestampTz,
    }
    audit_log (subject_id, seq) {
        subject_id -> Uid,
        seq -> BigInt,
        at -> TimestampTz,
        actor_id -> Nullable<Uid>,
        session_id -> Nullable<Uid>,
        doc -> Binary,
        mac -> Binary,
    }
    idempotency_records (account_id, key_hash) {
        account_id -> Uid,
        key_hash -> Binary,
        fingerprint -> Binary,
        status -> Integer,
        reference -> Nullable<Uid>,
        created_at -> TimestampTz,
    }
    installation (one) {
        one -> Integer,
        id -> Uid,
        mac -> Binary,
        generation -> BigInt,
        missing -> BigInt,
    }
    wrapped_keys (subject_id, number) {
        subject_id -> Uid,
        number -> Integer,
        purpose -> Integer,
        wrapped -> Binary,
        created_at -> TimestampTz,
    }
    exercise_responses (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        version -> BigInt,
        meta -> Binary,
        meta_rev -> BigInt,
        answers -> Nullable<Binary>,
        answers_rev -> BigInt,
        distress -> Nullable<Binary>,
        distress_rev -> BigInt,
        draft -> Bool,
        prompt_id -> Nullable<Uid>,
        assignment_id -> Nullable<Uid>,
        occurred_at -> TimestampTz,
        received_at -> TimestampTz,
        updated_at -> TimestampTz,
        deleted_at -> Nullable<TimestampTz>,
        purge_at -> Nullable<TimestampTz>,
        date_to_come -> Bool,
    }
    assignments (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        link_id -> Uid,
        author_id -> Uid,
        doc -> Binary,
        version -> BigInt,
        created_at -> TimestampTz,
        updated_at -> TimestampTz,
        mac -> Binary,
    }
    signing_keys (number) {
        number -> Integer,
        created_at -> TimestampTz,
        mac -> Nullable<Binary>,
    }
    audit_anchors (subject_id) {
        subject_id -> Uid,
        seq -> BigInt,
        head -> Binary,
        mac -> Binary,
    }
    mutations (patient_id, mutation_id) {
        patient_id -> Uid,
        mutation_id -> Uid,
        fingerprint -> Binary,
        status -> Integer,
        entity -> Integer,
        thing_id -> Uid,
        version -> BigInt,
        sibling_id -> Nullable<Uid>,
        at -> TimestampTz,
    }
    feed_heads (account_id) {
        account_id -> Uid,
        seq -> BigInt,
        horizon_seq -> BigInt,
    }
    feed (patient_id, entity, item_id, account_id) {
        account_id -> Uid,
        patient_id -> Uid,
        link_id -> Uid,
        entity -> Integer,
        item_id -> Uid,
        seq -> BigInt,
        order_key -> Uid,
        sections -> Integer,
        removed_at -> Nullable<TimestampTz>,
    }
    feed_backlog (patient_id, id) {
        patient_id -> Uid,
        id -> Uid,
        at -> TimestampTz,
        entity -> Integer,
        opened -> Bool,
        whole -> Bool,
        sections -> Integer,
        things -> Binary,
    }
    revocations (patient_id, seq) {
        patient_id -> Uid,
        seq -> BigInt,
        entity -> Integer,
        thing_id -> Uid,
    }
    owner_notices (account_id, kind) {
        account_id -> Uid,
        kind -> Integer,
        due_at -> Nullable<TimestampTz>,
        asked_at -> TimestampTz,
    }
    closings (kind, thing_id, clinic_id, at) {
        kind -> Integer,
        thing_id -> Uid,
        clinic_id -> Uid,
        at -> TimestampTz,
    }
}

diesel::allow_tables_to_appear_in_same_query! {
    accounts, sessions, refresh_tokens, clinics, staff_members, invitations, patients, patient_settings, care_links,
    grants, grant_readers, grant_items, infusions, prompts, deliveries, devices, entries, exercise_responses,
    assignments, changes, staff_resets,
}
