//! Whether a standby receives a log, and whether commits of a primary wait for standbys that are not there.
//!
//! `sync_state` is `sync` or `quorum` only for those that are connected, stream, and are waited for. Source:
//! `pg_stat_get_wal_senders` in `walsender.c`, `SyncRepGetCandidateStandbys` and the grammar in `syncrep_gram.y`.

use crate::errors::malformed;
use crate::lineage::{rows, text};
use crate::quote;
use crate::session::Session;
use paritas_connect::{Context, Result, Synchrony};
use paritas_model::Known;

/// Seconds after which a commit that waits for a standby is not merely on its way.
const STUCK_SECONDS: u32 = 5;

/// Whether this server streams, and what its commits wait for.
pub(crate) async fn following(
    session: &Session,
    cx: &Context,
    in_recovery: bool,
) -> Result<(Known<bool>, Known<Synchrony>)> {
    // Without the privilege the receiver shows its process and nothing else, and senders no state.
    let sql = format!(
        "SELECT pg_has_role('pg_read_all_stats', 'USAGE'), \
                 EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL), \
                 EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming'), \
                 current_setting('synchronous_standby_names'), \
                 (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))::text, \
                 (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep')::text, \
                 (SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit') NOT IN ('off', 'local'), \
                 (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' \
                   AND query_start < clock_timestamp() - interval '{STUCK_SECONDS} s')::text"
    );
    let found = rows(session, cx, "look for replication", &sql).await?;
    let row = found.first().ok_or_else(|| malformed("no row where one must be"))?;
    let yes = |column| Ok::<_, paritas_connect::Error>(text(row, column)? == Some("t"));
    let count = |column| {
        let number = text(row, column)?.and_then(|text| text.parse::<u64>().ok());
        number.ok_or_else(|| malformed("no number where one must be"))
    };
    let (may_look, user) = (yes(0)?, quote::ident(&session.facts.user));
    let hidden = |what: &str| format!("{what} may not be seen: GRANT pg_monitor TO {user}");
    let streams = match (yes(1)?, may_look) {
        _ if !in_recovery => Known::unknown("it is no standby"),
        (false, _) => Known::Known(false),
        (true, true) => Known::Known(yes(2)?),
        (true, false) => Known::unknown(hidden("whether it streams")),
    };
    let names = text(row, 3)?.unwrap_or_default().trim().to_owned();
    let needed = if names.is_empty() { 0 } else { needed(&names) };
    let (connected, waiting, by_default, stuck) = (count(4)?, count(5)?, yes(6)?, count(7)?);
    let synchrony = Synchrony { names, needed, connected, waiting, stuck, by_default };
    let synchrony = if may_look || synchrony.names.is_empty() {
        Known::Known(synchrony)
    } else {
        Known::unknown(hidden("whether commits wait for a synchronous standby"))
    };
    Ok((streams, synchrony))
}

/// How many standbys a setting waits for: `FIRST 2 (a, b)`, `ANY 2 (a, b)`, `2 (a, b)`, and one of a plain list.
fn needed(names: &str) -> u64 {
    let Some((head, _)) = names.split_once('(') else { return 1 };
    let words: Vec<&str> = head.split_whitespace().collect();
    let number = match words.as_slice() {
        [number] => number,
        [kind, number] if kind.eq_ignore_ascii_case("first") || kind.eq_ignore_ascii_case("any") => number,
        // `FIRST2(a)` is allowed too: what follows the letters.
        _ => head,
    };
    let digits = number.trim().trim_start_matches(|c: char| c.is_ascii_alphabetic());
    digits.parse().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("*", 1)]
    #[case("a, b", 1)]
    #[case("FIRST 2 (a, b)", 2)]
    #[case("any 3(a, b, c)", 3)]
    #[case("2 (a, b)", 2)]
    #[case("2(*)", 2)]
    #[case("\"a (1)\", b", 1)]
    fn a_setting_says_how_many_standbys_confirm(#[case] names: &str, #[case] expected: u64) {
        assert_eq!(needed(names), expected);
    }
}
