//! The statements. Columns that only some versions have are read through JSON, or left out by version.
//!
//! The functions behind the statistics views are called themselves where that is the same: a new session
//! would spend most of its time on expanding views.

use super::seen::Settings;

/// The first versions of `pg_subscription.subdisableonerr` and `pg_stat_subscription_stats`.
const SUBSCRIPTION_ERRORS: i32 = 150_000;

/// Settings whose text may hold a secret: only whether they are set is read.
const SET_OR_NOT: &str = "'primary_conninfo', 'restore_command'";

/// Privileges and settings, in one document.
pub(super) fn settings() -> String {
    format!(
        "SELECT jsonb_build_object(\
           'version', current_setting('server_version_num')::int4, \
           'control', has_function_privilege('pg_control_system()', 'EXECUTE') \
             AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE') \
             AND has_function_privilege('pg_control_recovery()', 'EXECUTE'), \
           'stats', pg_has_role('pg_read_all_stats', 'USAGE'), \
           'origin', has_table_privilege('pg_replication_origin_status', 'SELECT') \
             AND has_function_privilege('pg_show_replication_origin_status()', 'EXECUTE'), \
           'page', current_setting('wal_block_size')::int8, \
           'segment', pg_size_bytes(current_setting('wal_segment_size')), \
           'database', current_database(), \
           'files', has_function_privilege('pg_ls_waldir()', 'EXECUTE'), \
           'values', (SELECT jsonb_object_agg(name, CASE WHEN name IN ({SET_OR_NOT}) THEN (setting <> '')::text \
               ELSE setting || coalesce(unit, '') END) \
             FROM pg_show_all_settings() WHERE name IN ({SET_OR_NOT}, 'primary_slot_name', 'recovery_min_apply_delay', \
               'max_standby_streaming_delay', 'hot_standby_feedback')))::text"
    )
}

/// Name without timeline of the oldest file of the log; only for who may list them.
pub(super) const OLDEST: &str = "SELECT coalesce((SELECT min(substr(name, 9)) FROM pg_ls_waldir() \
     WHERE name ~ '^[0-9A-F]{24}$'), '')";

/// One sample. Nothing is evaluated that the server's present role forbids.
pub(super) fn sample(settings: &Settings) -> String {
    let system = if settings.control { "(SELECT system_identifier::text FROM pg_control_system())" } else { "NULL" };
    let replayed = if settings.control {
        "(SELECT greatest(timeline_id, r.min_recovery_end_timeline) FROM pg_control_checkpoint(), \
           pg_control_recovery() AS r)"
    } else {
        "NULL"
    };
    let subscriptions = subscriptions(settings);
    format!(
        "SELECT (jsonb_build_object(\
           'recovery', pg_is_in_recovery(), \
           'clock', extract(epoch FROM clock_timestamp())::float8, \
           'started', extract(epoch FROM pg_postmaster_start_time())::text, \
           'system', {system}, \
           'timeline', CASE WHEN pg_is_in_recovery() \
             THEN coalesce((SELECT received_tli FROM pg_stat_get_wal_receiver() WHERE pid IS NOT NULL), {replayed})::int8 \
             ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int8 END, \
           'flush', CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END, \
           'insert', CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn() END, \
           'delay', extract(epoch FROM current_setting('wal_writer_delay')::interval)::float8, \
           'replay', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END, \
           'receive', CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END) || \
         jsonb_build_object({STANDBY}, {SOURCE}, 'subscriptions', {subscriptions}))::text"
    )
}

/// Evaluated on standbys only; on others all of it is null.
const STANDBY: &str = "\
    'replayed_age', CASE WHEN pg_is_in_recovery() \
      THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END, \
    'pause', CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() END, \
    'receiver', (SELECT jsonb_build_object('status', w.status, 'slot_name', w.slot_name, \
        'sender_host', w.sender_host, 'sender_port', w.sender_port, \
        'age', extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time)::float8) FROM pg_stat_get_wal_receiver() w \
        WHERE w.pid IS NOT NULL), \
    'startup', CASE WHEN pg_is_in_recovery() THEN (SELECT jsonb_build_object('kind', wait_event_type, \
        'event', wait_event) FROM pg_stat_get_activity(NULL) WHERE backend_type = 'startup' LIMIT 1) END, \
    'oldest', CASE WHEN pg_is_in_recovery() THEN (SELECT jsonb_build_object('pid', pid, \
        'age', extract(epoch FROM clock_timestamp() - xact_start)::float8) FROM pg_stat_get_activity(NULL) \
        WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1) END, \
    'conflicts', CASE WHEN pg_is_in_recovery() THEN (SELECT sum(confl_tablespace + confl_lock + confl_snapshot \
        + confl_bufferpin + confl_deadlock) FROM pg_stat_database_conflicts)::int8 END";

/// Who reads from this server.
const SOURCE: &str = "\
    'senders', coalesce((SELECT jsonb_agg(jsonb_build_object('pid', r.pid, 'application_name', r.application_name, \
        'state', r.state, 'sync_state', r.sync_state, 'sent_lsn', r.sent_lsn, 'replay_lsn', r.replay_lsn, \
        'replay_lag', extract(epoch FROM r.replay_lag)::float8)) FROM pg_stat_replication r), '[]'), \
    'slots', coalesce((SELECT jsonb_agg(to_jsonb(s)) FROM pg_replication_slots s), '[]'), \
    'archiver', CASE WHEN NOT pg_is_in_recovery() AND current_setting('archive_mode') <> 'off' THEN \
      (SELECT jsonb_build_object('mode', current_setting('archive_mode'), 'archived_count', a.archived_count, \
        'failed_count', a.failed_count, \
        'age', extract(epoch FROM clock_timestamp() - a.last_archived_time)::float8, \
        'failing', a.last_failed_time > coalesce(a.last_archived_time, '-infinity')) FROM pg_stat_archiver a) END";

/// The subscriptions of this database, each with its apply worker. `pg_subscription` has columns that
/// nobody but a superuser may read, so its rows are never taken whole.
fn subscriptions(settings: &Settings) -> String {
    let (disable, apply, sync) = if settings.version >= SUBSCRIPTION_ERRORS {
        (
            "s.subdisableonerr",
            "(SELECT e.apply_error_count FROM pg_stat_get_subscription_stats(s.oid) e)",
            "(SELECT e.sync_error_count FROM pg_stat_get_subscription_stats(s.oid) e)",
        )
    } else {
        ("false", "NULL", "NULL")
    };
    let origin = if settings.origin {
        "(SELECT o.remote_lsn FROM pg_replication_origin_status o WHERE o.external_id = 'pg_' || s.oid)"
    } else {
        "NULL"
    };
    format!(
        "coalesce((SELECT jsonb_agg(jsonb_build_object('name', s.subname, 'enabled', s.subenabled, \
           'slot', s.subslotname, 'disable_on_error', {disable}, 'pid', w.pid, 'received', w.received_lsn, \
           'applied', w.latest_end_lsn, \
           'age', CASE WHEN isfinite(w.last_msg_receipt_time) \
             THEN extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time)::float8 END, \
           'wait', (SELECT jsonb_build_object('kind', a.wait_event_type, 'event', a.wait_event) \
             FROM pg_stat_get_activity(w.pid) a WHERE a.pid = w.pid), \
           'blocked_by', pg_blocking_pids(w.pid), 'origin', {origin}, \
           'tables', (SELECT jsonb_object_agg(state, n) FROM (SELECT r.srsubstate::text AS state, count(*) AS n \
             FROM pg_subscription_rel r WHERE r.srsubid = s.oid GROUP BY 1) counted), \
           'sync_workers', (SELECT count(*) FROM pg_stat_get_subscription(s.oid) x \
             WHERE x.relid IS NOT NULL AND to_jsonb(x)->>'leader_pid' IS NULL), \
           'apply_errors', {apply}, 'sync_errors', {sync}) ORDER BY s.subname) \
         FROM pg_subscription s LEFT JOIN LATERAL (SELECT * FROM pg_stat_get_subscription(s.oid) g \
           WHERE g.relid IS NULL AND to_jsonb(g)->>'leader_pid' IS NULL LIMIT 1) w ON true \
         WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())), '[]')"
    )
}
