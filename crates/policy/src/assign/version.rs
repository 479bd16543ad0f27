//! The names of the hashes.

/// How units are hashed into buckets. Stored with an experiment when it is made and never changed
/// while it lives: another hash is another experiment. What a version does never changes either; a
/// better hash gets a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashVersion {
    /// XXH3 with a seed from the purpose and the salt, into a million buckets.
    Native1,
    /// GrowthBook `hashVersion` 1: biased between experiments; for running experiments only.
    Growthbook1,
    /// GrowthBook `hashVersion` 2.
    Growthbook2,
    /// Unleash: MurmurHash3, a hundred steps of coverage.
    Unleash,
    /// flagd before CBOR: MurmurHash3 of flag key and targeting key, joined.
    FlagdString,
    /// flagd since 2026: MurmurHash3 of the CBOR array of flag key and targeting key.
    FlagdCbor,
    /// Flagsmith: MD5 into 9,999 steps.
    Flagsmith,
    /// Optimizely: MurmurHash3 into 10,000 buckets.
    Optimizely,
    /// Statsig: SHA-256; 10,000 buckets for pass percentages, 1,000 for groups and layers.
    Statsig,
    /// Eppo: MD5 into 10,000 shards.
    Eppo,
    /// PlanOut: SHA-1, 60 bits.
    Planout,
    /// PostHog: SHA-1, 60 bits.
    Posthog,
    /// The remainder of a numeric id divided by the sum of the weights: of two, its last bit.
    Modulo,
}

impl HashVersion {
    /// Every version, in the order of the reference.
    pub const ALL: [HashVersion; 13] = [
        HashVersion::Native1,
        HashVersion::Growthbook1,
        HashVersion::Growthbook2,
        HashVersion::Unleash,
        HashVersion::FlagdString,
        HashVersion::FlagdCbor,
        HashVersion::Flagsmith,
        HashVersion::Optimizely,
        HashVersion::Statsig,
        HashVersion::Eppo,
        HashVersion::Planout,
        HashVersion::Posthog,
        HashVersion::Modulo,
    ];

    /// The name in configuration, APIs and storage.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HashVersion::Native1 => "native-1",
            HashVersion::Growthbook1 => "growthbook-1",
            HashVersion::Growthbook2 => "growthbook-2",
            HashVersion::Unleash => "unleash",
            HashVersion::FlagdString => "flagd-string",
            HashVersion::FlagdCbor => "flagd-cbor",
            HashVersion::Flagsmith => "flagsmith",
            HashVersion::Optimizely => "optimizely",
            HashVersion::Statsig => "statsig",
            HashVersion::Eppo => "eppo",
            HashVersion::Planout => "planout",
            HashVersion::Posthog => "posthog",
            HashVersion::Modulo => "modulo",
        }
    }

    /// The version of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<HashVersion> {
        HashVersion::ALL.into_iter().find(|version| version.name() == name)
    }
}
