//! The hash of keys and servers: XXH64.
//!
//! It decides where keys live, so it must never change: gateways of different versions side by side
//! agree on every key. It is fast and even, not secret: whoever chooses the key can choose the
//! server (bounded load limits what that achieves).

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// The key of a request: XXH64 with seed 0 of what keeps requests together.
#[must_use]
pub fn hash_key(bytes: &[u8]) -> u64 {
    xxh64(bytes, 0)
}

/// XXH64 (Collet: xxHash fast digest algorithm, specification 0.1.1). Different seeds give
/// independent hashes.
#[must_use]
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    let (stripes, rest) = bytes.as_chunks::<32>();
    let mut hash = if stripes.is_empty() { seed.wrapping_add(P5) } else { lanes(stripes, seed) };
    hash = hash.wrapping_add(bytes.len() as u64);

    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        hash ^= round(0, u64::from_le_bytes(*word));
        hash = hash.rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
    }
    let (halves, rest) = rest.as_chunks::<4>();
    for half in halves {
        hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(P1);
        hash = hash.rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
    }
    for byte in rest {
        hash ^= u64::from(*byte).wrapping_mul(P5);
        hash = hash.rotate_left(11).wrapping_mul(P1);
    }

    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

/// Four accumulators over 32 bytes at a time, merged.
fn lanes(stripes: &[[u8; 32]], seed: u64) -> u64 {
    let start = seed.wrapping_add(P1);
    let mut lanes = [start.wrapping_add(P2), seed.wrapping_add(P2), seed, seed.wrapping_sub(P1)];
    for stripe in stripes {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    let rotated = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
    let sum = rotated.fold(0, u64::wrapping_add);
    lanes.iter().fold(sum, |hash, &lane| (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4))
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test input of the reference implementation (`xsum_sanity_check.c`).
    fn reference_bytes(len: usize) -> Vec<u8> {
        let next = |state: &u64| Some(state.wrapping_mul(11_400_714_785_074_694_797));
        let states = std::iter::successors(Some(2_654_435_761), next);
        states.map(|state: u64| (state >> 56) as u8).take(len).collect()
    }

    #[test]
    fn vectors_of_the_reference_implementation() {
        let prime = 2_654_435_761;
        for (len, seed, hash) in [
            (0, 0, 0xEF46_DB37_51D8_E999),
            (0, prime, 0xAC75_FDA2_929B_17EF),
            (1, 0, 0xE934_A84A_DB05_2768),
            (1, prime, 0x5014_6076_43A9_B4C3),
            (4, 0, 0x9136_A0DC_A574_57EE),
            (4, prime, 0xCAAB_286B_D8E9_FDB5),
            (14, 0, 0x8282_DCC4_994E_35C8),
            (14, prime, 0xC3BD_6BF6_3DEB_6DF0),
            (222, 0, 0xB641_AE8C_B691_C174),
            (222, prime, 0x20CB_8AB7_AE10_C14A),
        ] {
            assert_eq!(xxh64(&reference_bytes(len), seed), hash, "{len} bytes, seed {seed}");
        }
    }

    #[test]
    fn keys_are_hashed_with_seed_0() {
        assert_eq!(hash_key(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(hash_key(b"abc"), 0x44BC_2CF5_AD77_0999);
    }
}
