//! Tables on a terminal.

/// Lays out rows under their headings, columns two spaces apart.
#[must_use]
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    grid(&headings, rows)
}

/// The same for as many columns as there are headings.
#[must_use]
pub fn grid<R: AsRef<[String]>>(headings: &[&str], rows: &[R]) -> String {
    let mut widths: Vec<_> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row.as_ref()) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.trim_end().to_owned() + "\n"
    };
    rows.iter().fold(line(&mut headings.iter().copied()), |text, row| {
        text + &line(&mut row.as_ref().iter().map(String::as_str))
    })
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a".to_owned(), "long cell".to_owned()], ["ü".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "X"], &rows), "NAME  X\na     long cell\nü\n");
    }
}
