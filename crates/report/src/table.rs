//! Text tables, and the little colour that they sit in.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Widest cell of text; longer ones end in `…`.
pub(crate) const CELL_WIDTH_MAX: usize = 44;

/// How text is dressed. Colour repeats what the words say and never adds to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether ANSI colours are wanted.
    pub color: bool,
}

impl Style {
    fn wrap(self, code: &str, text: &str) -> String {
        if self.color { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A heading.
    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Good news when `good`, else bad news.
    pub(crate) fn verdict(self, good: bool, text: &str) -> String {
        self.wrap(if good { "1;32" } else { "1;31" }, text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }
}

/// Which side of its column a cell keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of cells under headers, columns two blanks apart.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    cell_width_max: usize,
}

impl Table {
    /// A table with `left` columns of text, followed by `right` columns of numbers.
    pub(crate) fn new(left: &[&str], right: &[&str]) -> Table {
        let columns = |names: &[&str], align| -> Vec<(String, Align)> {
            names.iter().map(|name| ((*name).to_owned(), align)).collect()
        };
        let columns = [columns(left, Align::Left), columns(right, Align::Right)].concat();
        Table { columns, rows: Vec::new(), cell_width_max: CELL_WIDTH_MAX }
    }

    /// Appends a column of text.
    pub(crate) fn text_column(mut self, name: &str) -> Table {
        self.columns.push((name.to_owned(), Align::Left));
        self
    }

    /// Shortens cells to `width`, for tables of many columns.
    pub(crate) fn narrow(mut self, width: usize) -> Table {
        self.cell_width_max = width;
        self
    }

    /// Appends a row; missing cells are empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().take(self.columns.len());
        self.rows.push(cells.map(|cell| shortened(&cell, self.cell_width_max)).collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, indented by two blanks, each line ended.
    pub(crate) fn render(&self) -> String {
        let width_of = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width());
            cells.chain([self.columns[index].0.width()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width_of).collect();
        let headers: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let mut text = String::new();
        for row in std::iter::once(&headers).chain(&self.rows) {
            let mut line = String::from(" ");
            for (cell, (&width, (_, align))) in row.iter().zip(widths.iter().zip(&self.columns)) {
                let padding = " ".repeat(width - cell.width());
                let (before, after) = match align {
                    Align::Left => ("", padding.as_str()),
                    Align::Right => (padding.as_str(), ""),
                };
                // One blank of the gap belongs to the cell, so that a line starts with two.
                line.push(' ');
                line.push_str(before);
                line.push_str(cell);
                line.push_str(after);
                line.push(' ');
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `text` on one line of at most `width` columns: characters that nobody sees or that change how others
/// are shown (which a target may put into an error, a client into a log) become `·`, and what is too
/// long ends in `…`.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if is_hidden(c) { '·' } else { c }).collect();
    if clean.width() <= width {
        return clean;
    }
    let mut used = 0;
    let mut short: String = clean
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used < width
        })
        .collect();
    short.push('…');
    short
}

/// Control characters, line and paragraph separators, and format characters of no width or for
/// bidirectional text (Unicode 16, general category Cf in the general punctuation).
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(&["name"], &["n"]).text_column("why");
        table.row(["größe", "1", "x"].map(str::to_owned));
        table.row(["名前", "1,000"].map(str::to_owned));
        assert_eq!(table.render(), "  name       n  why\n  größe      1  x\n  名前   1,000\n");
    }

    #[test]
    fn long_and_hostile_text_is_tamed() {
        assert_eq!(shortened("abc\x1b[31m\n", 20), "abc·[31m·");
        assert_eq!(shortened("a\u{202e}b\u{200b}", 20), "a·b·");
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
        assert_eq!(shortened("名前名前", 5), "名前…");
        assert_eq!(shortened("abc", 0), "…");
    }

    #[test]
    fn colour_only_when_asked() {
        assert_eq!(Style::default().bold("x"), "x");
        assert_eq!(Style { color: true }.verdict(true, "x"), "\x1b[1;32mx\x1b[0m");
    }
}
