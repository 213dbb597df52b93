//! A matrix's folder: its plan, its cells, and what became of them.
//!
//! Several processes may work in one folder at once, on one machine or on several that share it: each
//! cell has its own lock, and the summary is made anew from the cells by whoever asks.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::SystemTime,
};

use nix::fcntl::{Flock, FlockArg};

use super::{
    attempt::{self, Attempt, CELLS, Claim, How, Seen},
    fold::{Next, next, overall, summarize},
    left::{Left, left},
    plan::{Plan, SCHEMA as PLAN_SCHEMA},
    summary::{self, State, Summary},
    types::{Cell, SEPARATOR},
};
use crate::{
    Error, Result,
    cancel::Cancel,
    collect::{read_json, write_json, write_new_json},
    engine::date::{rfc3339, today},
    error::Context,
    hash::hex_sha256,
    report::{self, Format},
};

/// The plan's file.
const PLAN: &str = "plan.json";
/// The reports that are kept beside the summary.
const REPORTS: [(&str, Format); 2] = [
    ("report.md", Format::Markdown),
    ("report.html", Format::Html),
];

/// A matrix's folder.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    plan: Plan,
}

impl Folder {
    /// The folder where a command for these cells of a plan goes on: the one named, or the newest of this
    /// plan below `root` where one of them has not ended; otherwise, or if `fresh`, a new one.
    ///
    /// # Errors
    /// Bad input: the folder named holds something else, or another plan.
    pub fn to_run(
        plan: Plan,
        out: Option<&Path>,
        root: &Path,
        wanted: &[usize],
        fresh: bool,
    ) -> Result<Self> {
        if let Some(out) = out {
            return Self::at(plan, out);
        }
        let own = root.join(&plan.name);
        let failed = || format!("failed to make {}", own.display());
        fs::create_dir_all(&own).host(failed)?;
        // Two that begin at once go on in one folder.
        let lock = File::create(own.join(".lock")).host(failed)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusive);
        let _lock = lock
            .map_err(|(_, errno)| std::io::Error::from(errno))
            .host(failed)?;
        // What cannot be read there is no obstacle to whoever begins anew.
        let found = match fresh {
            true => None,
            false => going_on(&plan, &own, wanted)?,
        };
        if let Some(found) = found {
            return Self::at(plan, &found);
        }
        let stamp: String = rfc3339(SystemTime::now())
            .chars()
            .filter(|c| !"-:".contains(*c))
            .collect();
        let numbered = (1..).map(|n: u32| match n {
            1 => own.join(&stamp),
            n => own.join(format!("{stamp}-{n}")),
        });
        let free = numbered.into_iter().find(|dir| !dir.exists());
        Self::at(plan, &free.unwrap_or(own))
    }

    /// The folder where a command for these cells would go on, if there is one already.
    ///
    /// # Errors
    /// Bad input: the folder named holds something else, or another plan.
    pub fn begun(
        plan: &Plan,
        out: Option<&Path>,
        root: &Path,
        wanted: &[usize],
    ) -> Result<Option<Self>> {
        let dir = match out {
            Some(out) => Some(out.to_owned()).filter(|out| out.join(PLAN).exists()),
            None => going_on(plan, &root.join(&plan.name), wanted)?,
        };
        dir.map(|dir| Self::open(&dir)).transpose()
    }

    fn at(mut plan: Plan, dir: &Path) -> Result<Self> {
        let failed = || format!("failed to make {}", dir.display());
        fs::create_dir_all(dir).input(failed)?;
        let dir = dir.canonicalize().input(failed)?;
        if !dir.join(PLAN).exists() {
            let mut entries = fs::read_dir(&dir).input(failed)?.flatten();
            // Somebody else who begins in this folder at the same time may have got there first.
            if entries.any(|entry| !is_torn(&entry)) && !dir.join(PLAN).exists() {
                let what = format!("{} holds other files", dir.display());
                return Err(
                    Error::input(what).mend("name a folder that is empty or does not exist yet")
                );
            }
            plan.night = night();
            if write_new_json(&dir.join(PLAN), &plan)? {
                return Ok(Self { dir, plan });
            }
        }
        let own = read_plan(&dir)?;
        if let Some(cause) = own.changed(&plan) {
            let what = format!("{} holds cells of another plan: {cause}", dir.display());
            let mend =
                "put that back, name another folder with --out, or begin a new one with --new";
            return Err(Error::input(what).mend(mend));
        }
        plan.night = own.night;
        // Budgets and expectations may change while it runs.
        write_json(&dir.join(PLAN), &plan)?;
        Ok(Self { dir, plan })
    }

    /// A folder that a command made.
    ///
    /// # Errors
    /// Bad input: it is none.
    pub fn open(dir: &Path) -> Result<Self> {
        let failed = || format!("failed to find {}", dir.display());
        let dir = dir.canonicalize().input(failed)?;
        let plan = read_plan(&dir)?;
        Ok(Self { dir, plan })
    }

    /// The newest folder of a matrix below `root`.
    ///
    /// # Errors
    /// Bad input: there is none yet.
    pub fn newest(name: &str, root: &Path) -> Result<Self> {
        match folders(&root.join(name)).first() {
            Some(dir) => Self::open(dir),
            None => {
                let error = Error::input(format!("{name} has not been run yet"));
                Err(error.mend("cargo xtask matrix run FILE"))
            }
        }
    }

    /// The newest folder of a plan's matrix, to run cells of it again.
    ///
    /// # Errors
    /// Bad input: there is none yet, or it holds cells of another plan.
    pub fn again(plan: Plan, root: &Path) -> Result<Self> {
        let newest = Self::newest(&plan.name, root)?;
        Self::at(plan, newest.dir())
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it runs.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Takes what a newer reading of the matrix file expects and allows.
    #[must_use]
    pub fn with(mut self, newer: Plan) -> Self {
        if self.plan.runs_the_same(&newer) {
            let night = self.plan.night;
            self.plan = Plan { night, ..newer };
        }
        self
    }

    fn cell_dir(&self, cell: &Cell) -> PathBuf {
        self.dir.join(CELLS).join(&cell.id)
    }

    /// Takes a cell to work on it, unless somebody else has it.
    pub(super) fn try_take(&self, cell: &Cell) -> Result<Option<Claim>> {
        Claim::try_take(&self.cell_dir(cell))
    }

    /// Takes a cell to work on it as soon as nobody else has it.
    pub(super) fn take(&self, cell: &Cell, cancel: &Cancel) -> Result<Claim> {
        Claim::take(&self.cell_dir(cell), cancel)
    }

    /// A cell's attempts so far, also while somebody else works on it.
    pub(super) fn attempts(&self, cell: &Cell) -> Result<Vec<Attempt>> {
        attempt::read(&self.cell_dir(cell))
    }

    /// The seed of an attempt: the same whoever makes it, and another in the next folder, which may be
    /// called the same.
    pub(super) fn seed(&self, cell: &Cell, number: u32) -> u64 {
        let name = self.dir.file_name().unwrap_or_default().as_encoded_bytes();
        let number = number.to_le_bytes();
        let mut fields = vec![name, cell.id.as_bytes(), &number[..]];
        // A folder without keeps the seeds that it began with.
        let night = self.plan.night.as_bytes();
        fields.extend(Some(night).filter(|night| !night.is_empty()));
        let hash = hex_sha256(&fields);
        // As short as a run's own.
        u64::from_str_radix(&hash[..15], 16).unwrap_or_default() % 1_000_000_000
    }

    /// Whether a cell has ended.
    pub(super) fn has_ended(&self, at: usize) -> Result<bool> {
        let seen = attempt::look(&self.cell_dir(&self.plan.cells[at].cell))?;
        Ok(self.is_over(&seen))
    }

    /// When the last of these cells ended, RFC 3339 in UTC; none while one of them has not.
    ///
    /// # Errors
    /// Bad input: a record that is none.
    pub fn ended(&self, wanted: &[usize]) -> Result<Option<String>> {
        let mut all = Vec::new();
        for at in wanted {
            let seen = attempt::look(&self.cell_dir(&self.plan.cells[*at].cell))?;
            if !self.is_over(&seen) {
                return Ok(None);
            }
            times(&seen, &mut Vec::new(), &mut all);
        }
        Ok(all.into_iter().max())
    }

    fn is_over(&self, seen: &Seen) -> bool {
        let last = seen.attempts.last();
        let open = last.is_some_and(|last| last.ended.is_none());
        !open && next(&seen.attempts, &self.plan.budget) == Next::Ended
    }

    /// What the attempts at a cell left, by its place in the plan; nothing while it has not ended.
    ///
    /// # Errors
    /// Bad input: a record that is none.
    pub fn left(&self, at: usize) -> Result<Vec<Left>> {
        let cell = &self.plan.cells[at].cell;
        let seen = attempt::look(&self.cell_dir(cell))?;
        Ok(match seen.held || !self.is_over(&seen) {
            true => Vec::new(),
            false => self.left_of(cell, &seen.attempts),
        })
    }

    pub(super) fn left_of(&self, cell: &Cell, attempts: &[Attempt]) -> Vec<Left> {
        left(&self.cell_dir(cell), cell, attempts, &self.plan.budget)
    }

    /// What became of the matrix so far.
    ///
    /// # Errors
    /// Bad input: a record that is none.
    pub fn summary(&self) -> Result<Summary> {
        let today = today();
        let (mut cells, mut started, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for planned in &self.plan.cells {
            let dir = self.cell_dir(&planned.cell);
            let seen = attempt::look(&dir)?;
            let verdict = |number| {
                let run = attempt::run_dir(&dir, number);
                run.exists()
                    .then(|| report::read_verdict(&run).ok())
                    .flatten()
            };
            times(&seen, &mut started, &mut ended);
            cells.push(summarize(
                &self.plan,
                &planned.cell,
                &seen,
                &today,
                &verdict,
            ));
        }
        let all = cells.iter().all(|cell| cell.state == State::Done);
        Ok(Summary {
            schema: summary::SCHEMA,
            name: self.plan.name.clone(),
            outcome: overall(&cells),
            started: started.into_iter().min(),
            ended: ended.into_iter().max().filter(|_| all),
            cells,
        })
    }

    /// Writes the summary and its reports beside the cells.
    ///
    /// # Errors
    /// The host's.
    pub fn keep(&self, summary: &Summary) -> Result<()> {
        write_json(&self.dir.join(summary::FILE), summary)?;
        for (name, format) in REPORTS {
            let text = report::render_matrix(format, summary)?;
            crate::collect::write_whole(&self.dir.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// What tells a folder from every other one.
fn night() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// A plan that was cut off while it was written.
fn is_torn(entry: &fs::DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".tmp")
}

/// When attempts began and ended.
fn times(seen: &Seen, started: &mut Vec<String>, ended: &mut Vec<String>) {
    for attempt in &seen.attempts {
        started.push(attempt.started.clone());
        let own = attempt
            .ended
            .iter()
            .filter(|ended| ended.how != How::CutOff);
        ended.extend(own.map(|ended| ended.at.clone()));
    }
}

/// The folders of a matrix, the newest first.
fn folders(own: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(own).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|dir| dir.join(PLAN).is_file())
        .collect();
    // Their names begin with their time.
    dirs.sort();
    dirs.reverse();
    dirs
}

/// The newest folder, if it is of this plan and one of the cells has not ended there.
fn going_on(plan: &Plan, own: &Path, wanted: &[usize]) -> Result<Option<PathBuf>> {
    let Some(newest) = folders(own).into_iter().next() else {
        return Ok(None);
    };
    let folder = Folder::open(&newest)?;
    if !folder.plan.runs_the_same(plan) {
        return Ok(None);
    }
    for at in wanted {
        if !folder.has_ended(*at)? {
            return Ok(Some(newest));
        }
    }
    Ok(None)
}

fn read_plan(dir: &Path) -> Result<Plan> {
    let path = dir.join(PLAN);
    if !path.exists() {
        let error = Error::input(format!("{} is no matrix's folder", dir.display()));
        return Err(error.mend("name one below target/ktwin/matrices, or a matrix file"));
    }
    let plan: Plan = read_json(&path)?;
    if plan.schema != PLAN_SCHEMA {
        let what = format!(
            "the schema of {} is {}, not {PLAN_SCHEMA}",
            path.display(),
            plan.schema
        );
        return Err(Error::input(what).mend("use the ktwin that wrote it"));
    }
    // A folder may come from elsewhere, and ids are names of folders.
    let plain = |part: &str| {
        let mut bytes = part.bytes();
        !part.starts_with('.') && bytes.all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    for planned in &plan.cells {
        let cell = &planned.cell;
        let own = cell.parts().join(&SEPARATOR.to_string());
        if cell.id != own || !cell.parts().into_iter().all(plain) {
            let what = format!("{} names a cell {:?}", path.display(), cell.id);
            return Err(Error::input(what).mend("use a folder that ktwin made"));
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        judge::verdict::Outcome,
        matrix::{attempt::Ended, plan::tests::of},
    };

    const TEXT: &str = "\
name: m
kernels: [locked]
patches: [a, b]
configs: [kasan]
scenarios: [race]
";

    fn end(folder: &Folder, at: usize) {
        let cell = &folder.plan.cells[at].cell;
        let mut claim = folder.try_take(cell).unwrap().unwrap();
        claim.begin(&|number| folder.seed(cell, number)).unwrap();
        let ended = Ended {
            at: rfc3339(SystemTime::now()),
            how: How::Outcome(Outcome::Pass),
            seconds: 1.0,
            reasons: Vec::new(),
            for_good: false,
        };
        claim.end(ended).unwrap();
    }

    #[test]
    fn the_same_command_goes_on_until_all_has_ended() {
        let root = tempfile::tempdir().unwrap();
        let to_run = |wanted: &[usize], fresh| {
            Folder::to_run(of(TEXT).unwrap(), None, root.path(), wanted, fresh).unwrap()
        };
        let first = to_run(&[0, 1], false);
        end(&first, 0);
        let again = to_run(&[0, 1], false);
        assert_eq!(again.dir(), first.dir());
        assert!(
            Folder::begun(first.plan(), None, root.path(), &[1])
                .unwrap()
                .is_some()
        );
        assert_eq!(first.ended(&[0, 1]).unwrap(), None);
        assert!(first.ended(&[0]).unwrap().is_some());
        // The other shard's cells go on in the same folder; those that have ended begin anew.
        assert_eq!(to_run(&[1], false).dir(), first.dir());
        let newer = to_run(&[0], false);
        assert_ne!(newer.dir(), first.dir());
        assert_eq!(Folder::newest("m", root.path()).unwrap().dir(), newer.dir());
        end(&newer, 0);
        end(&newer, 1);
        assert!(
            Folder::begun(first.plan(), None, root.path(), &[0, 1])
                .unwrap()
                .is_none()
        );
        assert_ne!(to_run(&[0, 1], false).dir(), newer.dir());
        let fresh = to_run(&[0, 1], true);
        assert_ne!(to_run(&[0, 1], true).dir(), fresh.dir());
        // Beside one that nobody can read, too.
        let broken = root.path().join("m/99990101T000000Z");
        fs::create_dir(&broken).unwrap();
        fs::write(broken.join(PLAN), "{").unwrap();
        let go_on = Folder::to_run(of(TEXT).unwrap(), None, root.path(), &[0], false);
        assert!(go_on.unwrap_err().chain().contains(PLAN));
        to_run(&[0, 1], true);
        fs::remove_dir_all(&broken).unwrap();
        // Another file of the same name begins anew, too.
        let other = of(&TEXT.replace("[kasan]", "[kcsan]")).unwrap();
        let other = Folder::to_run(other, None, root.path(), &[0], false).unwrap();
        assert!(
            other
                .summary()
                .unwrap()
                .cells
                .iter()
                .all(|cell| cell.attempts == 0)
        );
    }

    /// As a CI does each night, on a machine that has nothing of the last one's.
    #[test]
    fn folders_of_one_name_have_seeds_of_their_own() {
        let begin = |root: &Path| {
            let out = root.join("matrix");
            Folder::to_run(of(TEXT).unwrap(), Some(&out), root, &[0], false).unwrap()
        };
        let seeds = |folder: &Folder| -> Vec<u64> {
            let cells = folder.plan.cells.iter();
            cells
                .flat_map(|planned| [1, 2].map(|number| folder.seed(&planned.cell, number)))
                .collect()
        };
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = begin(one.path());
        let other = seeds(&begin(two.path()));
        assert!(
            seeds(&first).iter().all(|seed| !other.contains(seed)),
            "{other:?}"
        );
        // Whoever goes on there has the same.
        assert_eq!(seeds(&begin(one.path())), seeds(&first));
        assert_eq!(seeds(&Folder::open(first.dir()).unwrap()), seeds(&first));
        let again = Folder::open(first.dir()).unwrap().with(of(TEXT).unwrap());
        assert_eq!(seeds(&again), seeds(&first));
        // An older ktwin's folder keeps its own: by its name alone.
        let mut old = first.plan.clone();
        old.night = String::new();
        write_json(&first.dir().join(PLAN), &old).unwrap();
        let old = begin(one.path());
        let hash = hex_sha256(&[
            b"matrix",
            old.plan.cells[0].cell.id.as_bytes(),
            &1u32.to_le_bytes(),
        ]);
        let by_name = u64::from_str_radix(&hash[..15], 16).unwrap() % 1_000_000_000;
        assert_eq!(seeds(&old)[0], by_name);
    }

    #[test]
    fn those_who_begin_at_once_have_one_night() {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("m");
        let begin = || Folder::to_run(of(TEXT).unwrap(), Some(&out), root.path(), &[0], false);
        let nights: std::collections::BTreeSet<String> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|_| scope.spawn(begin)).collect();
            let folders = all.into_iter().map(|one| one.join().unwrap().unwrap());
            folders.map(|folder| folder.plan.night).collect()
        });
        assert_eq!(nights.len(), 1, "{nights:?}");
    }

    #[test]
    fn a_folder_that_is_named_must_fit() {
        let temp = tempfile::tempdir().unwrap();
        let at = |text: &str, name: &str| {
            let out = temp.path().join(name);
            Folder::to_run(of(text).unwrap(), Some(&out), temp.path(), &[0], false)
        };
        let folder = at(TEXT, "a").unwrap();
        end(&folder, 0);
        let summary = at(TEXT, "a").unwrap().summary().unwrap();
        assert_eq!(
            (summary.cells[0].state, summary.cells[1].state),
            (State::Done, State::Planned)
        );
        assert!(summary.started.is_some() && summary.ended.is_none());
        folder.keep(&summary).unwrap();
        assert_eq!(
            read_json::<Summary>(&folder.dir().join(summary::FILE)).unwrap(),
            summary
        );
        // Expectations may change, cells may not.
        let more =
            format!("{TEXT}expected: [{{outcome: regression, reason: r, until: 2099-01-01}}]\n");
        assert_eq!(at(&more, "a").unwrap().plan().expected.len(), 1);
        let error = at(&TEXT.replace("[a, b]", "[a]"), "a").unwrap_err();
        assert!(error.chain().contains("another plan"), "{error:?}");
        assert!(
            error.chain().contains("no longer has locked+b"),
            "{error:?}"
        );
        fs::create_dir(temp.path().join("b")).unwrap();
        fs::write(temp.path().join("b/notes"), "mine").unwrap();
        assert!(at(TEXT, "b").unwrap_err().chain().contains("other files"));
        let error = Folder::open(&temp.path().join("b")).unwrap_err();
        assert!(error.chain().contains("no matrix's folder"), "{error:?}");
    }

    #[test]
    fn a_plan_from_elsewhere_leads_nowhere_else() {
        let temp = tempfile::tempdir().unwrap();
        let write = |change: &dyn Fn(&mut Plan)| {
            let mut plan = of(TEXT).unwrap();
            change(&mut plan);
            write_json(&temp.path().join(PLAN), &plan).unwrap();
            Folder::open(temp.path())
        };
        assert!(write(&|_| {}).is_ok());
        let up = write(&|plan| plan.cells[0].cell.id = "../../x".into());
        assert!(up.unwrap_err().chain().contains("names a cell"));
        let up = write(&|plan| {
            let cell = &mut plan.cells[0].cell;
            cell.config = "../../x".into();
            cell.id = cell.parts().join("+");
        });
        assert!(up.unwrap_err().chain().contains("names a cell"));
        let old = write(&|plan| plan.schema = 9);
        assert!(old.unwrap_err().chain().contains("is 9, not 1"));
    }
}
