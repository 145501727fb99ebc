//! RPO and RTO over all links, by tier and by store.

use super::page::{Page, Paint};
use super::recovery::bounds;
use crate::text::{counted, escape, pad, width};
use crate::{Achieved, AchievedIn, LostCount};
use std::io;

/// Sections that say more than their links do.
pub(super) fn write(page: &mut Page<'_>, achieved: &Achieved) -> io::Result<()> {
    page.line(0, &page.paint(Paint::Strong, "achieved:"))?;
    let several = |sections: &[AchievedIn]| sections.len() > 1;
    let mut lines = vec![("all links".to_owned(), &achieved.whole)];
    if several(&achieved.tiers) {
        lines.extend(achieved.tiers.iter().map(|one| (format!("tier {}", one.name), one)));
    }
    if several(&achieved.stores) {
        lines.extend(achieved.stores.iter().map(|one| (format!("store {}", escape(&one.name)), one)));
    }
    let names = lines.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    for (name, one) in &lines {
        section(page, &pad(name, names), one)?;
    }
    Ok(())
}

fn section(page: &mut Page<'_>, name: &str, one: &AchievedIn) -> io::Result<()> {
    let of = |worst: &Option<String>| worst.as_ref().map(|link| format!(" ({})", escape(link))).unwrap_or_default();
    let (rpo, rto) = (&one.rpo, &one.rto);
    let time = rto.seconds.map_or_else(|| "not known".to_owned(), |seconds| bounds(&seconds));
    let text = format!("RPO {}{}; RTO {time}{}", bounds(&rpo.seconds), of(&rpo.worst), of(&rto.worst));
    page.labelled(2, Paint::of(rpo.verdict), name, &text)?;
    let lost = [
        ("transaction", &rpo.transactions),
        ("row", &rpo.rows),
        ("record", &rpo.records),
        ("file", &rpo.files),
        ("byte", &rpo.bytes),
    ];
    let lost: Vec<String> =
        lost.into_iter().filter_map(|(what, count)| Some(count.as_ref()?).map(|one| told(what, *one))).collect();
    if !lost.is_empty() {
        page.wrapped(4, &format!("lost: {}", lost.join(", ")))?;
    }
    for why in [&rpo.why, &rto.why].into_iter().flatten() {
        page.wrapped(4, &format!("not known: {why}"))?;
    }
    Ok(())
}

fn told(what: &str, count: LostCount) -> String {
    match (count.exact, count.at_least) {
        (Some(exact), _) => counted(exact, what),
        (None, 0) => format!("{what}s not known"),
        (None, least) => format!("at least {}", counted(least, what)),
    }
}
