//! The phases of jobs as the panes of the screen show them.

use crate::model::Phase;

/// The phases in the order of their panes.
pub const PHASES: [Phase; 3] = [Phase::Pending, Phase::Running, Phase::Finished];

/// The index of a phase in [`PHASES`].
pub fn phase_index(phase: Phase) -> usize {
    match phase {
        Phase::Pending => 0,
        Phase::Running => 1,
        Phase::Finished => 2,
    }
}
