//! What the rows say. Each comes from the plan's seed, the table and the row's number alone.

use super::seed::Stream;
use super::{Plan, Row, Value};

/// 2026-01-05 09:00:00 UTC, a Monday.
const START_MICROS: i64 = 1_767_603_600_000_000;
const START_DAYS: i32 = 20_458;
const DAY_MICROS: i64 = 86_400_000_000;
/// Orders and entries come about this far apart.
const STEP_MICROS: i64 = 1_700_000;
/// Keys are sparse: a lost row is not a gap in a sequence.
const ORDER_KEY_FIRST: u64 = 10_000_001;
const ORDER_KEY_STEP: u64 = 3;
/// Beyond 2^53, where a double can no longer tell neighbours apart.
const SEQUENCE_FIRST: u64 = 9_007_199_254_740_993;
const ONE: i128 = 100_000_000;

const SYMBOLS: &[&str] =
    &["AAPL", "BTC-EUR", "EURUSD", "NESN.SW", "SIE.DE", "VOD.L", "7203.T", "XAU", "ÖBB-A", "BRK/B"];
const ACCOUNTS: &[&str] = &["Aarau", "Zürich", "zürich", "東京", "Łódź", "New York", "O'Neill", "São Paulo"];
const CURRENCIES: &[&str] = &["EUR", "USD", "CHF", "JPY", "GBP"];
const VENUES: &[&str] = &["XETR", "XSWX", "BATE", "dark pool", "OTC"];
/// Text that tools get wrong: empty, blanks at the ends, separators, quotes, line ends, two ways to write é.
const NOTES: &[&str] = &[
    "",
    " ",
    "trailing ",
    "NULL",
    "a|b",
    "comma, \"quote\" and 'apostrophe'",
    "two\nlines",
    "tab\there and back\\slash",
    "caf\u{e9}",
    "cafe\u{301}",
    "\u{1f680} to the moon",
    "\\N",
];
/// As PostgreSQL prints jsonb: keys by length, then by bytes, one blank after colon and comma.
const TAGS: &[&str] = &["[]", "[\"algo\"]", "[\"algo\", \"vip\"]", "null"];
/// Different texts that a collation may take for equal or in another order than their bytes.
const ENTRY_PREFIXES: &[&str] = &["LX", "lx", "L-X", "ÉX"];

const fn table_id(name: &[u8; 4]) -> u64 {
    u32::from_be_bytes(*name) as u64
}

pub(super) fn order(plan: &Plan, number: u64) -> Row {
    let s = &mut Stream::of_row(plan.seed, table_id(b"ordr"), number);
    let micros = moment(s, number);
    let quantity = quantity(s);
    let price = price(s);
    let market = s.once_in(5);
    vec![
        Value::Int(order_key(number)),
        Value::Uuid(uuid(s)),
        account(s),
        text(s.pick(SYMBOLS)),
        text(s.pick(&["buy", "sell"])),
        Value::Decimal(quantity),
        if market { Value::Null } else { Value::Decimal(price) },
        Value::Decimal(product_cents(quantity, price)),
        Value::Micros(micros),
        Value::Days(day_of(micros)),
        Value::Bool(!s.once_in(4)),
        note(s),
        attributes(s),
    ]
}

pub(super) fn fill(plan: &Plan, number: u64) -> Row {
    let s = &mut Stream::of_row(plan.seed, table_id(b"fill"), number);
    let of = s.below(plan.orders);
    vec![
        Value::Uuid(uuid(s)),
        Value::Int(order_key(of)),
        Value::Micros(moment(s, of) + 250_000),
        Value::Decimal(quantity(s)),
        Value::Decimal(price(s)),
        if s.once_in(8) { Value::Null } else { Value::Decimal(i128::from(s.below(50_000)) - 500) },
        text(s.pick(VENUES)),
        Value::Bool(s.once_in(2)),
        if s.once_in(3) { Value::Null } else { Value::Int(signed(s.below(7)) - 3) },
    ]
}

pub(super) fn position(plan: &Plan, number: u64) -> Row {
    let s = &mut Stream::of_row(plan.seed, table_id(b"posn"), number);
    // The key counts through symbols, then accounts, then days.
    let (symbols, accounts) = (SYMBOLS.len() as u64, ACCOUNTS.len() as u64 * 10);
    let days = i32::try_from(number / (symbols * accounts)).unwrap_or(i32::MAX);
    let updated = moment(s, number);
    vec![
        account_named((number / symbols) % accounts),
        text(at(SYMBOLS, number)),
        Value::Days(START_DAYS.saturating_add(days)),
        Value::Decimal(if s.once_in(3) { -quantity(s) } else { quantity(s) }),
        Value::Decimal(money(s)),
        if s.once_in(2) { Value::Null } else { Value::Micros(updated + 60_000_000) },
        Value::Micros(updated),
    ]
}

pub(super) fn entry(plan: &Plan, number: u64) -> Row {
    // Debit and credit are made from the same stream, so that they agree.
    let (pair, credit) = (number / 2, number % 2 == 1);
    let s = &mut Stream::of_row(plan.seed, table_id(b"ledg"), pair);
    let (amount, currency, posted) = (money(s), s.pick(CURRENCIES), moment(s, pair));
    let (from, to) = (account(s), account(s));
    let side = if credit { 'C' } else { 'D' };
    let memo = note(s);
    let proof = if s.once_in(4) { Value::Bytes(bytes(s)) } else { Value::Null };
    vec![
        Value::Text(format!("{}-{pair:08}-{side}", at(ENTRY_PREFIXES, pair))),
        if credit { to } else { from },
        text(currency),
        Value::Decimal(if credit { amount } else { -amount }),
        Value::Micros(posted),
        Value::Days(day_of(posted) + 2),
        Value::Bool(s.once_in(50)),
        memo,
        if credit { Value::Null } else { proof },
    ]
}

pub(super) fn quote(plan: &Plan, number: u64) -> Row {
    // Every tenth row is the one before it again.
    let number = if number % 10 == 9 { number - 1 } else { number };
    let s = &mut Stream::of_row(plan.seed, table_id(b"quot"), number);
    let bid = price(s);
    vec![
        text(s.pick(SYMBOLS)),
        Value::Micros(moment(s, number)),
        Value::Int(signed(SEQUENCE_FIRST + number)),
        Value::Decimal(bid),
        if s.once_in(10) { Value::Null } else { Value::Decimal(bid + i128::from(s.below(1_000_000))) },
    ]
}

fn order_key(number: u64) -> i64 {
    signed(ORDER_KEY_FIRST + ORDER_KEY_STEP * number)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn at(from: &'static [&'static str], number: u64) -> &'static str {
    from.iter().cycle().nth(usize::try_from(number % from.len() as u64).unwrap_or(0)).copied().unwrap_or_default()
}

fn account(s: &mut Stream) -> Value {
    let accounts = ACCOUNTS.len() as u64 * 10;
    account_named(s.below(accounts))
}

fn account_named(number: u64) -> Value {
    Value::Text(format!("{}-{}", at(ACCOUNTS, number), number / ACCOUNTS.len() as u64))
}

fn uuid(s: &mut Stream) -> [u8; 16] {
    let mut bytes = s.bytes16();
    // Version 4, RFC 9562 variant.
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    bytes
}

/// In scale 8: mostly up to 1,000 units, seldom near the column's limit of ten digits before the point.
fn quantity(s: &mut Stream) -> i128 {
    let most = if s.once_in(1_000) { 9_999_999_999 } else { 1_000 };
    1 + i128::from(s.below(most * 100_000_000))
}

/// In scale 8, with two digits in most cases and eight in some.
fn price(s: &mut Stream) -> i128 {
    let cents = 1 + i128::from(s.below(50_000_000));
    let rest = if s.once_in(3) { i128::from(s.below(1_000_000)) } else { 0 };
    cents * 1_000_000 + rest
}

/// In cents, positive: mostly small, seldom near 10^18.
fn money(s: &mut Stream) -> i128 {
    let most = if s.once_in(1_000) { 99_999_999_999_999_999 } else { 100_000_000 };
    1 + i128::from(s.below(most))
}

/// Quantity times price, rounded to cents. Huge quantities are cut, the column holds 18 digits before the point.
fn product_cents(quantity: i128, price: i128) -> i128 {
    let cents = quantity * price / (ONE * 1_000_000);
    cents.min(99_999_999_999_999_999_999)
}

/// About `number` steps after the start, with jitter in microseconds; days are opened as they come.
fn moment(s: &mut Stream, number: u64) -> i64 {
    START_MICROS + signed(number) * STEP_MICROS + signed(s.below(1_000_000))
}

fn day_of(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(START_DAYS)
}

fn note(s: &mut Stream) -> Value {
    match s.below(10) {
        0..4 => Value::Null,
        4..6 => text(s.pick(NOTES)),
        _ => Value::Text(format!("client asked for {} at {}", s.pick(VENUES), s.below(24))),
    }
}

fn attributes(s: &mut Stream) -> Value {
    let (tif, desk, tags) = (s.pick(&["GTC", "IOC", "DAY"]), s.below(40), s.pick(TAGS));
    Value::Text(format!("{{\"tif\": \"{tif}\", \"desk\": {desk}, \"tags\": {tags}, \"ratio\": 0.{}1}}", s.below(100)))
}

fn bytes(s: &mut Stream) -> Vec<u8> {
    let length = usize::try_from(s.below(48)).unwrap_or(0);
    std::iter::repeat_with(|| s.next().to_be_bytes()).flatten().take(length).collect()
}
