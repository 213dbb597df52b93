//! The history's database: opened with suspicion, shared by writers.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::schema::{STEPS, migrate, newest, refuse_newer, version};
use crate::{Error, Result, cache::Cache, error::Context};

/// How long a writer waits for others; an import's transaction takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// The database's name in the cache.
const FILE: &str = "history.sqlite";

/// Names another file.
pub const NAMED: &str = "KTWIN_HISTORY";

/// The file of the user's history: `$KTWIN_HISTORY`, else `history.sqlite` in the cache; none where that
/// variable is empty, which turns the history off.
///
/// # Errors
/// The host's: there is no folder for the cache.
pub fn file() -> Result<Option<PathBuf>> {
    match env::var_os(NAMED) {
        Some(named) => Ok((!named.is_empty()).then(|| named.into())),
        None => Ok(Some(Cache::open()?.root().join(FILE))),
    }
}

/// Questions read the same pages over and over: some 64 MB of them are kept.
const SETTINGS: &str = "
PRAGMA foreign_keys = ON;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -65536;
";

/// What past runs said.
#[derive(Debug)]
pub struct History {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl History {
    /// The user's, see [`file`].
    ///
    /// # Errors
    /// See [`History::at`]; bad input also where it is turned off.
    pub fn open() -> Result<Self> {
        match file()? {
            Some(file) => Self::at(&file),
            None => {
                let error = Error::input(format!("{NAMED} is empty, which turns the history off"));
                Err(error.mend(format!("unset {NAMED}, or name a file in it")))
            }
        }
    }

    /// A file's, made if it is not there.
    ///
    /// # Errors
    /// It cannot be opened, is no database, another program's, or a newer ktwin's.
    pub fn at(path: &Path) -> Result<Self> {
        Self::with_steps(path, STEPS)
    }

    pub(super) fn with_steps(path: &Path, steps: &[&str]) -> Result<Self> {
        let connection = connect(path, steps).map_err(|error| {
            let what = format!("failed to open the history {}", path.display());
            let mend = error.mending().map(str::to_owned);
            let outer = Error::new(error.fault(), what).because(error);
            match mend {
                Some(mend) => outer.mend(mend),
                None => outer.mend(format!("name another file in {NAMED}")),
            }
        })?;
        Ok(Self {
            connection,
            path: path.to_owned(),
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn connect(path: &Path, steps: &[&str]) -> Result<Connection> {
    let doing = || "the database does not answer".to_owned();
    let mut connection = Connection::open(path).input(doing)?;
    connection.busy_timeout(PATIENCE).host(doing)?;
    let found = version(&connection).input(doing)?;
    refuse_newer(found, newest(steps))?;
    if found < newest(steps) {
        let within = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .input(doing)?;
        migrate(&within, steps)?;
        within.commit().host(doing)?;
    }
    write_ahead(&connection).host(doing)?;
    connection.execute_batch(SETTINGS).host(doing)?;
    Ok(connection)
}

/// Readers then go on while somebody writes. Where others have it open for the first time too, the
/// one who comes first changes it, and `SQLite` does not wait for that.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    const ATTEMPTS: u32 = 100;
    let mut attempt = 0;
    loop {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()));
        attempt += 1;
        match mode {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == ErrorCode::DatabaseBusy && attempt < ATTEMPTS =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            mode => return mode,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn versions(path: &Path) -> u32 {
        version(&Connection::open(path).unwrap()).unwrap()
    }

    #[test]
    fn an_older_database_takes_the_steps_it_lacks() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("h.sqlite");
        let steps = [
            "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (7);",
            "ALTER TABLE a ADD COLUMN y INTEGER;",
        ];
        drop(History::with_steps(&path, &steps[..1]).unwrap());
        assert_eq!(versions(&path), 1);
        let history = History::with_steps(&path, &steps).unwrap();
        let kept: (i64, Option<i64>) = history
            .connection
            .query_row("SELECT x, y FROM a", [], |r| Ok((r.get(0)?, r.get(1)?)))
            .unwrap();
        assert_eq!(kept, (7, None));
        assert_eq!(versions(&path), 2);
        let broken = [steps[0], steps[1], "CREATE TABLE b (x INTEGER); nonsense"];
        History::with_steps(&path, &broken).unwrap_err();
        assert_eq!(versions(&path), 2, "a step that fails leaves nothing");
        assert!(history.connection.prepare("SELECT * FROM b").is_err());
    }

    #[test]
    fn files_that_are_no_history_of_ours_are_refused() {
        type Make = fn(&Path);
        let table: [(&str, Make); 4] = [
            ("its schema is 99", |path| {
                let made = Connection::open(path).unwrap();
                made.pragma_update(None, "user_version", 99).unwrap();
            }),
            ("another program's", |path| {
                let made = Connection::open(path).unwrap();
                made.execute_batch("CREATE TABLE mail (id)").unwrap();
            }),
            ("not a database", |path| {
                fs::write(path, "x".repeat(5000)).unwrap();
            }),
            ("unable to open", |path| fs::create_dir(path).unwrap()),
        ];
        for (part, make) in table {
            let temp = tempfile::tempdir().unwrap();
            let path = temp.path().join("h.sqlite");
            make(&path);
            let before = fs::read(&path).ok();
            let error = History::at(&path).unwrap_err();
            assert!(error.chain().contains(part), "{part}: {}", error.chain());
            assert_eq!(error.fault(), crate::Fault::Input, "{part}");
            assert!(error.mending().is_some(), "{part}");
            assert_eq!(fs::read(&path).ok(), before, "{part}: it is left alone");
        }
    }
}
