//! The demo, as a newcomer sees it.

use crate::command::tidegate;

#[test]
fn the_demo_tells_a_day_with_accidents_and_a_capacity() {
    let ran = tidegate(&["demo", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line = |of: &str| {
        let line = ran.stdout.lines().find(|line| line.contains(of));
        line.unwrap_or_else(|| panic!("{of} is not in\n{}", ran.stdout))
    };
    for part in ["The day: ", "server 2 is 20x slower", "cache hit ratio", "retries: "] {
        line(part);
    }
    let (with, without) = failed(line("server 3 is dead"));
    // Without help every third request meets the dead server. With help, on a machine that is busy
    // with other tests, more may fail than the few that were under way there.
    assert!(without > 15.0 && with < without / 2.0, "{}", ran.stdout);
    // On a machine that is too busy to tell, the demo says so instead of a figure.
    let busy = ran.stdout.contains("This machine is too busy to tell");
    assert!(busy != ran.stdout.contains("The busiest second of the day had"), "{}", ran.stdout);
    assert!(line("Lines: ").ends_with(" 0 rejected"), "{}", ran.stdout);
    line("/product/{id}");
    assert!(busy != ran.stdout.contains("Recommended: "), "{}", ran.stdout);
    the_experiment(&ran.stdout);
}

/// What harms is taken back by itself and is not seen again; what sells more is rolled out.
fn the_experiment(text: &str) {
    let line = |of: &str| {
        let line = text.lines().find(|line| line.contains(of));
        line.unwrap_or_else(|| panic!("{of} is not in\n{text}"))
    };
    line("roll-back  \"express\": guardrail error-rate is worse beyond doubt");
    line("pages since then none was express");
    assert!(line("units: today ").contains("sample ratio p = "), "{text}");
    // On a machine that is too busy, too few come for a decision, and the demo says so.
    if !text.contains("The time was too short for a decision") {
        assert!(line("cart: \"").starts_with("cart: \"one-page\" has won: ship it"), "{text}");
        assert!(line("purchase-rate *").ends_with("better"), "{text}");
        line("ship       \"one-page\", 5 % held back");
    }
    line("What you have seen: ");
}

/// The shares that failed with and without help, in percent.
fn failed(line: &str) -> (f64, f64) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let shares = words.windows(2).filter(|pair| pair[1] == "%");
    let shares: Vec<f64> = shares.map(|pair| pair[0].parse().unwrap()).collect();
    let [with, without] = shares[..] else { panic!("{line}") };
    (with, without)
}
