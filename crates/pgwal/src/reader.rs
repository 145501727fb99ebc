//! From pages to records. Source: `XLogDecodeNextRecord` and `XLogFindNextRecord` in `xlogreader.c`.

use std::path::Path;

use paritas_model::Lsn;

use crate::Result;
use crate::end::{End, Why};
use crate::folder::{Folder, Stop};
use crate::page::{LONG_HEADER, PageHeader, Version};
use crate::record::{Announced, Body, HEADER, Header, Record, length_is_possible};
use crate::segment::SegmentSize;

/// Pages looked back at for the beginning of a record: the longest record, in the usual pages.
const BACK_PAGES_MAX: usize = 1 << 17;
const ALIGN: u64 = 8;

const MANAGER_XLOG: u8 = 0;
const INFO_KIND: u8 = 0xF0;
const CHECKPOINT_SHUTDOWN: u8 = 0x00;
const SWITCH: u8 = 0x40;
const OVERWRITE_CONTRECORD: u8 = 0xD0;

/// How the position that was asked for lies in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// No record was read yet.
    Unread,
    /// A record ends or begins there.
    Boundary,
    /// It lies inside the first record that is handed out.
    Inside(Lsn),
    /// The record before it, or the one it lies in, cannot be read; that one is not handed out.
    Lost,
}

/// The records of one timeline, from a position to the end.
///
/// Hands out every record that *ends* after that position, so the first one may begin before it. When there are no
/// more, [`Reader::end`] says why.
#[derive(Debug)]
pub struct Reader {
    folder: Folder,
    start: u64,
    started: Start,
    /// Where the next record is.
    next: u64,
    /// Where the last record began.
    before: Option<u64>,
    /// Where a record began that was given up: the next one must say so.
    overwritten: Option<u64>,
    timeline: u32,
    shutdown: bool,
    buffer: Vec<u8>,
    end: Option<End>,
}

/// What comes next in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A record.
    Record(Record),
    /// Nothing more.
    End(End),
}

enum Step {
    /// A record, and where the next one is.
    Record(Record, u64),
    /// The record was never finished: this page begins with what replaces it.
    Overwritten { record: u64, page: u64 },
}

type Reading<T> = std::result::Result<T, Stop>;

impl Reader {
    /// Opens the segments of `timeline` in `folder`, which is a `pg_wal` or an archive, and looks for `start`.
    ///
    /// # Errors
    /// When the folder cannot be read, has no segment of that timeline, or none of a known version.
    pub fn open(folder: &Path, timeline: u32, start: Lsn) -> Result<Self> {
        Self::open_all(&[folder], timeline, start)
    }

    /// As [`Reader::open`], of several folders that hold one log between them: a `pg_wal` first, then archives of it.
    ///
    /// # Errors
    /// As [`Reader::open`]; also when one of the folders cannot be read.
    pub fn open_all(folders: &[&Path], timeline: u32, start: Lsn) -> Result<Self> {
        let folder = Folder::open(folders, timeline)?;
        let start = start.0;
        let mut reader = Self {
            folder,
            start,
            started: Start::Unread,
            next: start,
            before: None,
            overwritten: None,
            timeline: 0,
            shutdown: false,
            buffer: Vec::new(),
            end: None,
        };
        match reader.synchronise() {
            Ok(()) => Ok(reader),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::At(at, why)) => {
                // Without any record before the position, even an end that looks natural proves nothing.
                reader.started = Start::Lost;
                reader.finish(at, why)?;
                Ok(reader)
            }
        }
    }

    /// The version of the server that wrote the log.
    pub fn version(&self) -> Version {
        self.folder.layout().version
    }

    /// The identifier of the cluster, the same on all its standbys.
    pub fn system_identifier(&self) -> u64 {
        self.folder.layout().system_identifier
    }

    /// The size of its segments.
    pub fn segment_size(&self) -> SegmentSize {
        self.folder.layout().segment
    }

    /// How the position that was asked for lies in the log.
    pub fn start(&self) -> Start {
        self.started
    }

    /// Where and why the log ends, once the last record was handed out.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The next record, or the end, again and again.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn step(&mut self) -> Result<Next> {
        // Every turn moves on by a record or a page.
        loop {
            if let Some(end) = &self.end {
                return Ok(Next::End(end.clone()));
            }
            match self.record_at(self.next) {
                Ok(Step::Record(record, next)) => {
                    self.shutdown = record.manager == MANAGER_XLOG && record.info & INFO_KIND == CHECKPOINT_SHUTDOWN;
                    self.before = Some(record.lsn.0);
                    self.next = next;
                    if record.end.0 > self.start {
                        self.note_start(&record);
                        return Ok(Next::Record(record));
                    }
                }
                Ok(Step::Overwritten { record, page }) => {
                    self.next = page;
                    self.overwritten = Some(record);
                }
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::At(at, why)) => self.finish(at, why)?,
            }
        }
    }

    fn note_start(&mut self, first: &Record) {
        if self.started == Start::Unread {
            self.started = if first.lsn.0 < self.start { Start::Inside(first.lsn) } else { Start::Boundary };
        }
    }

    fn finish(&mut self, at: u64, why: Why) -> Result<()> {
        let beyond = self.folder.beyond(at)?.map(Lsn);
        // Records begin behind the page's header, so its end is the same position as its beginning.
        let head =
            self.next == self.folder.page_of(self.start) && self.start % self.folder.page_bytes() <= LONG_HEADER as u64;
        if self.started == Start::Unread && (self.next >= self.start || head) {
            self.started = Start::Boundary;
        }
        let partial = self.folder.is_partial(at) || self.folder.is_partial(self.next);
        let last = self.before.map(Lsn);
        let first = self.folder.ends_in_first(self.next, at);
        let (lsn, at, shutdown) = (Lsn(self.next), Lsn(at), self.shutdown);
        self.end = Some(End { lsn, at, why, beyond, shutdown, last, partial, first });
        Ok(())
    }

    /// Finds a record that begins at or before the start, else the first one after it.
    fn synchronise(&mut self) -> Reading<()> {
        let page_bytes = self.folder.page_bytes();
        let here = self.folder.page_of(self.start);
        let at_head = self.start - here <= LONG_HEADER as u64;
        let segment = self.segment_size().bytes();
        let at_segment = at_head && here.is_multiple_of(segment);
        // At the head of a page, the record before it ends on the page before.
        let mut page = if at_head { here.saturating_sub(page_bytes) } else { here };
        for _ in 0..BACK_PAGES_MAX {
            match self.first_record(page) {
                Ok(Some(first)) if first <= self.start => {
                    self.next = first;
                    return Ok(());
                }
                Ok(_) if page > 0 => page = page.saturating_sub(page_bytes),
                // Up to the end of a segment there are zeros after a switch, whose record stands before them.
                Err(Stop::At(_, Why::NeverWritten)) if at_segment && !page.is_multiple_of(segment) => {
                    page = page.saturating_sub(page_bytes);
                }
                Err(Stop::Failed(error)) => return Err(Stop::Failed(error)),
                Ok(_) | Err(Stop::At(..)) => break,
            }
        }
        let mut page = here;
        loop {
            match self.first_record(page)? {
                Some(first) => {
                    self.next = first;
                    // At the head of a page that continues nothing, nothing is lost.
                    if page != here || !at_head || first - here > LONG_HEADER as u64 {
                        self.started = Start::Lost;
                    }
                    return Ok(());
                }
                None => page = page.saturating_add(page_bytes),
            }
        }
    }

    /// Where the first record that begins on this page is; `None` when the page is full of one that began before.
    fn first_record(&mut self, page: u64) -> Reading<Option<u64>> {
        let page_bytes = self.folder.page_bytes();
        let (header, _) = self.folder.page(page)?;
        let continued = if header.continues() { u64::from(header.remaining) } else { 0 };
        let first = (header.bytes() as u64).saturating_add(continued).next_multiple_of(ALIGN);
        Ok((first < page_bytes).then(|| page.saturating_add(first)))
    }

    fn record_at(&mut self, next: u64) -> Reading<Step> {
        let page_at = self.folder.page_of(next);
        if next == page_at {
            self.recycled_indeed(page_at, |header, body, before| {
                !header.continues() && before.is_some_and(|before| body.prev == before)
            })?;
        }
        let (page_header, page) = self.folder.page(page_at)?;
        let bad = |what| Stop::At(next, Why::BadRecord { what });
        let offset = if next == page_at { page_header.bytes() as u64 } else { next - page_at };
        let at = page_at + offset;
        if next == page_at && page_header.continues() {
            return Err(bad("the page continues a record that did not begin"));
        }
        let rest = usize::try_from(offset).ok().and_then(|offset| page.get(offset..)).unwrap_or_default();
        let Some(&length) = rest.first_chunk::<4>() else { return Err(bad("it begins outside of the page")) };
        let length = u32::from_le_bytes(length);
        if length == 0 {
            let zeros = rest.iter().all(|byte| *byte == 0);
            return Err(Stop::At(next, if zeros { Why::NeverWritten } else { Why::ZerosBeforeBytes }));
        }
        length_is_possible(length).map_err(bad)?;
        let wanted = usize::try_from(length).map_err(|_| bad("its length is impossible"))?;
        self.buffer.clear();
        self.buffer.extend_from_slice(rest.get(..wanted).unwrap_or(rest));
        self.in_order(page_header.timeline, page_at)?;
        let mut end = at.saturating_add(self.buffer.len() as u64);
        let mut header = self.header(at, next)?;
        let mut last_page = page_at;
        // Every turn takes one more page, and no page is asked for that the record does not need.
        while self.buffer.len() < wanted {
            last_page = last_page.saturating_add(self.folder.page_bytes());
            match self.continuation(next, last_page, wanted)? {
                Some(reached) => end = reached,
                None => return Ok(Step::Overwritten { record: at, page: last_page }),
            }
            if header.is_none() {
                header = self.header(at, next)?;
            }
        }
        let header = header.ok_or_else(|| bad("its header is not whole"))?;
        self.decode(header, at, end, next)
    }

    /// The header once it is there in full, checked.
    fn header(&self, at: u64, next: u64) -> Reading<Option<Header>> {
        let Some(header) = Header::parse(&self.buffer) else { return Ok(None) };
        let checked = header.check(at, self.before, self.version());
        checked.map_err(|what| Stop::At(next, Why::BadRecord { what }))?;
        Ok(Some(header))
    }

    /// Adds what the page holds of the record, and says where that ends; `None` when the record was given up.
    fn continuation(&mut self, next: u64, page_at: u64, wanted: usize) -> Reading<Option<u64>> {
        let left = wanted.saturating_sub(self.buffer.len());
        self.recycled_indeed(page_at, |header, _, _| usize::try_from(header.remaining) == Ok(left))?;
        if let Err(stop @ Stop::At(..)) = self.folder.page(page_at).map(|_| ()) {
            let what = "its length is not that of its parts";
            let damaged = self.contradicts_itself(wanted);
            return Err(if damaged { Stop::At(next, Why::BadRecord { what }) } else { stop });
        }
        let (header, page) = self.folder.page(page_at)?;
        let bad = |what| Stop::At(page_at, Why::BadPage { what });
        if header.overwrites() && !header.continues() {
            return Ok(None);
        }
        if !header.continues() {
            return Err(bad("it does not continue the record that began before it"));
        }
        if usize::try_from(header.remaining) != Ok(left) {
            return Err(bad("it continues a record of another length"));
        }
        let rest = page.get(header.bytes()..).unwrap_or_default();
        let taken = rest.get(..left).unwrap_or(rest);
        self.buffer.extend_from_slice(taken);
        let end = page_at.saturating_add((header.bytes() + taken.len()) as u64);
        self.in_order(header.timeline, page_at)?;
        Ok(Some(end))
    }

    /// Whether the parts that a record announces, as far as it was read, add up to another length.
    ///
    /// A record that breaks off is the end of the log, so its length must be trusted before its checksum can be.
    fn contradicts_itself(&self, wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.buffer.len());
        let body = self.buffer.get(HEADER..).unwrap_or_default();
        Body::announced(body, missing, self.folder.layout().version) == Announced::Another
    }

    /// Refuses a page that only its header makes look like one of an older stretch: page headers have no checksum.
    fn recycled_indeed(&mut self, page_at: u64, ours: impl Fn(PageHeader, Header, Option<u64>) -> bool) -> Reading<()> {
        match self.folder.page(page_at) {
            Err(Stop::At(at, Why::Recycled { .. })) => {
                let before = self.before;
                let page = self.folder.buffered_page(page_at).unwrap_or_default();
                let header = PageHeader::parse(page);
                let body = header.and_then(|header| Header::parse(page.get(header.bytes()..)?));
                match (header, body) {
                    (Some(header), Some(body)) if ours(header, body, before) => {
                        Err(Stop::At(at, Why::BadPage { what: "its position is wrong, what it holds goes on" }))
                    }
                    _ => Ok(()),
                }
            }
            // Said again by whoever needs the page.
            _ => Ok(()),
        }
    }

    /// Timelines grow along the log.
    fn in_order(&mut self, timeline: u32, page_at: u64) -> Reading<()> {
        if timeline < self.timeline {
            return Err(Stop::At(page_at, Why::BadPage { what: "it is of an older timeline than the page before" }));
        }
        self.timeline = timeline;
        Ok(())
    }

    fn decode(&mut self, header: Header, at: u64, end: u64, next: u64) -> Reading<Step> {
        if !header.sum_fits(&self.buffer) {
            return Err(Stop::At(next, Why::Checksum));
        }
        let body = self.buffer.get(HEADER..).and_then(|body| Body::parse(body, self.version()));
        let Some(Body { origin, toplevel_xid, blocks, data }) = body else {
            return Err(Stop::At(next, Why::BadRecord { what: "its parts do not add up" }));
        };
        let kind = (header.manager == MANAGER_XLOG).then_some(header.info & INFO_KIND);
        if let Some(broken) = self.overwritten.take() {
            let said = data.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
            if kind != Some(OVERWRITE_CONTRECORD) || said != Some(broken) {
                let what = "it does not say which unfinished record it replaces";
                return Err(Stop::At(next, Why::BadRecord { what }));
            }
        }
        let end = end.saturating_add(ALIGN - 1) / ALIGN * ALIGN;
        // After a switch the rest of the segment stays empty.
        let segment = self.segment_size().bytes();
        let after = if kind == Some(SWITCH) { end.checked_next_multiple_of(segment).unwrap_or(end) } else { end };
        let record = Record {
            lsn: Lsn(at),
            end: Lsn(end),
            prev: Lsn(header.prev),
            xid: header.xid,
            bytes: header.length,
            manager: header.manager,
            info: header.info,
            origin,
            toplevel_xid,
            blocks,
            data,
        };
        Ok(Step::Record(record, after))
    }
}

impl Iterator for Reader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.step() {
            Ok(Next::Record(record)) => Some(Ok(record)),
            Ok(Next::End(_)) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
