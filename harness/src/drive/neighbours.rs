//! How much of the host others had while each phase ran: a boot among neighbours is slower than its kernel.

use nix::unistd::Pid;
use protocol::GuestMessage;

use super::pump::Event;
use crate::{collect::record::RunRecord, host::busy::Moment};

/// The phases of one machine.
#[derive(Debug)]
pub(super) struct Neighbours {
    group: Pid,
    /// How many phases the plan has.
    planned: usize,
    /// A phase's place in the plan, when it began, and what others had until it ended.
    phases: Vec<(usize, Moment, Option<f64>)>,
}

impl Neighbours {
    /// For a machine whose processes are one group's, and whose plan has so many phases.
    pub(super) fn of(group: Pid, planned: usize) -> Self {
        Self {
            group,
            planned,
            phases: Vec::new(),
        }
    }

    /// Takes an event of the machine's.
    pub(super) fn follow(&mut self, event: &Event<'_>) {
        match event {
            Event::Message(GuestMessage::PhaseStarted { index, .. }) => {
                // A guest may say so as often as it likes, and of any number; each phase of the plan is
                // looked at once.
                let next = self.phases.last().is_none_or(|(last, ..)| last < index);
                let begins = next && *index < self.planned;
                if begins && let Some(now) = Moment::now(self.group) {
                    self.phases.push((*index, now, None));
                }
            }
            Event::Message(GuestMessage::PhaseEnded { index, .. }) => {
                let running = self.phases.last_mut();
                if let Some((_, begun, others)) = running.filter(|(own, ..)| own == index) {
                    *others = Moment::now(self.group).and_then(|now| begun.others(&now));
                }
            }
            _ => {}
        }
    }

    /// Writes into a record what was found.
    pub(super) fn note(&self, record: &mut RunRecord) {
        for phase in &mut record.phases {
            let mut known = self.phases.iter();
            let own = known.find(|(index, ..)| *index == phase.index);
            phase.others = own.and_then(|(_, _, others)| *others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_phases_of_the_plan_are_followed_and_each_once() {
        let mut neighbours = Neighbours::of(nix::unistd::getpgrp(), 2);
        for index in [usize::MAX, 0, 0, 1, 2, 0] {
            let phase = "race".to_owned();
            let begins = GuestMessage::PhaseStarted { index, phase };
            neighbours.follow(&Event::Message(&begins));
        }
        let followed = neighbours.phases.iter().map(|(index, ..)| *index);
        assert_eq!(followed.collect::<Vec<_>>(), [0, 1]);
    }
}
