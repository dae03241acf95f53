//! What is drawn where; nothing here changes what the person has chosen.

mod bar;
mod detail;
mod diagnosis;
mod dialog;
mod empty;
mod header;
mod hints;
mod lists;
mod menu;
mod message;
mod output;
mod paint;
mod row;
mod tiles;
mod when;

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use super::dialog::Dialog;
use super::layout::{Layout, PHASES, Shape};
use super::mouse::Targets;
use super::state::Screen;

impl Screen {
    /// Draws everything as it is at `now`; returns where the cursor is, if there is one.
    pub fn draw(&mut self, frame: &mut Frame<'_>, now: DateTime<Utc>) -> Option<Position> {
        let layout = self.layout();
        // A terminal that has just shrunk may not have told yet.
        if frame.area().width < self.size.width || frame.area().height < self.size.height {
            return None;
        }
        let cursor = self.paint(&layout, frame.buffer_mut(), now);
        let cursor = cursor.map(Position::from);
        if let Some(cursor) = cursor {
            frame.set_cursor_position(cursor);
        }
        cursor
    }

    /// Fills the buffer; tells where the terminal's cursor goes, if a line is being typed.
    fn paint(&mut self, layout: &Layout, buffer: &mut Buffer, now: DateTime<Utc>) -> Option<(u16, u16)> {
        if layout.shape == Shape::TooSmall {
            empty::too_small(self, layout.body, buffer);
            return None;
        }
        let mut targets = Targets::default();
        header::draw(self, layout, buffer, now, &mut targets);
        let mut cursor = None;
        if let Some(Dialog::Menu(mut menu)) = self.dialog.take_if(|dialog| matches!(dialog, Dialog::Menu(_))) {
            menu::draw(&mut menu, self, layout.body, buffer, now);
            self.dialog = Some(Dialog::Menu(menu));
        } else if self.diagnosis().is_some() {
            diagnosis::draw(self, layout.body, buffer);
        } else if !self.has_queue() {
            empty::no_queues(self, layout.body, buffer);
        } else {
            lists::states(self, layout, buffer, &mut targets);
            for phase in PHASES {
                lists::draw(self, phase, layout, buffer, now);
            }
            for divide in layout.divides {
                lists::divide(self, divide, buffer);
            }
            cursor = output::draw(self, layout, buffer, now);
            detail::draw(self, layout, buffer, now);
        }
        hints::draw(self, layout.hints, buffer, &mut targets);
        self.targets = targets;
        message::draw(self, layout.message, buffer, now).or(cursor)
    }
}
