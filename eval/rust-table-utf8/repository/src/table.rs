//! The widths of the columns, and the text of the table.

use crate::cell;

pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads one row from each line. What is longer than `max` characters is cut; 0 is no limit.
    pub fn read(text: &str, max: usize) -> Self {
        let rows = text
            .lines()
            .map(|line| line.split('\t').map(|value| cell::cut(value.trim(), max)).collect())
            .collect();
        Self { rows }
    }

    /// The table with a line under its first row. Empty when there is no row.
    pub fn print(&self) -> String {
        let widths = self.widths();
        let right: Vec<bool> = (0..widths.len()).map(|column| self.is_right(column)).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text += &line(row, &widths, &right);
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                text += &line(&rule, &widths, &right);
            }
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.rows {
            for (column, value) in row.iter().enumerate() {
                if column == widths.len() {
                    widths.push(0);
                }
                widths[column] = widths[column].max(cell::width(value));
            }
        }
        widths
    }

    /// Whether every value under the column's name is a number. A row may be too short to have one.
    fn is_right(&self, column: usize) -> bool {
        let mut values = self.rows.iter().skip(1).filter_map(|row| row.get(column)).peekable();
        values.peek().is_some() && values.all(|value| cell::is_number(value))
    }
}

fn line(row: &[String], widths: &[usize], right: &[bool]) -> String {
    let cells: Vec<String> = row
        .iter()
        .enumerate()
        .map(|(column, value)| cell::pad(value, widths[column], right[column]))
        .collect();
    format!("{}\n", cells.join(" ").trim_end())
}
