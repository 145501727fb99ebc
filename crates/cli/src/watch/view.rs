//! Drawing: a heading, a row for every stream with its line of the last minutes, and the keys.

use super::board::{Board, Point, Row};
use paritas_model::{Verdict, format_duration};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};
use std::time::Duration;

/// Lines of a row: what is said about the stream, and its line.
const ROW_LINES: u16 = 2;
/// Columns of the largest value beside a line.
const SCALE_COLUMNS: u16 = 12;

/// Draws everything in the size that there is.
pub(super) fn draw(frame: &mut Frame<'_>, board: &Board, color: bool) {
    let area = frame.area();
    if area.width == 0 || area.height == 0 {
        return;
    }
    let heading = match board.verdict {
        None => Line::from("measuring"),
        Some(verdict) => Line::from(vec![
            Span::styled(verdict.as_str().to_uppercase(), paint(verdict, color)),
            Span::raw(format!("  lag at {}", board.at)),
        ]),
    };
    frame.render_widget(Paragraph::new(heading), line_of(area, 0));
    let free = area.height.saturating_sub(2);
    let fitting = usize::from(free / ROW_LINES);
    for (index, row) in board.rows.iter().take(fitting).enumerate() {
        let top = 1 + u16::try_from(index).unwrap_or(u16::MAX).saturating_mul(ROW_LINES);
        draw_row(frame, row, line_of(area, top), line_of(area, top.saturating_add(1)), color);
    }
    let hidden = board.rows.len().saturating_sub(fitting);
    let more = if hidden > 0 { format!("{hidden} more do not fit; ") } else { String::new() };
    if area.height > 1 {
        let keys = Span::styled(format!("{more}q quits"), Style::new().add_modifier(Modifier::DIM));
        frame.render_widget(Paragraph::new(Line::from(keys)), line_of(area, area.height - 1));
    }
}

/// One line of an area; nothing of one that is not there.
fn line_of(area: Rect, line: u16) -> Rect {
    Rect::new(area.x, area.y.saturating_add(line), area.width, 1).intersection(area)
}

fn draw_row(frame: &mut Frame<'_>, row: &Row, words: Rect, line: Rect, color: bool) {
    let name = if row.stream.is_empty() { row.link.clone() } else { format!("{} {}", row.link, row.stream) };
    let text = Line::from(vec![
        Span::styled(format!("{name}  "), Style::new().add_modifier(Modifier::BOLD)),
        Span::styled(row.text.clone(), paint(row.verdict, color)),
    ]);
    frame.render_widget(Paragraph::new(text), words);
    let columns = SCALE_COLUMNS.min(line.width / 2);
    let width = line.width - columns;
    let shown = shown(&row.points, usize::from(width));
    let most = shown.iter().flatten().copied().max().unwrap_or(0);
    let scale = Paragraph::new(format!(" {}", duration(most)));
    frame.render_widget(scale, Rect { x: line.x.saturating_add(width), width: columns, ..line });
    let over = row.limit.is_some_and(|limit| most > limit);
    let bars = Sparkline::default()
        .data(shown.iter().copied())
        .max(most.max(1))
        .absent_value_symbol("?")
        .style(if over { paint(Verdict::Fail, color) } else { Style::new() });
    frame.render_widget(bars, Rect { width, ..line });
}

/// The newest points, as many as fit.
fn shown(points: &[Point], width: usize) -> Vec<Point> {
    points.get(points.len().saturating_sub(width)..).unwrap_or_default().to_vec()
}

fn duration(millis: u64) -> String {
    format_duration(Duration::from_millis(millis))
}

fn paint(verdict: Verdict, color: bool) -> Style {
    if !color {
        return Style::new();
    }
    Style::new().fg(match verdict {
        Verdict::Pass => Color::Green,
        Verdict::Warn => Color::Yellow,
        Verdict::Unknown => Color::Magenta,
        Verdict::Fail => Color::Red,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::board::tests::report;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(board: &Board, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, board, true)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        (0..height).map(line).map(|line| format!("{}\n", line.trim_end())).collect()
    }

    #[test]
    fn every_size_is_drawn_and_what_does_not_fit_is_counted() {
        let mut board = Board::default();
        for high in [Some(0.5), None, Some(2.0)] {
            let state = if high.is_some() { "behind" } else { "unknown" };
            board.add(&report(&[("wal/1", state, high), ("wal/2", state, high), ("wal/3", state, high)]));
        }
        let text = drawn(&board, 60, 24);
        assert!(text.starts_with("PASS  lag at 19:04:05 UTC\n"), "{text}");
        assert!(text.contains("wal/3  behind, 2.00KiB, at most 2s") && text.contains("?█"), "{text}");
        assert!(!text.contains('\u{1b}') && text.trim_end().ends_with("q quits"), "{text}");
        assert!(drawn(&board, 60, 4).contains("2 more do not fit"));
        for (width, height) in [(1, 1), (2, 2), (5, 3), (200, 2), (1, 50)] {
            drawn(&board, width, height);
        }
        assert!(drawn(&Board::default(), 20, 2).starts_with("measuring"));
    }
}
