//! Lines, indents and colours.

use crate::text::{counted, escape, wrap};
use crate::{Problem, RenderOptions};
use anstyle::{AnsiColor, Style};
use paritas_model::Verdict;
use std::io::{self, Write};

/// What a piece of text means; each meaning has one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    Pass,
    Warn,
    Unknown,
    Fail,
    Source,
    Replica,
    Strong,
    Dim,
}

impl Paint {
    pub(super) fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Warn => Self::Warn,
            Verdict::Unknown => Self::Unknown,
            Verdict::Fail => Self::Fail,
        }
    }

    fn style(self) -> Style {
        let color = |color: AnsiColor| color.on_default();
        match self {
            Self::Pass => color(AnsiColor::Green).bold(),
            Self::Warn => color(AnsiColor::Yellow).bold(),
            Self::Unknown => color(AnsiColor::Magenta).bold(),
            Self::Fail => color(AnsiColor::Red).bold(),
            Self::Source => color(AnsiColor::Red),
            Self::Replica => color(AnsiColor::Green),
            Self::Strong => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
        }
    }
}

/// Where lines go. Everything handed to it is safe text already.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    options: RenderOptions,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut dyn Write, options: RenderOptions) -> Self {
        Self { out, options }
    }

    pub(super) fn width(&self) -> usize {
        self.options.width.max(RenderOptions::WIDTH_MIN)
    }

    pub(super) fn verbose(&self) -> bool {
        self.options.verbose
    }

    pub(super) fn max_items(&self) -> usize {
        self.options.max_items
    }

    /// How many of `total` lines to write where at most `max` are wanted: a list is never cut for
    /// the sake of a single line.
    pub(super) fn limit(&self, max: usize, total: usize) -> usize {
        if self.options.verbose || total <= max + 1 { total } else { max }
    }

    pub(super) fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.options.color || text.is_empty() {
            return text.to_owned();
        }
        let style = paint.style();
        format!("{style}{text}{style:#}")
    }

    pub(super) fn line(&mut self, indent: usize, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:indent$}{}", "", text.trim_end())
    }

    pub(super) fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// A text that still needs escaping and wrapping, line breaks included; its further lines are indented by two more.
    pub(super) fn wrapped(&mut self, indent: usize, text: &str) -> io::Result<()> {
        let lines = wrap(&escape(text), self.width().saturating_sub(indent + 2));
        lines.iter().enumerate().try_for_each(|(i, line)| self.line(indent + if i == 0 { 0 } else { 2 }, line))
    }

    /// `label: text`, wrapped under the beginning of the text, whose own line breaks are kept.
    pub(super) fn labelled(&mut self, indent: usize, paint: Paint, label: &str, text: &str) -> io::Result<()> {
        let inner = indent + label.len() + 1;
        let lines = wrap(text, self.width().saturating_sub(inner));
        for (i, line) in lines.iter().enumerate() {
            if i == 0 {
                self.line(indent, &format!("{} {line}", self.paint(paint, label)))?;
            } else {
                self.line(inner, line)?;
            }
        }
        Ok(())
    }

    /// Detail and hint of a failure.
    pub(super) fn advice(&mut self, indent: usize, problem: &Problem) -> io::Result<()> {
        if let Some(detail) = &problem.detail {
            self.labelled(indent, Paint::Dim, "detail:", detail)?;
        }
        if let Some(hint) = &problem.hint {
            self.labelled(indent, Paint::Strong, "hint:", hint)?;
        }
        Ok(())
    }

    /// Says how many lines of a list were left out.
    pub(super) fn more(&mut self, indent: usize, count: usize, noun: &str) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        self.line(
            indent,
            &self.paint(Paint::Dim, &format!("… {}; see them with -v", counted(count as u64, &format!("more {noun}")))),
        )
    }
}
