//! A table for a terminal: columns as wide as their widest cell.

use std::fmt;

use bzzz_actors::task::printable;

pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned)] }
    }

    /// Cells may be anybody's words: line breaks and terminal escapes are removed.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| printable(&cell).replace(['\n', '\t'], " ")));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width_of =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width_of);
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_cells_stay_on_their_line() {
        let mut table = Table::new(["task", "state"]);
        table.row(["a/b#1".into(), "done\n\x1b[2J!".into()]);
        table.row(["longer/name#22".into(), "x".into()]);
        assert_eq!(table.to_string(), "task            state\na/b#1           done !\nlonger/name#22  x\n");
    }
}
