//! CSV files one by one, so that those that did not change need not be read.

use super::CsvScan;
use crate::drive::drive;
use crate::source::part;
use async_trait::async_trait;
use paritas_connect::{BlockSink, Context, Error, FailureKind, Filed, FiledPart, Result, SplitDone, Terms};
use paritas_model::Known;
use std::sync::Arc;

#[async_trait]
impl Filed for CsvScan {
    fn files(&self) -> Vec<FiledPart> {
        let rows = || Known::unknown("CSV files do not say how many rows they have");
        self.headers.iter().map(|header| part(&header.file, rows(), 1)).collect()
    }

    fn terms(&self) -> Terms {
        vec![
            ("location".to_owned(), self.shown.clone()),
            ("kind of files".to_owned(), "CSV".to_owned()),
            ("options of the files".to_owned(), format!("{:?}", self.reading.options)),
        ]
    }

    async fn read_piece(&self, cx: &Context, place: (usize, usize), sink: &mut dyn BlockSink) -> Result<SplitDone> {
        let header = self.headers.get(place.0).filter(|_| place.1 == 0).cloned().ok_or_else(|| {
            let message = format!("there is no piece {} of file {}", place.1, place.0);
            Error::new(FailureKind::Permanent, "internal.split", message)
        })?;
        let (reading, work_cx) = (Arc::clone(&self.reading), cx.clone());
        drive(cx, sink, move |runtime, emit| reading.read(&work_cx, &header, runtime, emit)).await
    }
}
