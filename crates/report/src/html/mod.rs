//! One page that an auditor files and an on-call engineer opens: it holds everything, asks nobody for anything, and
//! prints.
//!
//! All markup goes through [`markup::Markup`], so no name and no value becomes part of it. The page works without
//! scripts; the one inside turns the pages of long lists, made from the embedded document.

mod achieved;
mod curve;
mod embed;
mod files;
mod interval;
mod lag;
mod ledger;
mod lineage;
mod link;
mod logs;
mod markup;
mod open;
mod parity;
mod probe;
mod recovery;
mod rows;
mod sequences;
mod shell;
mod snapshot;
mod value;
mod vitals;

use crate::{Called, Format, RenderOptions, Report};
use embed::Embedded;
use markup::Markup;
use std::io::{self, Write};

/// Rows that one list shows without the script.
const LISTED_MAX: usize = 200;
/// Rows that all lists of a page show without the script, together.
const PAGE_ROWS_MAX: usize = 2_000;

/// The page.
#[derive(Debug, Clone, Default)]
pub struct Html<'a> {
    /// The document as it was stored; without one the report is written anew into the page.
    pub stored: Option<&'a [u8]>,
    /// How the command was called, for the next command.
    pub called: Called,
}

/// Where a section is, for the list of contents.
#[derive(Debug)]
struct Place {
    id: String,
    title: String,
    verdict: Option<paritas_model::Verdict>,
    deep: bool,
}

/// What is written, and what was written so far.
#[derive(Debug, Default)]
struct Body {
    page: Markup,
    places: Vec<Place>,
    rows_left: usize,
}

impl Body {
    /// How many of `all` rows may be listed here.
    fn allow(&mut self, all: usize) -> usize {
        let shown = all.min(LISTED_MAX).min(self.rows_left);
        self.rows_left -= shown;
        shown
    }
}

impl Format for Html<'_> {
    fn name(&self) -> &str {
        "html"
    }

    fn write(&self, report: &Report, options: &RenderOptions, out: &mut dyn Write) -> io::Result<()> {
        // A page hides nothing that was kept, so only what was not kept asks for more.
        let options = RenderOptions { max_items: usize::MAX, ..*options };
        let next = crate::human::next_command(report, &self.called, &options);
        let mut body = Body { rows_left: PAGE_ROWS_MAX, ..Body::default() };
        if report.recovery.is_some() {
            let (id, title) = (achieved::ID.to_owned(), achieved::TITLE.to_owned());
            body.places.push(Place { id, title, verdict: None, deep: true });
        }
        for (number, one) in report.links.iter().enumerate() {
            link::write(&mut body, report, number, one);
        }
        let mut before = Markup::default();
        shell::head(&mut before, report);
        shell::contents(&mut before, &body.places);
        shell::summary(&mut before, report, next.as_deref());
        if !report.regions.is_empty() {
            vitals::regions(&mut before, &report.regions);
        }
        out.write_all(before.as_str().as_bytes())?;
        out.write_all(body.page.as_str().as_bytes())?;
        let mut after = Markup::default();
        shell::foot(&mut after, report);
        out.write_all(after.as_str().as_bytes())?;
        out.write_all(b"<script type=\"application/json\" id=\"report\">")?;
        let mut embedded = Embedded::new(out);
        match self.stored {
            Some(stored) => embedded.write_all(stored)?,
            None => serde_json::to_writer(&mut embedded, report)?,
        }
        embedded.end()?;
        out.write_all(shell::END.as_bytes())
    }
}
