//! The tables of most cells. Their texts are written as a report shows them.

use crate::data::{NULL, Table};

/// Trades with an integer key and most types.
pub fn fills() -> Table {
    Table::new(
        "id int64!, account text, amount decimal(20,2), price decimal(18,8), placed timestamptz, day date, \
         active bool, note text",
        &[
            &["1", "Zürich-0", "10.00", "1.50000000", "2026-01-05T09:00:00.000001Z", "2026-01-05", "true", "a"],
            &["2", "東京-1", "-0.01", "0.00000001", "2026-01-05T09:00:01.5Z", "2026-01-05", "false", NULL],
            &["3", "O'Neill", "1234567890.12", "99.99000000", "2026-03-29T00:59:59Z", "2026-03-29", "true", ""],
            &["5", "A|B", "0.00", "12.34567891", "2026-03-29T01:00:00Z", "2026-03-29", "true", "two\nlines"],
            &["7", "a, \"b\"", "5.05", "2.00000000", "1999-12-31T23:59:59.999999Z", "1999-12-31", "false", " x "],
            &[
                "9007199254740993",
                "New York",
                "7.70",
                "3.30000000",
                "2026-10-25T01:30:00Z",
                "2026-10-25",
                "true",
                "NULL",
            ],
            &["-4", "Łódź", "8.80", "4.40000000", "2024-02-29T12:00:00Z", "2024-02-29", "false", "\\N"],
        ],
    )
}

/// Positions with a key of three columns.
pub fn positions() -> Table {
    Table::new(
        "account text!, symbol text!, day date!, quantity decimal(18,8), updated timestamp",
        &[
            &["a|b", "c", "2026-01-05", "1.00000000", "2026-01-05T17:00:00"],
            &["a", "b|c", "2026-01-05", "2.00000000", "2026-01-05T17:00:00.25"],
            &["ab", "c", "2026-01-05", "3.00000000", "2026-01-05T17:00:01"],
            &["ab", "c", "2026-01-06", "-3.50000000", "2026-01-06T17:00:01"],
            &["Zürich", "BTC-EUR", "2026-01-06", "0.00000001", NULL],
        ],
    )
}

/// Quotes without a key, some of them more than once.
pub fn quotes() -> Table {
    Table::new(
        "symbol text, bid decimal(18,8), sequence int64",
        &[
            &["XAU", "7.00000000", "1"],
            &["XAU", "7.00000000", "1"],
            &["XAU", "1.00000000", "2"],
            &["VOD", "9.00000000", "3"],
            &["VOD", "9.00000000", "3"],
            &["VOD", NULL, "4"],
        ],
    )
}

/// Orders with a UUID key.
pub fn orders() -> Table {
    Table::new(
        "id uuid!, side text, quantity int32",
        &[
            &["00112233-4455-6677-8899-aabbccddeeff", "buy", "10"],
            &["00112233-4455-6677-8899-aabbccddeefe", "sell", "20"],
            &["ffffffff-0000-4000-8000-000000000001", "buy", "30"],
        ],
    )
}

/// Any number of rows that are all alike except for their numbers.
pub fn many(rows: usize) -> Table {
    let mut table = Table::new("id int64!, amount decimal(12,2), note text", &[]);
    for id in 0..rows {
        table.push(&[&id.to_string(), &format!("{id}.25"), &format!("note {id}")]);
    }
    table
}
