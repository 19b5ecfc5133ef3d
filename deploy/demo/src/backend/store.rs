//! The database of one backend: filled once from the world, then read, and written by methods with effects.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use tonic::Status;

use crate::agency::Agency;
use crate::world::World;

use super::refusal::Refusal;
use super::{BackendError, Options};
use super::{border, clearance, companies, fitness, insurance, people, permits, residence};

/// A handle on the database; clones share one connection.
#[derive(Clone)]
pub(super) struct Store {
    connection: Arc<Mutex<Connection>>,
    /// Whose database it is.
    pub(super) agency: Agency,
    /// What it was filled from.
    pub(super) world: World,
}

impl Store {
    /// Opens the database, filling it first where it is not there.
    pub(super) async fn open(agency: Agency, options: &Options) -> Result<Self, BackendError> {
        let Options { database, world } = options.clone();
        let opened = tokio::task::spawn_blocking(move || open(agency, &database, &world));
        let connection = opened.await.expect("opening does not panic")?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            agency,
            world: options.world,
        })
    }

    /// Reads, on a thread that may wait for the disk.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Status> {
        self.blocking(|connection| query(connection)).await
    }

    /// Writes in one transaction; what it returns is durable.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Transaction<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Status> {
        self.blocking(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = act(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Status> {
        let connection = Arc::clone(&self.connection);
        let done = tokio::task::spawn_blocking(move || {
            // A panic inside a query leaves no half-done transaction behind: dropping one rolls it back.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Ok(done.await.map_err(|_| Refusal::Register)??)
    }
}

fn open(agency: Agency, path: &Path, world: &World) -> Result<Connection, BackendError> {
    let file = |source| BackendError::File {
        path: path.to_owned(),
        source,
    };
    let database = |source| BackendError::Database {
        path: path.to_owned(),
        source,
    };
    if !path.try_exists().map_err(file)? {
        // Filled beside its place and moved there when complete, so that a half-filled database is never taken for a whole one.
        let unfinished = path.with_extension("unfinished");
        let _ = fs::remove_file(&unfinished);
        fill(agency, &unfinished, world).map_err(database)?;
        fs::rename(&unfinished, path).map_err(file)?;
    }
    let connection = Connection::open(path).map_err(database)?;
    let wanted = description(agency, world);
    let found: Option<String> = connection
        .query_row("SELECT description FROM filled", [], |row| row.get(0))
        .optional()
        .map_err(database)?;
    match found {
        Some(found) if found == wanted => Ok(connection),
        found => Err(BackendError::OtherWorld {
            path: path.to_owned(),
            found: found.unwrap_or_else(|| "nothing".to_owned()),
            wanted,
        }),
    }
}

/// What a database was filled with.
fn description(agency: Agency, world: &World) -> String {
    format!(
        "agency {agency}, seed {}, {} people, {}",
        world.seed, world.people, world.today
    )
}

fn fill(agency: Agency, path: &Path, world: &World) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    // Nobody reads the file before it is complete, and an interrupted one is thrown away.
    connection.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")?;
    let transaction = connection.transaction()?;
    match agency {
        Agency::Mol => permits::fill(&transaction, world)?,
        Agency::Psd => {
            residence::fill(&transaction, world)?;
            border::fill(&transaction, world)?;
        }
        Agency::Moh => fitness::fill(&transaction, world)?,
        Agency::Ssc => insurance::fill(&transaction, world)?,
        Agency::Ccd => companies::fill(&transaction, world)?,
        Agency::Gid => clearance::fill(&transaction, world)?,
    }
    if agency != Agency::Ccd {
        transaction.execute_batch(people::INDEXES)?;
    }
    transaction.execute_batch("CREATE TABLE filled (description TEXT NOT NULL) STRICT")?;
    transaction.execute("INSERT INTO filled VALUES (?1)", [description(agency, world)])?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agency;
    use crate::world::sample;

    #[test]
    fn every_agency_is_filled_once_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        for agency in agency::ALL {
            let path = dir.path().join(format!("{agency}.db"));
            drop(open(agency, &path, &sample()).unwrap());
            let length = fs::metadata(&path).unwrap().len();
            drop(open(agency, &path, &sample()).unwrap());
            assert_eq!(fs::metadata(&path).unwrap().len(), length);
        }
    }

    #[test]
    fn another_world_s_database_and_another_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gid.db");
        drop(open(Agency::Gid, &path, &sample()).unwrap());
        let other = World { seed: 99, ..sample() };
        assert!(matches!(
            open(Agency::Gid, &path, &other),
            Err(BackendError::OtherWorld { .. })
        ));
        fs::write(&path, b"not a database at all").unwrap();
        assert!(matches!(
            open(Agency::Gid, &path, &sample()),
            Err(BackendError::Database { .. })
        ));
    }

    #[test]
    fn an_interrupted_filling_is_started_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ccd.db");
        fs::write(path.with_extension("unfinished"), b"torn").unwrap();
        assert!(open(Agency::Ccd, &path, &sample()).is_ok());
    }
}
