//! Named threads of a load, and which of them are stuck.

use std::{
    fs, thread,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::stop::Stop;

/// How often ends are looked for.
const LOOK: Duration = Duration::from_millis(5);
/// How often the time is looked at meanwhile.
const CLOCK: Duration = Duration::from_millis(200);

/// Threads that a load has started.
#[derive(Default)]
pub(crate) struct Crew(Vec<(String, JoinHandle<()>)>);

impl Crew {
    /// Starts one. The kernel shows the first 15 bytes of its name.
    pub(crate) fn spawn(
        &mut self,
        name: impl Into<String>,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let name = name.into();
        let handle = thread::Builder::new()
            .name(name.clone())
            .spawn(work)
            .with_context(|| format!("start thread {name}"))?;
        self.0.push((name, handle));
        Ok(())
    }

    /// Waits for all to end. Whoever has not within the limit stays behind:
    /// their names come back.
    pub(crate) fn end(&mut self, limit: Duration) -> Vec<String> {
        let until = Instant::now() + limit;
        loop {
            for (_, ended) in self.0.extract_if(.., |(_, handle)| handle.is_finished()) {
                // A panic has reported itself already.
                let _ = ended.join();
            }
            if self.0.is_empty() || Instant::now() > until {
                return self.0.iter().map(|(name, _)| name.clone()).collect();
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits for all to end, and says stop to them once their time is over: from then on they have the
    /// limit. Whoever stays behind comes back by name.
    pub(crate) fn end_by(
        &mut self,
        is_over: impl Fn() -> bool,
        stop: &Stop,
        limit: Duration,
    ) -> Vec<String> {
        while !self.end(CLOCK).is_empty() {
            if is_over() {
                stop.set();
                return self.end(limit);
            }
        }
        Vec::new()
    }
}

/// This process, by its name in `/proc`.
pub(crate) const SELF: &str = "self";
/// An account of where threads stand that is so long, in bytes, goes on to no other thread.
pub(crate) const ACCOUNT: usize = 16 << 10;

/// Where each thread of a process whose name `wanted` accepts stands in the
/// kernel: its state, its wait channel and, where the kernel tells, its stack.
pub(crate) fn where_they_stand(process: &str, wanted: impl Fn(&str) -> bool) -> String {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else {
        return String::new();
    };
    let mut text = String::new();
    for task in tasks.flatten() {
        if text.len() > ACCOUNT {
            break;
        }
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let name = read("comm").trim_end().to_owned();
        if wanted(&name) {
            let (stat, wchan, stack) = (read("stat"), read("wchan"), read("stack"));
            // The name before it, in parentheses, may hold anything.
            let state = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.chars().next());
            text.push_str(&format!(
                "{name} ({}): waits in {}\n{stack}",
                state.unwrap_or('?'),
                if wchan.is_empty() { "?" } else { &wchan }
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_stay_behind_are_named() {
        let stop = Stop::default();
        let mut crew = Crew::default();
        let held = stop.clone();
        crew.spawn("stays", move || {
            held.sleep(Duration::from_secs(60));
        })
        .unwrap();
        crew.spawn("ends", || {}).unwrap();
        assert_eq!(crew.end(Duration::from_millis(200)), ["stays"]);
        let stands = where_they_stand(SELF, |name| name == "stays");
        assert!(stands.starts_with("stays (S): waits in"), "{stands}");
        stop.set();
        assert!(crew.end(Duration::from_secs(60)).is_empty());
    }

    #[test]
    fn nobody_is_late_before_the_time_is_over() {
        let (stop, mut crew) = (Stop::default(), Crew::default());
        let held = stop.clone();
        let until_told = move || {
            held.sleep(Duration::from_secs(60));
        };
        crew.spawn("works", until_told).unwrap();
        let over = Instant::now() + Duration::from_millis(500);
        let is_over = || Instant::now() > over;
        let late = crew.end_by(is_over, &stop, Duration::from_secs(60));
        assert!(late.is_empty() && is_over() && stop.is_set());
        // Whoever ends before is told nothing.
        let stop = Stop::default();
        crew.spawn("ends", || {}).unwrap();
        let late = crew.end_by(|| false, &stop, Duration::from_secs(60));
        assert!(late.is_empty() && !stop.is_set());
    }
}
