//! The rows of consents. They are only added.

use diesel::prelude::*;

use super::model::{Consent, ConsentDoc, Consents, Standing};
use crate::authentic;
use crate::care::{Access, Write};
use crate::db::schema::consents;
use crate::db::{At, Stored, Tx, columns};
use crate::kernel::id::Patient;
use crate::kernel::{Error, Id, Result};
use crate::vault::{Purpose, SealContext};

authentic! {
    /// A consent that was given or withdrawn, without its sealed document.
    #[derive(Copy)]
    pub struct ConsentKey of consents {
        /// The patient.
        patient_id: Id<Patient>,
        /// Its version: the newest of a document tells how it stands.
        version: i64,
        /// Whether it is a withdrawal.
        withdrawn: bool,
        /// The instant at which it was given or withdrawn.
        created_at: At,
    }
}

fn place(patient: Id<Patient>, version: i64) -> SealContext {
    SealContext { table: "consents", column: "doc", subject: patient.uuid(), row: patient.uuid(), revision: version }
}

/// Reads what the patient agreed to. A row that does not open makes everything before it unclear.
pub fn read<A>(tx: &mut Tx<'_>, access: &Access<A>) -> Result<Consents> {
    let own = consents::table.filter(consents::patient_id.eq(access.patient()));
    let newest = own.order(consents::version.desc());
    let found: Vec<(i64, Stored<ConsentKey>, Vec<u8>)> =
        newest.select((consents::version, columns::<Stored<ConsentKey>>(), consents::doc)).load(tx.conn())?;
    let mut all = Consents {
        version: found.first().map_or(0, |(version, ..)| *version),
        rows: i64::try_from(found.len()).unwrap_or(i64::MAX),
        ..Consents::default()
    };
    let keys = access.keys()?;
    for (_, key, sealed) in found {
        let opened = match key.checked(tx)? {
            Some(key) => {
                let doc = keys.open_json::<ConsentDoc>(&place(access.patient(), key.version), &sealed);
                Error::skip_damaged(doc)?.map(|doc| (key, doc))
            }
            None => None,
        };
        let Some((key, doc)) = opened else {
            all.unclear = true;
            continue;
        };
        if all.find(&doc.document).is_none() {
            let standing = match (key.withdrawn, all.unclear) {
                (true, _) => Standing::Withdrawn,
                (false, true) => Standing::Unclear,
                (false, false) => Standing::Given,
            };
            all.list.push(Consent { doc, standing, withdrawn_at: key.withdrawn.then_some(key.created_at.0) });
        }
    }
    Ok(all)
}

/// Adds a row.
pub fn insert(
    tx: &mut Tx<'_>,
    access: &Access<Write>,
    (version, withdrawn): (i64, bool),
    doc: &ConsentDoc,
) -> Result<()> {
    let patient_id = access.patient();
    let key = ConsentKey { patient_id, version, withdrawn, created_at: At(access.now()) };
    let sealed = access.keys()?.seal_json(Purpose::Clinical, &place(patient_id, version), doc)?;
    diesel::insert_into(consents::table).values((key.signed(tx)?, consents::doc.eq(sealed))).execute(tx.conn())?;
    Ok(())
}
