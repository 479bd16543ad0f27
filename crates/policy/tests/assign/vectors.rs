//! Every hash says what the real software says (`scripts/assignment-vectors.py`).

use policy::assign::growthbook::Version;
use policy::assign::{
    Assigner, BUCKETS, HashVersion, Purpose, Seed, Spec, bucket, eppo, flagsmith, growthbook,
    optimizely, place, planout, posthog, statsig,
};
use std::path::Path;

/// Header and rows of a file of vectors.
fn read(name: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/assign");
    let file = folder.join(format!("{name}.csv"));
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(file).unwrap();
    let row = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
    let header = row(reader.headers().unwrap());
    let rows: Vec<Vec<String>> = reader.records().map(|record| row(&record.unwrap())).collect();
    assert!(rows.len() > 100, "{name} has too few vectors");
    (header, rows)
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().unwrap_or_else(|| panic!("not a number: {text:?}"))
}

fn numbers<T: std::str::FromStr>(text: &str) -> Vec<T> {
    text.split(' ').map(number).collect()
}

/// Index of a variant; empty for none.
fn variant(text: &str) -> Option<u16> {
    (!text.is_empty()).then(|| number(text))
}

/// Weights as whole numbers: 0.333 as 333 of 1000.
fn whole(weights: &[f64]) -> Vec<u32> {
    let scale = if weights.iter().sum::<f64>() > 1.5 { 1.0 } else { 1000.0 };
    weights.iter().map(|weight| (weight * scale).round() as u32).collect()
}

fn assign(spec: &Spec<'_>, unit: &str) -> Option<u16> {
    Assigner::new(spec).unwrap().assign(unit).variant
}

#[test]
fn native() {
    let (_, rows) = read("native");
    for row in rows {
        let [purpose, salt, seed, unit, expected] = &row[..] else { panic!("{row:?}") };
        let purposes = [Purpose::Variant, Purpose::Coverage, Purpose::Layer, Purpose::Holdout];
        let purpose = purposes.into_iter().find(|each| each.name() == purpose).unwrap();
        assert_eq!(Seed::new(purpose, salt).value(), number::<u64>(seed), "{row:?}");
        let at = bucket(Seed::new(purpose, salt), unit);
        assert_eq!(at, number::<u32>(expected), "{row:?}");
        match purpose {
            Purpose::Variant => {
                let spec = Spec::new(HashVersion::Native1, salt, &[3, 7]);
                let assignment = Assigner::new(&spec).unwrap().assign(unit);
                assert_eq!(assignment.bucket, Some(at));
                assert_eq!(assignment.variant, Some(u16::from(at >= 300_000)), "{row:?}");
            }
            Purpose::Coverage => {
                let spec =
                    Spec { coverage: 250_000, ..Spec::new(HashVersion::Native1, salt, &[1]) };
                assert_eq!(assign(&spec, unit).is_some(), at < 250_000, "{row:?}");
            }
            Purpose::Layer => assert_eq!(place(HashVersion::Native1, salt, unit), Some(at)),
            Purpose::Holdout => {}
        }
    }
}

#[test]
fn growthbook_1_and_2() {
    let (header, rows) = read("growthbook");
    for row in rows {
        let (seed, unit) = (&row[0], &row[1]);
        let version = Version::from_number(number(&row[2])).unwrap();
        let hash = [HashVersion::Growthbook1, HashVersion::Growthbook2][usize::from(row[2] == "2")];
        let point = growthbook::hash(seed, unit, version);
        assert_eq!(point.to_bits(), number::<f64>(&row[3]).to_bits(), "{row:?}");
        let millionths = (point * f64::from(BUCKETS)).round() as u32;
        assert_eq!(place(hash, seed, unit), Some(millionths));
        for (split, expected) in header[4..].iter().zip(&row[4..]) {
            let (coverage, weights) = split.split_once(" of ").unwrap();
            let (coverage, weights) = (number::<f64>(coverage), numbers::<f64>(weights));
            let expected = usize::try_from(number::<i64>(expected)).ok();
            let ranges = growthbook::bucket_ranges(weights.len(), coverage, Some(&weights));
            assert_eq!(growthbook::choose_variation(point, &ranges), expected, "{row:?} {split}");

            let weights = whole(&weights);
            let spec = Spec {
                coverage: (coverage * f64::from(BUCKETS)).round() as u32,
                ..Spec::new(hash, seed, &weights)
            };
            assert_eq!(assign(&spec, unit).map(usize::from), expected, "{row:?} {split}");
            let ranges: Vec<_> = ranges.into_iter().map(|range| vec![range]).collect();
            let spec = Spec { ranges: &ranges, ..Spec::new(hash, seed, &[]) };
            assert_eq!(assign(&spec, unit).map(usize::from), expected, "{row:?} {split}");
        }
    }
}

#[test]
fn unleash() {
    let (_, rows) = read("unleash");
    for row in rows {
        let [group, feature, percent, weights, unit, expected] = &row[..] else {
            panic!("{row:?}")
        };
        let weights = numbers(weights);
        let spec = Spec {
            coverage_salt: group,
            coverage: number::<u32>(percent) * 10_000,
            ..Spec::new(HashVersion::Unleash, feature, &weights)
        };
        assert_eq!(assign(&spec, unit), variant(expected), "{row:?}");
    }
}

#[test]
fn flagd() {
    for (file, hash) in
        [("flagd_string", HashVersion::FlagdString), ("flagd_cbor", HashVersion::FlagdCbor)]
    {
        let (header, rows) = read(file);
        for row in rows {
            for (weights, expected) in header[2..].iter().zip(&row[2..]) {
                let found = Spec::new(hash, &row[0], &numbers(weights)).variant_of(&row[1]);
                assert_eq!(found, variant(expected), "{file} {} {} {weights}", row[0], row[1]);
            }
        }
    }
}

#[test]
fn flagsmith_percentage() {
    let (header, rows) = read("flagsmith");
    for row in rows {
        let point = flagsmith::percentage(&[&row[0], &row[1]]);
        assert_eq!(point.to_bits(), number::<f64>(&row[2]).to_bits(), "{row:?}");
        for (weights, expected) in header[3..].iter().zip(&row[3..]) {
            let weights = numbers(weights);
            let found = Spec::new(HashVersion::Flagsmith, &row[0], &weights);
            assert_eq!(found.variant_of(&row[1]), variant(expected), "{row:?} {weights:?}");
        }
        let spec = Spec { coverage: 400_000, ..Spec::new(HashVersion::Flagsmith, &row[0], &[1]) };
        assert_eq!(spec.variant_of(&row[1]).is_some(), point <= 40.0, "{row:?}");
    }
}

#[test]
fn optimizely_ends_of_ranges() {
    let (header, rows) = read("optimizely");
    for row in rows {
        assert_eq!(optimizely::bucket(&row[1], &row[0]), number::<u32>(&row[2]), "{row:?}");
        for (ends, expected) in header[3..].iter().zip(&row[3..]) {
            let mut ranges = vec![vec![], vec![]];
            let mut start = 0.0;
            for part in ends.split(' ') {
                let (entity, end) = part.split_once(':').unwrap();
                let end = number::<f64>(end) / 10_000.0;
                if let Some(index) = variant(entity) {
                    ranges[usize::from(index)].push([start, end]);
                }
                start = end;
            }
            let spec = Spec { ranges: &ranges, ..Spec::new(HashVersion::Optimizely, &row[0], &[]) };
            assert_eq!(spec.variant_of(&row[1]), variant(expected), "{row:?} {ends}");
        }
    }
}

#[test]
fn statsig_passes_and_buckets() {
    let (header, rows) = read("statsig");
    for row in rows {
        let (salts, unit) = (&row[0], &row[1]);
        for (percent, expected) in header[2..7].iter().zip(&row[2..7]) {
            let coverage = (number::<f64>(percent) * 10_000.0).round() as u32;
            let spec = Spec { coverage, ..Spec::new(HashVersion::Statsig, salts, &[1]) };
            assert_eq!(spec.variant_of(unit).is_some(), expected == "1", "{row:?} {percent}");
        }
        let at: u32 = number(&row[7]);
        assert_eq!(statsig::user_bucket(salts, unit), at, "{row:?}");
        assert_eq!(place(HashVersion::Statsig, salts, unit), Some(at * 1000));
        let spec = Spec::new(HashVersion::Statsig, salts, &[1, 1]);
        assert_eq!(spec.variant_of(unit), Some(u16::from(at >= 500)), "{row:?}");
    }
}

#[test]
fn eppo_shards() {
    let (_, rows) = read("eppo");
    for row in rows {
        let [flag, traffic, ends, unit, expected] = &row[..] else { panic!("{row:?}") };
        let ends: Vec<f64> = numbers(ends);
        let starts = std::iter::once(&0.0).chain(&ends);
        let ranges: Vec<_> = starts
            .zip(&ends)
            .map(|(start, end)| vec![[start / 10_000.0, end / 10_000.0]])
            .collect();
        let split = format!("{flag}-split");
        let covered = eppo::shard(&format!("{flag}-traffic"), unit, eppo::SHARDS) < number(traffic);
        let spec = Spec { ranges: &ranges, ..Spec::new(HashVersion::Eppo, &split, &[]) };
        assert_eq!(spec.variant_of(unit).filter(|_| covered), variant(expected), "{row:?}");

        // The same by coverage.
        let coverage_salt = format!("{flag}-traffic");
        let weights: Vec<u32> = ranges
            .iter()
            .map(|range| ((range[0][1] - range[0][0]) * 10_000.0).round() as u32)
            .collect();
        let spec = Spec {
            coverage_salt: &coverage_salt,
            coverage: number::<u32>(traffic) * 100,
            ..Spec::new(HashVersion::Eppo, &split, &weights)
        };
        assert_eq!(spec.variant_of(unit), variant(expected), "{row:?}");
    }
}

#[test]
fn planout_operators() {
    let (header, rows) = read("planout");
    for row in rows {
        let (salt, unit) = (&row[0], &row[1]);
        let named = |name: &str| format!("{salt}.{name}");
        let p = planout::uniform(&named("p"), unit);
        assert_eq!(p.to_bits(), number::<f64>(&row[2]).to_bits(), "{row:?}");
        assert_eq!(planout::integer(&named("n"), unit, 9_999), number::<u64>(&row[3]), "{row:?}");
        let trial = named("trial");
        let spec = Spec { coverage: 250_000, ..Spec::new(HashVersion::Planout, &trial, &[1]) };
        assert_eq!(spec.variant_of(unit).is_some(), row[4] == "1", "{row:?}");
        for (index, (weights, expected)) in header[5..].iter().zip(&row[5..]).enumerate() {
            let (name, weights) = (named(&format!("choice{index}")), whole(&numbers(weights)));
            let spec = Spec::new(HashVersion::Planout, &name, &weights);
            assert_eq!(spec.variant_of(unit), variant(expected), "{row:?} {weights:?}");
        }
    }
}

#[test]
fn posthog_rollout_and_variant() {
    let (header, rows) = read("posthog");
    for row in rows {
        let (key, unit) = (&row[0], &row[1]);
        let (rollout, point) = (posthog::hash(key, unit, ""), posthog::hash(key, unit, "variant"));
        assert_eq!(rollout.to_bits(), number::<f64>(&row[2]).to_bits(), "{row:?}");
        assert_eq!(point.to_bits(), number::<f64>(&row[3]).to_bits(), "{row:?}");
        for (weights, expected) in header[4..].iter().zip(&row[4..]) {
            let weights = numbers(weights);
            let mut spec = Spec::new(HashVersion::Posthog, key, &weights);
            assert_eq!(spec.variant_of(unit), variant(expected), "{row:?} {weights:?}");
            spec.coverage = 300_000;
            let covered = spec.variant_of(unit).is_some();
            assert_eq!(covered, rollout <= 0.3 && !expected.is_empty(), "{row:?}");
        }
    }
}

#[test]
fn modulo_of_numeric_ids() {
    let spec = Spec::new(HashVersion::Modulo, "", &[1, 1]);
    assert_eq!(spec.variant_of("1236"), Some(0));
    assert_eq!(spec.variant_of("1237"), Some(1));
    let spec = Spec::new(HashVersion::Modulo, "", &[90, 10]);
    assert_eq!(spec.variant_of("1189"), Some(0));
    assert_eq!(spec.variant_of("1190"), Some(1));
    assert_eq!(spec.variant_of("not a number"), None);
}

/// Shorter to read.
trait VariantOf {
    fn variant_of(&self, unit: &str) -> Option<u16>;
}

impl VariantOf for Spec<'_> {
    fn variant_of(&self, unit: &str) -> Option<u16> {
        assign(self, unit)
    }
}
