//! `Grid`: a small table of text, for Markdown or a terminal.

/// Rows of cells below a heading; the first column is left-aligned text, the others are right-aligned numbers.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// An empty table with these headings.
    pub fn new(heading: Vec<String>) -> Self {
        Self { heading, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self, escape: fn(&str) -> String) -> Vec<usize> {
        let width = |column: usize| {
            let cells = std::iter::once(&self.heading).chain(&self.rows).filter_map(|row| row.get(column));
            cells.map(|cell| escape(cell).chars().count()).max().unwrap_or(0).max(3)
        };
        (0..self.heading.len()).map(width).collect()
    }

    /// A Markdown table whose source is aligned.
    pub fn markdown(&self) -> String {
        let escape = |cell: &str| cell.replace('|', "\\|");
        let widths = self.widths(escape);
        let line = |cells: &[String]| {
            let cells = widths.iter().enumerate().map(|(i, &width)| {
                let cell = escape(cells.get(i).map_or("", String::as_str));
                if i == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") }
            });
            format!("|{}\n", cells.collect::<String>())
        };
        let rule = widths.iter().enumerate().map(|(i, &width)| match i {
            0 => format!(" {} |", "-".repeat(width)),
            _ => format!(" {}: |", "-".repeat(width - 1)),
        });
        let rule = format!("|{}\n", rule.collect::<String>());
        line(&self.heading) + &rule + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }

    /// The table with columns and rows exchanged.
    fn transposed(&self) -> Self {
        let all: Vec<&Vec<String>> = std::iter::once(&self.heading).chain(&self.rows).collect();
        let column = |index: usize| all.iter().map(|row| row.get(index).cloned().unwrap_or_default()).collect();
        Self { heading: column(0), rows: (1..self.heading.len()).map(column).collect() }
    }

    /// Aligned columns for a terminal; transposed if that is narrower.
    pub fn narrow(&self) -> String {
        let width = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        let (plain, turned) = (self.plain(), self.transposed().plain());
        if width(&turned) < width(&plain) { turned } else { plain }
    }

    /// Aligned columns for a terminal.
    pub fn plain(&self) -> String {
        let widths = self.widths(str::to_string);
        let line = |cells: &[String]| {
            let cells = widths.iter().enumerate().map(|(i, &width)| {
                let cell = cells.get(i).map_or("", String::as_str);
                if i == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") }
            });
            format!("{}\n", cells.collect::<String>().trim_end())
        };
        line(&self.heading) + &self.rows.iter().map(|row| line(row)).collect::<String>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_bars_escaped() {
        let mut grid = Grid::new(vec!["row".into(), "error %".into()]);
        grid.push(vec!["a|b".into(), "1.0 ± 0.2".into()]);
        assert_eq!(grid.markdown(), "| row  |   error % |\n| ---- | --------: |\n| a\\|b | 1.0 ± 0.2 |\n");
        assert_eq!(grid.plain(), "row    error %\na|b  1.0 ± 0.2\n");
        assert_eq!(grid.transposed().plain(), "row            a|b\nerror %  1.0 ± 0.2\n");
        assert_eq!(grid.narrow(), grid.plain());
    }
}
