//! Draws the needs of a job or a queue as a tree, with the state of each job and how many others it blocks.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Outcome, OutcomeCondition};
use crate::text;
use crate::tui::job_label::{FittingLabel, JobLabel};
use crate::tui::mouse::ClickTargets;
use crate::tui::needs_graph::{GraphLine, GraphNode, MAX_BLOCKED, NeedsGraph, blocked_count, visible_rows};
use crate::tui::theme::Appearance;

use super::job_state_text::job_state_text;
use super::line_painter::{LinePainter, without_first_line};
use super::page_title::PageTitle;
use super::page_view::{PageView, visible_lines};

impl PageView<'_> {
    pub(super) fn draw_needs(&self, graph: &NeedsGraph, area: Rect, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let all = graph.lines(self.site);
        let visible = visible_rows(area.height);
        let selected = graph.selected_line(&all);
        let of = graph.root.and_then(|id| self.site.job(id)).map_or_else(
            || format!("queue {}", text::sanitize_line(graph.queue.as_str())),
            |job| format!("job {}", job.path()),
        );
        let hidden = (graph.offset, all.len().saturating_sub(graph.offset + visible));
        PageTitle { name: "Needs", facts: &[of], hidden }.draw(&self.settings.appearance, area, buffer);
        let body = without_first_line(area);
        if all.is_empty() {
            let note = "No job of this queue needs another one.";
            self.draw_note(note, body, buffer);
        }
        for (index, row, line) in visible_lines(&all, graph.offset, body, targets) {
            self.draw_needs_line(graph, row, index == selected && row.job().is_some(), line, buffer);
        }
    }

    fn draw_needs_line(&self, graph: &NeedsGraph, row: &GraphLine, is_selected: bool, area: Rect, buffer: &mut Buffer) {
        let Appearance { theme, symbols } = &self.settings.appearance;
        if is_selected {
            buffer.set_style(area, theme.cursor);
        }
        let over = |style: Style| if is_selected { theme.cursor } else { style };
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent)).left(" ", over(Style::new()));
        if let GraphNode::Heading(heading) = &row.node {
            painter.left(heading, theme.dim);
            return;
        }
        painter.left(&self.branches(row, graph.root.is_some(), area.width), over(theme.rule));
        match &row.node {
            GraphNode::Heading(_) => {}
            GraphNode::More => drop(painter.left(&format!("and more{}", symbols.ellipsis), theme.dim)),
            GraphNode::Above(id) => {
                painter.left(&format!("{} ", symbols.above), over(theme.dim));
                let room = painter.room().saturating_sub("  see above".len());
                let label = self.site.job(*id).map(|job| needs_label(job, graph, room, symbols.ellipsis).join());
                painter.left(&label.unwrap_or_else(|| id.to_string()), over(theme.dim));
                painter.left("  see above", over(theme.dim));
            }
            GraphNode::Job(id, on) => {
                let Some(job) = self.site.job(*id) else {
                    painter.left(&format!("{} {id} (removed)", symbols.failed), over(theme.failure));
                    return;
                };
                let (sign, style, words) = job_state_text(job, self.site, &self.settings.appearance, self.now);
                painter.left(&format!("{sign} "), over(style));
                let required = match on {
                    OutcomeCondition::Success => "",
                    OutcomeCondition::Failure => " (must fail)",
                    OutcomeCondition::Finish => " (must finish)",
                };
                let is_good = job.outcome() == Some(&Outcome::Succeeded);
                let blocked = if is_good { 0 } else { blocked_count(self.site, job) };
                let many = if blocked == MAX_BLOCKED { "at least " } else { "" };
                let blocks = match blocked {
                    0 => String::new(),
                    _ => format!("  blocks {many}{}", text::count_noun(blocked, "job")),
                };
                // The state is worth more than the end of a long title.
                let beside = text::width(required) + 2 + text::width(&words) + text::width(&blocks);
                let room = painter.room().saturating_sub(beside).max(painter.room() / 2);
                let label = needs_label(job, graph, room, symbols.ellipsis);
                painter.left(&label.main, over(Style::new())).left(&label.script, over(theme.dim));
                painter.left(required, over(theme.dim));
                painter.left(&format!("  {words}"), over(if is_good { theme.dim } else { style }));
                painter.left(&blocks, over(theme.warning));
            }
        }
    }

    /// The lines that lead to a job from those above it; their left part is left out without room.
    fn branches(&self, row: &GraphLine, has_root: bool, width: u16) -> String {
        let symbols = self.settings.appearance.symbols;
        // The first level of a queue stands alone.
        let levels = if has_root { &row.branches[..] } else { row.branches.get(1..).unwrap_or_default() };
        let Some((own, outer)) = levels.split_last() else { return String::new() };
        let most = usize::from(width / 4).max(4);
        let (cut, outer) = if outer.len() > most {
            (format!("{} ", symbols.ellipsis), &outer[outer.len() - most..])
        } else {
            (String::new(), outer)
        };
        let bars: String = outer.iter().flat_map(|more| [if *more { symbols.vertical } else { " " }, " "]).collect();
        format!("{cut}{bars}{} ", if *own { symbols.tee } else { symbols.elbow })
    }
}

/// The label of a job, which of another queue starts with its whole name.
fn needs_label(job: &Job, graph: &NeedsGraph, room: usize, ellipsis: &str) -> FittingLabel {
    let label = JobLabel::of(job);
    if job.queue == graph.queue { label.fit(room, ellipsis) } else { label.with_path(job).fit(room, ellipsis) }
}
