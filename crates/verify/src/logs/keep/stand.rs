//! Which partitions still have what was kept of them.

use super::super::request::Request;
use super::{KeptChain, Part};
use paritas_connect::logs::{Anchored, Isolation, still_there};

/// Decides it for all partitions. Those that do not stand have nothing kept any more, and say why.
pub(super) async fn decide(request: &Request<'_>, parts: &mut [Part]) {
    let mut asked: Vec<usize> = Vec::new();
    for (number, part) in parts.iter_mut().enumerate().filter(|(_, part)| part.log.problem.is_none()) {
        match part.kept.as_ref().map(|kept| judge(part, kept)) {
            None if part.why.is_none() => part.refuse("nothing was kept of it by a snapshot before"),
            None | Some(Judged::Stands) => {}
            Some(Judged::Ask) => asked.push(number),
            Some(Judged::Falls(why)) => part.refuse(why),
        }
    }
    let anchored = |part: &Part| Some((part.log.partition().clone(), part.kept.as_ref()?.led.anchor?));
    let wanted: Vec<Anchored> = asked.iter().filter_map(|number| parts.get(*number).and_then(anchored)).collect();
    if wanted.is_empty() {
        return;
    }
    let side = request.source;
    let there = still_there(&side.cx, &*side.logs, Isolation::Committed, &wanted).await;
    for (index, number) in asked.iter().enumerate() {
        let Some(part) = parts.get_mut(*number) else { continue };
        match &there {
            Ok(there) if there.get(index) == Some(&true) => part.log.came += 1,
            Ok(_) => part.refuse("another leader was elected, and the last record that was kept is not there any more"),
            Err(error) => part.refuse(format!("whether its last record is still there could not be asked: {error}")),
        }
    }
}

enum Judged {
    Stands,
    /// It stands where its last record is still there.
    Ask,
    Falls(String),
}

fn judge(part: &Part, kept: &KeptChain) -> Judged {
    let (log, chain) = (&part.log, &kept.chain);
    let falls = |why: &str| Judged::Falls(why.to_owned());
    if chain.terms != log.what.terms {
        return falls("it was kept with another digest key, another version, or other options");
    }
    if kept.read_at.len() != chain.len() {
        return falls("when it was read is not known");
    }
    if chain.next > log.stable {
        return falls("it ends before the place where it ended");
    }
    if chain.from > log.start {
        return falls("it begins before the place where it began");
    }
    match (kept.led.epoch, part.epoch) {
        (Some(then), Some(now)) if then == now => Judged::Stands,
        _ if kept.led.anchor.is_some() => Judged::Ask,
        (Some(_), Some(_)) => falls("another leader was elected, and nothing proves that it has everything"),
        _ => falls("which leader it has had is not known"),
    }
}
