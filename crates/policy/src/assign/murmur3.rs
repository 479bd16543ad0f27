//! MurmurHash3_x86_32 (Appleby), which Unleash, flagd and Optimizely hash with.

const C1: u32 = 0xCC9E_2D51;
const C2: u32 = 0x1B87_3593;

/// MurmurHash3_x86_32 of some bytes.
#[must_use]
pub fn murmur3_x86_32(bytes: &[u8], seed: u32) -> u32 {
    let scramble = |word: u32| word.wrapping_mul(C1).rotate_left(15).wrapping_mul(C2);
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = seed;
    for word in words {
        hash ^= scramble(u32::from_le_bytes(*word));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xE654_6B64);
    }
    if !tail.is_empty() {
        let last = tail.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        hash ^= scramble(last);
    }
    // The algorithm takes the length modulo 2³².
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the reference implementation and the vectors commonly quoted for it.
    #[test]
    fn vectors() {
        for (text, seed, hash) in [
            ("", 0, 0),
            ("", 1, 0x514E_28B7),
            ("", 0xFFFF_FFFF, 0x81F1_6F39),
            ("a", 0x9747_B28C, 0x7FA0_9EA6),
            ("aa", 0x9747_B28C, 0x5D21_1726),
            ("aaa", 0x9747_B28C, 0x283E_0130),
            ("aaaa", 0x9747_B28C, 0x5A97_808A),
            ("abcd", 0x9747_B28C, 0xF047_8627),
            ("Hello, world!", 0x9747_B28C, 0x2488_4CBA),
        ] {
            assert_eq!(murmur3_x86_32(text.as_bytes(), seed), hash, "{text:?}, seed {seed}");
        }
    }
}
