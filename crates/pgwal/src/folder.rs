//! The segment files of one timeline in one or several folders, read page by page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use paritas_model::Lsn;

use crate::content::{Content, Packing, foreign, head};
use crate::end::Why;
use crate::page::{LONG_HEADER, Layout, PageHeader};
use crate::segment::{Segment, halves};
use crate::{Error, Result};

/// Pages read from a file at a time.
const PAGES_AT_ONCE: u64 = 16;

/// Why a page cannot be handed out.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The system failed: nothing is known.
    Failed(Error),
    /// The log is not there, or not what it should be.
    At(u64, Why),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

#[derive(Debug)]
struct Open {
    number: u64,
    content: Content,
}

/// Segment files, and the pages read last.
#[derive(Debug)]
pub(crate) struct Folder {
    timeline: u32,
    layout: Layout,
    files: BTreeMap<u64, PathBuf>,
    /// The folder named first.
    first: PathBuf,
    /// Other files of the same numbers: only looked into for pages beyond the end.
    spare: Vec<(u64, PathBuf)>,
    /// Numbers of which there is no whole file.
    partial: BTreeSet<u64>,
    open: Option<Open>,
    buffer: Vec<u8>,
    /// The position of the first byte of `buffer`.
    buffered: u64,
}

impl Folder {
    /// Opens folders of one log: a `pg_wal` first, then archives of it.
    pub(crate) fn open(folders: &[&Path], timeline: u32) -> Result<Self> {
        let folder = folders.first().copied().unwrap_or(Path::new(""));
        let mut found = Vec::new();
        for folder in folders {
            found.extend(list(folder, timeline)?);
        }
        if found.is_empty() {
            if let Some(ending) = unreadable(folders, timeline) {
                return Err(Error::Packed { folder: folder.to_owned(), ending });
            }
            return Err(Error::NoSegment { folder: folder.to_owned(), timeline });
        }
        let mut layout = None;
        let mut magic = None;
        // Segments made in advance may be all zeros, and sort last.
        for (name, path) in &found {
            let head = head(path)?;
            magic = magic.or_else(|| Some(u16::from_le_bytes([*head.first()?, *head.get(1)?])));
            layout = Layout::parse(&head);
            if layout.is_some_and(|layout| Segment::parse(name, layout.segment).is_some()) {
                break;
            }
        }
        let layout = layout.ok_or_else(|| Error::NotALog { folder: folder.to_owned(), magic })?;
        let mut candidates: BTreeMap<u64, Vec<(bool, PathBuf)>> = BTreeMap::new();
        for (name, path) in found {
            if let Some((segment, partial)) = Segment::parse(&name, layout.segment) {
                candidates.entry(segment.number).or_default().push((partial, path));
            }
        }
        let (mut files, mut spare, mut partial) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        for (number, several) in candidates {
            let chosen = choose(number, several, layout, &mut spare)?;
            if let Some((is_partial, path)) = chosen {
                files.insert(number, path);
                if is_partial {
                    partial.insert(number);
                }
            }
        }
        let first = folder.to_owned();
        Ok(Self { timeline, layout, files, first, spare, partial, open: None, buffer: Vec::new(), buffered: 0 })
    }

    /// Whether the log up to `end`, and what stopped its reader at `at`, are files of the folder named first.
    ///
    /// Nothing at `at` at all is a reason of its own.
    pub(crate) fn ends_in_first(&self, end: u64, at: u64) -> bool {
        let size = self.layout.segment.bytes();
        let own = |path: &PathBuf| path.parent() == Some(self.first.as_path());
        let last = end.saturating_sub(1) / size;
        self.files.get(&last).is_some_and(own) && self.files.get(&(at / size)).is_none_or(own)
    }

    /// Whether the segment that holds `at` is there only in part: its server may have written more elsewhere.
    pub(crate) fn is_partial(&self, at: u64) -> bool {
        self.partial.contains(&(at / self.layout.segment.bytes()))
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn page_bytes(&self) -> u64 {
        u64::from(self.layout.page)
    }

    /// The position of the page that holds `at`.
    pub(crate) fn page_of(&self, at: u64) -> u64 {
        at - at % self.page_bytes()
    }

    fn name(&self, number: u64) -> String {
        Segment { timeline: self.timeline, number }.name(self.layout.segment)
    }

    /// The page at `address`, checked as the server does: `XLogReaderValidatePageHeader`.
    pub(crate) fn page(&mut self, address: u64) -> std::result::Result<(PageHeader, &[u8]), Stop> {
        self.load(address)?;
        let page = self.buffered_page(address).unwrap_or_default();
        let header = self.check(address, page).map_err(|why| Stop::At(address, why))?;
        Ok((header, page))
    }

    /// The bytes of a page that was asked for last, whatever they are.
    pub(crate) fn buffered_page(&self, address: u64) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(self.buffered)?).ok()?;
        self.buffer.get(start..start.checked_add(usize::try_from(self.page_bytes()).ok()?)?)
    }

    fn check(&self, address: u64, page: &[u8]) -> std::result::Result<PageHeader, Why> {
        let header = PageHeader::parse(page).ok_or(Why::BadPage { what: "it is too short" })?;
        if page.iter().all(|byte| *byte == 0) {
            return Err(Why::NeverWritten);
        }
        let bad = |what| Err(Why::BadPage { what });
        if crate::Version::from_magic(header.magic) != Some(self.layout.version) {
            return bad("the magic number differs");
        }
        if !header.flags_are_known() {
            return bad("it has unknown flags");
        }
        if header.address != address {
            let older = header.address < address && header.address.is_multiple_of(self.page_bytes());
            let holds = Lsn(header.address);
            return if older { Err(Why::Recycled { holds }) } else { bad("it says another position") };
        }
        if header.timeline > self.timeline || header.timeline == 0 {
            return bad("it is of another timeline");
        }
        let first = address.is_multiple_of(self.layout.segment.bytes());
        if header.is_long() != first {
            return bad("the length of its header differs");
        }
        if first && Layout::parse(page) != Some(self.layout) {
            return bad("it is of another cluster, or of segments of another size");
        }
        Ok(header)
    }

    fn load(&mut self, address: u64) -> std::result::Result<(), Stop> {
        let page = self.page_bytes();
        let end = self.buffered.saturating_add(self.buffer.len() as u64);
        if address >= self.buffered && address.saturating_add(page) <= end {
            return Ok(());
        }
        let size = self.layout.segment.bytes();
        let (number, offset) = (address / size, address % size);
        self.open_segment(number, address)?;
        let name = self.name(number);
        let Some(open) = &self.open else {
            return Err(Stop::At(address, Why::MissingSegment { name }));
        };
        // The run of pages that holds it: the next one wanted may be the one before. Whole pages, of this segment only.
        let run = page * PAGES_AT_ONCE;
        let begin = offset - offset % run;
        let there = open.content.bytes().min(size).saturating_sub(begin);
        let bytes = run.min(there - there % page);
        if begin + bytes <= offset {
            return Err(Stop::At(address, Why::ShortSegment { name, bytes: open.content.bytes() }));
        }
        self.buffer.resize(usize::try_from(bytes).unwrap_or_default(), 0);
        self.buffered = address - (offset - begin);
        if let Err(source) = open.content.read_at(&mut self.buffer, begin) {
            self.buffer.clear();
            let path = self.files.get(&number).cloned().unwrap_or_default();
            return Err(Stop::Failed(Error::Io { doing: "read the segment", path, source }));
        }
        Ok(())
    }

    fn open_segment(&mut self, number: u64, address: u64) -> std::result::Result<(), Stop> {
        if self.open.as_ref().is_some_and(|open| open.number == number) {
            return Ok(());
        }
        self.open = None;
        let Some(path) = self.files.get(&number) else {
            return Err(Stop::At(address, Why::MissingSegment { name: self.name(number) }));
        };
        let content = Content::open(path, self.layout.segment.bytes())?;
        self.open = Some(Open { number, content });
        Ok(())
    }

    /// The first page after `at` that belongs to this log: every page header from there on is looked at.
    pub(crate) fn beyond(&self, at: u64) -> Result<Option<u64>> {
        let (size, page) = (self.layout.segment.bytes(), self.page_bytes());
        let after = self.page_of(at).saturating_add(page);
        let spare =
            self.spare.iter().map(|(number, path)| (number, path)).filter(|(number, _)| **number >= after / size);
        for (number, path) in self.files.range(after / size..).chain(spare) {
            let failed = |source| Error::Io { doing: "read the segment", path: path.clone(), source };
            let content = Content::open(path, size)?;
            let start = number.saturating_mul(size);
            let mut offset = after.saturating_sub(start);
            let end = content.bytes().min(size);
            let mut head = [0; LONG_HEADER];
            while offset.saturating_add(LONG_HEADER as u64) <= end {
                content.read_at(&mut head, offset).map_err(failed)?;
                let address = start.saturating_add(offset);
                let belongs = PageHeader::parse(&head).is_some_and(|header| {
                    header.address == address && crate::Version::from_magic(header.magic) == Some(self.layout.version)
                });
                if belongs {
                    return Ok(Some(address));
                }
                offset += page;
            }
        }
        Ok(None)
    }
}

/// The file to read of several with one number: whole ones before partial ones, those that begin as they should before
/// recycled ones, and otherwise as the folders were named.
fn choose(
    number: u64,
    mut several: Vec<(bool, PathBuf)>,
    layout: Layout,
    spare: &mut Vec<(u64, PathBuf)>,
) -> Result<Option<(bool, PathBuf)>> {
    several.sort_by_key(|(partial, _)| *partial);
    let mut best = 0;
    if several.len() > 1 {
        for (index, (_, path)) in several.iter().enumerate() {
            let begins = PageHeader::parse(&head(path)?);
            if begins.is_some_and(|header| header.address == number.saturating_mul(layout.segment.bytes())) {
                best = index;
                break;
            }
        }
    }
    let chosen = (best < several.len()).then(|| several.remove(best));
    spare.extend(several.into_iter().map(|(_, path)| (number, path)));
    Ok(chosen)
}

/// Files named like segments of this timeline, in the order of their names; whole ones after partial ones.
fn list(folder: &Path, timeline: u32) -> Result<Vec<(String, PathBuf)>> {
    let failed = |source| Error::Io { doing: "list the folder", path: folder.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (stem, packing) = Packing::of(&name);
        let ours = halves(&stem).is_some_and(|(of, ..)| of == timeline);
        // Followed when it is a link; anything but a file could block when opened.
        if ours && fs::metadata(entry.path()).is_ok_and(|data| data.is_file()) {
            found.push((stem, packing != Packing::Plain, entry.path()));
        }
    }
    // What need not be unpacked comes first.
    found.sort();
    Ok(found.into_iter().map(|(name, _, path)| (name, path)).collect())
}

/// How segments of this timeline are packed that cannot be read.
fn unreadable(folders: &[&Path], timeline: u32) -> Option<&'static str> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter_map(|name| {
            let (stem, ending) = foreign(&name)?;
            halves(stem).is_some_and(|(of, ..)| of == timeline).then_some(ending)
        })
        .next()
}
