//! What builds and trials took so far, and so what the next ones cost (pure).

use crate::bisect::Costs;

/// What a build and a trial are taken to cost before any was made, in seconds.
const GUESSED: Costs = Costs {
    build: 300.0,
    trial: 60.0,
};

/// Seconds, and of how many.
#[derive(Default)]
pub(super) struct Spent {
    pub(super) builds: (f64, u32),
    pub(super) trials: (f64, u32),
}

impl Spent {
    pub(super) fn costs(&self) -> Costs {
        let mean = |(sum, count): (f64, u32), guess: f64| match count {
            0 => guess,
            count => sum / f64::from(count),
        };
        Costs {
            build: mean(self.builds, GUESSED.build),
            trial: mean(self.trials, GUESSED.trial),
        }
    }
}
