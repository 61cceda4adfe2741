//! An import while it runs: its transaction, and what the rows so far have settled.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::PgConnection;

use super::{
    Options, Outcome, Report, RowReport,
    candidate::{Candidate, Content, candidate},
    decide::{self, Employer, Verdict},
};
use crate::{
    domain::{FieldError, ItemFields, ItemId, ItemKind, OrganizationFields, OrganizationForm},
    exchange::{ContactRow, OrganizationRow, Row},
    store::{
        StoreError,
        import::{self, Holder, Phase, Scene, Stored},
        item,
    },
};

/// Rows that are looked up and written with one statement each. Each lookup reads all contacts of the group once.
const CHUNK: usize = 32_768;

/// An import while it runs.
pub(super) struct Session<'a> {
    pub(super) connection: &'a mut PgConnection,
    pub(super) scene: Scene,
    options: Options,
    /// Names of organizations as rows write them, each with the form in which the database compares it.
    names: HashMap<String, String>,
    /// The organizations behind those, by that form; none where there is none.
    employers: HashMap<String, Option<ItemId>>,
}

/// What the rows of one list said so far.
#[derive(Default)]
struct Seen {
    report: Report,
    /// Who has an e-mail or name: place of the row, and its print.
    keys: HashMap<String, (usize, u64)>,
    /// Rows without either, by print.
    prints: HashMap<u64, usize>,
}

/// What is to be written of a chunk.
#[derive(Default)]
struct Writes {
    /// Organizations that contacts name, by the form in which the database compares them.
    founded: BTreeMap<String, OrganizationFields>,
    /// Place of the row, its fields, and the form of its organization's name.
    creates: Vec<(usize, ItemFields, Option<String>)>,
    edits: Vec<(Stored, ItemFields, Option<String>)>,
    /// Places of rows that say the same as an earlier one, and of those.
    repeats: Vec<(usize, usize)>,
}

/// What a chunk's rows are held against.
struct Known<'a> {
    holders: std::vec::IntoIter<Holder>,
    namesakes: Vec<Stored>,
    seen: &'a mut Seen,
    writes: Writes,
}

impl<'a> Session<'a> {
    pub(super) fn new(connection: &'a mut PgConnection, scene: Scene, options: Options) -> Self {
        Self {
            connection,
            scene,
            options,
            names: HashMap::new(),
            employers: HashMap::new(),
        }
    }

    pub(super) async fn contacts(
        &mut self,
        rows: &[Row<ContactRow>],
    ) -> Result<Report, StoreError> {
        self.rows(ItemKind::Contact, rows).await
    }

    pub(super) async fn organizations(
        &mut self,
        rows: &[Row<OrganizationRow>],
    ) -> Result<Report, StoreError> {
        self.rows(ItemKind::Organization, rows).await
    }

    async fn rows<T: Content>(
        &mut self,
        kind: ItemKind,
        rows: &[Row<T>],
    ) -> Result<Report, StoreError> {
        let mut seen = Seen::default();
        for chunk in rows.chunks(CHUNK) {
            self.chunk(kind, chunk, &mut seen).await?;
        }
        Ok(seen.report)
    }

    async fn chunk<T: Content>(
        &mut self,
        kind: ItemKind,
        rows: &[Row<T>],
        seen: &mut Seen,
    ) -> Result<(), StoreError> {
        let candidates: Vec<Result<Candidate, String>> = rows.iter().map(candidate).collect();
        let good = || {
            candidates
                .iter()
                .filter_map(|candidate| candidate.as_ref().ok())
        };
        let unique: Vec<&str> = good()
            .filter_map(|candidate| Some(candidate.fields.unique()?.1))
            .collect();
        let titles: Vec<String> = good()
            .filter(|candidate| candidate.fields.unique().is_none())
            .map(|candidate| candidate.fields.title())
            .collect();
        import::plan_for(self.connection, Phase::LookUp).await?;
        let holders = import::holders(self.connection, self.scene, kind, &unique).await?;
        let namesakes = if titles.is_empty() {
            Vec::new()
        } else {
            import::namesakes(self.connection, self.scene, &titles).await?
        };
        self.look_up_employers(good().filter_map(|candidate| candidate.organization.as_deref()))
            .await?;
        import::plan_for(self.connection, Phase::Write).await?;
        let mut known = Known {
            holders: holders.into_iter(),
            namesakes,
            seen,
            writes: Writes::default(),
        };
        for (row, candidate) in rows.iter().zip(candidates) {
            let report = match candidate {
                Ok(candidate) => self.decide(row.line, candidate, &mut known),
                Err(reason) => RowReport {
                    line: row.line,
                    outcome: Outcome::Failed,
                    reason: Some(reason),
                    id: None,
                },
            };
            known.seen.report.push(report);
        }
        let writes = known.writes;
        self.write(writes, &mut seen.report).await
    }

    /// Finds the organizations that rows name for the first time.
    async fn look_up_employers(
        &mut self,
        named: impl Iterator<Item = &str>,
    ) -> Result<(), StoreError> {
        let new: HashSet<&str> = named
            .filter(|name| !self.names.contains_key(*name))
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let new: Vec<&str> = new.into_iter().collect();
        let kind = ItemKind::Organization;
        let holders = import::holders(self.connection, self.scene, kind, &new).await?;
        for (name, holder) in new.into_iter().zip(holders) {
            let id = holder.item.map(|item| item.id);
            // One that was created meanwhile is known better than its name.
            self.employers.entry(holder.key.clone()).or_insert(id);
            self.names.insert(name.to_owned(), holder.key);
        }
        Ok(())
    }

    /// Decides on a row, and remembers what it says and what is to be written.
    fn decide(&self, line: u64, row: Candidate, known: &mut Known<'_>) -> RowReport {
        let place = known.seen.report.rows.len();
        let holder = row.fields.unique().and_then(|_| known.holders.next());
        let (key, stored) = holder.map(|holder| (holder.key, holder.item)).unzip();
        let stored = stored.flatten();
        let name = row.organization.as_ref();
        let employer = name.and_then(|name| self.names.get(name)).cloned();
        let (verdict, id) = match known.seen.earlier(key.as_deref(), row.print) {
            Some((before, print)) => {
                known.writes.repeats.push((place, before));
                let line = known.seen.report.line(before);
                (decide::repeated(&row, (line, print)), None)
            }
            None => self.verdict(&row, stored.as_ref(), known, employer.as_ref()),
        };
        let (outcome, reason) = match (verdict, stored) {
            (Verdict::Nothing { outcome, reason }, _) => (outcome, Some(reason)),
            (Verdict::Update { after, changed }, Some(stored)) => {
                known.writes.edits.push((stored, after, employer));
                let changed = changed.join(", ");
                (Outcome::Updated, Some(format!("changed: {changed}")))
            }
            (Verdict::Create | Verdict::Update { .. }, _) => {
                known.writes.creates.push((place, row.fields, employer));
                (Outcome::Created, None)
            }
        };
        if outcome != Outcome::Failed {
            known.seen.remember(key, row.print, place);
        }
        RowReport {
            line,
            outcome,
            reason,
            id,
        }
    }

    /// Decides on a row that repeats none before it; returns the item that it is, where that is there already.
    fn verdict(
        &self,
        row: &Candidate,
        stored: Option<&Stored>,
        known: &mut Known<'_>,
        key: Option<&String>,
    ) -> (Verdict, Option<ItemId>) {
        let id = stored.map(|stored| stored.id);
        if let Some(verdict) = stored.and_then(|_| decide::taken(row, self.options.existing)) {
            return (verdict, id);
        }
        let there = key
            .and_then(|key| self.employers.get(key))
            .copied()
            .flatten();
        let employer = match (&row.organization, there) {
            (None, _) => Employer::None,
            (Some(_), Some(id)) => Employer::Known(id),
            (Some(name), None) => match self.found(name) {
                Ok(fields) => {
                    let founded = &mut known.writes.founded;
                    if let Some(key) = key {
                        founded.entry(key.clone()).or_insert(fields);
                    }
                    Employer::New
                }
                Err(reason) => return (Verdict::failed(reason), None),
            },
        };
        match stored {
            Some(stored) => (decide::update(row, employer, stored), id),
            None => match decide::twin(row, employer, &known.namesakes) {
                Some(twin) => (Verdict::skipped("already there"), Some(twin.id)),
                None => (Verdict::Create, None),
            },
        }
    }

    /// Returns the organization that a contact names and that is not there, or why it is not to be.
    fn found(&self, name: &str) -> Result<OrganizationFields, String> {
        if !self.options.create_organizations {
            return Err(format!(
                "organization \"{}\" was not found: create it, or have missing organizations created",
                // It is shown on a terminal, which must not take it for a command.
                name.escape_debug()
            ));
        }
        let form = OrganizationForm {
            name: name.to_owned(),
            ..OrganizationForm::default()
        };
        let said = |errors: Vec<FieldError>| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            format!("Organization: {}", errors.join("; "))
        };
        form.check().map_err(said)
    }

    /// Writes what was decided on a chunk.
    async fn write(&mut self, writes: Writes, report: &mut Report) -> Result<(), StoreError> {
        let count = writes.founded.len() + writes.creates.len();
        let mut ids = if count == 0 {
            Vec::new()
        } else {
            item::reserve_ids(self.connection, count).await?
        }
        .into_iter();
        report.organizations_created += writes.founded.len();
        let mut organizations = Vec::with_capacity(writes.founded.len());
        for ((key, fields), id) in writes.founded.into_iter().zip(ids.by_ref()) {
            self.employers.insert(key, Some(id));
            organizations.push((id, ItemFields::Organization(fields)));
        }
        let mut creates = Vec::with_capacity(writes.creates.len());
        for ((place, fields, employer), id) in writes.creates.into_iter().zip(ids) {
            report.is_now(place, id);
            creates.push((id, self.employed(fields, employer)));
        }
        for (place, before) in writes.repeats {
            if let Some(id) = report.rows.get(before).and_then(|row| row.id) {
                report.is_now(place, id);
            }
        }
        let edits = writes
            .edits
            .into_iter()
            .map(|(before, after, employer)| (before, self.employed(after, employer)))
            .collect();
        import::create(self.connection, self.scene, organizations).await?;
        import::create(self.connection, self.scene, creates).await?;
        import::edit(self.connection, self.scene, edits).await
    }

    /// Returns a contact with the organization that its row names.
    fn employed(&self, mut fields: ItemFields, employer: Option<String>) -> ItemFields {
        let id = employer.and_then(|key| self.employers.get(&key).copied().flatten());
        if let (ItemFields::Contact(contact), Some(id)) = (&mut fields, id) {
            contact.organization = Some(id);
        }
        fields
    }
}

impl Seen {
    /// Returns place and print of the row that said the same of itself.
    fn earlier(&self, key: Option<&str>, print: u64) -> Option<(usize, u64)> {
        match key {
            Some(key) => self.keys.get(key).copied(),
            None => self.prints.get(&print).map(|place| (*place, print)),
        }
    }

    fn remember(&mut self, key: Option<String>, print: u64, place: usize) {
        match key {
            Some(key) => {
                self.keys.entry(key).or_insert((place, print));
            }
            None => {
                self.prints.entry(print).or_insert(place);
            }
        }
    }
}
