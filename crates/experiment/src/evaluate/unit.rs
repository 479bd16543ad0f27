//! Who is asking.

use crate::model::Identity;
use crate::model::limits::UNIT_BYTES_MAX;

/// The ids of whoever is asking, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unit<'a> {
    /// Id of the device or the session.
    pub device: Option<&'a str>,
    /// Id of the user who is logged in.
    pub user: Option<&'a str>,
    /// Id of the device that was linked with this user first. Whoever keeps the links writes them
    /// once per user, when [`Unit::link`] says so; the first writer wins.
    pub linked: Option<&'a str>,
}

impl<'a> Unit<'a> {
    /// The id that is hashed and counted. `None` when there is none of the wanted kind; an empty
    /// or overlong id is none.
    #[must_use]
    pub fn id(&self, identity: Identity) -> Option<&'a str> {
        let usable = |id: &&str| !id.is_empty() && id.len() <= UNIT_BYTES_MAX;
        let device = self.device.filter(usable);
        let user = self.user.filter(usable);
        match identity {
            Identity::Device => device,
            Identity::User => user,
            Identity::Linked if user.is_some() => self.linked.filter(usable).or(device).or(user),
            Identity::Linked => device,
        }
    }

    /// User and device to link: somebody is logged in on a device and has no link yet.
    #[must_use]
    pub fn link(&self) -> Option<(&'a str, &'a str)> {
        if self.linked.is_some() {
            return None;
        }
        self.user.zip(self.device).filter(|(user, device)| !user.is_empty() && !device.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_changes_nothing_where_it_must_not() {
        let before = Unit { device: Some("d1"), ..Unit::default() };
        let at_login = Unit { user: Some("u"), ..before };
        let later = Unit { linked: Some("d1"), ..at_login };
        let elsewhere = Unit { device: Some("d2"), ..later };
        for (identity, ids) in [
            (Identity::Device, [Some("d1"), Some("d1"), Some("d1"), Some("d2")]),
            (Identity::User, [None, Some("u"), Some("u"), Some("u")]),
            (Identity::Linked, [Some("d1"), Some("d1"), Some("d1"), Some("d1")]),
        ] {
            let found = [before, at_login, later, elsewhere].map(|unit| unit.id(identity));
            assert_eq!(found, ids, "{identity:?}");
        }
        let links = [before, at_login, later, elsewhere].map(|unit| unit.link());
        assert_eq!(links, [None, Some(("u", "d1")), None, None]);
    }

    #[test]
    fn what_is_no_id() {
        let long = "x".repeat(UNIT_BYTES_MAX + 1);
        for id in ["", &long] {
            assert_eq!(Unit { device: Some(id), ..Unit::default() }.id(Identity::Device), None);
        }
        let server = Unit { user: Some("u"), ..Unit::default() };
        assert_eq!(server.id(Identity::Linked), Some("u"));
    }
}
