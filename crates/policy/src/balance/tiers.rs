//! Which tier of servers gets the requests.

/// A tier at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TierState {
    /// Its number; the lowest comes first.
    pub tier: u8,
    /// Its servers.
    pub servers: u32,
    /// Those of them that are up.
    pub up: u32,
}

/// The tier that gets all requests: the lowest with a server that is up; `None` when none is.
///
/// Requests return to a lower tier as soon as one of its servers is up again. Slow start does not
/// hold them back, as there is nobody in that tier to share with: a tier that cannot carry the
/// load alone with few servers up needs limits on them.
#[must_use]
pub fn active_tier(tiers: &[TierState]) -> Option<u8> {
    tiers.iter().filter(|state| state.up > 0).map(|state| state.tier).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active(states: &[(u8, u32)]) -> Option<u8> {
        let state = |&(tier, up)| TierState { tier, servers: 3, up };
        active_tier(&states.iter().map(state).collect::<Vec<_>>())
    }

    #[test]
    fn the_lowest_tier_with_a_server_up_gets_all() {
        assert_eq!(active(&[(0, 3), (1, 3)]), Some(0));
        assert_eq!(active(&[(0, 0), (1, 3), (2, 3)]), Some(1));
        assert_eq!(active(&[(2, 1), (7, 3), (1, 0)]), Some(2));
    }

    #[test]
    fn fails_back_when_one_server_is_up_again() {
        assert_eq!(active(&[(0, 0), (1, 3)]), Some(1));
        assert_eq!(active(&[(0, 1), (1, 3)]), Some(0));
    }

    #[test]
    fn no_tier_without_a_server_up() {
        assert_eq!(active(&[(0, 0), (1, 0)]), None);
        assert_eq!(active(&[]), None);
    }
}
