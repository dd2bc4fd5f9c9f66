//! Lists for people: columns of text, and times.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Rows under a head, in columns as wide as their widest cell. Ends with a line break.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&head.map(str::to_owned)).chain(rows) {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Unix seconds as RFC 3339 in UTC; the bare number if it is no date of the years 0 to 9999.
pub fn date(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| seconds.to_string())
}

/// Texts in one cell; `-` for none.
pub fn cell(texts: &[String]) -> String {
    if texts.is_empty() { "-".to_owned() } else { texts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["zoë".to_owned(), "1".to_owned()], ["alexander".to_owned(), "22".to_owned()]];
        assert_eq!(table(["NAME", "N"], &rows), "NAME       N\nzoë        1\nalexander  22\n");
        assert_eq!(table(["NAME", "N"], &[]), "NAME  N\n");
    }

    #[test]
    fn times_are_dates_where_there_is_one() {
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(1_763_769_600), "2025-11-22T00:00:00Z");
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
        assert_eq!(date(i64::MIN), i64::MIN.to_string());
    }
}
