//! Parts of a Markdown file that commands write, each between markers of its own, so that every
//! command replaces its part and nothing else.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Replaces the part `name` of a file, or appends it when there is none yet.
///
/// # Errors
/// Fails when the file cannot be read or written, or when the end of the part is missing.
pub(crate) fn replace(path: &Path, name: &str, text: &str) -> Result<()> {
    let file = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    let replaced = replaced(&file, name, text)
        .with_context(|| format!("{}: the part `{name}` has no end", path.display()))?;
    Ok(fs::write(path, replaced)?)
}

fn replaced(file: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- begin {name} -->\n");
    let end = format!("<!-- end {name} -->\n");
    let part = format!("{begin}{}\n{end}", text.trim_end());
    let Some((before, rest)) = file.split_once(&begin) else {
        return Some(format!("{}\n\n{part}", file.trim_end()));
    };
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{part}{after}"))
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_part_is_appended_and_then_replaced_alone() {
        let one = replaced("# Title\n", "one", "first\n").unwrap();
        let two = replaced(&one, "two", "second").unwrap();
        let again = replaced(&two, "one", "changed").unwrap();
        assert_eq!(
            again,
            "# Title\n\n<!-- begin one -->\nchanged\n<!-- end one -->\n\n\
             <!-- begin two -->\nsecond\n<!-- end two -->\n"
        );
        assert_eq!(replaced(&again, "one", "changed").unwrap(), again);
    }

    #[test]
    fn a_part_without_end_is_left_alone() {
        assert_eq!(replaced("<!-- begin one -->\ntext\n", "one", "new"), None);
    }
}
