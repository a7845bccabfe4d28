//! Anchors: the heads of audit chains, kept in the keyring, where somebody who can write the database of the data
//! cannot change them.
//!
//! An anchor only grows, however many processes raise it. A keyed hash over it shows a change by somebody without the
//! root key.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary};
use uuid::Uuid;

use super::handle::Vault;
use super::root::MacLabel;
use crate::db::schema::audit_anchors as t;
use crate::db::{AnyConnection, Tx, Uid};
use crate::kernel::id::Any;
use crate::kernel::{Error, Id, Result};

/// The head of a chain at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The number of the row.
    pub seq: i64,
    /// Its keyed hash.
    pub head: Vec<u8>,
}

/// An anchor was changed by somebody without the root key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tampered;

/// The anchors of some subjects.
pub type Anchors = HashMap<Uuid, Result<Anchor, Tampered>>;

type Row = (Id<Any>, i64, Vec<u8>, Vec<u8>);

/// The state of the data that the keyring knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataAnchor {
    /// How often the data were anchored.
    pub count: i64,
    /// The floor of versions of their epoch.
    pub floor: i64,
}

/// The subject that stands for the data as a whole. It is no chain.
const DATA: Uuid = Uuid::max();

impl Vault {
    /// Returns the anchor of the data, if there is one.
    ///
    /// # Errors
    ///
    /// When the keyring cannot be read, or the anchor was changed by somebody without the root key.
    pub async fn data_anchor(&self) -> Result<Option<DataAnchor>> {
        let Some(found) = self.anchors(Some(vec![DATA])).await?.remove(&DATA) else { return Ok(None) };
        let floor = found.ok().and_then(|anchor| Some((anchor.seq, anchor.head.try_into().ok()?)));
        let changed = || Error::internal("the anchor of the data in the keyring was changed without the root key");
        let (count, floor) = floor.ok_or_else(changed)?;
        Ok(Some(DataAnchor { count, floor: i64::from_be_bytes(floor) }))
    }

    /// Raises the anchor of the data.
    ///
    /// # Errors
    ///
    /// When the keyring cannot be written.
    pub async fn raise_data_anchor(&self, DataAnchor { count, floor }: DataAnchor) -> Result<()> {
        self.raise_anchors(vec![(DATA, Anchor { seq: count, head: floor.to_be_bytes().to_vec() })]).await
    }

    /// Returns the anchors of `subjects`, or of all chains.
    ///
    /// # Errors
    ///
    /// When the keyring cannot be read.
    pub async fn anchors(&self, subjects: Option<Vec<Uuid>>) -> Result<Anchors> {
        let ids = subjects.map(|list| list.into_iter().map(Id::<Any>::from_uuid).collect::<Vec<_>>());
        let rows = self.keyring().read(move |tx| {
            let all = t::table.select((t::subject_id, t::seq, t::head, t::mac));
            Ok(match &ids {
                Some(ids) => all.filter(t::subject_id.eq_any(ids)).load::<Row>(tx.conn())?,
                None => all.filter(t::subject_id.ne(Id::<Any>::from_uuid(DATA))).load::<Row>(tx.conn())?,
            })
        });
        let opened = |(id, seq, head, mac): Row| {
            let anchor = Anchor { seq, head };
            let genuine = self.anchor_mac(id.uuid(), &anchor).as_slice() == mac;
            (id.uuid(), genuine.then_some(anchor).ok_or(Tampered))
        };
        Ok(rows.await?.into_iter().map(opened).collect())
    }

    /// Raises anchors. One that is as high already stays as it is.
    ///
    /// # Errors
    ///
    /// When the keyring cannot be written.
    pub async fn raise_anchors(&self, mut list: Vec<(Uuid, Anchor)>) -> Result<()> {
        // In one order, so that two processes do not wait for each other.
        list.sort_unstable_by_key(|(subject, _)| *subject);
        let macs: Vec<_> = list.iter().map(|(subject, anchor)| self.anchor_mac(*subject, anchor)).collect();
        self.keyring()
            .write(move |tx| list.iter().zip(&macs).try_for_each(|((of, anchor), mac)| raise(tx, *of, anchor, mac)))
            .await
    }

    fn anchor_mac(&self, subject: Uuid, Anchor { seq, head }: &Anchor) -> [u8; 32] {
        self.mac(MacLabel::Anchor, &[subject.as_bytes(), &seq.to_be_bytes(), head])
    }
}

fn raise(tx: &mut Tx<'_>, subject: Uuid, Anchor { seq, head }: &Anchor, mac: &[u8]) -> Result<()> {
    let query = diesel::sql_query(
        "INSERT INTO audit_anchors (subject_id, seq, head, mac) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (subject_id) DO UPDATE SET seq = excluded.seq, head = excluded.head, mac = excluded.mac \
         WHERE audit_anchors.seq < excluded.seq",
    )
    .bind::<Uid, _>(Id::<Any>::from_uuid(subject))
    .bind::<BigInt, _>(*seq)
    .bind::<Binary, _>(head)
    .bind::<Binary, _>(mac);
    match tx.conn() {
        AnyConnection::Pg(conn) => query.execute(conn)?,
        AnyConnection::Sqlite(conn) => query.execute(conn)?,
    };
    Ok(())
}
