//! The needs of a job in the job details.

use ratatui::style::Style;

use crate::model::{Job, JobId, Outcome, OutcomeCondition};
use crate::text;

use super::detail_column::{DetailColumn, DetailLine};
use super::job_state_text::job_state_text;

/// How many levels of needs are shown, and how many needs in total.
const MAX_NEEDS_DEPTH: usize = 4;
const MAX_NEEDS: usize = 16;

impl DetailColumn<'_> {
    /// The jobs that it needs as a tree, and the jobs that need it.
    pub(super) fn needs(&self) -> Vec<DetailLine> {
        let mut lines = Vec::new();
        let mut left = MAX_NEEDS;
        self.needs_tree(self.job, "", 0, &mut left, &mut lines);
        if !lines.is_empty() {
            lines.insert(0, self.heading("Needs", ""));
            lines.insert(0, DetailLine::new());
        }
        let mut dependants = self.site.dependents_of(self.job.id);
        let names: Vec<String> = dependants.by_ref().take(3).map(|job| self.job_label(job)).collect();
        if !names.is_empty() {
            let more = dependants.count();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(DetailLine::new());
            lines.push(self.heading("Needed by", &text::sanitize_line(&(names.join(", ") + &more))));
        }
        lines
    }

    fn needs_tree(&self, job: &Job, indent: &str, depth: usize, left: &mut usize, lines: &mut Vec<DetailLine>) {
        let appearance = self.appearance();
        let (dim, signs) = (appearance.theme.dim, appearance.symbols);
        for (index, need) in job.needs.iter().enumerate() {
            let last = index + 1 == job.needs.len();
            let mut line = vec![(format!("{indent}{} ", if last { signs.elbow } else { signs.tee }), dim)];
            if *left == 0 {
                line[0].0 = format!("{indent}{} ", signs.elbow);
                line.push((format!("and {} more", job.needs.len() - index), dim));
                lines.push(line);
                return;
            }
            *left -= 1;
            let needed = self.site.job(need.job);
            line.extend(self.need_line(need.job, needed));
            match need.on {
                OutcomeCondition::Success => {}
                OutcomeCondition::Failure => line.push((" (must fail)".to_owned(), dim)),
                OutcomeCondition::Finish => line.push((" (must finish)".to_owned(), dim)),
            }
            lines.push(line);
            if let Some(needed) = needed.filter(|_| depth + 1 < MAX_NEEDS_DEPTH) {
                let bar = if last { " " } else { signs.vertical };
                self.needs_tree(needed, &format!("{indent}{bar} "), depth + 1, left, lines);
            }
        }
    }

    /// A needed job and its state.
    fn need_line(&self, id: JobId, needed: Option<&Job>) -> DetailLine {
        let appearance = self.appearance();
        let Some(job) = needed else {
            return vec![(format!("{} {id} (removed)", appearance.symbols.failed), appearance.theme.failure)];
        };
        let (sign, style, words) = job_state_text(job, self.site, appearance, self.now);
        let words_style = if job.outcome() == Some(&Outcome::Succeeded) { appearance.theme.dim } else { style };
        vec![(format!("{sign} "), style), (self.job_label(job), Style::new()), (format!("  {words}"), words_style)]
    }
}
