//! `[access-log]`: where requests are written down.

use std::path::{Path, PathBuf};

use gateway::params::{AccessLog, LogFormat};
use traffic::{HitField, Template, TemplateError};

use crate::errors::{Code, Problem};
use crate::gateway::value::{no_effect, size, whole};
use crate::read::{Node, Text};

/// Most bytes that wait to be written, per worker.
const BUFFER: usize = 1 << 20;
/// Renamed files that are kept.
const KEEP: usize = 5;
/// Most renamed files.
const KEEP_MAX: usize = 1_000;

/// Reads `[access-log]`.
pub(crate) fn read(node: &Node<'_>, folder: &Path) -> Option<AccessLog> {
    node.table("[access-log]", |table| {
        let path_node = table.required("path");
        let path = path_node.and_then(|node| read_path(&node, folder));
        let format =
            table.get("format").map_or(Some(LogFormat::Combined), |node| read_format(&node));
        let buffer = size(table, "buffer", 32 << 10..=1 << 30).unwrap_or(BUFFER);
        let rotate_node = table.get("rotate");
        let rotate = size(table, "rotate", 4 << 10..=1 << 50);
        let keep_node = table.get("keep");
        let keep = whole(table, "keep", 1..=KEEP_MAX).unwrap_or(KEEP);
        if let (Some(keep), None) = (keep_node, rotate_node) {
            no_effect(table.sink, keep.key, None, "there is no `rotate`");
        }
        if let (Some(path), Some(rotate)) = (path_node, rotate_node)
            && path.value().as_str() == Some("-")
        {
            no_effect(table.sink, rotate.key, Some(path.key), "standard output has no size");
        }
        let rotate = rotate.map(|bytes| bytes as u64);
        Some(AccessLog { path: path?, format: format?, buffer, rotate, keep })
    })
}

fn read_path(node: &Node<'_>, folder: &Path) -> Option<PathBuf> {
    let name = node.text()?.text;
    if name == "-" {
        return Some(PathBuf::from(name));
    }
    let path = folder.join(name);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.is_dir() || parent.is_some_and(|parent| !parent.is_dir()) || name.is_empty() {
        let message = format!("cannot write {}: there is no such folder", path.display());
        let message =
            if path.is_dir() { format!("{} is a folder", path.display()) } else { message };
        node.sink.add(node.problem(Code::UnreadableFile, message, ""));
    }
    Some(path)
}

fn read_format(node: &Node<'_>) -> Option<LogFormat> {
    let text = node.text()?;
    match text.text {
        "combined" => Some(LogFormat::Combined),
        "json" => Some(LogFormat::Json),
        word if !word.contains('{') => {
            let message = format!("`{}` is no format of a log", word.escape_debug());
            let problem = node.problem(Code::BadChoice, message, "");
            node.sink.add(problem.help("write \"combined\", \"json\", or text with {fields}"));
            None
        }
        template => match template.parse::<Template>() {
            Ok(_) => Some(LogFormat::Template(template.to_owned())),
            Err(error) => {
                bad_template(node, text, &error);
                None
            }
        },
    }
}

fn bad_template(node: &Node<'_>, text: Text<'_>, error: &TemplateError) {
    let problem = Problem::new(Code::BadTemplate, error.to_string());
    node.sink.add(match error {
        TemplateError::UnknownField(name) => {
            let field = format!("{{{name}}}");
            let at = text.text.find(&field).map(|at| text.part(node.sink, at, field.len()));
            let known = HitField::ALL.iter().map(|field| field.as_str());
            problem.at(at.unwrap_or(text.at), "").help_nearest(name, known)
        }
        TemplateError::Brace | TemplateError::LineBreak => problem.at(text.at, ""),
    });
}
