//! `[layer.NAME]` and `[holdout.NAME]`.

use experiment::model::{Holdout, Layer, Share};
use policy::assign::HashVersion;

use super::value::{share, strings_of};
use crate::errors::Code;
use crate::read::{Node, Table};

/// Reads a layer.
pub(super) fn layer(node: &Node<'_>) -> Option<Layer> {
    node.table("a layer", |table| {
        let salt = table.get("salt").and_then(|node| node.owned_text());
        let hash = read_hash(table);
        Some(Layer { key: node.key.text.to_owned(), hash, salt })
    })
}

/// Reads a holdout.
pub(super) fn holdout(node: &Node<'_>) -> Option<Holdout> {
    node.table("a holdout", |table| {
        let salt = table.get("salt").and_then(|node| node.owned_text());
        let share = table.required("share").and_then(|node| share(&node));
        let experiments = strings_of(table, "experiments");
        let share = share.unwrap_or(Share::NONE);
        Some(Holdout { key: node.key.text.to_owned(), salt, share, experiments })
    })
}

/// The hash; our own unless the file says.
pub(super) fn read_hash(table: &mut Table<'_>) -> HashVersion {
    let Some(node) = table.get("hash") else { return HashVersion::Native1 };
    let Some(text) = node.text() else { return HashVersion::Native1 };
    HashVersion::from_name(text.text).unwrap_or_else(|| {
        let message = format!("`{}` is no hash", text.text.escape_debug());
        let names = HashVersion::ALL.iter().map(|hash| hash.name());
        node.sink.add(node.problem(Code::BadChoice, message, "").help_nearest(text.text, names));
        HashVersion::Native1
    })
}
